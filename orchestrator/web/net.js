// What sluiced says: requests with the session's cookie, and the stream of changes.

const API = '/api/v1';
const POLL_MS = 2000, BACKOFF_MS = 1000, BACKOFF_MAX_MS = 30000, SILENT_MS = 15000, ANSWER_MS = 15000, EVENTS_GONE_MS = 60000, STANDBY_MS = 2000;

export const session = { now: null };

/** A request that was refused or got no answer; the text is for people. */
export class Refused extends Error {
	constructor(status, name, text, standby = false) {
		super(text);
		this.status = status;
		this.code = name;
		this.standby = standby; // another sluiced leads
	}
}

const NO_ANSWER = 'sluiced does not answer. Is it running, and is this machine connected to it? This page tries again by itself.';

async function answerOf(response) {
	const text = await response.text();
	let tree = {};
	try {
		tree = text ? JSON.parse(text) : {};
	} catch {
		throw new Refused(response.status, 'FORMAT', `what answered with ${response.status} is not sluiced, or a proxy in front of it is in trouble`);
	}
	if (response.ok) return { ...tree, etag: response.headers.get('ETag') };
	const error = tree.error || { name: '', text: `the answer was ${response.status}` };
	throw new Refused(response.status, error.name, error.text, error.standby === true);
}

/** Ask for something below /api/v1. seen: do it only if this ETag still holds. */
export async function ask(path, method = 'GET', body, key, seen) {
	const headers = seen ? { 'If-Match': seen } : {};
	if (key) headers.Authorization = `Bearer ${key}`;
	else if (method !== 'GET' && session.now) headers['X-CSRF-Token'] = session.now.csrf;
	if (body !== undefined) headers['Content-Type'] = 'application/json';
	let response;
	try {
		response = await fetch(API + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: 'same-origin', cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS) });
	} catch {
		throw new Refused(0, 'LINK', NO_ANSWER);
	}
	return answerOf(response);
}

// Whether it is worth asking for a session; the cookie itself is not for scripts to see.
const HINT = 'sluice-signed-in';

export const mayHaveSession = () => localStorage.getItem(HINT) !== null;

export async function signIn(key) {
	session.now = await ask('/session', 'POST', undefined, key);
	localStorage.setItem(HINT, '');
}

export async function resume() {
	try {
		session.now = await ask('/session');
	} catch (error) {
		if (error.status === 401) localStorage.removeItem(HINT);
		throw error;
	}
}

export async function signOut() {
	try {
		await ask('/session', 'DELETE');
	} finally {
		session.now = null;
		localStorage.removeItem(HINT);
	}
}

/** Follow the fleet. on.event(name, data) for each change, on.tick() when a page that shows
 *  something else should look again, on.state('live' | 'polling' | 'stale' | 'standby', text),
 *  on.gone() when the session has ended. Returns a function that stops it. */
export function follow(on) {
	let source = null, timer = 0, watchdog = 0, backoff = BACKOFF_MS, ended = false, noEventsUntil = 0;

	const later = (ms, f) => { clearTimeout(timer); timer = setTimeout(f, ms); };
	const alive = () => {
		clearTimeout(watchdog);
		backoff = BACKOFF_MS;
		if (source) watchdog = setTimeout(check, SILENT_MS);
	};
	const stopStream = () => {
		clearTimeout(watchdog);
		if (source) source.close();
		source = null;
	};

	// One plain request: tells a session that ended from a server that is away.
	async function check() {
		if (ended || document.hidden) return;
		try {
			const status = await ask('/status');
			if (ended || document.hidden) return;
			on.event('fleet', status);
			on.tick();
			backoff = BACKOFF_MS;
			if (!source && Date.now() >= noEventsUntil) openStream();
			if (!source || source.readyState !== 1) on.state('polling');
			if (source) alive();
			else later(POLL_MS, check);
		} catch (error) {
			if (ended) return;
			if (error.status === 401) {
				on.gone();
				return;
			}
			stopStream();
			on.state(error.standby ? 'standby' : 'stale', error.message);
			if (error.standby) backoff = STANDBY_MS; // it may lead any moment
			later(backoff * (0.75 + Math.random() / 2), check);
			backoff = Math.min(backoff * 2, BACKOFF_MAX_MS);
		}
	}

	function openStream() {
		let opened = false;
		source = new EventSource(`${API}/events`);
		source.onopen = () => { opened = true; on.state('live'); alive(); };
		source.onerror = () => {
			stopStream();
			if (!opened) noEventsUntil = Date.now() + EVENTS_GONE_MS;
			later(opened ? 200 : POLL_MS, check);
		};
		for (const name of ['fleet', 'rollout', 'audit'])
			source.addEventListener(name, e => { alive(); on.event(name, JSON.parse(e.data)); on.tick(); });
	}

	// A browser has six connections to a place: tabs that nobody looks at give theirs back.
	const seen = () => {
		clearTimeout(timer);
		if (document.hidden) stopStream();
		else check();
	};
	document.addEventListener('visibilitychange', seen);
	check();
	return () => { ended = true; document.removeEventListener('visibilitychange', seen); clearTimeout(timer); stopStream(); };
}
