#!/usr/bin/env python3
"""Who may say yes: two operators to a wide grant, and an operator to a new device's key."""
import json
import unittest

from attacker import AttackTest, HEAD, payload_of
from common import LabError, wait_for

LAB = ('name: lab, cohort: lab, share: 100%',)
SIGNATURE_LEN = 80


def first_signature_only(envelope):
    """The same document, as the first operator alone signed it."""
    end = HEAD.size + HEAD.unpack_from(envelope)[4]
    return envelope[:end] + b'\x01' + envelope[end + 1:end + 1 + SIGNATURE_LEN]


class Enrol(AttackTest):
    devices = {'gw-1': {'ring': 'lab'}}
    operators = 2

    def second(self):
        return self.lab.dir / 'keys' / 'operator-2.key'

    def refused(self, name, *words):
        """The command fails with that error; gives its text."""
        done = self.lab.cli(*words, check=False)
        self.assertNotEqual(done.returncode, 0, words)
        self.assertEqual(json.loads(done.stdout)['error']['name'], name, done.stderr)
        return done.stderr

    # ---- two operators -----------------------------------------------------------------

    def test_a_wide_grant_needs_two_operators(self):
        release = self.publish()
        plan = self.lab.cli('plan', self.rollout_file('two', release, LAB))
        self.assertEqual(plan['grant']['signatures'], 2)
        self.assertIn('signed by 2 operators', ' '.join(plan['warnings']))
        self.begin('two', release, LAB, approve=False)
        self.lab.wait_state('two', 'waiting-for-grant', seconds=90)
        self.assert_rule('gw-1', 'NOGRANT', 39)
        first = self.lab.cli('approve', 'two')
        self.assertEqual(first['missing'], 1)
        found = self.assert_rule('gw-1', 'APPROVAL', 94)
        waiting = self.lab.rollout('two')['approval']
        self.assertIn(waiting['may_sign'][0][:8], found['detail'])
        self.assertIn('1 of 2', found['detail'])
        self.assertIn('--add', found['unblock'])

        # The same key, by every way it may come, is one operator.
        self.assertIn('--add', self.refused('CONFLICT', 'approve', 'two'))
        self.refused('CONFLICT', 'approve', 'two', '--add')
        release = self.lab.rollout('two')['spec']['release']
        held = self.lab.dir / 'held.doc'
        held.write_bytes(self.lab.api(f'/approvals/{release}'))
        self.refused('CONFLICT', 'approve', 'two', '--add', '--file', held)
        self.refused('THRESHOLD', 'verify', held)
        key = self.attacker.key('operator')
        twice = self.attacker.forge('grant', payload_of(held.read_bytes()), key, key)
        self.assertEqual(self.lab.api('/documents', 'POST', twice)['missing'], 1)
        self.refused('DENIED', 'approve', 'two', '--add', '--key', self.attacker.key('release'))
        self.assertEqual(self.lab.rollout('two')['state'], 'waiting-for-grant')
        self.assertIsNone(self.attacker.read(f'grant/{release}', 1))

        # The second one, offline, from file to file, opens it; but not on a device that
        # is shown the grant of the first alone.
        agent = self.lab.agents['gw-1']
        agent.stop()
        both = self.lab.dir / 'both.doc'
        done = self.lab.cli('approve', 'two', '--add', '--key', self.second(), '--file', held,
                            '--out', both)
        self.assertEqual(done['missing'], 0)
        self.lab.cli('verify', both)
        self.assertEqual(self.lab.api('/documents', 'POST', both.read_bytes())['missing'], 0)
        self.lab.wait_state('two', 'running', seconds=60)
        topic = f'grant/{release}'
        envelope = self.attacker.expect(topic)
        self.assertEqual(envelope, both.read_bytes())
        self.attacker.publish(topic, first_signature_only(envelope))
        agent.start()
        self.assert_refused('gw-1', 'THRESHOLD', 20, 60)
        self.attacker.publish(topic, envelope)
        self.lab.wait_state('two', 'completed', seconds=90)
        actions = [e['action'] for e in self.lab.api('/audit?limit=1000')['entries']]
        self.assertIn('grant.sign', actions)
        self.assertNotIn('grant.lapse', actions)


if __name__ == '__main__':
    unittest.main()
