#!/usr/bin/env python3
"""A rollout as people see it: it waits for operators, moves, halts, is steered by keyboard, and
the page says so by itself."""
import unittest

from common import HEALTH, BrowserTest, wait_for

STAGES = ('name: lab, cohort: lab, share: 100%, soak: 1s',
          'name: canary, cohort: canary, share: 100%, soak: 1s',
          'name: all, cohort: fleet, share: 100%')
DIALOG_IS_OPEN = 'return await page.evaluate(() => document.getElementById("dialog").open);'
STAGE = '[data-key="{}"]'


class Rollout(BrowserTest):
    fleet_yaml = ('fleet: demo\ncohorts:\n  - {name: lab, labels: {ring: lab}}\n'
                  '  - {name: canary, labels: {ring: canary}}\n  - {name: fleet}\n')
    devices = {name: {'ring': ring, 'hooks': {'health': HEALTH}} for name, ring in
               {'gw-1': 'lab', 'gw-2': 'canary', 'gw-3': 'canary', 'gw-4': 'field'}.items()}

    def keys(self, *names):
        for name in names:
            self.js('await page.keyboard.press(args.name);', name=name)

    def tab_to(self, text):
        """Tab until what has the focus says text; fails after a whole round."""
        for _ in range(60):
            self.keys('Tab')
            if self.js('return await page.evaluate(() => document.activeElement.textContent);') == text:
                return
        self.fail(f'the keyboard does not reach {text!r}')

    def test_a_the_page_follows_a_rollout_from_approval_to_the_end(self):
        release = self.publish()
        self.sign_in()
        self.wait_text('All is well')
        for device in ('gw-2', 'gw-3'):
            self.mark(device, 'hold')
        self.begin('good', release, STAGES, approve=False)
        self.wait_text('Rollout good waits for operators')
        self.browser.shot('fleet-waits')
        self.go('rollouts/good')
        self.wait_text('sluice approve good')
        self.lab.cli('approve', 'good')
        self.wait_text('passed', STAGE.format('lab'))
        self.wait_text('2 working', STAGE.format('canary'))
        self.wait_text(self.lab.rollout('good')['stages'][1]['gate'], STAGE.format('canary'))
        self.browser.shot('rollout-running')
        for device in ('gw-2', 'gw-3'):
            self.mark(device, 'hold', False)
        self.wait_text('completed')
        self.wait_text('4 devices judged')
        self.assertIn('good', self.text('#live'))
        self.browser.shot('rollout-completed')
        self.assertEqual(self.problems(), [])

    def test_b_a_halt_is_told_with_its_reason(self):
        release = self.publish()
        self.sign_in()
        for device in ('gw-2', 'gw-3'):
            self.mark(device, 'sick')
        self.begin('bad', release, STAGES)
        self.go('rollouts/bad')
        self.wait_text('Halted: nothing more begins', seconds=90)
        now = self.lab.wait_state('bad', 'halted')
        self.assertGreater(len(now['reason']), 20)
        self.wait_text(now['reason'], '.verdict .reason')
        self.wait_text(now['reason'], '#live')
        self.assertIn('waiting', self.text(STAGE.format('all')))
        self.browser.shot('rollout-halted')
        self.go('')
        self.wait_text(now['reason'], '.alerts')
        self.go('devices/gw-2')
        self.wait_text('HEALTH')
        self.browser.shot('device-failed')
        self.lab.cli('abort', 'bad', '--reason', 'it was bad')
        for device in ('gw-2', 'gw-3'):
            self.mark(device, 'sick', False)

    def test_c_pause_and_abort_by_keyboard_alone(self):
        release = self.publish()
        self.mark('gw-1', 'hold')
        self.begin('steered', release, STAGES)
        self.lab.wait_state('steered', 'running')
        self.sign_in()
        self.tab_to('Rollouts')
        self.keys('Enter')
        self.wait_text('Moving')
        self.tab_to('steered')
        self.keys('Enter')
        self.wait_text('Rollout steered', 'h1')
        self.steer('Pause…', 'Pause it', 'the lab is being moved')
        self.wait_text('Paused: nothing more begins')
        now = self.lab.wait_state('steered', 'paused')
        self.assertIn('the lab is being moved', now['reason'])
        self.assertEqual(self.js('return await page.evaluate(() => '
                                 'document.activeElement.tagName);'), 'H1', 'the button is gone, and the focus is not lost')
        self.refuse_what_is_out_of_date()
        self.pause_with_two_clicks()
        self.steer('Abort…', 'Abort it', 'no longer wanted')
        self.lab.wait_state('steered', 'aborted')
        self.wait_text('Ended by a person')
        entries = self.lab.api('/audit?limit=1000')['entries']
        told = [e for e in entries if 'no longer wanted' in str(e['detail'])]
        self.assertEqual([e['who'] for e in told][:1], ['admin'])
        self.mark('gw-1', 'hold', False)
        self.assertEqual(self.problems(), [])

    def refuse_what_is_out_of_date(self):
        """Somebody resumes it while the dialog is open: what was seen is not so any more."""
        self.tab_to('Abort…')
        self.keys('Enter')
        self.js('await page.keyboard.type(args.reason);', reason='nobody looks at it')
        self.lab.cli('resume', 'steered')
        self.tab_to('Abort it')
        self.keys('Enter')
        self.wait_text("Not done: it has changed since: rollout 'steered' is", 'dialog')
        self.assertTrue(self.js(DIALOG_IS_OPEN))
        self.keys('Escape')
        self.lab.wait_state('steered', 'running')
        self.wait_text('Devices of this stage update')
        told = self.problems()  # Chromium writes every refusal to its console
        self.assertEqual([p for p in told if '412' not in p], [])

    def pause_with_two_clicks(self):
        self.tab_to('Pause…')
        self.keys('Enter')
        self.js('await page.keyboard.type(args.reason);', reason='a nervous finger')
        asked = self.js('''
            let asked = 0;
            page.on('request', r => { asked += r.method() === 'POST'; });
            await page.evaluate(() => {
                const form = document.querySelector('#dialog form');
                form.requestSubmit();
                form.requestSubmit();
            });
            await page.waitForFunction(() => !document.getElementById('dialog').open);
            return asked;''')
        self.assertEqual(asked, 1)
        self.lab.wait_state('steered', 'paused')

    def steer(self, button, sure, reason):
        self.tab_to(button)
        self.keys('Enter')
        focus = 'return await page.evaluate(() => document.activeElement.id);'
        self.assertEqual(self.js(focus), 'reason')
        self.keys('Escape')
        self.assertFalse(self.js(DIALOG_IS_OPEN))
        self.keys('Enter')  # the focus is back on the button
        self.tab_to(sure)
        self.keys('Enter')
        self.wait_text('A reason is needed', 'dialog')
        self.assertEqual(self.js(focus), 'reason')
        self.js('await page.keyboard.type(args.reason);', reason=reason)
        self.tab_to(sure)
        self.keys('Enter')
        wait_for('the dialog to close', lambda: not self.js(DIALOG_IS_OPEN), 20)

    def test_d_who_may_only_look_is_told_so(self):
        self.lab.cli('key', 'api', 'visitor', '--scope', 'read')
        release = self.publish()
        self.begin('seen', release, STAGES, approve=False)
        self.lab.wait_state('seen', 'waiting-for-grant')
        self.sign_in('visitor.api.key')
        self.go('rollouts/seen')
        self.wait_text('its scope is read')
        self.assertEqual(self.js('''return await page.getAttribute('[data-key=pause]', 'aria-disabled');'''),
                         'true')
        self.js('await page.locator("[data-key=pause]").click({ force: true });')
        self.assertFalse(self.js(DIALOG_IS_OPEN))
        self.lab.cli('abort', 'seen', '--reason', 'seen enough')

    def test_d_a_tab_nobody_looks_at_gives_its_stream_back(self):
        show = '''await page.evaluate(h => {
            Object.defineProperty(document, 'hidden', { value: h, configurable: true });
            document.dispatchEvent(new Event('visibilitychange'));
        }, args.hidden);'''
        self.sign_in()
        self.js('''state.streams = 0;
            page.on('request', r => { if (r.url().endsWith('/events')) state.streams++; });
            page.on('requestfailed', r => { if (r.url().endsWith('/events')) state.streams--; });
            page.on('requestfinished', r => { if (r.url().endsWith('/events')) state.streams--; });''')
        self.wait_text('Live', '#who')
        self.js(show, hidden=True)
        wait_for('the stream to close', lambda: self.js('return state.streams;') == -1, 10)
        self.js(show, hidden=False)
        wait_for('another stream', lambda: self.js('return state.streams;') == 0, 10)

    def test_e_a_key_that_is_taken_out_ends_the_page(self):
        keys = self.lab.dir / 'api-keys'
        before = keys.read_text()
        self.lab.cli('key', 'api', 'guest', '--scope', 'read')
        self.sign_in('guest.api.key')
        keys.write_text(before)
        self.wait_text('The session has ended', seconds=10)

    def test_z_a_connection_that_is_lost_is_told_and_comes_back(self):
        self.sign_in()
        self.lab.sluiced.kill()
        self.wait_text('What you see may be old', '#banner', seconds=30)
        self.browser.shot('stale')
        self.assertIn('connection is lost', self.text('#live'))
        self.lab.start_sluiced()
        self.wait_text('The session has ended', seconds=40)  # it lived in sluiced's memory
        self.problems()


if __name__ == '__main__':
    unittest.main()
