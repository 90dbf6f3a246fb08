#!/usr/bin/env python3
"""Every page, in both schemes and widths: what axe and Lighthouse say, what it weighs, and what
hostile names do to it."""
import json
import unittest

from common import HEALTH, SCHEMES, WIDTHS, BrowserTest

WEIGHT_MAX = 60_000  # bytes over the wire until the fleet is on the page
STAGES = ('name: lab, cohort: lab, share: 100%, soak: 1s',
          'name: canary, cohort: canary, share: 100%',
          'name: half, cohort: fleet, share: 50%',
          'name: all, cohort: fleet, share: 100%')
PAGES = {'fleet': '', 'rollouts': 'rollouts', 'halted': 'rollouts/bad', 'waits': 'rollouts/next',
         'devices': 'devices', 'search': 'devices?q=failed', 'device': 'devices/gw-2',
         'releases': 'releases', 'audit': 'audit', 'nothing': 'devices/no-such'}
MARKUP = '"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>${1}</h1>'


class Pages(BrowserTest):
    operators = 2
    fleet_yaml = ('fleet: demo\ncohorts:\n  - {name: lab, labels: {ring: lab}}\n'
                  '  - {name: canary, labels: {ring: canary}}\n  - {name: fleet}\n')
    devices = {name: {'ring': ring, 'hooks': {'health': HEALTH}} for name, ring in
               {'gw-1': 'lab', 'gw-2': 'canary', 'gw-3': 'canary', 'gw-4': 'field',
                'gw-5': 'field'}.items()}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        second = cls.lab.dir / 'keys/operator-2.key'
        release = cls.publish(notes='New kernel; <b>not</b> bold')
        for device in ('gw-2', 'gw-3'):
            cls.mark(cls, device, 'sick')
        cls.begin('bad', release, STAGES, approve=False)
        cls.lab.wait_state('bad', 'waiting-for-grant')
        cls.lab.cli('approve', 'bad')
        cls.lab.cli('approve', 'bad', '--add', '--key', second)
        cls.lab.wait_state('bad', 'halted')
        cls.begin('next', cls.publish(), STAGES, approve=False, more='supersedes: [bad]')
        cls.lab.wait_state('next', 'waiting-for-grant')
        cls.lab.cli('approve', 'next')

    def each_view(self, bypass=False):
        for scheme in SCHEMES:
            for width in WIDTHS:
                self.sign_in(width=width, scheme=scheme, bypass=bypass)
                yield scheme, width

    def test_axe_finds_nothing_on_any_page(self):
        for scheme, width in self.each_view(bypass=True):
            for name, path in PAGES.items():
                self.go(path)
                where = f'{name}-{scheme}-{width}'
                self.browser.shot(where)
                self.assertEqual(self.js('return await check(page);'), [], where)
            self.go('rollouts/next')
            self.js("await page.click('[data-key=abort]'); await page.waitForSelector('dialog[open]');")
            self.assertEqual(self.js('return await check(page);'), [], f'dialog {scheme} {width}')
            self.js("await page.keyboard.press('Escape'); await page.click('text=Sign out'); await page.waitForSelector('#key');")
            self.browser.shot(f'sign-in-{scheme}-{width}')
            self.assertEqual(self.js('return await check(page);'), [], f'sign-in {scheme} {width}')

    def test_nothing_is_wider_than_the_window(self):
        for _, width in self.each_view():
            for name, path in PAGES.items():
                self.go(path)
                self.assertLessEqual(self.js('return await page.evaluate(() => document.documentElement.scrollWidth);'),
                                     width, name)

    def test_the_browser_complains_of_nothing(self):
        self.sign_in()
        for name, path in PAGES.items():
            if name == 'nothing':
                continue  # a 404 is told on the console
            self.go(path)
        self.assertEqual(self.problems(), [])

    def test_the_page_is_light(self):
        weight = self.js('''
            page = await fresh({});
            const sizes = [];
            page.on('response', r => { if (!r.url().includes('/api/')) sizes.push(r.request().sizes().then(s => [r.url(), s.responseBodySize])); });
            await page.goto(args.site);
            await page.fill('#key', args.key);
            await page.keyboard.press('Enter');
            await page.waitForSelector('.glance');
            return Object.fromEntries(await Promise.all(sizes));''', site=self.site,
                         key=(self.lab.dir / 'api.key').read_text().strip())
        self.assertGreater(len(weight), 8, weight)
        self.assertLess(sum(weight.values()), WEIGHT_MAX, weight)
        print(f'  {len(weight)} files, {sum(weight.values())} bytes over the wire')

    def test_hostile_names_stay_text(self):
        """Every string of every answer is markup; without the policy, which would stop it too."""
        for name, path in PAGES.items():
            if name == 'nothing':
                continue
            self.sign_in(bypass=True)
            self.js('''
                const evil = (v, k) => typeof v === 'string' ? (['state', 'class', 'action', 'csrf', 'next', 'scope'].includes(k) || v === '' ? v : args.markup)
                    : Array.isArray(v) ? v.map(x => evil(x, k)) : v && typeof v === 'object' ? Object.fromEntries(Object.entries(v).map(([k, x]) => [k, evil(x, k)])) : v;
                await page.route('**/api/v1/**', async route => {
                    if (route.request().url().endsWith('/events')) return route.fulfill({ status: 404, body: '' });
                    const answer = await route.fetch({ maxRetries: 3 }); // a line that idled may be closed
                    return route.fulfill({ response: answer, body: JSON.stringify(evil(await answer.json())) });
                });
                await page.evaluate(h => { location.hash = h; }, args.path);
                await page.waitForFunction(w => document.querySelector('main').innerText.includes(w), '<script>');
            ''', path=f'#/{path}', markup=MARKUP)
            found = self.js('''return await page.evaluate(() => ({ hacked: window.hacked,
                bad: [...document.querySelectorAll('main img, main script, main iframe, main [onerror]')].length }));''')
            self.assertEqual(found, {'bad': 0}, name)
            self.js("await page.unrouteAll({ behavior: 'ignoreErrors' });")
        self.problems()

    def test_a_hostile_address_stays_text(self):
        self.sign_in(bypass=True)
        for path in (f'devices/{MARKUP}', f'rollouts/{MARKUP}', f'devices?q={MARKUP}', '%E0%A4%A', MARKUP):
            self.js('''await page.evaluate(h => { location.hash = h; }, args.path);
                       await page.waitForSelector('.page h1');''', path=f'#/{path}')
            self.assertIsNone(self.js('return await page.evaluate(() => window.hacked ?? null);'))
        self.problems()

    def test_the_policy_stops_what_gets_in(self):
        self.sign_in()
        found = self.js('''return await page.evaluate(async () => {
            const say = f => { try { f(); return 'done'; } catch (e) { return e.name; } };
            const markup = say(() => { document.body.innerHTML += '<img src=x onerror="window.hacked=1">'; });
            const script = document.createElement('script');
            const text = say(() => { script.textContent = 'window.hacked = 1'; document.body.append(script); });
            const away = await fetch('https://example.org/').then(() => 'done', e => e.name);
            return { markup, text, away, hacked: window.hacked ?? null };
        });''')
        self.assertEqual(found['markup'], 'TypeError')
        self.assertEqual(found['away'], 'TypeError')
        self.assertIsNone(found['hacked'])
        self.problems()

    def test_lighthouse_gives_full_marks_for_accessibility(self):
        self.js('''page = await own.newPage(); await page.goto(args.site); await page.fill('#key', args.key);
                   await page.keyboard.press('Enter'); await page.waitForSelector('.glance'); await page.close();''',
                site=self.site, key=(self.lab.dir / 'api.key').read_text().strip())
        for path in ('', 'rollouts/bad', 'devices/gw-2'):
            found = self.js("return await judge(args.url, ['accessibility', 'best-practices', 'performance']);",
                            url=f'{self.site}/#/{path}')
            print(f'  /#/{path}: {json.dumps(found)}')
            self.assertEqual(found['scores']['accessibility'], 1, found)

    def test_moving_on_is_told_to_those_who_do_not_see_it(self):
        self.sign_in()
        for path, title in (('rollouts/bad', 'Rollout bad'), ('audit', 'Audit trail'),
                            ('devices/gw-2', 'Device gw-2')):
            self.go(path)
            self.js('await page.waitForFunction(() => document.activeElement.tagName === "H1");')
            self.assertEqual(self.text('h1'), title)
            self.assertTrue(self.js('return await page.title();').startswith(title))

    def test_the_chain_is_checked_at_a_press(self):
        self.sign_in()
        self.go('audit')
        self.js("await page.click('text=Check the chain');")
        self.js("await page.waitForFunction(() => document.querySelector('.verdict').innerText.includes('The chain is whole'));")


if __name__ == '__main__':
    unittest.main()
