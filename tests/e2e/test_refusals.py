#!/usr/bin/env python3
"""A broker that lies: what it changes, withholds, repeats or takes from elsewhere is refused
by the device, each with its own error number, and nothing is installed."""
import unittest

from attacker import AttackTest, flipped, payload_of
from common import wait_for

LAB = ('name: lab, cohort: lab, share: 100%',)
ODD = ('name: odd, cohort: odd, share: 100%',)


class Refusals(AttackTest):
    fleet_yaml = ('fleet: demo\ncohorts:\n  - {name: lab, labels: {ring: lab}}\n'
                  '  - {name: odd, labels: {ring: odd}}\n  - {name: fleet}\n')
    devices = {'gw-1': {'ring': 'lab'}, 'gw-2': {'ring': 'field'},
               'gw-3': {'ring': 'odd', 'hardware': 'gw-999'}, 'gw-4': {'ring': 'odd'}}

    def swap(self, topic, fake, device, name, number):
        """Put a fake in place of a genuine message; the device refuses it, and takes the
        genuine one when that is back."""
        genuine = self.attacker.expect(topic)
        self.assertNotEqual(fake, genuine)
        self.attacker.publish(topic, fake)
        try:
            self.assert_refused(device, name, number)
        finally:
            self.attacker.publish(topic, genuine)
        self.assert_well(device)

    def fresh(self, **changes):
        """The fresh in force with changes, under the next sequence."""
        genuine = payload_of(self.attacker.expect('fresh'))
        return {**genuine, 'seq': genuine['seq'] + 1, **changes}

    def test_one_flipped_bit_in_any_document(self):
        for topic in ('fresh', 'catalog', 'device/gw-1/assign'):
            genuine = self.attacker.expect(topic)
            for at in (40, len(genuine) - 5):  # of the payload, of the signature
                with self.subTest(topic=topic, at=at):
                    self.swap(topic, flipped(genuine, at), 'gw-1', 'SIGNATURE', 19)

    def test_a_document_of_another_fleet(self):
        fake = self.attacker.forge('fresh', self.fresh(), self.attacker.key('online'),
                                   fleet_id='ab' * 16)
        self.swap('fresh', fake, 'gw-1', 'FLEET', 25)

    def test_a_key_twice_in_a_signed_payload(self):
        genuine = self.fresh()
        raw = self.attacker.forge('fresh', genuine)
        length = len(raw) - 26 - 1
        payload = raw[26:26 + length].replace(b'{"seq":', b'{"seq":1,"seq":', 1)
        fake = self.attacker.forge('fresh', payload, self.attacker.key('online'))
        self.swap('fresh', fake, 'gw-1', 'DUPKEY', 21)

    def test_a_fresh_document_that_has_expired(self):
        fake = self.attacker.forge('fresh', self.fresh(issued=1000, expires=2000),
                                   self.attacker.key('online'))
        self.swap('fresh', fake, 'gw-1', 'EXPIRED', 22)

    def test_documents_in_the_wrong_place(self):
        read = self.attacker.expect
        self.swap('fresh', read('catalog'), 'gw-1', 'DOCTYPE', 26)
        self.swap('device/gw-1/assign', read('device/gw-2/assign'), 'gw-1', 'DEVICE', 33)

    def test_one_flipped_bit_in_the_release(self):
        """The order is there, and all that is lacking is a release that verifies."""
        release = self.publish()
        topic = f'release/{release["release"]}'
        genuine = self.attacker.expect(topic)
        self.attacker.publish(topic, flipped(genuine, 60))
        self.begin('flipped', release, LAB)
        self.assert_refused('gw-1', 'SIGNATURE', 19)
        self.lab.cli('abort', 'flipped')
        self.attacker.publish(topic, genuine)
        self.assert_well('gw-1')

    def test_the_grant_withheld_then_changed(self):
        """This test is the last one: the device is updated in the end."""
        agent = self.lab.agents['gw-1']
        release = self.publish()
        agent.stop()
        self.begin('withheld', release, LAB)
        self.lab.wait_state('withheld', 'running')
        topic = f'grant/{release["release"]}'
        genuine = self.attacker.expect(topic)
        self.attacker.remove(topic)
        agent.start()
        self.assert_waits('gw-1', 'NOGRANT', 39)
        self.attacker.publish(topic, flipped(genuine, 60))
        self.assert_refused('gw-1', 'SIGNATURE', 19)
        self.attacker.publish(topic, genuine)
        self.lab.wait_state('withheld', 'completed', seconds=60)
        self.assert_runs('gw-1', release)

    def test_a_release_for_other_hardware(self):
        self.begin('hardware', self.publish(), ODD)
        self.assert_refused('gw-3', 'HARDWARE', 37)
        self.lab.cli('abort', 'hardware')

    def test_an_old_order_replayed(self):
        """A rollout is begun and aborted; whoever kept its order would have it go on."""
        agent, topic = self.lab.agents['gw-1'], 'cohort/lab/order'
        agent.stop()
        self.begin('older', self.publish(), LAB)
        self.lab.wait_state('older', 'running')
        old = self.attacker.expect(topic)
        self.assertEqual(payload_of(old)['state'], 'go')
        self.lab.cli('abort', 'older')
        agent.start()
        self.assert_rule('gw-1', 'ABORTED', 74)
        new = self.attacker.expect(topic)
        self.swap(topic, old, 'gw-1', 'SEQUENCE', 23)
        self.swap(topic, flipped(new, 60), 'gw-1', 'SIGNATURE', 19)
        agent.stop()  # now to a device that has just booted
        self.attacker.publish(topic, old)
        agent.start()
        self.assert_refused('gw-1', 'SEQUENCE', 23)
        self.attacker.publish(topic, new)
        self.assert_well('gw-1')

    def test_an_old_fresh_replayed(self):
        """Refused, and answered: sluiced signs a newer one as soon as it hears of it."""
        old = self.attacker.expect('fresh')
        self.publish()
        newer = wait_for('a newer fresh', lambda: self.newer_fresh(old), 20)
        self.attacker.send('fresh', old)
        self.assert_remembered('gw-2', 'SEQUENCE', 23)
        wait_for('an answer', lambda: self.newer_fresh(newer), 20)
        self.assert_well('gw-2')
        self.assert_untouched('gw-2')

    def newer_fresh(self, than):
        now = self.attacker.expect('fresh')
        return now if payload_of(now)['seq'] > payload_of(than)['seq'] else None


if __name__ == '__main__':
    unittest.main()
