// Devices: the list, and one with its history and what holds or moves it.
import { h, table } from './dom.js';
import { ask } from './net.js';
import { meter, moments, slots } from './pictures.js';
import { ago, bytes, count, digest, duration, fact, facts, link, many, mark, part, pill, time, toDevice, toRollout, tone } from './words.js';

const PAGE = 50, SCAN = 1000, DAYS = 30;

const state = d => d.quarantine ? pill('quarantined') : pill(d.state);
const presence = d => pill(d.online ? 'online' : 'away', d.online ? 'online' : 'away');

const COLUMNS = now => [
	['Device', d => [toDevice(d.id), d.alarm && h('span', { class: 'tag bad' }, 'alarm')]],
	['Presence', presence],
	['State', state],
	['Runs', d => d.version ? `${d.product} ${d.version}` : 'unknown'],
	['Hardware', d => d.hardware || 'unknown'],
	['Cohort', d => d.cohort || 'none'],
	['Labels', d => d.labels.map(l => h('span', { class: 'tag' }, l)), 'labels'],
	['Heard of', d => ago(d.last_report_s, now), 'number'],
	['Says', d => d.error_text || (d.error ? d.error_name : '') || (d.wait ? d.wait_name : ''), 'remarks'],
];

const matches = (d, words) => words.every(w => [d.id, d.hardware, d.version, d.product, d.state, d.cohort, d.running, d.online ? 'online' : 'away', d.alarm ? 'alarm' : '', d.quarantine ? 'quarantined' : '', d.error_name, ...d.labels].some(t => (t || '').toLowerCase().includes(w)));

const pathOf = q => `/devices?limit=${q.limit}&after=${encodeURIComponent(q.after)}${q.cohort ? `&cohort=${encodeURIComponent(q.cohort)}` : ''}`;

// Page through the fleet until there are enough that match, or it ends.
async function find(query) {
	const words = (query.q || '').toLowerCase().split(/\s+/).filter(Boolean), found = [];
	let after = query.after || '', looked = 0;
	if (!words.length) {
		const page = await ask(pathOf({ ...query, after, limit: PAGE }));
		return { devices: page.devices, next: page.next, looked: page.devices.length };
	}
	do {
		const page = await ask(pathOf({ ...query, after, limit: SCAN }));
		for (const d of page.devices) {
			looked++;
			if (matches(d, words)) found.push(d);
			if (found.length === PAGE) return { devices: found, next: d.id, looked };
		}
		after = page.next;
	} while (after);
	return { devices: found, next: '', looked };
}

const address = query => `#/devices?${new URLSearchParams(Object.entries(query).filter(([, v]) => v))}`;

/** The list. The query is in the address, so that a search can be passed on. */
export const devicesPage = {
	title: () => 'Devices',
	load: async (params, status, query) => ({ ...await find(query), fleet: await ask('/fleet') }),
	view(status, { devices, next, looked, fleet }, { query }) {
		const submit = event => {
			event.preventDefault();
			const form = event.currentTarget;
			location.hash = address({ q: form.elements.q.value.trim(), cohort: form.elements.cohort.value });
		};
		return [
			h('h1', { tabindex: '-1' }, 'Devices'),
			h('form', { class: 'search', role: 'search', on: { submit } },
				h('div', null, h('label', { for: 'q' }, 'Search'), h('input', { id: 'q', name: 'q', type: 'search', value: query.q || '', placeholder: 'name, label, version, state…', maxlength: '100' })),
				h('div', null, h('label', { for: 'cohort' }, 'Cohort'), h('select', { id: 'cohort', name: 'cohort' }, h('option', { value: '' }, 'all'), (fleet.cohorts || []).map(c => h('option', { value: c.name, selected: c.name === query.cohort }, c.name)))),
				h('button', { type: 'submit', class: 'primary' }, 'Search')),
			h('p', { class: 'sub' }, query.q ? `${many(devices.length, 'match').replace('matchs', 'matches')}${next ? ' and perhaps more' : ''}, ${many(looked, 'device')} looked at` : `${many(devices.length, 'device')} of ${count(status.devices.total)} here`),
			table('Devices', COLUMNS(status.now), devices, query.q ? 'No device matches. Search looks at names, labels, hardware, versions and states.' : 'No device yet: sluice device add registers one.'),
			h('nav', { class: 'paging', 'aria-label': 'More devices' }, query.after && link(address({ ...query, after: '' }), 'From the beginning'), next && link(address({ ...query, after: next }), 'More')),
		];
	},
};

