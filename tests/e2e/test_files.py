#!/usr/bin/env python3
"""Files that people write and names that they choose: refused with line and column, at
every door, and nothing is applied."""
import subprocess
import unittest

from common import FleetTest, LabError, make_image

HEAD = 'rollout: r1\nrelease: {product: gateway, version: 1.0}\nstages:\n'
WRONG = {
    'wrong key': (HEAD + '  - {cohort: lab, shar: 100%}\n',
                  '4:19: error', "did you mean 'share'"),
    'wrong type': (HEAD + '  - {cohort: lab, share: [1]}\n', '4:26: error', "'share'"),
    'overlapping shares': (HEAD + '  - {cohort: fleet, share: 20%}\n'
                           '  - {cohort: fleet, share: 10%}\n', '5:28: error: overlaps stage', 'must grow'),
    'unknown cohort': (HEAD + '  - {cohort: leb, share: 20%}\n',
                       '4:14: error', "did you mean 'lab'"),
}
BAD_NAMES = ('gw+1', 'gw#', 'a/b', '..', 'a..b', '', 'Gw', 'a' * 65)


class Files(FleetTest):
    devices = {}

    def test_a_wrong_rollout_file_is_told_where_and_nothing_is_applied(self):
        for why, (text, where, hint) in WRONG.items():
            path = self.lab.write('wrong.yaml', text)
            for verb in ('plan', 'apply'):
                done = self.lab.cli(verb, path, check=False)
                self.assertEqual(done.returncode, 1, why)
                self.assertIn(f'{path}:{where}', done.stderr, why)
                self.assertIn(hint, done.stderr, why)
                self.assertIn('^', done.stderr, why)
        self.assertEqual(self.lab.api('/rollouts')['rollouts'], [])

    def test_a_wrong_fleet_file_changes_nothing(self):
        before = self.lab.api('/fleet')
        path = self.lab.write('fleet2.yaml', 'fleet: demo\ncohorts:\n  - name: new\n  - nam: x\n')
        done = self.lab.cli('apply', path, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f'{path}:4:5: error', done.stderr)
        self.assertEqual(self.lab.api('/fleet'), before)

    def test_bad_names_are_refused_by_the_cli(self):
        for name in BAD_NAMES:
            done = self.lab.cli('device', 'add', name, check=False)
            self.assertNotEqual(done.returncode, 0, name)
        self.assertEqual(self.lab.devices(), [])

    def test_bad_names_are_refused_by_the_api(self):
        for name in BAD_NAMES:
            with self.assertRaises(LabError) as caught:
                self.lab.api('/devices', 'POST', {'id': name, 'key': '11' * 32, 'labels': []})
            self.assertIn('"NAME"', str(caught.exception), name)
        self.assertEqual(self.lab.devices(), [])

    def test_bad_names_are_refused_by_the_agent(self):
        config = self.lab.write('agent.yaml', '''
device: gw/../1
fleet: demo
product: gateway
hardware: gw-100
root: root.doc
device_key: keys/root.key
state_dir: state
slot: {type: file, dir: slots}
broker: {url: "tcp://127.0.0.1:1"}
''')
        done = subprocess.run([self.lab.programs['sluice-agent'], 'check', '-c', config],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f'{config}:2:9: error', done.stderr)

    def test_a_release_for_a_bad_name_is_refused(self):
        image = make_image(self.dir / 'any', 99)
        done = self.lab.cli('release', 'create', image, '--product', 'a/b', '--version', '1',
                            '--hardware', 'x', check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('product', done.stderr)


if __name__ == '__main__':
    unittest.main()
