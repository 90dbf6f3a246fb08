// The shell: who is signed in, which page is shown, what has changed.
import { signInForm } from './actions.js';
import { devicePage, devicesPage } from './device.js';
import { h, show } from './dom.js';
import { fleetPage, rolloutsPage } from './fleet.js';
import { follow, mayHaveSession, resume, session, signIn, signOut } from './net.js';
import { auditPage, releasesPage } from './records.js';
import { remember, rolloutPage } from './rollout.js';

const LOOK_MS = 1500, TOAST_MS = 6000, CLOCK_MS = 10000;

const NAV = [['', 'Fleet'], ['rollouts', 'Rollouts'], ['devices', 'Devices'], ['releases', 'Releases'], ['audit', 'Audit']];
const PAGES = { '': [fleetPage], rollouts: [rolloutsPage, rolloutPage], devices: [devicesPage, devicePage], releases: [releasesPage], audit: [auditPage] };

const at = id => document.getElementById(id);
const main = at('main');

let status = null, page = null, data = null, route = null, stop = null, connection = ['wait', ''], looking = 0, lookAt = 0, lookTimer = 0, ahead = 0;

/* ---- what has changed, in words */

const told = new Map();

function announce(text) {
	at('live').textContent = text;
	at('toast').textContent = text;
	at('toast').hidden = false;
	clearTimeout(announce.timer);
	announce.timer = setTimeout(() => { at('toast').hidden = true; }, TOAST_MS);
}

function tellChanges(rollouts) {
	for (const r of rollouts) {
		const now = `${r.state}/${r.stage}/${r.stages[r.stage]?.state}`, before = told.get(r.rollout);
		told.set(r.rollout, now);
		if (before === undefined || before === now) continue;
		const stage = r.stages[r.stage];
		announce(r.reason && r.state !== before.split('/')[0] ? `Rollout ${r.rollout} is ${r.state}: ${r.reason}` : `Rollout ${r.rollout}: ${r.state.replaceAll('-', ' ')}, stage ${stage?.name} ${stage?.state}`);
	}
}

/* ---- drawing */

function draw() {
	const names = { live: 'Live', polling: 'Live, by asking', stale: 'Not connected', standby: 'Standing by', wait: 'Connecting' };
	show(at('nav'), NAV.map(([path, name]) => h('a', { href: `#/${path}`, 'aria-current': route.path === path ? 'page' : null }, name)));
	at('nav').hidden = !session.now;
	show(at('who'), session.now && [
		h('span', { class: `dot ${connection[0]}` }, names[connection[0]]),
		h('span', { class: 'me', title: `scope ${session.now.scope}` }, session.now.id),
		h('button', { type: 'button', class: 'small', on: { click: leave } }, 'Sign out')]);
	const away = ['stale', 'standby'].includes(connection[0]);
	show(at('banner'), away && status && h('div', { class: 'stale', role: 'alert' }, h('p', null, h('strong', null, 'What you see may be old. '), connection[1])));
	if (session.now && !status && away) show(main, h('div', { class: 'page' }, nothingYet()));
	if (!session.now || !page || !status) return;
	status.now = Date.now() / 1000 + ahead; // by the clock of sluiced, which speaks only of changes
	const inside = main.contains(document.activeElement);
	show(main, h('div', { class: 'page', 'data-key': route.key }, data instanceof Error ? failure(data) : data && page.view(status, data, { query: route.query, done: text => { announce(text); look(); }, again: draw })));
	// What had the focus may be gone: a button that no longer applies.
	if (inside && !main.contains(document.activeElement)) (main.querySelector('h1') || main).focus({ preventScroll: true });
	document.title = `${page.title(route.params)} · ${status.fleet || 'Sluice'}`;
}

// Signed in, and nothing was ever seen of the fleet.
function nothingYet() {
	const standby = connection[0] === 'standby', title = standby ? 'This sluiced stands by' : 'Nothing is known of the fleet yet';
	document.title = `${title} · Sluice`;
	return [h('h1', { tabindex: '-1' }, title), h('p', { class: 'reason' }, connection[1]),
		standby && h('p', null, 'Another sluiced leads the fleet, and has its dashboard. You can stay here: as soon as this one leads, this page shows the fleet by itself.')];
}

