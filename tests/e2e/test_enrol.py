#!/usr/bin/env python3
"""Who may say yes: two operators to a wide grant, and an operator to a new device's key."""
import json
import unittest
import urllib.error
import urllib.request

from attacker import AttackTest, HEAD, payload_of
from common import run, wait_for

LAB = ('name: lab, cohort: lab, share: 100%',)
SIGNATURE_LEN = 80


def first_signature_only(envelope):
    """The same document, as the first operator alone signed it."""
    end = HEAD.size + HEAD.unpack_from(envelope)[4]
    return envelope[:end] + b'\x01' + envelope[end + 1:end + 1 + SIGNATURE_LEN]


class Enrol(AttackTest):
    devices = {'gw-1': {'ring': 'lab'}}
    operators = 2
    fleet_yaml = ('fleet: demo\ncohorts:\n  - {name: lab, labels: {ring: lab}}\n'
                  '  - {name: new, labels: {ring: new}}\n  - {name: fleet}\n')
    expires = {}  # token -> when

    def second(self):
        return self.lab.dir / 'keys' / 'operator-2.key'

    def text(self, *words):
        """What a command shows to people."""
        return run(self.lab.programs['sluice'], *words, f'--dir={self.lab.dir}',
                   f'--server=http://{self.lab.address}')

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

    # ---- a new device --------------------------------------------------------------------

    def anybody(self, body):
        """POST /claims without any key; gives status and answer."""
        request = urllib.request.Request(
            f'http://{self.lab.address}/api/v1/claims', data=json.dumps(body).encode(),
            method='POST', headers={'Content-Type': 'application/json'})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read())

    def new_key(self, name):
        return self.lab.cli('key', 'new', self.lab.dir / f'{name}.key')['public']

    def token(self, valid='24h'):
        made = self.lab.cli('device', 'token', '--label', 'ring=new', '--valid', valid)
        self.expires[made['token']] = made['expires']
        return made['token']

    def test_a_claimed_device_waits_for_an_operator(self):
        token = self.token()
        agent = self.lab.add_agent('gw-2', image=self.first['path'], token=token,
                                   version=self.first['version'], counter=1)
        shown = self.lab.api('/devices/gw-2')
        self.assertTrue(shown['pending'])
        self.assertEqual(shown['labels'], ['ring=new'])
        self.assertEqual([c['id'] for c in self.lab.cli('device', 'list', '--pending')],
                         ['gw-2'])

        # A token has one use, and an end; nobody who has none is let in.
        other = self.new_key('other')
        status, answer = self.anybody({'token': token, 'id': 'gw-3', 'key': other})
        self.assertEqual((status, answer['error']['name']), (403, 'DENIED'))
        short = self.token('1s')
        wait_for('the token to expire', lambda:
                 self.lab.api('/status')['now'] >= self.expires[short], 60)
        status, answer = self.anybody({'token': short, 'id': 'gw-3', 'key': other})
        self.assertEqual((answer['error']['name'], answer['error']['number']), ('EXPIRED', 22))
        status, answer = self.anybody({'token': 'claim_0', 'id': 'gw-3', 'key': other})
        self.assertEqual(status, 403)
        self.assertEqual(self.lab.api('/status')['devices']['pending'], 1)

        # Pending: it talks, gets nothing, and explain says why.
        agent.start()
        wait_for('gw-2 to report', lambda: self.lab.device('gw-2')['reported'], 60)
        release = self.publish()
        self.begin('new', release, ('name: new, cohort: new, share: 100%',), approve=False)
        self.lab.wait_state('new', 'waiting-for-grant', seconds=90)
        self.lab.cli('approve', 'new')
        self.lab.cli('approve', 'new', '--add', '--key', self.second())
        self.lab.wait_state('new', 'completed', seconds=90)
        found = self.assert_rule('gw-2', 'PENDING', 112)
        self.assertIn(shown['fingerprint'], found['detail'])
        self.assertIsNone(self.attacker.read('device/gw-2/assign', 1))
        self.assert_runs('gw-2', self.first)

        # A second key is an alarm, and the first one stays.
        done = self.refused('CONFLICT', 'device', 'enrol', 'gw-2', '--token', self.token(),
                            '--public', other)
        self.assertIn('alarm', done)
        alarms = {a['device']: a for a in self.lab.api('/status')['alarms']}
        self.assertEqual(alarms['gw-2']['error_name'], 'SECONDKEY')
        seen = self.text('status')
        self.assertIn('ALARM gw-2: key ', seen)
        self.assertIn('1 device waits to be accepted', seen)
        self.assertIn(shown['fingerprint'], self.text('device', 'show', 'gw-2'))
        self.assertIn(shown['fingerprint'], self.text('device', 'list', '--pending'))
        self.assertEqual(self.lab.device('gw-2')['key'], shown['key'])

        # Only the right fingerprint lets it in, and then it updates.
        self.refused('CONFLICT', 'device', 'accept', 'gw-2', '--fingerprint', '00' * 16)
        self.assert_rule('gw-2', 'PENDING', 112)
        accepted = self.lab.cli('device', 'accept', 'gw-2', '--fingerprint',
                                shown['fingerprint'])
        self.assertEqual((accepted['cohort'], accepted['labels']), ('new', ['ring=new']))
        self.wait_device('gw-2', 'updated', lambda d: d['running'] == release['image'] and
                         d['confirmed'], 90)
        self.assert_runs('gw-2', release)
        self.assertEqual(self.lab.api('/status')['alarms'], [])

        # ... of a device of the fleet as well.
        self.refused('CONFLICT', 'device', 'enrol', 'gw-2', '--token', self.token(),
                     '--public', other)
        alarms = [a['error_name'] for a in self.lab.api('/status')['alarms']]
        self.assertEqual(alarms, ['SECONDKEY'])
        self.assertEqual(self.lab.device('gw-2')['key'], shown['key'])
        self.lab.cli('device', 'accept', 'gw-2', '--fingerprint', shown['fingerprint'])
        self.assertEqual(self.lab.api('/status')['alarms'], [])

        actions = [e['action'] for e in self.lab.api('/audit?limit=1000')['entries']]
        for action in ('token.add', 'token.refuse', 'device.claim', 'device.second-key',
                       'device.accept-refused', 'device.accept', 'device.add'):
            self.assertIn(action, actions)
        self.assertTrue(self.lab.api('/audit/verify')['ok'])

    def test_a_rejected_device_is_forgotten(self):
        key = self.new_key('rejected')
        token = self.token()
        status, answer = self.anybody({'token': token, 'id': 'gw-9', 'key': key})
        self.assertEqual((status, answer['state']), (200, 'pending'))
        self.lab.cli('device', 'reject', 'gw-9')
        self.assertEqual(self.lab.cli('explain', 'gw-9', check=False).returncode, 2)
        status, _ = self.anybody({'token': token, 'id': 'gw-9', 'key': key})
        self.assertEqual(status, 403)


if __name__ == '__main__':
    unittest.main()
