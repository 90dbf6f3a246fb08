#!/usr/bin/env python3
"""deploy/demo, looked at while it runs: at the address it prints, its first release passes stage
by stage, and its second one halts, with the reason in words."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from common import BUILD, HERE, Browser, LabError

SECONDS = 600
SEEN = '''
    const states = () => [...document.querySelectorAll('.stage')].map(s => [s.dataset.key, s.querySelector('.pill').textContent]);
    window.seen = [];
    new MutationObserver(() => {
        const now = JSON.stringify(states());
        if (window.seen[window.seen.length - 1] !== now) window.seen.push(now);
    }).observe(document.querySelector('main'), { subtree: true, childList: true, characterData: true, attributes: true });'''


class Demo(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='sluice-demo-'))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.demo = subprocess.Popen(
            [sys.executable, HERE.parent.parent / 'deploy/demo.py', '--build', BUILD,
             '--dir', self.dir / 'fleet'], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end)
        self.browser = Browser()
        self.addCleanup(self.browser.close)

    def end(self):
        if self.demo.poll() is None:
            self.demo.terminate()
        self.demo.communicate()

    def told(self, pattern):
        """Read what the demo says until it says that."""
        for line in self.demo.stdout:
            if found := re.search(pattern, line):
                return found
        raise LabError(f'the demo ended without saying {pattern}')

    def watch(self, name):
        """Open a rollout once it is there, and keep what its stages were."""
        self.browser.js('''
            await page.waitForFunction(n => [...document.querySelectorAll('.rollout h3')].some(e => e.textContent === n), args.name, { timeout: args.ms });
            await page.evaluate(h => { location.hash = h; }, `#/rollouts/${args.name}`);
            await page.waitForFunction(n => document.querySelector('h1')?.textContent === `Rollout ${n}` && document.querySelector('.stage'), args.name);
            await page.evaluate(args.seen);''', name=name, seen=SEEN, ms=SECONDS * 1000)

    def wait(self, words):
        self.browser.js('''await page.waitForFunction(w => document.querySelector('.verdict').textContent.includes(w),
                             args.words, { timeout: args.ms });''', words=words, ms=SECONDS * 1000)

    def test_the_dashboard_shows_what_the_demo_does(self):
        said = self.told(r'Dashboard: (http://\S+/)  \(the API key to sign in with: (.*)\)')
        self.browser.js('''page = await fresh({ viewport: { width: 1280, height: 900 } });
                           await page.goto(args.url); await page.fill('#key', args.key);
                           await page.keyboard.press('Enter'); await page.waitForSelector('.glance');''',
                        url=said[1], key=pathlib.Path(said[2]).read_text().strip())
        self.watch('spring-update')
        self.wait('completed')
        seen = self.browser.js('return await page.evaluate(() => window.seen);')
        self.browser.shot('demo-completed')
        self.assertGreater(len(seen), 4, 'the stages are seen to advance')
        self.assertEqual(seen[-1].count('passed'), 4, seen[-1])
        self.browser.js("await page.evaluate(() => { location.hash = '#/'; });")
        self.watch('bad-update')
        self.wait('Halted: nothing more begins')
        reason = self.browser.js("return await page.textContent('.verdict .reason');")
        self.assertRegex(reason, r'[A-Za-z].{20,}')
        self.browser.shot('demo-halted')
        self.assertIn(reason, self.told(r'Rollout bad-update is halted\. (.*)')[0])
        rest, _ = self.demo.communicate(timeout=SECONDS)
        self.assertEqual(self.demo.returncode, 0, rest)


if __name__ == '__main__':
    unittest.main()
