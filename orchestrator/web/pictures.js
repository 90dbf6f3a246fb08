// Pictures. Each says in words what it shows, and none needs colour alone.
import { h, s } from './dom.js';
import { bytes, count, many, share } from './words.js';

const CELLS = 120, ACROSS = 12, STEP = 14, SIDE = 11;

/** How devices of a stage are counted, in the order they are drawn. */
export const COUNTED = ['confirmed', 'working', 'failed', 'reverted', 'excused', 'pending', 'offline'];

/** "3 confirmed, 1 failed (1 of them hard)". */
export function counted(counts) {
	return COUNTED.filter(k => counts[k]).map(k => `${count(counts[k])} ${k}` +
		(k === 'failed' && counts.hard ? ` (${count(counts.hard)} of them hard)` : '')).join(', ') || 'no device yet';
}

// Cells for each state: what is there has at least one.
function cellsOf(counts, total) {
	const each = Math.max(1, Math.ceil(total / CELLS));
	return [each, COUNTED.flatMap(k => Array(counts[k] ? Math.max(1, Math.round(counts[k] / each)) : 0).fill(k))];
}

const SHAPES = { confirmed: 'M3 6l2 2.2 3.6-4.6', failed: 'M3.2 3.2l4.6 4.6M7.8 3.2l-4.6 4.6', working: 'M3 5.5h5M5.8 3.2 8 5.5 5.8 7.8', reverted: 'M8 5.5H3M5.2 3.2 3 5.5l2.2 2.3' };

/** A square for each device of a stage, or for each few of them. */
export function squares(counts, total) {
	const [each, cells] = cellsOf(counts, total);
	const rows = Math.max(1, Math.ceil(cells.length / ACROSS));
	return h('figure', { class: 'squares' },
		s('svg', { viewBox: `0 0 ${ACROSS * STEP} ${rows * STEP}`, role: 'img', 'aria-label': `${many(total, 'device')}: ${counted(counts)}` },
			cells.map((k, i) => s('g', { class: `cell ${k}`, transform: `translate(${i % ACROSS * STEP} ${Math.floor(i / ACROSS) * STEP})` },
				s('rect', { x: 0.5, y: 0.5, width: SIDE, height: SIDE, rx: 2.5 }), SHAPES[k] && s('path', { d: SHAPES[k] })))),
		each > 1 && h('figcaption', null, `A square is ${many(each, 'device')}.`));
}

/** A bar of parts: [class, size, name]. */
export function stack(label, parts) {
	const total = parts.reduce((sum, p) => sum + p[1], 0) || 1;
	return h('div', { class: 'stack', role: 'img', 'aria-label': `${label}: ${parts.filter(p => p[1]).map(p => `${count(p[1])} ${p[2] || p[0]}`).join(', ') || 'none'}` },
		parts.filter(p => p[1]).map(([kind, n]) => h('span', { class: kind, style: { width: `${100 * n / total}%` } })));
}

/** A meter with where it has to get to, or must not. bound: 'least' or 'most'. */
export function meter({ name, value, max, at, text, bad, done }) {
	const to = v => `${Math.min(100, Math.max(0, 100 * v / (max || 1)))}%`;
	return h('div', { class: `meter${bad ? ' bad' : done ? ' done' : ''}` },
		h('span', { class: 'meter-name' }, name),
		h('div', { class: 'meter-bar', role: 'meter', 'aria-label': name, 'aria-valuemin': '0', 'aria-valuemax': max || 1, 'aria-valuenow': Math.min(value, max || 1), 'aria-valuetext': text },
			h('span', { class: 'meter-fill', style: { width: to(value) } }),
			at !== undefined && h('span', { class: 'meter-at', style: { left: to(at) } })),
		h('span', { class: 'meter-text' }, text));
}

/** The path of a sequential test between its limits. points: [[n, llr]...] from the oldest,
 *  the last being now; seen: index of the first that was not guessed. */
