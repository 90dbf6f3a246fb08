#!/usr/bin/env python3
"""`sluice plan FILE`: what a rollout would take and change, and playing it through, by the real
CLI against a real server."""
import json
import subprocess
import unittest

from common import FleetTest

STAGES = ['name: lab, cohort: lab, share: 100%, soak: 1h', 'name: all, cohort: fleet, share: 100%']


class Plan(FleetTest):
    devices = {'gw-1': {'ring': 'lab'}, 'gw-2': {}, 'gw-3': {}}

    def people(self, *words):
        """What people are shown, and the exit code."""
        done = subprocess.run(
            [str(self.lab.programs['sluice']), *[str(w) for w in words], f'--dir={self.lab.dir}',
             f'--server=http://{self.lab.address}'], capture_output=True, text=True, check=False)
        return done.stdout, done.returncode

    def plain(self, name, release):
        """A rollout file with default gates and deadlines."""
        stages = ''.join(f'  - {{{s}}}\n' for s in STAGES)
        return self.lab.write(
            f'{name}.yaml', f'rollout: {name}\nrelease: {{product: gateway, version: '
            f'{release["version"]}}}\nstages:\n{stages}')

    def test_time(self):
        file = self.plain('time', self.publish())
        plan = self.lab.cli('plan', file)
        lab, rest = plan['stages']
        self.assertGreaterEqual(lab['least_s'], 3600 + 180)
        self.assertLess(rest['least_s'], 600)
        self.assertEqual(plan['time']['least_s'], lab['least_s'] + rest['least_s'])
        self.assertGreaterEqual(plan['time']['most_s'], plan['time']['least_s'])
        self.assertGreater(lab['worse_s'], 0)
        self.assertEqual([p['devices'] for p in plan['patches']], [3])
        shown, code = self.people('plan', file)
        self.assertEqual(code, 0, shown)
        self.assertIn('Time, from the grant on: 66 min 1 s to ', shown)
        self.assertIn('assumed are 100.0 kB/s', shown)
        self.assertEqual(self.lab.api('/rollouts/time', missing=True), None, 'nothing is begun')

    def test_what_it_changes(self):
        release = self.publish()
        self.begin('change', release, STAGES, approve=False)
        same, code = self.people('plan', self.rollout_file('change', release, STAGES))
        self.assertEqual(code, 0, same)
        self.assertIn('this file is the same.', same)
        file = self.rollout_file('change', release, STAGES, silence='7m')
        done = self.lab.cli('plan', file, check=False)
        self.assertEqual(done.returncode, 1)
        plan = json.loads(done.stdout)
        self.assertEqual(plan['differs'],
                         [{'member': 'gates.silence_s', 'now': '120', 'then': '420'}])
        self.assertEqual(plan['refused']['name'], 'CONFLICT')
        shown, code = self.people('plan', file)
        self.assertEqual(code, 1)
        self.assertIn('gates.silence_s: 420 instead of 120', shown)
        self.assertIn("'sluice apply' would refuse it: there is a rollout change already", shown)
        refused = self.lab.cli('apply', file, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn('there is a rollout change already', refused.stderr)
        taking = self.rollout_file('taking', release, STAGES, more='supersedes: change')
        self.assertEqual([r['rollout'] for r in self.lab.cli('plan', taking)['ends']], ['change'])
        self.lab.cli('abort', 'change')

    def test_what_was_planned_is_what_is_applied(self):
        file = self.plain('seen', self.publish())
        shown, _ = self.people('plan', file)
        seen = self.lab.cli('plan', file)['revision']
        self.assertRegex(seen, '^[0-9a-f]{32}$')
        self.assertIn(f"'sluice apply {file} --if={seen}'", shown)
        self.lab.cli('apply', self.plain('other', self.publish()))
        done = self.lab.cli('apply', file, f'--if={seen}', check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(done.stdout)['error']['name'], 'STALE')
        self.assertIsNone(self.lab.api('/rollouts/seen', missing=True))
        self.lab.cli('abort', 'other', f'--if={self.lab.cli("status", "other")["revision"]}')
        seen = self.lab.cli('plan', file)['revision']
        self.lab.cli('apply', file, f'--if={seen}')
        for wrong in ('', 'X', seen + '"', 65 * 'a'):
            done = self.lab.cli('abort', 'seen', f'--if={wrong}', check=False)
            self.assertEqual(json.loads(done.stdout)['error']['name'], 'USAGE', wrong)
        self.lab.cli('abort', 'seen')

    def test_simulate(self):
        """The twin plays the server's own cohorts; the same seed is the same answer."""
        file = self.plain('twin', self.publish())
        words = ('plan', file, '--simulate', '--fail=0%,100%', '--runs=20', '--seed=7')
        simulation = self.lab.cli(*words)['simulation']
        good, bad = simulation['cases']
        self.assertEqual((good['fail_ppm'], bad['fail_ppm']), (0, 1000000))
        self.assertEqual(good['halted'], 0)
        self.assertEqual(bad['halted'], 20)
        self.assertEqual(self.lab.cli(*words)['simulation'], simulation)
        shown, code = self.people(*words)
        self.assertEqual(code, 0, shown)
        self.assertIn('100', shown)
        wrong = self.lab.cli('plan', file, '--simulate', '--fail=many', check=False)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn('many', wrong.stderr)
        fleet = self.lab.write('fleet3.yaml', self.fleet_yaml)
        refused = self.lab.cli('plan', fleet, '--simulate', check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn('--simulate is for a rollout file', refused.stderr)
        self.assertEqual(self.lab.api('/rollouts/twin', missing=True), None, 'nothing is begun')


if __name__ == '__main__':
    unittest.main()