function failure(error) {
	const words = error.code === 'NOTFOUND' ? 'There is no such thing here, or no longer.' : error.standby ? 'This sluiced stands by; another leads. Open the dashboard of that one.' : error.status === 429 ? 'Too many requests at once; it is tried again by itself.' : 'That did not work.';
	return [h('h1', { tabindex: '-1' }, words), h('p', { class: 'reason' }, error.message), h('p', null, h('a', { href: '#/' }, 'Back to the fleet'))];
}

/* ---- pages */

function readRoute() {
	const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
	const [first, ...params] = path.split('/').map(part => { try { return decodeURIComponent(part); } catch { return part; } });
	const known = PAGES[first] && PAGES[first][params.length];
	return { path: known ? first : '', params: known ? params : [], query: Object.fromEntries(new URLSearchParams(query)), page: known || fleetPage, key: path };
}

/** Look again at what the page shows. */
async function look() {
	const turn = ++looking, of = route;
	lookAt = Date.now();
	try {
		const found = await page.load(of.params, status, of.query);
		if (turn === looking && of === route) data = found;
	} catch (error) {
		if (turn !== looking || of !== route || !session.now) return;
		if (!data || error.code === 'NOTFOUND') data = error;
	}
	if (of === route) draw();
}

// Not more often than people can follow, and not at all while nobody sees it.
function lookSoon() {
	if (!page || !status || document.hidden || lookTimer) return;
	lookTimer = setTimeout(() => { lookTimer = 0; look(); }, Math.max(0, lookAt + LOOK_MS - Date.now()));
}

async function go() {
	route = readRoute();
	page = route.page;
	data = null;
	if (!session.now || !status) return;
	draw();
	const of = route;
	await look();
	if (of !== route) return;
	scrollTo(0, 0);
	(main.querySelector('h1') || main).focus({ preventScroll: true });
}

/* ---- in and out */

const events = {
	event(name, found) {
		if (name === 'fleet') {
			const first = !status;
			status = found;
			ahead = found.now - Date.now() / 1000;
			tellChanges(found.rollouts || []);
			if (first) go();
			else draw();
		} else if (name === 'rollout') {
			remember(found);
			if (page === rolloutPage && route.params[0] === found.rollout && !(data instanceof Error)) data = found;
			draw();
		}
	},
	tick: lookSoon,
	state(now, text = '') {
		if (connection[0] === now && connection[1] === text) return;
		const before = connection[0];
		connection = [now, text];
		if (before === 'standby' && ['live', 'polling'].includes(now)) announce('This sluiced leads now.');
		else if (before === 'stale' && now !== 'stale') announce('Connected again.');
		if (now === 'standby' && before !== 'standby') announce(`${text}.`);
		else if (now === 'stale' && before !== 'stale') announce(status ? 'The connection is lost. What you see may be old.' : text);
		draw();
	},
	gone() { enter('The session has ended. Sign in again to go on.'); },
};

function start() {
	status = data = null;
	connection = ['wait', ''];
	show(main, h('p', { class: 'pad' }, 'Loading…'));
	draw();
	if (stop) stop();
	stop = follow(events);
}

function enter(text = '') {
	if (stop) stop();
	stop = session.now = status = data = null;
	connection = ['wait', ''];
	told.clear();
	draw();
	document.title = 'Sign in · Sluice';
	signInForm(main, async key => { await signIn(key); start(); }, text);
	main.querySelector('input').focus();
}

async function leave() {
	try {
		await signOut();
	} catch {
		// The session is gone here; there it ends by itself.
	}
	enter('You are signed out.');
}

at('skip').addEventListener('click', event => { event.preventDefault(); main.focus(); });
addEventListener('hashchange', go);
setInterval(lookSoon, CLOCK_MS);

route = readRoute();
page = route.page;
if (!mayHaveSession()) enter();
else resume().then(start, error => error.status === 0 || error.status >= 500 ? enter(error.message) : enter());