export function walk({ label, points, limit, seen, below }) {
	const last = points[points.length - 1];
	const wide = Math.max(last[0] * 1.25, 20), top = Math.max(limit * 1.15, last[1] * 1.05);
	const x = n => 100 * n / wide, y = v => 50 - 50 * v / top;
	const path = list => list.map(([n, v], i) => `${i ? 'L' : 'M'}${x(n).toFixed(2)} ${y(v).toFixed(2)}`).join('');
	const danger = last[1] >= limit ? 'bad' : last[1] > limit / 2 ? 'warn' : 'good';
	const rule = (v, kind) => s('path', { d: `M0 ${y(v).toFixed(2)}H100`, class: kind });
	return h('figure', { class: 'walk' },
		h('div', { class: 'walk-plot', role: 'img', 'aria-label': label },
			s('svg', { viewBox: '0 0 100 100', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
				s('rect', { class: 'walk-bad', x: 0, y: 0, width: 100, height: y(limit).toFixed(2) }),
				rule(limit, 'walk-limit'), rule(0, 'walk-zero'), rule(-limit, 'walk-floor'),
				seen > 0 && s('path', { d: path(points.slice(0, seen + 1)), class: 'walk-guess' }),
				s('path', { d: path(points.slice(seen)), class: `walk-line ${danger}` })),
			h('span', { class: 'walk-label', style: { top: `${y(limit)}%` } }, `halts at ${limit.toFixed(1)}`),
			h('span', { class: 'walk-label', style: { top: '50%' } }, '0'),
			h('span', { class: 'walk-label low', style: { top: `${y(-limit)}%` } }, 'more success counts no further'),
			h('span', { class: `walk-dot ${danger}`, style: { left: `${x(last[0])}%`, top: `${y(last[1])}%` } },
				h('b', { class: x(last[0]) > 70 ? 'left' : null }, last[1].toFixed(2)))),
		h('figcaption', null, below));
}

/** Bytes sent against bytes that full images would have taken. */
export function saved(b) {
	const max = Math.max(b.full, b.published, 1);
	const bar = (kind, n, text) => h('div', { class: 'saved-row' }, h('span', null, text), h('span', { class: 'saved-bar' }, h('span', { class: kind, style: { width: `${Math.max(100 * n / max, 0.6)}%` } })), h('b', null, bytes(n)));
	if (!b.full) return h('p', { class: 'empty' }, 'No patch was made yet.');
	return h('div', { class: 'saved' },
		h('p', { class: 'big' }, h('b', null, b.saved_permille < 1000 ? share(b.saved_permille) : 'over 99.9 %'), ' less than full images'),
		bar('delta', b.published, 'patches, once for everybody'), bar('full', b.full, 'full images, compressed'));
}

/** A ring of parts: [class, size]. */
export function ring(label, parts, middle) {
	const total = parts.reduce((sum, p) => sum + p[1], 0) || 1, around = 2 * Math.PI * 40;
	let from = 0;
	return s('svg', { class: 'ring', viewBox: '0 0 100 100', role: 'img', 'aria-label': label },
		s('circle', { class: 'ring-back', cx: 50, cy: 50, r: 40 }),
		parts.filter(p => p[1]).map(([kind, n]) => {
			const piece = s('circle', { class: `ring-part ${kind}`, cx: 50, cy: 50, r: 40, 'stroke-dasharray': `${around * n / total} ${around}`, 'stroke-dashoffset': -around * from / total });
			from += n;
			return piece;
		}),
		s('text', { x: 50, y: 57, 'text-anchor': 'middle', 'aria-hidden': 'true' }, middle));
}

/** Both slots of a device, with an arrow to the one that runs. */
export function slots(device) {
	const slot = (name, image, text, on) => h('div', { class: `slot${on ? ' on' : ''}` },
		h('span', { class: 'slot-name' }, name), h('b', null, text), h('code', { title: image }, image ? image.slice(0, 12) : 'empty'));
	const none = /^0*$/;
	return h('div', { class: 'slots' },
		slot('runs', device.running, device.version ? `${device.product} ${device.version}` : 'unknown', true),
		s('svg', { viewBox: '0 0 40 24', 'aria-hidden': 'true', class: 'swap' }, s('path', { d: 'M4 8h30M28 3l6 5-6 5M36 17H6M12 12l-6 5 6 5' })),
		slot('other slot', none.test(device.other || '') ? '' : device.other, none.test(device.other || '') ? 'nothing to fall back to' : 'to fall back to', false));
}

/** Moments on a line of some days that ends now. */
export function moments(label, list, now, days) {
	const from = now - days * 86400;
	return h('figure', { class: 'moments' },
		s('svg', { viewBox: '0 0 600 40', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
			s('path', { d: 'M0 30H600', class: 'axis' }),
			list.filter(t => t >= from).map(t => s('path', { d: `M${(600 * (t - from) / (now - from)).toFixed(1)} 8V30`, class: 'moment' }))),
		h('figcaption', null, h('span', null, `${days} days ago`), h('span', null, 'now')));
}
