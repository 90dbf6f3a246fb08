// Elements without markup: every text goes through a text node, so that nothing a device or
// a person named can become an element.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, properties, children) {
	element.$on = {};
	element.$style = {};
	for (const [name, value] of Object.entries(properties || {})) {
		if (name === 'on') Object.assign(element.$on, value);
		else if (name === 'style') Object.assign(element.$style, value);
		else if (value === true) element.setAttribute(name, '');
		else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
	}
	for (const [name, value] of Object.entries(element.$style)) element.style.setProperty(name, value);
	for (const name of Object.keys(element.$on)) listen(element, name);
	for (const child of children.flat(9)) {
		if (child === null || child === undefined || child === false || child === '') continue;
		element.append(child instanceof Node ? child : document.createTextNode(String(child)));
	}
	return element;
}

function dispatch(event) {
	const handler = event.currentTarget.$on[event.type];
	if (handler) handler(event);
}

function listen(element, name) {
	element.addEventListener(name, dispatch);
}

/** An element of HTML. Properties are attributes, but for `on` (event -> function) and
 *  `style` (property -> value, set through the CSSOM, which the CSP allows). */
export function h(tag, properties, ...children) {
	return fill(document.createElement(tag), properties, children);
}

/** An element of SVG. */
export function s(tag, properties, ...children) {
	return fill(document.createElementNS(SVG, tag), properties, children);
}

function copyAttributes(from, to) {
	for (const { name } of [...to.attributes])
		if (!from.hasAttribute(name) && name !== 'style' && !(name === 'open' && to.tagName === 'DETAILS'))
			to.removeAttribute(name);
	for (const { name, value } of from.attributes)
		if (name !== 'style' && to.getAttribute(name) !== value) to.setAttribute(name, value);
	for (const name of Object.keys(to.$style || {}))
		if (!(name in from.$style)) to.style.removeProperty(name);
	for (const [name, value] of Object.entries(from.$style || {}))
		if ((to.$style || {})[name] !== value) to.style.setProperty(name, value);
	for (const name of Object.keys(from.$on || {}))
		if (!(to.$on && name in to.$on)) listen(to, name);
	to.$on = from.$on;
	to.$style = from.$style;
}

function isAlike(a, b) {
	return a.nodeType === b.nodeType && a.nodeName === b.nodeName &&
		(a.nodeType !== 1 || a.getAttribute('data-key') === b.getAttribute('data-key'));
}

/** Make the children of `place` those given, and touch only what differs: the focus, a
 *  selection and what a screen reader reads stay where they are. */
export function show(place, ...children) {
	const wanted = fill(document.createElement('div'), {}, children);
	morph(wanted, place);
}

function morph(from, to) {
	const wanted = [...from.childNodes];
	let at = to.firstChild;
	for (const child of wanted) {
		if (at && isAlike(child, at)) {
			const next = at.nextSibling;
			if (child.nodeType === 3) {
				if (at.data !== child.data) at.data = child.data;
			} else if (child.nodeType === 1) {
				copyAttributes(child, at);
				morph(child, at);
			}
			at = next;
			continue;
		}
		const match = child.nodeType === 1 && child.hasAttribute('data-key') &&
			[...to.children].find(c => c.getAttribute('data-key') === child.getAttribute('data-key') && c.nodeName === child.nodeName);
		if (match) {
			to.insertBefore(match, at);
			copyAttributes(child, match);
			morph(child, match);
		} else {
			to.insertBefore(child, at);
		}
	}
	while (at) {
		const next = at.nextSibling;
		at.remove();
		at = next;
	}
}

const isEmpty = content => [content].flat(9).every(c => c === null || c === undefined || c === false || c === '');

/** A table for eyes and screen readers, that becomes cards where it is narrow. columns:
 *  [title, row => content, class]; those that say nothing in any row are left out. */
export function table(caption, columns, rows, empty) {
	if (!rows.length) return h('p', { class: 'empty' }, empty);
	columns = columns.filter((c, i) => !i || !rows.every(row => isEmpty(c[1](row))));
	return h('table', { role: 'table' },
		h('caption', { class: 'unseen' }, caption),
		h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map(c => h('th', { role: 'columnheader', scope: 'col', class: c[2] }, c[0])))),
		h('tbody', { role: 'rowgroup' }, rows.map(row => h('tr', { role: 'row', 'data-key': row.id || row.digest || row.seq || row.rollout || row.name },
			columns.map((c, i) => h(i ? 'td' : 'th', { role: i ? 'cell' : 'rowheader', scope: i ? null : 'row', class: c[2], 'data-label': c[0] }, c[1](row)))))));
}
