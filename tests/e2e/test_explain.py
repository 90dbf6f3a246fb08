#!/usr/bin/env python3
"""`sluice explain DEVICE` names the rule that holds a device, whatever it is."""
import datetime
import unittest

from common import FleetTest, wait_for

WHOLE_LAB = 'name: lab, cohort: lab, share: 100%'


class Explain(FleetTest):
    fleet_yaml = ('fleet: demo\ncohorts:\n  - {name: lab, labels: {ring: lab}}\n'
                  '  - {name: odd, labels: {ring: odd}}\n  - {name: fleet}\n')
    devices = {'gw-1': {'ring': 'lab'}, 'gw-2': {'ring': 'field'}, 'gw-5': {'ring': 'field'},
               'gw-3': {'ring': 'odd', 'hardware': 'gw-999'}, 'gw-6': {'ring': 'odd'}}
    fresh_kib = 1536

    def finish(self, rollout):
        """End it, unless it has ended by itself."""
        if self.lab.rollout(rollout)['state'] != 'completed':
            self.lab.cli('abort', rollout, check=False)
        self.assertIn(self.lab.rollout(rollout)['state'], ('completed', 'aborted'))

    def test_before_any_rollout(self):
        self.assert_rule('gw-1', 'NOROLLOUT', 71)

    def test_waiting_for_a_grant(self):
        self.begin('no-grant', self.publish(), [WHOLE_LAB], approve=False)
        self.assert_rule('gw-1', 'NOGRANT', 39)
        self.finish('no-grant')

    def test_not_in_the_bucket_yet(self):
        """The stage of its cohort runs, but with another device."""
        self.begin('bucket', self.publish(), ['name: one, cohort: fleet, count: 1, soak: 1h',
                                              'name: all, cohort: fleet, share: 100%'])
        pair = ('gw-2', 'gw-5')
        moved = wait_for('one of the two to update', lambda: [
            d for d in pair if self.lab.explain(d)['rule'] == 'CURRENT'], 60)
        self.assertEqual(len(moved), 1)
        other = pair[1 - pair.index(moved[0])]
        self.assert_rule(other, 'BUCKET', 64)
        self.assertEqual(self.lab.device(other)['running'], self.first['image'])
        self.finish('bucket')

    def test_window_closed(self):
        now = datetime.datetime.now()
        begin = (now + datetime.timedelta(hours=3)).strftime('%H:%M')
        end = (now + datetime.timedelta(hours=4)).strftime('%H:%M')
        self.begin('window', self.publish(), [WHOLE_LAB], more=f'window: {begin}-{end}')
        self.assert_rule('gw-1', 'WINDOW', 65)
        self.finish('window')

    def test_offline(self):
        agent = self.lab.agents['gw-1']
        agent.stop()
        self.begin('offline', self.publish(), [WHOLE_LAB])
        self.assert_rule('gw-1', 'OFFLINE', 66)
        self.finish('offline')
        agent.start()
        self.wait_device('gw-1', 'online', lambda d: d['online'])

    def test_paused(self):
        agent = self.lab.agents['gw-1']
        agent.stop()
        self.begin('paused', self.publish(), [WHOLE_LAB])
        self.lab.wait_state('paused', 'running')
        self.lab.cli('pause', 'paused', '--reason', 'lunch')
        agent.start()
        self.assert_rule('gw-1', 'PAUSED', 67)
        self.finish('paused')

    def test_wrong_hardware(self):
        self.begin('hardware', self.publish(), ['name: odd, cohort: odd, share: 100%'])
        found = self.assert_rule('gw-3', 'HARDWARE', 37)
        self.assertIn('gw-999', found['text'] + found['detail'])
        self.finish('hardware')

    def test_no_room(self):
        self.add('gw-4', ring='lab', spool_max='1M')
        self.begin('room', self.publish(), [WHOLE_LAB])
        self.assert_rule('gw-4', 'NOSPACE', 48)
        self.assertEqual(self.lab.device('gw-4')['running'], self.first['image'])
        self.finish('room')

    def test_unknown_device(self):
        done = self.lab.cli('explain', 'gw-99', check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn('gw-99', done.stderr)


if __name__ == '__main__':
    unittest.main()
