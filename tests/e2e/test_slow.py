#!/usr/bin/env python3
"""Who takes his time at what needs no key, or keeps connections for their own sake: let go of
within a bound, for a bounded memory, while others are served."""
import http.client
import pathlib
import socket
import time
import unittest
from contextlib import closing

from common import FleetTest, wait_for

PATHS = ('/', '/assets/app.js', '/api/v1/session', '/metrics', '/healthz', '/readyz',
         '/api/v1/events')
GONE_S = 30        # whoever takes his time is let go of within
SERVED_S = 3       # the others are served within
GROWTH = 64 << 20  # bytes that all of it may cost
MANY = 900         # connections; more than there may be


class Slow(FleetTest):
    fleet_yaml = 'fleet: demo\ncohorts:\n  - {name: all}\n'

    def setUp(self):
        self.key = (self.lab.dir / 'api.key').read_text().strip()
        self.held = []
        self.memory = self.resident()

    def tearDown(self):
        for s in self.held:
            s.close()
        wait_for('others to be served again', self.is_served, GONE_S)

    def resident(self):
        pages = int(pathlib.Path(f'/proc/{self.lab.sluiced.child.pid}/statm').read_text().split()[1])
        return pages * 4096

    def connect(self, text='', window=0):
        host, port = self.lab.address.rsplit(':', 1)
        s = socket.socket()
        if window:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        s.settimeout(10)
        s.connect((host, int(port)))
        self.held.append(s)
        s.sendall(text.encode())
        return s

    def is_served(self, path='/'):
        """Answered; a key that asks too often is told so, which is an answer."""
        try:
            with closing(http.client.HTTPConnection(self.lab.address, timeout=SERVED_S)) as link:
                link.request('GET', path, headers={'Authorization': f'Bearer {self.key}'})
                answer = link.getresponse()
                answer.read()
                return answer.status in (200, 429)
        except OSError:
            return False

    def assert_served(self):
        """A visitor of the page, and one with a key: each at once, or at the second try."""
        for path in ('/', '/assets/app.js', '/healthz', '/metrics', '/api/v1/status'):
            self.assertTrue(self.is_served(path) or self.is_served(path), path)

    @staticmethod
    def is_gone(s):
        """True once the other end has closed it; reads nothing that is there."""
        state = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return state != 1  # TCP_ESTABLISHED

    def assert_all_go(self, drip=None):
        """All that is held is let go of, whatever drips in; others are served meanwhile."""
        end, peak = time.monotonic() + GONE_S, 0
        while left := [s for s in self.held if not self.is_gone(s)]:
            self.assertLess(time.monotonic(), end, f'{len(left)} are held still')
            for s in left:
                if drip:
                    try:
                        drip(s)
                    except OSError:
                        pass
            self.assert_served()
            peak = max(peak, self.resident() - self.memory)
            time.sleep(0.2)  # what drips is slow
        self.assertLess(peak, GROWTH)
        print(f'all gone {GONE_S - end + time.monotonic():.1f} s after, {peak >> 10} KiB more')

    def test_headers_that_drip(self):
        for path in PATHS:
            for _ in range(5):
                self.connect(f'GET {path} HTTP/1.1\r\nHost: x\r\nX: ')
        self.assert_all_go(lambda s: s.sendall(b'x'))

    def test_bodies_that_drip(self):
        for path in PATHS:
            for _ in range(5):
                self.connect(f'GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n')
        for _ in range(5):  # somebody signs in, or tries to
            self.connect('POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n'
                         f'Authorization: Bearer {self.key}\r\n\r\n')
        self.assert_all_go(lambda s: s.sendall(b'x'))

    def test_readers_of_the_page_who_hardly_read(self):
        """Each asks for so much that no buffer takes it, and reads a little now and then."""
        for _ in range(40):
            self.connect(400 * 'GET /assets/style.css HTTP/1.1\r\nHost: x\r\n\r\n', window=4096)
        self.assert_all_go(lambda s: s.recv(2048))

    def test_more_connections_of_one_address_than_there_may_be(self):
        """None says a word; the newest are there at any time."""
        for n in range(MANY):
            try:
                self.connect()
            except OSError:
                break
            if n % 100 == 99:
                self.assert_served()
        self.assertGreater(len(self.held), 700, 'hardly anybody came')
        self.assert_all_go()

    def test_many_who_never_finish_a_header_and_come_again(self):
        """As fast as they are let go of, for a while."""
        end = time.monotonic() + 15
        while time.monotonic() < end:
            self.held = [s for s in self.held if not (self.is_gone(s) and not s.close())]
            while len(self.held) < 400:
                self.connect('GET / HTTP/1.1\r\nHost: x\r\nX: ')
            self.assert_served()
        self.assertLess(self.resident() - self.memory, GROWTH)


if __name__ == '__main__':
    unittest.main()
