#!/usr/bin/env python3
"""GET /events ends for who may not read any more, within a second, and for nobody else."""
import http.client
import json
import os
import time
import unittest
from contextlib import closing

from common import FleetTest, wait_for
from sse import Stream

END_S = 1  # such a stream has ended within


class End(FleetTest):
    fleet_yaml = 'fleet: demo\ncohorts:\n  - {name: all}\n'

    def setUp(self):
        self.streams = []
        self.admin = (self.lab.dir / 'api.key').read_text().strip()

    def tearDown(self):
        for stream in self.streams:
            stream.close()

    def ask(self, path, method='GET', body=None, **headers):
        headers = {k.replace('_', '-'): v for k, v in headers.items()}
        with closing(http.client.HTTPConnection(self.lab.address, timeout=30)) as link:
            link.request(method, path, body, headers)
            answer = link.getresponse()
            return answer.status, answer.headers, answer.read()

    def sign_in(self, key):
        status, headers, body = self.ask('/api/v1/session', 'POST',
                                         Authorization=f'Bearer {key}')
        self.assertEqual(status, 200, body)
        return headers['Set-Cookie'].split(';')[0], json.loads(body)['csrf']

    def sign_out(self, cookie, csrf):
        self.assertEqual(self.ask('/api/v1/session', 'DELETE', Cookie=cookie,
                                  X_CSRF_Token=csrf)[0], 200)

    def make_key(self, name):
        """A key, and what the file of keys is without it."""
        path = self.lab.dir / 'api-keys'
        before = path.read_text()
        self.lab.cli('key', 'api', name, '--scope', 'read')
        return (self.lab.dir / f'{name}.api.key').read_text().strip(), before

    def open(self, count, key=None, cookie=None):
        """That many streams, each of which has said what is the case."""
        found = [Stream(self.lab.address, key, cookie=cookie) for _ in range(count)]
        self.streams += found
        for stream in found:
            self.assertEqual(stream.status, 200)
            self.assertTrue(stream.wait(lambda e: e[0] == 'fleet'))
        return found

    def assert_ended(self, streams, since):
        for stream in streams:
            stream.read(max(0.01, since + END_S - time.monotonic()))
            self.assertTrue(stream.ended, 'a stream goes on')
        print(f'{len(streams)} ended after {time.monotonic() - since:.2f} s')

    def assert_told(self, streams):
        """They go on: what happens now reaches them."""
        name = f'told-{os.urandom(4).hex()}'
        self.lab.api('/devices', 'POST', {'id': name, 'labels': [], 'key': os.urandom(32).hex()})
        for stream in streams:
            self.assertTrue(stream.wait(lambda e: e[0] == 'audit' and name in json.dumps(e[1])),
                            'a stream ended that nobody ended')

    def test_signing_out_ends_the_streams_of_that_session(self):
        mine, other = self.sign_in(self.admin), self.sign_in(self.admin)
        ends = self.open(3, cookie=mine[0])
        stays = self.open(2, cookie=other[0]) + self.open(2, key=self.admin)
        began = time.monotonic()
        self.sign_out(*mine)
        self.assert_ended(ends, began)
        self.assert_told(stays)
        self.streams.append(Stream(self.lab.address, None, cookie=mine[0]))
        self.assertEqual(self.streams[-1].status, 401)

    def test_a_revoked_key_ends_its_streams_and_those_of_its_sessions(self):
        key, without = self.make_key('watcher')
        mine, other = self.sign_in(key), self.sign_in(self.admin)
        ends = self.open(2, key=key) + self.open(2, cookie=mine[0])
        stays = self.open(2, key=self.admin) + self.open(1, cookie=other[0])
        began = time.monotonic()
        (self.lab.dir / 'api-keys').write_text(without)
        self.assert_ended(ends, began)
        self.assert_told(stays)

    def test_another_key_of_the_same_name_is_another_key(self):
        key, without = self.make_key('twice')
        ends, stays = self.open(2, key=key), self.open(1, key=self.admin)
        path = self.lab.dir / 'api-keys'
        line = path.read_text()[len(without):]
        name, scope, digest = line.split()
        began = time.monotonic()
        path.write_text(f'{without}{name} {scope} {digest[::-1]}\n')
        self.assert_ended(ends, began)
        self.assert_told(stays)
        path.write_text(without)

    def test_a_session_that_has_to_make_room_ends_with_its_streams(self):
        key, without = self.make_key('many')
        first = self.sign_in(key)
        ends = self.open(2, cookie=first[0])
        stays = self.open(1, key=key)
        for _ in range(31):
            last = self.sign_in(key)
        self.assert_told(ends)  # 32 may be
        began = time.monotonic()
        self.sign_in(key)
        self.assert_ended(ends, began)
        self.assert_told(stays + self.open(1, cookie=last[0]))
        (self.lab.dir / 'api-keys').write_text(without)

    def test_who_signs_out_while_his_request_is_under_way_gets_no_stream(self):
        cookie, csrf = self.sign_in(self.admin)
        host, port = self.lab.address.rsplit(':', 1)
        with closing(http.client.HTTPConnection(host, int(port), timeout=10)) as late:
            late.putrequest('GET', '/api/v1/events')
            late.putheader('Cookie', cookie)
            late.putheader('Content-Length', '1')
            late.endheaders()
            wait_for('its header to be in', lambda: self.ask('/api/v1/status',
                                                             Cookie=cookie)[0] == 200)
            self.sign_out(cookie, csrf)
            late.send(b'x')
            self.assertEqual(late.getresponse().status, 401)


if __name__ == '__main__':
    unittest.main()
