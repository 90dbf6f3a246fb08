#!/usr/bin/env python3
"""A broker that lies, with the orchestrator's key: it signs orders of its own while sluiced
is kept away. What operators did not grant and release people did not sign is refused all
the same; when sluiced is back it takes over again, and remembers what was refused."""
import unittest

from attacker import AttackTest, digest_of_document, payload_of
from common import wait_for

ONE = ('name: one, cohort: lab, devices: [gw-2]',)


class StolenKey(AttackTest):
    """gw-2 is updated in the regular way; gw-1 is of the same cohort and was not granted."""

    devices = {'gw-1': {'ring': 'lab'}, 'gw-2': {'ring': 'lab', 'counter': 5}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.granted = cls.publish(counter=6, floor=5)
            cls.begin('granted', cls.granted, ONE)
            cls.lab.wait_state('granted', 'completed', seconds=60)
            cls.ungranted = cls.publish()
            cls.foreign = cls.publish(hardware=['gw-999'])
        except BaseException:
            cls.tearDownClass()
            raise

    # ---- the attack ------------------------------------------------------------------

    def order(self, release, **changes):
        """The order in force, for everybody, for another release, with changes."""
        genuine = payload_of(self.attacker.expect('cohort/lab/order'))
        said = payload_of(self.attacker.expect(f'release/{release["release"]}'))
        agreed = {name: said[name] for name in ('image', 'image_len', 'counter', 'hardware')}
        return {**genuine, **agreed, 'seq': genuine['seq'] + 1, 'rollout': 'forged',
                'release': release['release'], 'permille': 1000, 'canaries': [], **changes}

    def fresh(self, order, envelope):
        """The fresh in force, for one order, under the next sequence."""
        genuine = payload_of(self.attacker.expect('fresh'))
        listed = {'cohort': 'lab', 'seq': order['seq'], 'order': digest_of_document(envelope)}
        return self.attacker.forge('fresh', {**genuine, 'seq': genuine['seq'] + 1,
                                             'orders': [listed]}, self.attacker.key('online'))

    def impose(self, order):
        """Put an order in force: sign it, and a fresh that lists it."""
        envelope = self.attacker.forge('order', order, self.attacker.key('online'))
        self.attacker.publish('fresh', self.fresh(order, envelope))
        self.attacker.publish('cohort/lab/order', envelope)

    def assert_taken_over(self, seq):
        wait_for('sluiced to take over', lambda: payload_of(
            self.attacker.expect('cohort/lab/order'))['seq'] > seq, 30)

    def attack(self, device, order, name, number, runs=None):
        before = self.lab.device(device)
        self.lab.sluiced.stop()
        self.impose(order)
        report = self.wait_report(device, order['seq'], number)
        self.assertEqual(report['running'], before['running'])
        self.lab.start_sluiced()
        self.assert_remembered(device, name, number)
        self.assert_taken_over(order['seq'])
        self.assert_well(device)
        self.assert_runs(device, runs or self.first)
        self.assertEqual(self.lab.device(device)['attempts'], before['attempts'])

    def wait_report(self, device, seq, number):
        """The device's signed report on an order, as the broker has it."""
        def look():
            report = self.attacker.report(device)
            held = report['order_seq'] == seq and number in (report['error'], report['wait'])
            return report if held else None
        return wait_for(f'{device} to report {number}', look, 30)

    # ---- what is refused -------------------------------------------------------------

    def test_an_order_without_a_grant(self):
        self.attack('gw-1', self.order(self.ungranted), 'NOGRANT', 39)

    def test_an_order_beyond_its_granted_share(self):
        self.attack('gw-1', self.order(self.granted), 'SHARE', 40)

    def test_an_order_that_names_more_devices_than_granted(self):
        order = self.order(self.granted, permille=0, canaries=['gw-1', 'gw-2'])
        self.attack('gw-1', order, 'SHARE', 40)

    def test_an_order_that_disagrees_with_the_release(self):
        order = self.order(self.granted, permille=0, canaries=['gw-2'],
                           image=self.first['image'])
        self.attack('gw-1', order, 'AGREEMENT', 35)

    def test_an_order_for_other_hardware(self):
        self.attack('gw-1', self.order(self.foreign), 'HARDWARE', 37)

    def test_an_order_back_below_the_floor(self):
        self.assertEqual(self.lab.device('gw-2')['floor'], 5)
        self.attack('gw-2', self.order(self.first), 'FLOOR', 38, self.granted)

    # ---- while sluiced is there ------------------------------------------------------

    def wait_rest(self):
        """Until gw-1 has no more to say."""
        self.wait_device('gw-1', 'at rest', lambda d: d['wait_name'] == 'BUCKET')

    def test_sluiced_takes_over_at_once(self):
        self.wait_rest()
        order = self.order(self.granted)
        envelope = self.attacker.forge('order', order, self.attacker.key('online'))
        self.attacker.publish('fresh', self.fresh(order, envelope))
        self.attacker.send('cohort/lab/order', envelope)
        self.assert_taken_over(order['seq'])
        self.assert_remembered('gw-1', 'SHARE', 40)
        self.assert_well('gw-1')
        self.assert_untouched('gw-1')
        alarms = [a for a in self.lab.api('/audit?limit=100')['entries']
                  if a['action'] == 'device.alarm']
        self.assertTrue(alarms)

    def test_a_forged_fresh_does_not_lock_sluiced_out(self):
        """It has the number that sluiced's next one will have."""
        self.wait_rest()
        order = payload_of(self.attacker.expect('cohort/lab/order'))
        forged = self.fresh(order, self.attacker.expect('cohort/lab/order'))
        self.attacker.publish('fresh', forged)
        self.publish()
        self.assert_remembered('gw-1', 'SEQUENCE', 23)
        self.assert_well('gw-1')
        self.assertGreater(payload_of(self.attacker.expect('fresh'))['seq'],
                           payload_of(forged)['seq'])


if __name__ == '__main__':
    unittest.main()
