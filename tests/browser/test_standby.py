#!/usr/bin/env python3
"""What a browser gets of a sluiced that stands by: clear words, and the fleet as soon as that one
leads, without a reload."""
import unittest

from common import SCHEMES, WIDTHS, BrowserTest, free_port

import standby

TAKEOVER_S = 20


@unittest.skipUnless(standby.BIN, 'SKIPPED: there is no PostgreSQL here')
class Standby(BrowserTest):
    @classmethod
    def prepare(cls):
        cls.database = standby.Postgres()
        port = free_port()
        cls.second = standby.configure(cls.lab, cls.database.url, port)
        cls.site = f'http://127.0.0.1:{port}'

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        if hasattr(cls, 'database'):
            cls.database.close()

    def visit(self, width=1280, scheme='light', bypass=False):
        self.js('''page = await fresh({ viewport: { width: args.width, height: 900 },
                     colorScheme: args.scheme, bypassCSP: args.bypass, reducedMotion: 'reduce' });
                   await page.goto(args.site);
                   await page.fill('#key', args.key);
                   await page.keyboard.press('Enter');''', site=self.site, width=width,
                scheme=scheme, bypass=bypass, key=(self.lab.dir / 'api.key').read_text().strip())
        self.wait_text('This sluiced stands by')

    def test_it_says_so_and_who_leads_and_goes_on_by_itself(self):
        self.second.start()
        standby.address_of(self.lab, self.second)
        for scheme in SCHEMES:
            for width in WIDTHS:
                self.visit(width, scheme, bypass=True)
                self.assertIn(self.lab.address, self.text())
                self.assertNotIn('Loading', self.text())
                self.assertIn('Standing by', self.text('#who'))
                self.assertEqual(self.text('#banner'), '')
                self.browser.shot(f'standby-{scheme}-{width}')
                self.assertEqual(self.js('return await check(page);'), [], (scheme, width))
                self.assertLessEqual(self.js('return await page.evaluate(() => document.documentElement.scrollWidth);'),
                                     width)
        self.visit()
        self.js("await page.evaluate(() => { window.sameVisit = true; });")
        self.lab.sluiced.stop()
        self.js("await page.waitForSelector('.glance', { timeout: args.ms });", ms=TAKEOVER_S * 1000)
        self.wait_text('Live', '#who')
        self.assertTrue(self.js('return await page.evaluate(() => window.sameVisit);'), 'it was reloaded')
        self.assertNotIn('stands by', self.text())

    def test_z_whoever_goes_away_is_not_a_fleet_that_loads(self):
        """The page of a leader that ends while somebody looks says that what is seen is old."""
        self.sign_in()
        self.second.stop()
        self.wait_text('What you see may be old', '#banner')
        self.wait_text('Not connected', '#who')


if __name__ == '__main__':
    unittest.main()
