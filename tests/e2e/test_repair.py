#!/usr/bin/env python3
"""A running image that was changed behind the agent's back is repaired for the update, block
by block; where that costs as much as a full image, a full image comes."""
import os
import random
import unittest

from attacker import AttackTest
from common import digest_of, wait_for

BLOCK = 65536
FULL = 1  # the codec
PRECURSOR = 41
COHORTS = ('repair', 'wrong')


def stage(cohort):
    return (f'name: {cohort}, cohort: {cohort}, share: 100%',)


def spoil(path, offsets):
    """Change a few bytes of a file at each offset; gives the digest of what it is then."""
    with open(path, 'r+b') as file:
        for at in offsets:
            file.seek(at)
            old = file.read(8)
            file.seek(at)
            file.write(bytes(b ^ 0x55 for b in old))
    return digest_of(path)


class RepairTest(AttackTest):
    def running(self, name):
        """The file that is the running slot."""
        return self.lab.agents[name].image().resolve()

    def log_of(self, name):
        return self.lab.agents[name].log.read_text(errors='replace')

    def offer(self, cohort):
        """A rollout to one device, which is off until everything lies on the broker; gives
        the release."""
        self.lab.agents[f'gw-{cohort}'].stop()
        release = self.publish()
        self.begin(cohort, release, stage(cohort))
        self.lab.wait_state(cohort, 'running', seconds=60)
        return release

    def manifest_of(self, release):
        """The manifest of the one patch that leads to a release."""
        for topic in self.attacker.list('patch/+/manifest'):
            manifest = self.attacker.read(topic)
            if manifest and manifest[88:120].hex() == release['image']:
                return manifest
        return None


class Repair(RepairTest):
    fleet_yaml = 'fleet: demo\ncohorts:\n' + ''.join(
        f'  - {{name: {c}, labels: {{ring: {c}}}}}\n' for c in COHORTS)
    devices = {f'gw-{c}': {'ring': c} for c in COHORTS}

    def places(self, path, cohort):
        """In four blocks, by a seed: one, both sides of a border, and the last one."""
        seed = os.environ.get('SLUICE_SEED', cohort)
        print(f'SLUICE_SEED={seed}', flush=True)
        rng = random.Random(seed)
        last = (path.stat().st_size - 1) // BLOCK
        one, border = rng.randrange(10), rng.randrange(12, last - 1)
        return (one * BLOCK + rng.randrange(BLOCK - 8), border * BLOCK - rng.randrange(1, 8),
                last * BLOCK + rng.randrange(path.stat().st_size - last * BLOCK - 8))

    def assert_repaired(self, cohort, release, before, changed):
        end = self.lab.wait_state(cohort, 'completed', 'halted', seconds=120)
        name = f'gw-{cohort}'
        self.assertEqual(end['state'], 'completed', (end, self.lab.device(name)))
        self.assert_runs(name, release)
        self.assertTrue(self.lab.device(name)['confirmed'])
        self.assertEqual(digest_of(before), changed, 'the slot that ran was not written')
        self.assertNotIn(FULL, [p['codec'] for p in end['patches']], 'no full patch was made')
        log = self.log_of(name)
        self.assertIn('event=net.repair-fetched', log)
        self.assertRegex(log, r'event=net.repair-fetching .*blocks=4 ')

    def test_a_few_changed_pages_cost_a_few_blocks(self):
        name = 'gw-repair'
        before = self.running(name)
        self.lab.agents[name].stop()
        changed = spoil(before, self.places(before, 'repair'))
        release = self.offer('repair')
        self.lab.agents[name].start()
        self.assert_repaired('repair', release, before, changed)
        received, full = self.lab.device(name)['bytes'], release['path'].stat().st_size
        self.assertGreater(received, 0)
        self.assertLess(received, 0.12 * full, (received, full))

    def test_a_wrong_block_is_dropped_and_asked_for_again(self):
        name = 'gw-wrong'
        before = self.running(name)
        self.lab.agents[name].stop()
        places = self.places(before, 'wrong')
        changed = spoil(before, places)
        release = self.offer('wrong')
        manifest = wait_for('the manifest', lambda: self.manifest_of(release), 30)
        self.assertEqual(manifest[:4], b'OTM2')
        block = places[0] // BLOCK
        wrong = b'OTC1' + block.to_bytes(4, 'little') + b'something else'
        self.attacker.publish(f'blocks/{manifest[-32:].hex()}/0/{block}', wrong)
        self.lab.agents[name].start()
        self.assert_repaired('wrong', release, before, changed)
        self.assertIn('event=net.wrong-block', self.log_of(name))


class TooMany(RepairTest):
    """Noise cannot be packed: to repair all of it costs as much as a full image."""
    fleet_yaml = 'fleet: demo\ncohorts:\n  - {name: many, labels: {ring: many}}\n'
    devices = {'gw-many': {'ring': 'many'}}

    @classmethod
    def make(cls, path, version):
        noise = random.Random('noise').randbytes(3 << 20)
        path.write_bytes(noise[:1 << 20] + random.Random(version).randbytes(5000) +
                         noise[1 << 20:])
        return path

    def test_too_many_changed_blocks_lead_to_a_full_image(self):
        name = 'gw-many'
        before = self.running(name)
        self.lab.agents[name].stop()
        changed = spoil(before, range(100, before.stat().st_size - 8, BLOCK))
        release = self.offer('many')
        self.lab.agents[name].start()
        end = self.lab.wait_state('many', 'completed', 'halted', seconds=150)
        self.assertEqual(end['state'], 'completed', (end, self.lab.device(name)))
        self.assert_runs(name, release)
        self.assertEqual(digest_of(before), changed)
        seen = self.lab.device(name)
        for told in (seen, self.lab.cli('explain', name)):
            self.assertEqual((told['refused']['number'], told['refused']['name']),
                             (PRECURSOR, 'PRECURSOR'), told)
        self.assertIn(FULL, [p['codec'] for p in end['patches']])
        self.assertNotIn('event=net.repair-fetching', self.log_of(name))
        self.assertRegex(self.log_of(name), r'blocks of the running image differ: \d+ bytes')


if __name__ == '__main__':
    unittest.main()
