// What is kept: releases, and the audit trail with its chain.
import { h, table } from './dom.js';
import { ask } from './net.js';
import { bytes, count, digest, many, mark, part, pill, share, time, toDevice, toRollout } from './words.js';

const ENTRIES = 100;

/** All releases, newest first. */
export const releasesPage = {
	title: () => 'Releases',
	load: async () => ask('/releases'),
	view(status, { releases }) {
		const used = r => status.rollouts.filter(x => x.release.digest === r.digest);
		return [
			h('h1', { tabindex: '-1' }, 'Releases'),
			table('Releases', [
				['Release', r => [h('b', null, `${r.product} ${r.version}`), r.class === 'security' && h('span', { class: 'tag' }, 'security')]],
				['Counter', r => count(r.counter), 'number'],
				['Catalog', r => pill(r.allowed ? 'passed' : 'halted', r.allowed ? 'allowed' : 'not allowed')],
				['Image', r => [bytes(r.image_len), r.image_here ? '' : h('span', { class: 'tag bad' }, 'not here')], 'number'],
				['Granted', r => share(r.granted_permille), 'number'],
				['Hardware', r => r.hardware.join(', ')],
				['Rollouts', r => used(r).map((x, i) => [i > 0 && ', ', toRollout(x.rollout)])],
				['Digest', r => digest(r.digest)],
				['Notes', r => r.notes, 'remarks'],
			], [...releases].sort((a, b) => b.counter - a.counter), 'None yet: sluice release create IMAGE makes one.'),
		];
	},
};

const SAYS_NOTHING = { reason: ['OK'], error: ['OK'], class: ['none'] };

const UNITS = { expires: time, bytes, len: bytes, permille: share };

function value(key, v) {
	if (Array.isArray(v)) return v.map((x, i) => [i > 0 && ', ', value('', x)]);
	if (key === 'rollout') return toRollout(v);
	if (key === 'device') return toDevice(v);
	if (/^[0-9a-f]{32,64}$/.test(v)) return digest(v);
	if (UNITS[key] && typeof v === 'number') return h('b', null, UNITS[key](v));
	return h('b', null, typeof v === 'object' ? JSON.stringify(v) : String(v));
}

function detail(entry) {
	const d = entry.detail;
	if (d === null || typeof d !== 'object') return String(d);
	return Object.entries(d).filter(([k, v]) => v !== '' && !(Array.isArray(v) && !v.length) && !SAYS_NOTHING[k]?.includes(v)).map(([k, v]) =>
		h('span', { class: 'pair' }, h('span', null, k.replaceAll('_', ' ')), ' ', k === 'id' && entry.action.startsWith('device.') ? toDevice(String(v)) : value(k, v)));
}

const author = who => who.startsWith('device:') ? ['device ', toDevice(who.slice(7))] : who;

// What check said last; it is asked again when the trail has grown.
let checked = null;

/** The audit trail, newest first; each entry holds the digest of the one before. */
export const auditPage = {
	title: () => 'Audit trail',
	load: async (params, status, query) => {
		const head = status.audit?.seq || 0, before = Math.min(Number(query.before) || head, head);
		const page = await ask(`/audit?limit=${ENTRIES}&after=${Math.max(0, before - ENTRIES)}`);
		return { entries: page.entries.filter(e => e.seq <= before).reverse(), head };
	},
	view(status, { entries, head }, { again, done }) {
		const linked = entries.every((e, i) => i === entries.length - 1 || e.prev === entries[i + 1].hash);
		const check = async () => {
			try {
				checked = await ask('/audit/verify');
				done(checked.ok ? `The chain is whole: ${many(checked.entries, 'entry').replace('entrys', 'entries')}.` : `The chain is broken at entry ${checked.broken_at}.`);
			} catch (error) {
				done(`Not checked: ${error.message}`);
			}
			again();
		};
		const last = entries[entries.length - 1]?.seq || 0;
		return [
			h('h1', { tabindex: '-1' }, 'Audit trail'),
			h('div', { class: `verdict ${checked ? checked.ok ? 'good' : 'bad' : 'calm'}` }, mark(checked ? checked.ok ? 'good' : 'bad' : 'calm'), h('div', null,
				h('p', null, checked ? checked.ok ? `The chain is whole: ${count(checked.entries)} entries, each holding the digest of the one before.` : `The chain is broken at entry ${checked.broken_at}: from there on the trail was changed outside sluiced.` : `${count(head)} entries, each holding the digest of the one before.`),
				checked && h('p', { class: 'sub' }, 'Head: ', digest(checked.head), '. Noted elsewhere, it shows later that nothing was rewritten.'),
				!linked && h('p', { class: 'reason' }, 'Entries on this page do not follow each other.')),
			h('button', { type: 'button', on: { click: check } }, 'Check the chain')),
			part('Entries', table('Audit trail, newest first', [
				['#', e => count(e.seq), 'number'],
				['When', e => time(e.at), 'when'],
				['Who', e => author(e.who), 'who'],
				['What', e => h('b', null, e.action), 'what'],
				['Detail', detail, 'detail'],
				['Digest', e => digest(e.hash), 'hash'],
			], entries, 'Nothing has happened yet.'),
			h('nav', { class: 'paging', 'aria-label': 'Older entries' }, entries.length && entries[0].seq < head && h('a', { href: '#/audit' }, 'Newest'), last > 1 && h('a', { href: `#/audit?before=${last - 1}` }, 'Older'))),
		];
	},
};
