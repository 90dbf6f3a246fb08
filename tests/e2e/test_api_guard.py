#!/usr/bin/env python3
"""What the API lets nobody do: each route under each scope, wrong keys, requests that two
readers could take for different ones, names that are meant for a database, and the headers of
every answer."""
import http.client
import itertools
import json
import re
import socket
import unittest
from contextlib import closing
from urllib.parse import quote

from common import TOP, FleetTest, wait_for

ROW = re.compile(r'\{ "(\w+)",\s+"([^"]+)",\s+API_(\w+),')
SCOPES = ('read', 'rollout', 'enrol', 'admin')
WRONG = 'sluice_admin_' + 43 * 'x'
SAFE = {'Cache-Control': 'no-store',
        'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
        'Cross-Origin-Resource-Policy': 'same-origin', 'Referrer-Policy': 'no-referrer',
        'X-Content-Type-Options': 'nosniff'}
INJECTIONS = ("'", "''", "' OR '1'='1", "gw-1'--", "gw-1';DROP TABLE rows;--", '"', '\\',
              'x/**/UNION/**/SELECT/**/1', "gw-1' AND 1=randomblob(1)--", '%', '_', '*', '$1',
              '?1', ':a', '@a', 'gw-1\x00', '../../etc/passwd', '%27', "1;SELECT pg_sleep(9)")
LINE = 'GET /api/v1/devices HTTP/1.1\r\nHost: x\r\n'
PUT = 'PUT /api/v1/fleet HTTP/1.1\r\nHost: x\r\n'
SECOND = 'GET /api/v1/healthz HTTP/1.1\r\nHost: x\r\n\r\n'


