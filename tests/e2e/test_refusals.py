#!/usr/bin/env python3
"""A broker that lies: what it changes, withholds, repeats or takes from elsewhere is refused
by the device, each with its own error number, and nothing is installed."""
import unittest

from attacker import AttackTest, flipped, payload_of

LAB = 'name: lab, cohort: lab, share: 100%'


class Refusals(AttackTest):
    devices = {'gw-1': {'ring': 'lab'}, 'gw-2': {'ring': 'field'}}

    def swap(self, topic, fake, device, name, number):
        """Put a fake in place of a genuine message; the device refuses it, and takes the
        genuine one when that is back."""
        genuine = self.attacker.read(topic)
        self.assertNotEqual(fake, genuine)
        self.attacker.publish(topic, fake)
        try:
            self.assert_refused(device, name, number)
        finally:
            self.attacker.publish(topic, genuine)
        self.assert_well(device)

    def fresh(self, **changes):
        """The fresh in force with changes, under the next sequence."""
        genuine = payload_of(self.attacker.read('fresh'))
        return {**genuine, 'seq': genuine['seq'] + 1, **changes}

    def test_one_flipped_bit_in_any_document(self):
        for topic in ('fresh', 'catalog', 'device/gw-1/assign'):
            genuine = self.attacker.read(topic)
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
        read = self.attacker.read
        self.swap('fresh', read('catalog'), 'gw-1', 'DOCTYPE', 26)
        self.swap('device/gw-1/assign', read('device/gw-2/assign'), 'gw-1', 'DEVICE', 33)


if __name__ == '__main__':
    unittest.main()
