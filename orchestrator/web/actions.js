// What people may do to a rollout: each asks first, for a reason, and says what it does.
import { h, show } from './dom.js';
import { ask, session } from './net.js';

const LIVE = ['preparing', 'waiting-for-grant', 'running', 'soaking'];

const ACTIONS = {
	pause: { title: 'Pause', from: LIVE, does: 'No further device begins, and those that have not switched over stop. Nothing goes back. Resume goes on from here.' },
	resume: { title: 'Resume', from: ['paused', 'halted'], does: 'The failures so far are acknowledged and no longer count, and the stage begins once more.' },
	revert: { title: 'Revert', from: [...LIVE, 'paused', 'halted', 'reverting', 'completed'], danger: true, does: 'Devices go back to the image they still hold in their other slot. Nothing is fetched for that.' },
	abort: { title: 'Abort', from: [...LIVE, 'paused', 'halted'], danger: true, does: 'The rollout ends here and cannot be resumed. Devices keep what they run.' },
};

const mayAct = () => ['rollout', 'admin'].includes(session.now?.scope);

/** The buttons of a rollout. done(text) is told afterwards. */
export function actions(rollout, done) {
	const fit = Object.entries(ACTIONS).filter(([, a]) => a.from.includes(rollout.state));
	if (!fit.length) return null;
	const why = mayAct() ? '' : `The key ${session.now?.id} may only look: its scope is ${session.now?.scope}. Sign in with a key of the scope rollout.`;
	return h('div', { class: 'actions' },
		h('div', { class: 'buttons', role: 'group', 'aria-label': `Steer ${rollout.rollout}` }, fit.map(([verb, a]) =>
			h('button', { type: 'button', 'data-key': verb, class: a.danger ? 'danger' : verb === 'resume' ? 'primary' : null, 'aria-disabled': why ? 'true' : null, 'aria-describedby': why ? 'why-not' : null,
				on: { click: () => !why && confirm(rollout, verb, a, done) } }, `${a.title}…`))),
		why && h('p', { id: 'why-not', class: 'hint' }, why));
}

function confirm(rollout, verb, action, done) {
	const dialog = document.getElementById('dialog');
	const reason = h('textarea', { id: 'reason', name: 'reason', rows: '2', maxlength: '150', required: true, 'aria-describedby': 'reason-hint', autocomplete: 'off' });
	const atOnce = h('input', { type: 'checkbox', id: 'at-once' });
	const problem = h('p', { class: 'problem', role: 'alert' });
	let sent = false;
	const send = async event => {
		event.preventDefault();
		if (sent) return;
		const text = reason.value.trim();
		if (!text) {
			problem.textContent = 'A reason is needed: it is kept in the audit trail for those who ask later.';
			reason.focus();
			return;
		}
		sent = true;
		try {
			await ask(`/rollouts/${encodeURIComponent(rollout.rollout)}/${verb}`, 'POST', { reason: text, ...(verb === 'revert' ? { at_once: atOnce.checked } : {}) }, undefined, rollout.etag);
			dialog.close();
			done(`${action.title} of ${rollout.rollout} was taken.`);
		} catch (error) {
			sent = false;
			problem.textContent = `Not done: ${error.status === 412 ? error.message.split('. ')[0] + '. Close this, look at the page again, and then decide.' : error.message}`;
		}
	};
	dialog.replaceChildren(h('form', { method: 'dialog', novalidate: true, on: { submit: send } },
		h('h2', { id: 'dialog-title' }, `${action.title} ${rollout.rollout}?`),
		h('p', null, action.does),
		h('label', { for: 'reason' }, 'Reason'), reason,
		h('p', { class: 'hint', id: 'reason-hint' }, `It goes into the audit trail, under ${session.now.id}.`),
		verb === 'revert' && h('label', { class: 'check' }, atOnce, 'All at once, without stages'),
		problem,
		h('div', { class: 'buttons end' },
			h('button', { type: 'button', on: { click: () => dialog.close() } }, 'Cancel'),
			h('button', { type: 'submit', class: action.danger ? 'danger' : 'primary' }, `${action.title} it`))));
	dialog.showModal();
	reason.focus();
}

/** The form that signs in. */
export function signInForm(place, submit, text) {
	const key = h('input', { id: 'key', name: 'key', type: 'password', required: true, autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'key-hint' });
	const problem = h('p', { class: 'problem', role: 'alert' }, text);
	show(place, h('section', { class: 'sign-in', 'data-key': 'sign-in' },
		h('h1', { tabindex: '-1' }, 'Sign in'),
		h('p', null, 'Paste an API key of this fleet.'),
		h('form', { method: 'post', novalidate: true, on: { submit: async event => {
			event.preventDefault();
			try {
				await submit(key.value.trim());
				key.value = '';
			} catch (error) {
				problem.textContent = error.status === 401 ? 'sluiced does not know this key. Keys look like sluice_<id>_<43 characters>; is it whole?' : `Not signed in: ${error.message}`;
				key.focus();
			}
		} } },
			h('label', { for: 'key' }, 'API key'), key, problem,
			h('button', { type: 'submit', class: 'primary' }, 'Sign in')),
		h('p', { class: 'hint', id: 'key-hint' }, h('code', null, 'sluice init'), ' left one in ', h('code', null, 'api.key'), '. It is sent once and kept nowhere: a session of 12 hours takes its place, and ends with the key. Keys that sign releases or grants are never asked for here.')));
}