class Guard(FleetTest):
    devices = {'gw-1': {'start': False}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = {'admin': (cls.lab.dir / 'api.key').read_text().strip()}
        for scope in SCOPES[:3]:
            cls.lab.cli('key', 'api', f'a-{scope}', '--scope', scope)
            cls.keys[scope] = (cls.lab.dir / f'a-{scope}.api.key').read_text().strip()

    def send(self, method, path, key=None, body=None, source='127.0.0.1', patient=True,
             announced=None):
        """Status, headers and body of an answer; patient: asked again after a 429; announced:
        bytes of a body that is not sent, because it is refused before."""
        headers = {'Authorization': f'Bearer {key}'} if key else {}
        if announced:
            headers['Content-Length'] = str(announced)

        def look():
            with closing(http.client.HTTPConnection(
                    self.lab.address, timeout=30, source_address=(source, 0))) as c:
                try:
                    c.request(method, path, body, headers)
                    answer = c.getresponse()
                except ConnectionError:  # refused by its header, and closed before it was read
                    return None
                if answer.status == 429 and patient:
                    return None
                text = b'' if path.endswith('/events') else answer.read()
                return answer.status, answer.headers, text
        return wait_for(f'{method} {path}', look, 30, 0.2)

    # ---- scopes

    def test_every_route_takes_its_scope_and_no_other(self):
        rows = ROW.findall((TOP / 'orchestrator/port/api.c').read_text())
        self.assertGreater(len(rows), 25, 'the table is not found')
        for (method, path, need), scope in itertools.product(rows, (*SCOPES, None)):
            path = '/api/v1' + path.replace('{}', 'x')
            status = self.send(method, path, self.keys.get(scope))[0]
            if need == 'NOBODY' or scope in (need.lower(), 'admin') or \
                    (need == 'READ' and scope):
                self.assertNotIn(status, (401, 403), (method, path, scope))
            else:
                self.assertEqual(status, 403 if scope else 401, (method, path, scope))

    def test_a_key_that_is_taken_out_is_refused_at_once(self):
        path = self.lab.dir / 'api-keys'
        before = path.read_text()
        self.lab.cli('key', 'api', 'brief', '--scope', 'read')
        key = (self.lab.dir / 'brief.api.key').read_text().strip()
        self.assertEqual(self.send('GET', '/api/v1/status', key)[0], 200)
        path.write_text(before)
        self.assertEqual(self.send('GET', '/api/v1/status', key, source='127.0.0.77')[0], 401)

    def test_wrong_keys_are_limited_by_address_and_right_ones_are_not(self):
        def tries(source, count):
            return [self.send('GET', '/api/v1/status', WRONG, source=source, patient=False)[0]
                    for _ in range(count)]
        self.assertEqual(tries('127.0.0.9', 7), 5 * [401] + 2 * [429])
        _, headers, _ = self.send('GET', '/api/v1/status', WRONG, source='127.0.0.9', patient=False)
        self.assertEqual(headers['Retry-After'], '12')
        self.assertEqual(tries('127.0.0.10', 1), [401])
        self.assertEqual(self.send('GET', '/api/v1/status', self.keys['read'],
                                   source='127.0.0.9', patient=False)[0], 200)

    # ---- headers

    def test_every_answer_has_the_headers(self):
        key, local, big = self.keys['admin'], '127.0.0.1', (1 << 20) + 1
        for want, words in (
                (200, ('GET', '/api/v1/status', key)), (200, ('GET', '/metrics', key)),
                (200, ('GET', '/api/v1/documents/root/current', key)),
                (200, ('GET', '/healthz')), (200, ('GET', '/readyz')),
                (200, ('GET', '/api/v1/events', key)), (200, ('POST', '/api/v1/session', key)),
                (400, ('PUT', '/api/v1/fleet', key, b'{')), (401, ('GET', '/api/v1/status')),
                (403, ('PUT', '/api/v1/fleet', self.keys['read'], b'{}')),
                (404, ('GET', '/api/v1/nothing', key)),
                (409, ('POST', '/api/v1/devices/gw-1/release', key)),
                (413, ('PUT', '/api/v1/fleet', key, None, local, True, big))):
            if words[1] == '/readyz':
                wait_for('it to be ready', lambda: self.send('GET', '/readyz')[0] == 200)
            status, headers, _ = self.send(*words)
            self.assertEqual(status, want, words[:2])
            found = {k: headers[k] for k in SAFE}
            self.assertEqual(found, SAFE, words[:2])
            self.assertIsNone(headers['Access-Control-Allow-Origin'])

    # ---- requests that no client would send

    def raw(self, text):
        """As raw_once(), asked again after a 429."""
        def look():
            answer = self.raw_once(text)
            return None if answer.startswith('HTTP/1.1 429 ') else (answer,)
        return wait_for('another answer', look, 30, 0.2)[0]

    def raw_once(self, text):
        """All that comes back until the other end closes, or has answered and is silent."""
        host, port = self.lab.address.rsplit(':', 1)
        answer = b''
        with socket.create_connection((host, int(port)), 30) as s:
            s.sendall(text.encode('latin-1'))
            try:
                while got := s.recv(65536):
                    answer += got
                    s.settimeout(1)
            except TimeoutError:
                self.assertTrue(answer, f'neither an answer nor an end: {text[:60]}')
            except ConnectionError:
                pass
        return answer.decode('latin-1')

    def test_a_body_whose_end_is_nowhere_is_answered_at_once(self):
        for coding in ('chunked', 'xchunked', 'gzip, chunked'):
            answer = self.raw(PUT + f'Transfer-Encoding: {coding}\r\n\r\n1\r\nx')
            self.assertRegex(answer, r'^HTTP/1\.1 400 ', coding)
            self.assertIn('Connection: close', answer)

    def test_no_request_hides_another(self):
        key = f'Authorization: Bearer {self.keys["admin"]}\r\n'
        chunked = 'Transfer-Encoding: chunked\r\n'
        body = '0\r\n\r\n' + SECOND
        for text in (
                PUT + key + f'Content-Length: {len(body)}\r\n{chunked}\r\n{body}',
                PUT + key + f'{chunked}Content-Length: 4\r\n\r\n{body}',
                PUT + key + f'Content-Length: 2\r\nContent-Length: 90\r\n\r\n{{}}{SECOND}',
                PUT + key + f'Content-Length: 2, 90\r\n\r\n{{}}{SECOND}',
                PUT + key + f'Content-Length: +2\r\n\r\n{{}}{SECOND}',
                PUT + key + f'Content-Length: 0x2\r\n\r\n{{}}{SECOND}',
                PUT + key + f'Content-Length: -1\r\n\r\n{SECOND}',
                PUT + key + f'Transfer-Encoding: xchunked\r\n\r\n{body}',
                PUT + key + f'Transfer-Encoding : chunked\r\n\r\n{body}',
                LINE + key + 'X: a\r\n Content-Length: 5\r\nTransfer-Encoding:\tchunked\r\n\r\n'
                + body):
            answer = self.raw(text)
            self.assertNotIn('{"ok":true', answer, text)
            self.assertLessEqual(set(re.findall(r'HTTP/1\.1 (\d+)', answer)),
                                 {'400', '413'}, text)

    def test_what_is_odd_or_too_long_is_refused(self):
        key = f'Authorization: Bearer {self.keys["admin"]}\r\n'
        for text in ('GET /api/v1/status HTTP/1.1\r\n' + key + '\r\n',  # no Host
                     f'GET /{"a" * 20000} HTTP/1.1\r\nHost: x\r\n{key}\r\n',
                     f'GET /api/v1/devices?after={"a" * 9000} HTTP/1.1\r\nHost: x\r\n{key}\r\n',
                     LINE + key + f'X: {"a" * 20000}\r\n\r\n',
                     LINE + key + ''.join(f'X-{i}: {"a" * 80}\r\n' for i in range(200)) + '\r\n',
                     f'GET http://evil/api/v1/status HTTP/1.1\r\nHost: x\r\n{key}\r\n',
                     f'TRACE /api/v1/status HTTP/1.1\r\nHost: x\r\n{key}\r\n',
                     f'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n{key}\r\n',
                     f'GET /api/v1/../v1/status HTTP/1.1\r\nHost: x\r\n{key}\r\n',
                     f'GET //api/v1/status HTTP/1.1\r\nHost: x\r\n{key}\r\n',
                     '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + 200 * 'a' + '\r\n\r\n'):
            answer = self.raw(text)
            self.assertRegex(answer.split('\r\n')[0], r'^(HTTP/1\.[01] 4\d\d |$)', text[:60])

    def test_who_is_not_known_may_not_take_his_time(self):
        """Bodies that come byte by byte: only who has a key is waited for."""
        rows = {'refused': 'PUT /api/v1/fleet', 'of nobody': 'POST /api/v1/claims',
                'of a page': 'GET /', 'known': 'PUT /api/v1/fleet'}
        host, port = self.lab.address.rsplit(':', 1)
        links = {}
        for name, line in rows.items():
            key = f'Authorization: Bearer {self.keys["admin"]}\r\n' * (name == 'known')
            links[name] = self.enterContext(socket.create_connection((host, int(port)), 5))
            links[name].sendall(f'{line} HTTP/1.1\r\nHost: x\r\n{key}'
                                'Content-Length: 1000\r\n\r\n'.encode())

        def left():
            for name, link in list(links.items()):
                try:
                    link.sendall(b' ')
                except OSError:
                    links.pop(name)
            return set(links)
        wait_for('the others to be cut off', lambda: left() == {'known'}, 30, 0.5)

    # ---- names

    def test_no_name_reaches_a_database_as_more_than_a_name(self):
        key = self.keys['admin']
        before = self.send('GET', '/api/v1/audit/verify', key)[2]
        devices = self.lab.devices()
        for bad in INJECTIONS:
            at = quote(bad, safe='')
            for method, path in (
                    ('GET', f'/devices/{at}'), ('GET', f'/devices/{at}/explain'),
                    ('POST', f'/devices/{at}/release'), ('POST', f'/devices/{at}/reject'),
                    ('GET', f'/rollouts/{at}'), ('POST', f'/rollouts/{at}/abort'),
                    ('POST', f'/rollouts/x/{at}'), ('GET', f'/documents/{at}/x'),
                    ('GET', f'/documents/root/{at}'), ('GET', f'/approvals/{at}'),
                    ('HEAD', f'/images/{at}'), ('GET', f'/audit?after={at}'),
                    ('GET', f'/devices?limit={at}')):
                status = self.send(method, '/api/v1' + path, key)[0]
                self.assertIn(status, (400, 404), (method, path))
            for path in (f'/devices?cohort={at}', f'/devices?after={at}'):
                self.assertEqual(self.send('GET', '/api/v1' + path, key)[0], 200, path)
            for path, body in (
                    ('/devices', {'id': bad, 'key': 64 * '0', 'labels': []}),
                    ('/claims', {'token': bad, 'id': bad, 'key': 64 * '0'}),
                    ('/rollouts', {'rollout': bad, 'release': 64 * '0', 'stages': []}),
                    ('/plan', {'rollout': bad, 'release': 64 * '0', 'stages': []}),
                    ('/plan/fleet', {'fleet': 'demo', 'cohorts': [{'name': bad}]})):
                status = self.send('POST', '/api/v1' + path, key, json.dumps(body).encode())[0]
                self.assertIn(status, (400, 403, 404), (path, bad))
        self.assertEqual(self.send('GET', '/api/v1/audit/verify', key)[2], before)
        self.assertEqual(self.lab.devices(), devices)


if __name__ == '__main__':
    unittest.main()
