#!/usr/bin/env python3
"""The CLI asks again where no answer comes, and what it asks for is done once: over a proxy that
fails, and over a sluiced that is killed at each step of a request and started again."""
import json
import subprocess
import unittest

from between import Between
from common import BUILD, FleetTest, free_port, wait_for

STEPS = BUILD / 'tests/integration/sluiced_steps'
KILLED_AT = {'b', 'c', 'd'}  # before a transaction begins, before it is committed, once it is
SWEPT, ROUNDS = 8, 6
FLEET = 'fleet: demo\ncohorts:\n  - {{name: {}}}\n'


class Again(FleetTest):
    @classmethod
    def prepare(cls):
        config = cls.lab.dir / 'sluiced.yaml'
        text = config.read_text()
        assert '127.0.0.1:0' in text
        config.write_text(text.replace('127.0.0.1:0', f'127.0.0.1:{free_port()}'))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.between = Between(lambda: cls.lab.address)
        cls.addClassCleanup(cls.between.close)

    def setUp(self):
        self.between.faults.clear()
        self.between.only = None
        self.between.take()

    def words(self, *words, server=None):
        return [str(self.lab.programs['sluice']), *map(str, words), f'--dir={self.lab.dir}',
                '--output=json', f'--server={server or self.between.url}']

    def sluice(self, *words, server=None):
        return subprocess.run(self.words(*words, server=server), capture_output=True, text=True,
                              timeout=120, check=False)

    def count(self, action):
        entries = self.lab.api('/audit?limit=1000')['entries']
        return sum(e['action'] == action for e in entries)

    def fleet_file(self, cohort):
        return self.lab.write('again.yaml', FLEET.format(cohort))

    # ---- over a proxy that fails

    def test_what_failed_is_asked_for_again_under_the_same_key(self):
        faults = ['break', 502, 503, 504, 429, 'lose']
        self.between.faults[:] = faults
        before = self.count('fleet.set')
        done = self.sluice('apply', self.fleet_file('one'), '--retry=120')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr.count('trying again in'), len(faults), done.stderr)
        asked = self.between.take()
        self.assertEqual([r['fault'] for r in asked], [*faults, None])
        self.assertEqual({(r['method'], r['path']) for r in asked}, {('PUT', '/api/v1/fleet')})
        self.assertEqual(len({r['key'] for r in asked}), 1)
        self.assertEqual([r['status'] for r in asked[-2:]], [200, 200])
        self.assertEqual(self.count('fleet.set'), before + 1)
        self.sluice('apply', self.fleet_file('one'))
        self.assertNotIn(self.between.take()[0]['key'], (asked[0]['key'], None))

    def test_a_look_is_asked_for_again_and_has_no_key(self):
        self.between.faults[:] = ['break', 503]
        done = self.sluice('status', '--retry=60')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual({r['key'] for r in self.between.take()}, {None})

    def test_what_the_server_asks_to_wait_is_waited(self):
        self.between.faults[:] = [(429, 1), (503, 1)]
        done = self.sluice('status', '--retry=60')
        self.assertEqual(done.returncode, 0, done.stderr)
        at = [r['at'] for r in self.between.take()]
        for earlier, later in zip(at, at[1:]):
            self.assertGreaterEqual(later - earlier, 1)
        self.between.faults[:] = [(503, 3600)]
        done = self.sluice('status', '--retry=60')
        self.assertEqual(done.returncode, 1, 'it does not wait for an hour')
        self.assertEqual(len(self.between.take()), 1)

    def test_what_is_wrong_is_asked_for_once(self):
        for status in (500, 501, 404):
            self.between.faults[:] = [status]
            done = self.sluice('apply', self.fleet_file('one'))
            self.assertEqual(done.returncode, 2 if status == 404 else 1)
            self.assertNotIn('trying again', done.stderr)
            self.assertEqual(len(self.between.take()), 1)

    def test_it_gives_up_and_says_why(self):
        nobody = f'http://127.0.0.1:{free_port()}'
        done = self.sluice('status', '--retry=1', server=nobody)
        error = json.loads(done.stdout)['error']
        self.assertEqual((done.returncode, error['name']), (1, 'LINK'))
        self.assertRegex(error['text'], r'^gave up after \d+ tries: http://.*Connection refused|'
                                        r'^gave up after \d+ tries: http://.*connect')
        done = self.sluice('status', '--retry=0', server=nobody)
        self.assertEqual(done.returncode, 1)
        self.assertNotIn('again', done.stderr)
        for wrong in ('x', '-1', '86401'):
            done = self.sluice('status', f'--retry={wrong}')
            self.assertEqual(json.loads(done.stdout)['error']['name'], 'USAGE', wrong)

    def test_an_image_is_sent_whole_again(self):
        image = self.make(self.dir / 'again-image', 77)
        self.between.only, self.between.faults[:] = 'PUT', ['break', 'lose']
        before = self.count('image.add')
        done = self.sluice('release', 'create', image, '--product', 'gateway', '--version',
                           '77.0', '--hardware', 'gw-100', '--retry=120')
        self.assertEqual(done.returncode, 0, done.stderr)
        puts = [r for r in self.between.take() if r['method'] == 'PUT']
        self.assertEqual([r['fault'] for r in puts], ['break', 'lose', None])
        self.assertEqual({r['body'] for r in puts}, {image.read_bytes()})
        self.assertEqual(len({r['key'] for r in puts}), 1)
        self.assertEqual(self.count('image.add'), before + 1)

    # ---- over a sluiced that dies

    def begin_armed(self, step):
        """Start a sluiced that is killed at a step, once the file `armed` is there."""
        armed, steps = self.lab.dir / 'armed', self.lab.dir / 'steps'
        for path in (armed, steps):
            path.unlink(missing_ok=True)
        self.lab.sluiced.stop()
        sluiced = self.lab.sluiced
        plain = sluiced.words[0]
        sluiced.words[0] = str(STEPS)
        sluiced.env = {'SLUICED_STEPS': str(steps), 'SLUICED_WAIT': str(armed),
                       'SLUICED_STRIKE': f'{step},9'}
        try:
            self.lab.start_sluiced()
        finally:
            sluiced.words[0], sluiced.env = plain, None
        wait_for('all to be published', lambda: self.lab.api('/status')['outbox'] == 0)
        return armed, steps

    def strike(self, step):
        """The letter of the step at which sluiced was killed; None if it answered before."""
        armed, steps = self.begin_armed(step)
        before = self.count('fleet.set')
        armed.touch()
        with subprocess.Popen(self.words('apply', self.fleet_file(f'step-{step}'),
                                         '--retry=120', server=f'http://{self.lab.address}'),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as sluice:
            wait_for('an end', lambda: sluice.poll() is not None or
                     not self.lab.sluiced.alive(), 60, 0.02)
            struck = not self.lab.sluiced.alive()
            if struck:
                self.lab.start_sluiced()
            _, told = sluice.communicate(timeout=150)
        self.assertEqual(sluice.returncode, 0, told)
        self.assertEqual(self.count('fleet.set'), before + 1, f'step {step}: {told}')
        return steps.read_text().partition('!')[0][-1] if struck else None

    def test_z_each_act_is_done_once_over_a_kill_at_each_step(self):
        if not STEPS.exists():
            self.skipTest(f'{STEPS} is not built')
        struck = set()
        for _ in range(ROUNDS):
            for step in range(1, SWEPT + 1):
                letter = self.strike(step)
                if not letter:
                    break
                struck.add(letter)
            if KILLED_AT <= struck:
                return
        self.fail(f'it was killed at {struck}, and never at {KILLED_AT - struck}')


if __name__ == '__main__':
    unittest.main()
