// The fleet at a glance, and the list of rollouts.
import { h, table } from './dom.js';
import { ask } from './net.js';
import { ring, saved, squares, stack, counted } from './pictures.js';
import { ago, bytes, count, duration, fact, facts, link, many, mark, part, pill, time, toDevice, toRollout, tone } from './words.js';

const OVER = ['completed', 'aborted', 'superseded'];
const WHOLE_MAX = 6; // rollouts that are shown with their devices
const VERSIONS_OF_MAX = 2000; // devices, of which all are asked what they run

const alert = (kind, title, ...what) => h('li', { class: `alert ${kind}` }, mark(kind), h('div', null, h('strong', null, title), h('p', null, ...what)));

function brokerAlerts({ broker, standby }) {
	if (standby) return [];
	if (broker && !broker.connected) return [alert('bad', 'The broker is out of reach', `sluiced is not connected to ${broker.url}: no device hears of anything until it is. Look at the broker, and at the log of sluiced.`)];
	if (broker && broker.probe && !['ok', 'waiting'].includes(broker.probe)) return [alert('bad', 'The broker cannot do what is needed', broker.probe)];
	return broker?.denied ? [alert('warn', 'The broker refused messages', `${many(broker.denied, 'message')} of sluiced: look at the broker's ACL.`)] : [];
}

const approvalText = r => r.approval ?
	[`${many(r.approval.missing, 'signature')} missing. `, link(`#/rollouts/${encodeURIComponent(r.rollout)}`, 'Who may sign, and how')] :
	['No grant covers its next stage. ', link(`#/rollouts/${encodeURIComponent(r.rollout)}`, 'The command that grants it')];

/** What wants a person, the worst first. */
export function attention(status) {
	const of = state => status.rollouts.filter(r => r.state === state);
	return [
		...brokerAlerts(status),
		...of('halted').map(r => alert('bad', ['Rollout ', toRollout(r.rollout), ' halted'], r.reason || 'no reason is known')),
		...status.alarms.map(a => alert('bad', ['Device ', toDevice(a.device), `: ${a.error_name}`], a.error_text)),
		...of('paused').map(r => alert('warn', ['Rollout ', toRollout(r.rollout), ' is paused'], r.reason || 'by a person')),
		...of('waiting-for-grant').map(r => alert('warn', ['Rollout ', toRollout(r.rollout), ' waits for operators'], ...approvalText(r))),
		...(status.devices.pending ? [alert('warn', `${many(status.devices.pending, 'device')} to be let in`, h('code', null, 'sluice device list --pending'), ' shows them and their fingerprints.')] : []),
		...status.expiring.map(e => alert('warn', ['The ', e.type, e.rollout ? [' of ', toRollout(e.rollout)] : '', ' expires'], time(e.expires), `, in ${duration(e.expires - status.now)}. `, h('code', null, e.type === 'grant' ? `sluice approve ${e.rollout}` : `sluice ${e.type} renew`), ' renews it.')),
	];
}

// The stages side by side; with their devices, where those are known.
function progress(r) {
	const done = r.stages.filter(s => s.state === 'passed').length;
	return h('ol', { class: 'steps', 'aria-label': `${done} of ${many(r.stages.length, 'stage')} passed` }, r.stages.map(s =>
		h('li', { class: tone(s.state) }, h('div', null, mark(tone(s.state)), h('span', null, s.name), h('span', { class: 'unseen' }, ` ${s.state}`), h('small', null, s.devices ? count(s.devices) : '')),
			s.counts && s.devices > 0 && squares(s.counts, s.devices))));
}

/** A rollout as a card. */
export function card(r, now) {
	const current = r.stages[r.stage];
	const says = r.reason || current?.gate || '';
	return h('article', { class: `card rollout ${tone(r.state)}`, 'data-key': r.rollout },
		h('header', null, h('h3', null, toRollout(r.rollout)), pill(r.state)),
		h('p', { class: 'sub' }, `${r.release.product} ${r.release.version}`, r.release.class === 'security' && h('span', { class: 'tag' }, 'security'), ` · last moved ${ago(r.changed_s, now)}`),
		progress(r),
		says && h('p', { class: 'says' }, says),
		current?.counts && h('p', { class: 'hint' }, `Stage ${current.name}: ${counted(current.counts)}`));
}

const STATES = ['idle', 'confirmed', 'fetching', 'installing', 'proving', 'failed'];

// Of all patches that were made; status.bytes.published is what went out of them so far.
const made = b => ({ ...b, published: Math.round(b.full * (1000 - b.saved_permille) / 1000) });

function glance(status, versions) {
	const d = status.devices, off = d.total - d.online;
	const busy = Object.entries(d.by_state).filter(([k]) => tone(k) === 'busy').reduce((n, [, v]) => n + v, 0);
	return h('div', { class: 'glance' },
		h('section', { class: 'tile', 'aria-labelledby': 'tile-devices' }, h('h2', { id: 'tile-devices' }, 'Devices'),
			h('div', { class: 'tile-row' }, ring(`${count(d.online)} of ${many(d.total, 'device')} online`, [['good', d.online], ['calm', off]], count(d.total)),
				h('ul', { class: 'legend' }, h('li', { class: 'good' }, h('b', null, count(d.online)), ' online'), h('li', { class: 'calm' }, h('b', null, count(off)), ' away'), busy > 0 && h('li', { class: 'busy' }, h('b', null, count(busy)), ' updating')))),
		h('section', { class: 'tile', 'aria-labelledby': 'tile-runs' }, h('h2', { id: 'tile-runs' }, 'What they run'), runs(versions, d)),
		h('section', { class: 'tile', 'aria-labelledby': 'tile-saved' }, h('h2', { id: 'tile-saved' }, 'Bytes saved'), saved(made(status.bytes))));
}

