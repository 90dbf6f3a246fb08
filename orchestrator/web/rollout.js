// One rollout: its stages, what its gates say, who has to approve, what travelled.
import { actions } from './actions.js';
import { h, table } from './dom.js';
import { ask } from './net.js';
import { COUNTED, counted, meter, saved, squares, walk } from './pictures.js';
import { ago, bytes, command, count, digest, duration, fact, facts, hold, many, mark, part, pill, share, time, tone } from './words.js';

const CODECS = ['', 'full', 'vcdiff', 'predict'];
const MILLION = 1e6, SMALL_WAVE = 125, HARD_MAX = 3, ALL_BELOW = 59; // as orchestrator/core/gate.h

const signed = view => (view.llr_negative ? -1 : 1) * view.llr_milli / 1000;
const judgedOf = c => c.confirmed + c.failed;

/* ---- stages */

function stageCard(r, stage, i) {
	const spec = r.spec.stages[i] || {}, now = i === r.stage && stage.state !== 'passed';
	return h('li', { class: `stage ${tone(stage.state)}${now ? ' now' : ''}`, 'data-key': stage.name, 'aria-current': now ? 'step' : null },
		h('header', null, h('h3', null, h('span', { class: 'ordinal' }, i + 1), stage.name), pill(stage.state)),
		h('p', { class: 'sub' }, stage.devices || !spec.permille || stage.state !== 'waiting' ? `${many(stage.devices, 'device')} of ${stage.cohort}` : `drawn from ${stage.cohort} by the grant`, spec.permille ? `, up to ${share(spec.permille)}` : spec.count ? `, ${count(spec.count)} at most` : ''),
		squares(stage.counts, stage.devices),
		h('ul', { class: 'legend' }, COUNTED.filter(k => stage.counts[k]).map(k => h('li', { class: k }, h('b', null, count(stage.counts[k])), ` ${k}`, k === 'failed' && stage.counts.hard > 0 && ` (${count(stage.counts.hard)} hard)`))),
		stage.hold && stage.hold !== 'OK' && h('p', { class: 'says' }, h('strong', null, `${hold(stage.hold)}. `), stage.hold_text),
		now && stage.gate && h('p', { class: 'says' }, stage.gate),
		stage.started_s > 0 && h('p', { class: 'sub' }, time(stage.started_s), stage.ended_s > 0 ? [' to ', time(stage.ended_s), `, ${duration(stage.ended_s - stage.started_s)}`] : ' begun'));
}

/* ---- the gate of the stage under way */

// What was seen of the failure test, by rollout: [[devices judged, llr]...].
const traces = new Map();

/** Remember where the failure test of a rollout stands. */
export function remember(r) {
	if (!r.stages[0]?.counts) return;
	const current = r.stages[r.stage], n = r.stages.slice(0, r.stage + 1).reduce((sum, s) => sum + judgedOf(s.counts), 0), v = signed(current);
	const trace = traces.get(r.rollout) || [], last = trace[trace.length - 1];
	if (last && n < last[0] && v === last[1]) return; // devices went back, which says nothing new
	if (last && n < last[0]) trace.length = 0;
	if (!last || last[0] !== n || last[1] !== v) trace.push([n, v]);
	if (trace.length > 500) trace.splice(1, 1);
	traces.set(r.rollout, trace);
}

// The whole path: what ended stages say of it, then what was seen here.
function pathOf(r) {
	const trace = traces.get(r.rollout) || [[0, 0]], known = [[0, 0]];
	let n = 0;
	for (const stage of r.stages.filter(s => s.state === 'passed')) {
		n += judgedOf(stage.counts);
		if (n > 0 && n < trace[0][0]) known.push([n, signed(stage)]);
	}
	return { points: trace[0][0] > 0 ? [...known, ...trace] : trace, seen: trace[0][0] > 0 ? known.length : 0 };
}

