#!/usr/bin/env python3
"""Bytes that are not what was signed: chunks and manifests changed on the broker, and a
patch that the device cannot hold. test_repair.py has images changed on the device."""
import unittest

from attacker import AttackTest, flipped, payload_of

CHUNK_HEAD = 8  # bytes before the content
COHORTS = ('chunk', 'manifest', 'poison', 'ram')


def stage(cohort):
    return (f'name: {cohort}, cohort: {cohort}, share: 100%',)


class Bytes(AttackTest):
    fleet_yaml = 'fleet: demo\ncohorts:\n' + ''.join(
        f'  - {{name: {c}, labels: {{ring: {c}}}}}\n' for c in COHORTS)
    devices = {f'gw-{c}': {'ring': c} for c in COHORTS}
    devices['gw-ram'] = {'ring': 'ram', 'more': 'limits: {decoder_ram: 1M}\n'}

    def offer(self, cohort):
        """A rollout to one device, which is off until everything lies on the broker; gives
        the release and the topic of its patch."""
        self.lab.agents[f'gw-{cohort}'].stop()
        release = self.publish()
        self.begin(cohort, release, stage(cohort))
        self.lab.wait_state(cohort, 'running', seconds=60)
        order = payload_of(self.attacker.expect(f'cohort/{cohort}/order'))
        patch, = [p['patch'] for p in order['patches'] if p['from'] == self.first['image']]
        return release, f'patch/{patch}'

    def log_of(self, cohort):
        return self.lab.agents[f'gw-{cohort}'].log.read_text(errors='replace')

    def test_a_changed_chunk_is_dropped_and_asked_for_again(self):
        release, patch = self.offer('chunk')
        genuine = self.attacker.expect(f'{patch}/0/0')
        self.attacker.publish(f'{patch}/0/0', flipped(genuine, CHUNK_HEAD + 1000))
        self.lab.agents['gw-chunk'].start()
        self.lab.wait_state('chunk', 'completed', seconds=60)
        self.assertIn('event=net.wrong-chunk', self.log_of('chunk'))
        self.assert_runs('gw-chunk', release)
        self.assertEqual(self.attacker.expect(f'{patch}/0/0'), genuine, 'published again')

    def test_a_changed_manifest_is_dropped_and_asked_for_again(self):
        release, patch = self.offer('manifest')
        genuine = self.attacker.expect(f'{patch}/manifest')
        self.attacker.publish(f'{patch}/manifest', flipped(genuine, len(genuine) - 1))
        self.lab.agents['gw-manifest'].start()
        self.lab.wait_state('manifest', 'completed', seconds=60)
        self.assertIn('event=net.wrong-manifest', self.log_of('manifest'))
        self.assert_runs('gw-manifest', release)

    def test_chunks_that_stay_wrong_end_the_update(self):
        _, patch = self.offer('poison')
        chunks = self.attacker.list(f'{patch}/0/+')
        self.assertGreater(len(chunks), 3)
        for topic in chunks:
            genuine = self.attacker.expect(topic)
            self.attacker.publish(topic, flipped(genuine, len(genuine) - 1))
        self.lab.agents['gw-poison'].start()
        self.assert_refused('gw-poison', 'POISON', 28, 60)
        end = self.lab.wait_state('poison', 'halted')
        self.assertIn('failed hard', end['reason'])
        attempt, = self.lab.device('gw-poison')['attempts']
        self.assertEqual((attempt['state'], attempt['class'], attempt['error']),
                         ('failed', 'hard', 28))

    def test_a_patch_that_needs_too_much_memory(self):
        self.offer('ram')
        self.lab.agents['gw-ram'].start()
        self.assert_refused('gw-ram', 'NORAM', 49)


if __name__ == '__main__':
    unittest.main()