function explain(e, device) {
	const calm = ['OK', 'CURRENT', 'IDLE'].includes(e.rule);
	return part('Why it is where it is', h('div', { class: `explain ${calm ? 'good' : 'busy'}` },
		h('p', null, h('span', { class: 'tag' }, e.rule), ' ', e.rollout && ['in ', toRollout(e.rollout)]),
		h('p', { class: 'reason' }, e.text),
		e.unblock && h('p', null, h('strong', null, 'What would move it: '), e.unblock),
		e.detail && h('p', { class: 'sub' }, e.detail)),
	device.refused && h('p', { class: 'says' }, h('strong', null, `Last refused: ${device.refused.name}. `), device.refused.text, ' ', time(device.refused.at)));
}

const ATTEMPT = { confirmed: 'It runs the release and is well.', excused: 'It says nothing of the release.', reverted: 'It went back by order.', working: 'Under way.', retrying: 'Will be tried again.' };

function attempts(d) {
	return part('Attempts', d.attempts.length ? h('ol', { class: 'timeline' }, d.attempts.map(a =>
		h('li', { 'data-key': a.rollout }, pill(a.state), h('div', null,
			h('p', null, toRollout(a.rollout), ' ', time(a.at), a.class !== 'none' && h('span', { class: 'tag' }, a.class), a.tries > 0 && ` after ${many(a.tries, 'more try').replace('trys', 'tries')}`),
			h('p', { class: 'sub' }, a.error ? `${a.error_name}: ${a.error_text || 'no words for it'}` : ATTEMPT[a.state] || '', a.retry_s > 0 && [' Again ', time(a.retry_s)]))))) :
		h('p', { class: 'empty' }, 'No rollout has reached it yet.'));
}

/** One device; the first parameter is its id. */
export const devicePage = {
	title: ([id]) => `Device ${id}`,
	load: async ([id]) => {
		const [device, why] = await Promise.all([ask(`/devices/${encodeURIComponent(id)}`), ask(`/devices/${encodeURIComponent(id)}/explain`).catch(error => ({ rule: error.code, text: error.message }))]);
		return { device, why };
	},
	view(status, { device: d, why }) {
		if (d.pending) return [h('h1', { tabindex: '-1' }, 'Device ', h('em', null, d.id)), h('div', { class: 'verdict warn' }, mark('warn'), h('p', null, 'It waits to be let in. Compare the fingerprint with that of the device, then run '), h('code', null, `sluice device accept ${d.id} --fingerprint=${d.fingerprint}`))];
		const look = d.alarm || d.quarantine || d.state === 'failed' ? 'bad' : !d.online || d.error > 0 ? 'warn' : tone(d.state);
		const fetching = d.chunks_total > 0 && d.state === 'fetching';
		return [
			h('h1', { tabindex: '-1' }, 'Device ', h('em', null, d.id)),
			h('div', { class: `verdict ${look}` }, mark(look), h('div', null,
				h('p', null, presence(d), ' ', state(d), d.confirmed && [' ', pill('confirmed', 'runs a confirmed image')], ' heard of ', time(d.last_report_s), d.last_report_s > 0 && `, ${ago(d.last_report_s, status.now)}`),
				d.quarantine && h('p', { class: 'reason' }, `Set aside: ${d.quarantine.text}. `, h('code', null, `sluice device release ${d.id}`), ' takes it back in.'),
				d.error > 0 && h('p', { class: 'reason' }, `${d.error_name}: ${d.error_text}`),
				d.wait > 0 && h('p', { class: 'reason' }, `Waits: ${d.wait_name}`))),
			fetching && meter({ name: 'Fetched', value: d.chunks, max: d.chunks_total, text: `${count(d.chunks)} of ${many(d.chunks_total, 'chunk')}` }),
			h('div', { class: 'two' },
				part('Slots', slots(d), facts(
					fact('Hardware', d.hardware || 'unknown'), fact('Cohort', d.cohort || 'none'),
					fact('Labels', d.labels.length ? d.labels.map(l => h('span', { class: 'tag' }, l)) : 'none'),
					fact('Boots', count(d.boot)), fact('Counter, floor', `${count(d.running_counter)}, ${count(d.floor)}`),
					fact('Fetched', bytes(d.bytes), d.refetched > 0 && `, ${count(d.refetched)} chunks twice`),
					fact('Key', digest(d.fingerprint)))),
				explain(why, d)),
			h('div', { class: 'two' }, attempts(d), part('Incidents', h('p', { class: 'sub' }, 'Restarts nobody asked for, and what health hooks told.'),
				moments(`${many(d.incidents.length, 'incident')} in ${DAYS} days`, d.incidents, status.now, DAYS),
				d.incidents.length ? h('ul', { class: 'plain' }, [...d.incidents].reverse().map(t => h('li', null, time(t), `, ${duration(status.now - t)} ago`))) : h('p', { class: 'empty' }, 'None is known.'))),
		];
	},
};
