// Numbers, times and states in words.
import { h, s } from './dom.js';

const whole = new Intl.NumberFormat('en');

export const count = n => whole.format(n);

/** "3 devices", "1 device". */
export const many = (n, noun) => `${count(n)} ${noun}${n === 1 ? '' : 's'}`;

export function bytes(n) {
	for (const [unit, size] of [['GB', 1e9], ['MB', 1e6], ['kB', 1e3]])
		if (n >= size) return `${(n / size).toPrecision(3).replace(/\.0+$/, '')} ${unit}`;
	return `${n} bytes`;
}

/** 25 of a thousand is "2.5 %". */
export const share = permille => `${+(permille / 10).toFixed(1)} %`;

export function duration(seconds) {
	const s = Math.max(0, Math.round(seconds));
	if (s < 60) return `${s} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min${s % 60 && s < 600 ? ` ${s % 60} s` : ''}`;
	if (s < 86400) return `${Math.floor(s / 3600)} h${Math.floor(s % 3600 / 60) ? ` ${Math.floor(s % 3600 / 60)} min` : ''}`;
	return `${Math.floor(s / 86400)} d${Math.floor(s % 86400 / 3600) ? ` ${Math.floor(s % 86400 / 3600)} h` : ''}`;
}

const sameDay = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const otherDay = new Intl.DateTimeFormat(undefined, { year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });

/** Local time; the absolute one is its title. 0 is never. */
export function time(seconds, never = 'never') {
	if (!seconds) return never;
	const at = new Date(seconds * 1000);
	const today = at.toDateString() === new Date().toDateString();
	return h('time', { datetime: at.toISOString(), title: `${at.toISOString().replace('.000', '')} (UTC)` }, (today ? sameDay : otherDay).format(at));
}

export const ago = (seconds, now) => seconds ? `${duration(now - seconds)} ago` : 'never';

/** The beginning of a digest, whole in its title. */
export const digest = hex => h('code', { title: hex }, (hex || '').slice(0, 12) || 'none');

// How a state looks: its colour, and a shape for who sees no colours.
const TONES = {
	confirmed: 'good', passed: 'good', completed: 'good', idle: 'good', online: 'good',
	working: 'busy', running: 'busy', soaking: 'busy', preparing: 'busy', reverting: 'warn', retrying: 'warn',
	fetching: 'busy', verifying: 'busy', installing: 'busy', armed: 'busy', rebooting: 'busy', proving: 'busy', offered: 'busy',
	paused: 'warn', 'waiting-for-grant': 'warn', 'rolling-back': 'warn', reverted: 'warn', superseded: 'calm',
	halted: 'bad', failed: 'bad', aborted: 'bad', quarantined: 'bad',
};
const MARKS = {
	good: 'M3 8.5 6.5 12 13 4.5', bad: 'M4 4l8 8M12 4l-8 8', warn: 'M8 3v6M8 12v1.2', busy: 'M4 8h8M9 4.5 12.5 8 9 11.5', calm: 'M4.5 8h7',
};

export const tone = state => TONES[state] || 'calm';

export function mark(kind) {
	return s('svg', { viewBox: '0 0 16 16', class: 'mark', 'aria-hidden': 'true' }, s('path', { d: MARKS[kind] }));
}

/** A state as a pill. */
export function pill(state, text = state.replaceAll('-', ' ')) {
	return h('span', { class: `pill ${tone(state)}` }, mark(tone(state)), text);
}

export const link = (path, ...children) => h('a', { href: path }, ...children);
export const toRollout = name => link(`#/rollouts/${encodeURIComponent(name)}`, name);
export const toDevice = id => link(`#/devices/${encodeURIComponent(id)}`, id);

const HOLDS = { PACE: 'Held by the limits of devices at once', SITE: 'Held by the limit of its site', GROUP: 'Held so that a redundancy group keeps one up', FREEZE: 'Held by a freeze' };
export const hold = name => HOLDS[name] || `Held: ${name}`;

/** A term and what it is. */
export const fact = (term, ...what) => h('div', { class: 'fact' }, h('dt', null, term), h('dd', null, ...what));
export const facts = (...list) => h('dl', { class: 'facts' }, ...list);

/** A part of a page, under a heading. */
export function part(title, ...content) {
	const id = `part-${title.toLowerCase().replace(/[^a-z]+/g, '-')}`;
	return h('section', { class: 'part', 'aria-labelledby': id, 'data-key': id }, h('h2', { id }, title), ...content);
}

/** A command to run in a terminal, with a button that copies it. */
export function command(text) {
	return h('div', { class: 'command' }, h('code', { tabindex: '0' }, text),
		h('button', { type: 'button', class: 'small', 'aria-label': `Copy the command ${text}`, on: { click: async e => {
			const button = e.currentTarget;
			try {
				await navigator.clipboard.writeText(text);
				button.textContent = 'Copied';
			} catch {
				button.textContent = 'Select it';
			}
		} } }, 'Copy'));
}