function failureTest(r) {
	const g = r.spec.gates, p0 = g.p0_ppm / MILLION, p1 = g.p1_ppm / MILLION, limit = Math.log((1 - g.beta_ppm / MILLION) / (g.alpha_ppm / MILLION));
	const llr = signed(r.stages[r.stage]), { points, seen } = pathOf(r), judged = points[points.length - 1][0];
	const left = Math.ceil((limit - llr) / Math.log(p1 / p0) - 1e-9);
	const over = ['completed', 'aborted', 'superseded'].includes(r.state);
	const says = llr >= limit ? 'The release failed this test.' : over ? 'It did not fail this test.' : `${count(Math.max(1, left))} more ${left > 1 ? 'failures' : 'failure'} in a row would fail it here;`;
	return part('Failure test', h('p', { class: 'sub' }, `Is this a release that fails on ${share(p0 * 1000)} of devices, or on ${share(p1 * 1000)}? Each success moves the line down a little, each failure up a lot; at the upper limit the rollout halts.`),
		walk({ points, seen, limit, label: `Sequential test after ${many(judged, 'device')}: ${llr.toFixed(2)}, halts at ${limit.toFixed(2)}`, below: [h('b', null, says), !over && llr < limit && ' other gates may halt it sooner.', ` ${many(judged, 'device')} judged.`, seen > 0 && ' Dashed: before this page was opened.'] }));
}

function gateMeters(r) {
	const stage = r.stages[r.stage], c = stage.counts, g = r.spec.gates, spec = r.spec.stages[r.stage], wave = stage.devices;
	const judged = judgedOf(c), reach = wave - c.offline - c.excused, needed = wave < ALL_BELOW ? reach : Math.min(reach, Math.max(ALL_BELOW, Math.ceil(wave * g.terminal_permille / 1000)));
	const hardMax = wave <= SMALL_WAVE ? 1 : HARD_MAX, worse = signed(r.worse), halts = r.worse.halts_milli / 1000;
	const success = judged ? 1000 * c.confirmed / judged : 0, soak = spec.soak_s, left = stage.state === 'soaking' ? stage.soak_left_s : soak;
	const ended = stage.state === 'passed';
	return part(ended ? 'Gates of the last stage' : `Gates of stage ${stage.name}`, h('div', { class: 'meters' },
		meter({ name: 'Finished', value: judged, max: Math.max(needed, 1), text: `${count(judged)} of ${count(needed)} devices`, done: judged >= needed && needed > 0 }),
		meter({ name: 'Succeeded', value: success, max: 1000, at: g.success_permille, text: judged ? `${share(success)}, ${share(g.success_permille)} needed` : `nobody yet, ${share(g.success_permille)} needed`, bad: judged > 0 && success < g.success_permille, done: judged > 0 && success >= g.success_permille }),
		meter({ name: 'Hard failures', value: c.hard, max: hardMax, at: hardMax, text: `${count(c.hard)}, ${hardMax === 1 ? 'one halts' : `${hardMax} halt`}`, bad: c.hard > 0 }),
		meter({ name: 'More incidents than others', value: Math.max(0, worse), max: halts, at: halts, text: r.worse.ratio_milli ? `${(r.worse.ratio_milli / 1000).toFixed(1)} times as many; test at ${worse.toFixed(1)}, halts at ${halts.toFixed(1)}` : `nothing to compare yet, halts at ${halts.toFixed(1)}`, bad: worse > halts / 2 }),
		soak > 0 && meter({ name: 'Soaked', value: ended ? soak : soak - left, max: soak, text: ended ? duration(soak) : stage.state === 'soaking' ? `${duration(left)} left of ${duration(soak)}` : `${duration(soak)}, once all have finished`, done: ended || left === 0 }),
		meter({ name: 'Granted by operators', value: r.grant.permille, max: 1000, at: spec.permille || undefined, text: r.grant.permille || !r.grant.canaries.length ? `${share(r.grant.permille)} of the fleet${spec.permille ? `, ${share(spec.permille)} needed here` : ''}` : many(r.grant.canaries.length, 'named device'), done: !spec.permille || r.grant.permille >= spec.permille }),
	), h('p', { class: 'sub' }, `Silence is failure: a device that says nothing for ${duration(g.silence_s)} beyond its deadline counts as a hard one.`));
}

/* ---- approval */

