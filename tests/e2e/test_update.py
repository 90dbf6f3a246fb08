#!/usr/bin/env python3
"""One real update, end to end: staged, proven, and a bad one stopped and taken back."""
import subprocess
import unittest

from common import FleetTest, wait_for

PREDICT = 3  # the codec

STAGES = ('name: lab, cohort: lab, share: 100%, soak: 1s',
          'name: canary, cohort: canary, share: 100%, soak: 1s',
          'name: some, cohort: fleet, share: 50%',
          'name: all, cohort: fleet, share: 100%')

# A device is well while the file `sick` is not there; it holds on while `hold` is.
HEALTH = '''#!/bin/sh
here=$(dirname "$0")/..
while [ -e "$here/hold" ]; do sleep 0.1; done
[ ! -e "$here/sick" ]
'''


class Update(FleetTest):
    codec = 'predict'
    fleet_yaml = ('fleet: demo\ncohorts:\n  - {name: lab, labels: {ring: lab}}\n'
                  '  - {name: canary, labels: {ring: canary}}\n  - {name: fleet}\n')
    devices = {name: {'ring': ring, 'hooks': {'health': HEALTH}} for name, ring in
               {'gw-1': 'lab', 'gw-2': 'canary', 'gw-3': 'canary', 'gw-4': 'canary',
                'gw-5': 'field', 'gw-6': 'field', 'gw-7': 'field', 'gw-8': 'field'}.items()}

    def mark(self, device, name, there):
        path = self.lab.agents[device].dir / name
        if there:
            path.touch()
        else:
            path.unlink(missing_ok=True)

    def watch(self, rollout):
        """`sluice status --watch` as a script runs it: to the end, and then its status."""
        return subprocess.run([self.lab.programs['sluice'], 'status', rollout, '--watch',
                               '--server', f'http://{self.lab.address}'], cwd=self.lab.dir,
                              text=True, capture_output=True, timeout=120)

    def test_a_release_reaches_everybody_stage_by_stage(self):
        release = self.publish()
        order = []

        def watch(now):
            for i, stage in enumerate(now['stages']):
                if stage['state'] != 'waiting' and stage['name'] not in order:
                    order.append(stage['name'])
                    for earlier in now['stages'][:i]:
                        self.assertEqual(earlier['state'], 'passed', earlier)
        self.begin('good', release, STAGES)
        end = self.lab.wait_state('good', 'completed', 'halted', seconds=120, watch=watch)
        self.assertEqual(end['state'], 'completed', end)
        self.assertEqual(order, ['lab', 'canary', 'some', 'all'])
        for device in self.lab.devices():
            self.assert_runs(device['id'], release)
            self.assertEqual(device['refetched'], 0, device)
            self.assertTrue(device['confirmed'], device)
        bytes_ = end['bytes']
        self.assertLess(bytes_['published'], 0.25 * bytes_['full'], bytes_)
        self.assertEqual([p['codec'] for p in end['patches']], [PREDICT])
        told = self.watch('good')
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertRegex(told.stdout, r'\nPatch from image [0-9a-f]{12}: [0-9.]+ kB, predict, for')

    def test_b_success_counts_only_after_confirm_from_the_new_image(self):
        release = self.publish()
        self.mark('gw-1', 'hold', True)
        self.begin('held', release, STAGES[:1])
        self.wait_device('gw-1', 'proving', lambda d: d['state'] == 'proving')
        self.assert_runs('gw-1', release)  # booted, and yet no success
        now = self.lab.rollout('held')
        self.assertEqual(now['stages'][0]['counts']['confirmed'], 0)
        self.assertEqual(now['stages'][0]['counts']['working'], 1)
        self.mark('gw-1', 'hold', False)
        self.lab.wait_state('held', 'completed', seconds=60)
        device = self.lab.device('gw-1')
        self.assertTrue(device['confirmed'])
        self.assertEqual(device['running'], release['image'])

    def test_c_a_bad_release_halts_in_the_canary_and_goes_back(self):
        before = {d['id']: d['running'] for d in self.lab.devices()}
        release = self.publish()
        for device in ('gw-2', 'gw-3', 'gw-4'):
            self.mark(device, 'sick', True)
        self.begin('bad', release, STAGES, on_halt='revert')
        self.assertEqual(self.watch('bad').returncode, 3)
        end = self.lab.rollout('bad')
        self.assertEqual(end['state'], 'halted', end)
        self.assertRegex(end['reason'], r'[A-Za-z].{20,}')
        self.assertEqual([s['state'] for s in end['stages']][2:], ['waiting', 'waiting'])
        for device in ('gw-1', 'gw-2', 'gw-3', 'gw-4'):
            wait_for(f'{device} to be back', lambda d=device:
                     self.lab.device(d)['running'] == before[d], 30)
        for device in ('gw-5', 'gw-6', 'gw-7', 'gw-8'):
            seen = self.lab.device(device)
            self.assertEqual(seen['running'], before[device])
            self.assertNotIn('bad', [a['rollout'] for a in seen['attempts']])
        self.assert_rule('gw-5', 'HALTED', 68)
        self.assertEqual(self.lab.cli('audit', 'verify')['ok'], True)


if __name__ == '__main__':
    unittest.main()