function runs(versions, d) {
	if (!versions) return h('ul', { class: 'legend' }, Object.entries(d.by_state).sort((a, b) => STATES.indexOf(a[0]) - STATES.indexOf(b[0])).map(([k, n]) => h('li', { class: tone(k) }, h('b', null, count(n)), ` ${k}`)));
	const list = Object.entries(versions).sort((a, b) => b[1] - a[1]), most = list.slice(0, 5), rest = list.slice(5).reduce((n, v) => n + v[1], 0);
	const all = rest ? [...most, ['others', rest]] : most;
	if (!all.length) return h('p', { class: 'empty' }, 'No device has reported yet.');
	return [stack('Versions', all.map(([v, n], i) => [`v${i}`, n, v])), h('ul', { class: 'legend' }, all.map(([v, n], i) => h('li', { class: `v${i}` }, h('b', null, count(n)), ` ${v}`)))];
}

/** What each device runs, where they are few enough to ask. */
async function versionsOf(total) {
	if (total > VERSIONS_OF_MAX) return null;
	const found = {};
	let after = '';
	do {
		const page = await ask(`/devices?limit=1000&after=${encodeURIComponent(after)}`);
		for (const d of page.devices) {
			const name = d.version ? `${d.product} ${d.version}` : 'unknown';
			found[name] = (found[name] || 0) + 1;
		}
		after = page.next;
	} while (after);
	return found;
}

/** The page of the whole fleet. */
export const fleetPage = {
	title: () => 'Fleet',
	load: async (params, status) => {
		const moving = status.rollouts.filter(r => !OVER.includes(r.state)).slice(0, WHOLE_MAX);
		const [fleet, versions, ...whole] = await Promise.all([ask('/fleet'), versionsOf(status.devices.total), ...moving.map(r => ask(`/rollouts/${encodeURIComponent(r.rollout)}`))]);
		return { fleet, versions, whole };
	},
	view(status, { fleet, versions, whole }) {
		const wholeOf = r => { const w = whole.find(x => x.rollout === r.rollout); return w && w.state === r.state ? { ...w, ...r, stages: w.stages } : r; };
		const wants = attention(status), moving = status.rollouts.filter(r => !OVER.includes(r.state)), over = status.rollouts.filter(r => OVER.includes(r.state));
		return [
			h('h1', { tabindex: '-1' }, 'Fleet ', h('em', null, status.fleet)),
			wants.length ? h('section', { class: 'wants', 'aria-labelledby': 'wants' }, h('h2', { id: 'wants' }, `${many(wants.length, 'thing')} to look at`), h('ul', { class: 'alerts' }, wants)) :
				h('div', { class: 'verdict good' }, mark('good'), h('p', null, 'All is well: nothing waits for a person.')),
			glance(status, versions),
			part('Rollouts under way', moving.length ? h('div', { class: 'cards' }, moving.map(r => card(wholeOf(r), status.now))) : h('p', { class: 'empty' }, 'None. ', h('code', null, 'sluice plan FILE'), ' shows what one would do, ', h('code', null, 'sluice apply FILE'), ' begins it.')),
			over.length > 0 && part('Last ones that ended', h('div', { class: 'cards' }, over.slice(0, 3).map(r => card(r, status.now))), over.length > 3 && h('p', null, link('#/rollouts', 'All rollouts'))),
			part('Cohorts', table('Cohorts', [
				['Cohort', c => link(`#/devices?cohort=${encodeURIComponent(c.name)}`, c.name)],
				['Devices', c => count(c.devices), 'number'],
				['Labels', c => Object.entries(c.labels || {}).map(([k, v]) => h('span', { class: 'tag' }, `${k}=${[].concat(v).join(' or ')}`)), ''],
				['Facts', c => Object.entries(c.facts || {}).map(([k, v]) => h('span', { class: 'tag' }, `${k}=${[].concat(v).join(' or ')}`)), ''],
			], fleet.cohorts || [], 'No cohort yet: sluice apply fleet.yaml makes them.'), fleet.unassigned > 0 && h('p', { class: 'hint' }, `${many(fleet.unassigned, 'device')} in no cohort.`)),
			status.broker && part('Behind it', facts(
				fact('Broker', pill(status.broker.connected ? 'online' : 'failed', status.broker.connected ? 'connected' : 'away'), ' ', status.broker.url),
				fact('To be published', many(status.outbox, 'message')),
				fact('Published again', `${bytes(status.bytes.republished || 0)}, for devices that asked or a broker that forgot`),
				fact('sluiced', status.version),
			)),
		];
	},
};

/** The page of all rollouts. */
export const rolloutsPage = {
	title: () => 'Rollouts',
	load: async () => ({}),
	view(status) {
		const group = (title, test) => {
			const list = status.rollouts.filter(test);
			return list.length > 0 && part(title, h('div', { class: 'cards' }, list.map(r => card(r, status.now))));
		};
		const stands = r => ['halted', 'paused'].includes(r.state);
		return [
			h('h1', { tabindex: '-1' }, 'Rollouts'),
			!status.rollouts.length && h('p', { class: 'empty' }, 'None yet. ', h('code', null, 'sluice plan FILE'), ' shows what one would do, ', h('code', null, 'sluice apply FILE'), ' begins it.'),
			group('Standing', stands), group('Moving', r => !stands(r) && !OVER.includes(r.state)), group('Over', r => OVER.includes(r.state)),
		];
	},
};