function approval(r) {
	const a = r.approval;
	if (!a && r.state !== 'waiting-for-grant') return null;
	const who = list => h('ul', { class: 'keys' }, list.map(f => h('li', null, h('code', { title: f }, f.slice(0, 8)))));
	if (!a) return part('Approval needed', h('p', null, 'No operator has granted what the next stage takes. Keys never enter this page: whoever holds an operator key runs, where the key is,'), command(`sluice approve ${r.rollout}`));
	return part('Approval needed', h('div', { class: 'approval' },
		h('ol', { class: 'signatures', 'aria-label': `${a.signed.length} of ${many(a.needed, 'signature')}` }, Array.from({ length: a.needed }, (_, i) => h('li', { class: i < a.signed.length ? 'good' : 'calm' }, mark(i < a.signed.length ? 'good' : 'calm'), i < a.signed.length ? [h('code', null, a.signed[i].slice(0, 8)), ' signed'] : 'missing'))),
		h('p', null, `For ${share(a.permille)} of the fleet${a.canaries.length ? ` and ${many(a.canaries.length, 'named device')}` : ''}, until `, time(a.expires), '.'),
		a.may_sign.length > 0 && [h('p', null, 'Who may sign now, by the first digits of the key:'), who(a.may_sign)],
		h('p', null, 'Keys never enter this page. Another operator runs, where that key is,'), command(`sluice approve ${r.rollout} --add`)));
}

/* ---- the page */

function patches(r) {
	return part('Patches', table('Patches', [
		['From image', p => /^0*$/.test(p.from) ? 'any, as a full image' : digest(p.from)],
		['State', p => pill(p.state === 'made' ? 'passed' : p.state === 'failed' ? 'failed' : 'working', p.state)],
		['Codec', p => CODECS[p.codec] || ''],
		['Size', p => p.state === 'made' ? bytes(p.bytes) : '', 'number'],
		['Devices', p => count(p.devices), 'number'],
		['Remarks', p => p.why],
	], r.patches.map(p => ({ ...p, id: p.from })), 'No patch is made yet: they are made when devices have said what they run.'), saved(r.bytes));
}

function spec(r) {
	const g = r.spec.gates, l = r.spec.limits || {};
	return part('What was applied', facts(
		fact('Release', `${r.release.product} ${r.release.version} `, digest(r.release.digest)),
		fact('Image', bytes(r.release.image_len), ', ', digest(r.release.image)),
		fact('Hardware', r.release.hardware.join(', ')),
		r.release.notes && fact('Notes', r.release.notes),
		fact('On a halt', r.spec.on_halt === 'revert' ? 'devices go back by themselves' : 'nothing more begins, a person decides'),
		fact('Success needed', share(g.success_permille)),
		l.in_flight > 0 && fact('Under way at once', `${count(l.in_flight)} at most`),
		l.starts_per_minute > 0 && fact('Begun in a minute', `${count(l.starts_per_minute)} at most`),
		fact('Applied', time(r.created_s)), fact('Last moved', time(r.changed_s))));
}

const SENTENCES = {
	preparing: 'Patches are being made; no device begins before they are.', 'waiting-for-grant': 'Operators have to grant the next stage.', running: 'Devices of this stage update.',
	soaking: 'All have finished; now they have to stay well for a while.', paused: 'Paused: nothing more begins until a person resumes it.', halted: 'Halted: nothing more begins until a person decides.',
	reverting: 'Devices go back to the image they had.', completed: 'All stages are through.', aborted: 'Ended by a person.', superseded: 'Another rollout took over.', draft: 'Not begun.',
};

/** One rollout; the first parameter is its name. */
export const rolloutPage = {
	title: ([name]) => `Rollout ${name}`,
	load: async ([name]) => {
		const r = await ask(`/rollouts/${encodeURIComponent(name)}`);
		remember(r);
		return r;
	},
	view(status, r, { done }) {
		const current = r.stages[r.stage], begun = r.stages.some(s => s.state !== 'waiting');
		return [
			h('h1', { tabindex: '-1' }, 'Rollout ', h('em', null, r.rollout)),
			h('div', { class: `verdict ${tone(r.state)}` }, mark(tone(r.state)), h('div', null,
				h('p', null, pill(r.state), ' ', SENTENCES[r.state] || ''),
				r.reason && h('p', { class: 'reason' }, r.reason),
				h('p', { class: 'sub' }, `${r.release.product} ${r.release.version}`, r.release.class === 'security' && h('span', { class: 'tag' }, 'security'), ` · last moved ${ago(r.changed_s, status.now)}`, r.reverted && ' · was taken back'))),
			actions(r, done),
			approval(r),
			part('Stages', h('ol', { class: 'stages' }, r.stages.map((s, i) => stageCard(r, s, i)))),
			begun && current && h('div', { class: 'two' }, gateMeters(r), failureTest(r)),
			h('div', { class: 'two' }, patches(r), spec(r)),
			h('p', { class: 'unseen' }, `Now: ${counted(current?.counts || {})}`),
		];
	},
};
