#!/usr/bin/env python3
"""A device that boots again and again is set aside, and taken back by a person: through the CLI
and through the API."""
import unittest

from common import FleetTest, LabError

WHOLE_LAB = 'name: lab, cohort: lab, share: 100%'
BOOTS = 3


class Quarantine(FleetTest):
    fleet_yaml = FleetTest.fleet_yaml + f'quarantine: {{boots: {BOOTS}}}\n'
    devices = {'gw-1': {'ring': 'lab'}}

    def flap(self):
        """Boot it until it is set aside."""
        agent = self.lab.agents['gw-1']
        for _ in range(BOOTS):
            before = self.lab.device('gw-1')['boot']
            agent.stop()
            agent.start()
            self.wait_device('gw-1', 'booted', lambda d, before=before: d['boot'] > before)
        return self.wait_device('gw-1', 'set aside', lambda d: d['cohort'] == 'quarantine')

    def actions(self):
        entries = self.lab.api('/audit?limit=1000')['entries']
        return [(e['action'], e['who']) for e in entries if e['action'] in
                ('device.quarantine', 'device.release')]

    def assert_is_back(self, before):
        """Nothing is held against it any more, and it takes a release."""
        now = self.wait_device('gw-1', 'taken back', lambda d: d['cohort'] == 'lab')
        self.assertFalse(now['alarm'], now)
        self.assertNotIn('quarantine', now)
        done = self.actions()[before:]
        self.assertEqual([a for a, _ in done], ['device.quarantine', 'device.release'])
        self.assertEqual(done[0][1], 'core')
        self.assertNotEqual(done[1][1], 'core', 'a person did that')

    def test_the_cli_takes_it_back(self):
        before = len(self.actions())
        self.assertIn('boots', self.flap()['quarantine']['text'])
        self.assert_rule('gw-1', 'QUARANTINE', self.lab.explain('gw-1')['number'])
        release = self.publish()
        with self.assertRaises(LabError, msg='nobody is left in the cohort'):
            self.begin('aside', release, ['name: q, cohort: quarantine, share: 100%'])
        answer = self.lab.cli('device', 'release', 'gw-1')
        self.assertEqual((answer['id'], answer['cohort']), ('gw-1', 'lab'))
        self.assert_is_back(before)
        self.begin('back', release, [WHOLE_LAB])
        self.assertEqual(self.lab.wait_state('back', 'completed', 'halted')['state'], 'completed')
        self.assert_runs('gw-1', release)
        again = self.lab.cli('device', 'release', 'gw-1', check=False)
        self.assertEqual(again.returncode, 1)
        self.assertIn('is not set aside', again.stderr)

    def test_the_api_takes_it_back(self):
        before = len(self.actions())
        self.flap()
        answer = self.lab.api('/devices/gw-1/release', 'POST', {})
        self.assertEqual(answer['cohort'], 'lab')
        self.assert_is_back(before)
        for name, text in (('gw-1', 'is not set aside'), ('gw-9', 'no device gw-9')):
            with self.assertRaises(LabError) as refused:
                self.lab.api(f'/devices/{name}/release', 'POST', {})
            self.assertIn(text, str(refused.exception))


if __name__ == '__main__':
    unittest.main()
