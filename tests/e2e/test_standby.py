#!/usr/bin/env python3
"""Two sluiced on one PostgreSQL: what the one that stands by answers, and that it goes on by
itself when it leads."""
import http.client
import json
import subprocess
import unittest
from contextlib import closing

from attacker import USER, Attacker
from common import FleetTest, wait_for
from sse import Stream
from standby import BIN, Postgres, address_of, configure

TAKEOVER_S = 15


@unittest.skipUnless(BIN, 'SKIPPED: there is no PostgreSQL here')
class Standby(FleetTest):
    fleet_yaml = 'fleet: demo\ncohorts:\n  - {name: all}\n'
    users = (USER,)

    @classmethod
    def prepare(cls):
        cls.database = Postgres()
        with open(cls.lab.dir / 'sluiced.yaml', 'a', encoding='ascii') as config:
            config.write('home_assistant: {enabled: true}\n')
        cls.second = configure(cls.lab, cls.database.url)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        if hasattr(cls, 'database'):
            cls.database.close()

    def setUp(self):
        self.key = (self.lab.dir / 'api.key').read_text().strip()
        if not self.lab.sluiced.alive():
            self.lab.start_sluiced()
        if not self.second.alive():
            (self.lab.dir / 'state-2/http.addr').unlink(missing_ok=True)
            self.second.start()
        self.other = address_of(self.lab, self.second)

    def tearDown(self):
        self.second.stop()

    def ask(self, path, method='GET', body=None, address=None, key=True, **headers):
        headers = {k.replace('_', '-'): v for k, v in headers.items()}
        if key:
            headers['Authorization'] = f'Bearer {self.key}'
        with closing(http.client.HTTPConnection(address or self.other, timeout=30)) as link:
            link.request(method, path, body, headers)
            answer = link.getresponse()
            return answer.status, answer.headers, answer.read()

    def shown(self):
        """Whether somebody keeps what Home Assistant is shown up to date, as it sees that."""
        link = [str(w) for w in Attacker(self.lab).link]
        return subprocess.run(['mosquitto_sub', *link, '-t', 'sluice-ha/demo/availability', '-C', '1',
                               '-W', '1'], capture_output=True, text=True, check=False).stdout.strip()

    def assert_says_who_leads(self, status, headers, body):
        self.assertEqual(status, 503)
        self.assertGreater(int(headers['Retry-After']), 0)
        error = json.loads(body)['error']
        self.assertEqual((error['name'], error['standby']), ('BUSY', True))
        self.assertGreater(error['number'], 0)
        self.assertEqual(error['leader']['address'], self.lab.address)
        self.assertIn('stands by', error['text'])
        self.assertIn(self.lab.address, error['text'])
        self.assertIn(error['leader']['owner'], error['text'])

    def test_what_asks_for_the_fleet_is_told_who_leads(self):
        for method, path, body in (
                ('GET', '/api/v1/status', None), ('GET', '/metrics', None),
                ('GET', '/api/v1/audit', None), ('PUT', '/api/v1/fleet', b'{}'),
                ('POST', '/api/v1/rollouts', b'{}'), ('POST', '/api/v1/claims', b'{}'),
                ('GET', '/api/v1/events', None), ('PUT', '/api/v1/images/' + 64 * '0', b'x')):
            self.assert_says_who_leads(*self.ask(path, method, body))
        stream = Stream(self.other, self.key)
        self.addCleanup(stream.close)
        self.assertEqual((stream.status, int(stream.headers['retry-after']) > 0), (503, True))

    def test_who_has_no_key_is_told_nothing_of_the_leader(self):
        status, _, body = self.ask('/api/v1/status', key=False)
        self.assertEqual(status, 401)
        self.assertNotIn(self.lab.address.encode(), body)
        for path in ('/healthz', '/readyz', '/'):
            self.assertNotIn(self.lab.address.encode(), self.ask(path, key=False)[2])

    def test_it_is_alive_and_not_ready(self):
        status, _, body = self.ask('/healthz', key=False)
        self.assertEqual((status, json.loads(body)), (200, {'ok': True, 'standby': True}))
        status, headers, body = self.ask('/readyz', key=False)
        self.assertEqual((status, json.loads(body)),
                         (503, {'ready': False, 'leader': False, 'broker': False}))
        self.assertGreater(int(headers['Retry-After']), 0)

    def test_it_takes_over_and_who_was_signed_in_stays_so(self):
        status, headers, body = self.ask('/api/v1/session', 'POST')
        self.assertEqual(status, 200, body)
        cookie = headers['Set-Cookie'].split(';')[0]
        self.assert_says_who_leads(*self.ask('/api/v1/status', key=False, Cookie=cookie))
        self.assertEqual(self.ask('/', key=False)[0], 200)
        self.assertEqual(self.shown(), 'online')
        self.assertNotIn('broker.connected', self.second.log.read_text().split('sluiced.standby')[-1],
                         'it talks to the broker, and to Home Assistant')
        self.lab.sluiced.stop()
        wait_for('the other to speak for the fleet', lambda: self.shown() == 'online' and
                 'broker.connected' in self.second.log.read_text().split('sluiced.standby')[-1])
        wait_for('it to lead', lambda: self.ask('/api/v1/status', key=False,
                                                Cookie=cookie)[0] == 200, TAKEOVER_S)
        wait_for('it to be ready', lambda: self.ask('/readyz', key=False)[0] == 200, TAKEOVER_S)
        self.assertEqual(json.loads(self.ask('/healthz', key=False)[2]), {'ok': True})
        stream = Stream(self.other, None, cookie=cookie)
        self.addCleanup(stream.close)
        self.assertTrue(stream.wait(lambda e: e[0] == 'fleet'))
        self.second.stop()
        self.lab.start_sluiced()


if __name__ == '__main__':
    unittest.main()
