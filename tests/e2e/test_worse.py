#!/usr/bin/env python3
"""Sessions that real agents lose count for or against a release, by their last wills."""
import subprocess
import unittest

from common import FleetTest, wait_for


class Worse(FleetTest):
    devices = {'gw-1': {'ring': 'lab'}, 'gw-4': {'ring': 'lab'}, 'gw-2': {}, 'gw-3': {}}

    def worse(self):
        return self.lab.rollout('watched')['worse']

    def lose_session(self, name):
        self.lab.agents[name].kill_role('net')

    def test_lost_sessions_are_counted_on_either_side(self):
        self.begin('watched', self.publish(), ['name: lab, cohort: lab, share: 100%, soak: 1h',
                                               'name: all, cohort: fleet, share: 100%'])
        self.lab.wait_state('watched', 'soaking', seconds=120)
        self.assertEqual(self.worse()['updated'] + self.worse()['others'], 0, 'updating is none')
        self.lose_session('gw-1')
        wait_for('the incident of an updated device', lambda: self.worse()['updated'] == 1, 60)
        self.lose_session('gw-2')
        wait_for('the incident of another', lambda: self.worse()['others'] == 1, 60)
        self.assertEqual(len(self.lab.device('gw-1')['incidents']), 1)
        shown = subprocess.run(
            [str(self.lab.programs['sluice']), 'status', 'watched', f'--dir={self.lab.dir}',
             f'--server=http://{self.lab.address}'], capture_output=True, text=True, check=True)
        self.assertRegex(shown.stdout, r'Incidents: 1 on updated devices \(0\.\d to be expected\), '
                         r'1 on others; \d\.\d times as frequent; the test is at -?\d\.\d and '
                         r'halts at 6\.9')
        self.assertEqual(self.lab.rollout('watched')['state'], 'soaking')


if __name__ == '__main__':
    unittest.main()
