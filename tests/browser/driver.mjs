// A real Chromium that does what lines on stdin say: each is {"code", "args"}, the code being
// the body of an async function that has `browser`, `page`, `fresh`, `check`, `judge` and
// `args`; the answer is a line {"value"} or {"error"}.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import readline from 'node:readline';
import { pathToFileURL } from 'node:url';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const [executablePath, port, profile] = process.argv.slice(2);
// deploy/setup puts the modules beside the other builds, not between the sources.
const modules = createRequire(new URL('../../build-browser/', import.meta.url));
const { chromium } = modules('playwright-core');
const axe = fs.readFileSync(modules.resolve('axe-core/axe.min.js'), 'utf8');
const AsyncFunction = (async () => {}).constructor;

// The context of the profile, which is also what lighthouse sees on the port.
const own = await chromium.launchPersistentContext(profile, {
	executablePath, args: [`--remote-debugging-port=${port}`, ...(process.getuid() === 0 ? ['--no-sandbox'] : [])],
});
const state = { page: own.pages()[0], problems: [] };

function watch(page) {
	page.setDefaultTimeout(20000);
	page.on('console', m => ['error', 'warning'].includes(m.type()) && state.problems.push(`${m.text()} ${m.location().url}`));
	page.on('pageerror', e => state.problems.push(String(e)));
	return page;
}

// A page of a visitor whom nobody knows yet. The policy is bypassed only where axe has to
// get in, or where a test wants to see what would happen without it.
async function fresh(options) {
	await state.context?.close();
	const browser = own.browser() || (state.browser ??= await chromium.launch({ executablePath, args: process.getuid() === 0 ? ['--no-sandbox'] : [] }));
	state.context = await browser.newContext(options);
	state.page = watch(await state.context.newPage());
	state.problems = [];
	return state.page;
}

/** What axe has against the page as it is, in a line each. */
async function check(page) {
	await page.evaluate(axe);
	const found = await page.evaluate(rules => axe.run(document, { runOnly: rules }), RULES);
	return found.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map(n => n.target.join(' ')).join(' | ')}`);
}

/** Lighthouse's scores of an address, and what fails. */
async function judge(url, categories) {
	const { default: lighthouse } = await import(pathToFileURL(modules.resolve('lighthouse')));
	const { lhr } = await lighthouse(url, { port: Number(port), onlyCategories: categories, disableStorageReset: true, logLevel: 'silent' });
	const failed = Object.values(lhr.audits).filter(a => a.score !== null && a.score < 1 && a.scoreDisplayMode === 'binary').map(a => a.id);
	return { scores: Object.fromEntries(Object.entries(lhr.categories).map(([k, c]) => [k, c.score])), failed, url: lhr.finalDisplayedUrl };
}

watch(state.page);
for await (const line of readline.createInterface({ input: process.stdin })) {
	const { code, args } = JSON.parse(line);
	let answer;
	try {
		const run = new AsyncFunction('state', 'own', 'page', 'fresh', 'check', 'judge', 'args', code);
		answer = { value: await run(state, own, state.page, fresh, check, judge, args) ?? null };
	} catch (error) {
		answer = { error: String(error.stack || error) };
	}
	process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await own.close();
if (state.browser) await state.browser.close();
process.exit(0);
