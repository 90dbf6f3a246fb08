#!/usr/bin/env python3
"""GET /events: who reads is told what changes, as it changes, and one who does not read costs
nothing."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import unittest

from common import FleetTest, LabError, wait_for
from sse import Stream

GONE_S = 10  # a reader who has vanished is let go of within
ROOM = 8  # entries that a reader with a small window has room for, and more
READER = '''\
import sys, time
sys.path.insert(0, {here!r})
from sse import Stream
s = Stream({address!r}, {key!r}, window=4096)
print(s.status, flush=True)
time.sleep(600)
'''


class Events(FleetTest):
    fleet_yaml = 'fleet: demo\ncohorts:\n  - {name: all}\n'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.key = (cls.lab.dir / 'api.key').read_text().strip()
        cls.second = cls.publish()

    def setUp(self):
        self.open_streams = []

    def tearDown(self):
        for stream in self.open_streams:
            stream.close()
        wait_for('all to be let go of', lambda: self.held() == 0, GONE_S)

    def open(self, key=None, **words):
        """Patiently: there is a limit of requests a second."""
        def try_it():
            stream = Stream(self.lab.address, key or self.key, **words)
            if stream.status == 429:
                stream.close()
                return None
            self.open_streams.append(stream)
            return stream
        return wait_for('a stream', try_it)

    def ask(self, *words):
        """As lab.api(), patiently too."""
        def try_it():
            try:
                return self.lab.api(*words)
            except LabError as e:
                if 'too many requests' not in str(e):
                    raise
            return None
        return wait_for('an answer', try_it)

    def audit_seq(self):
        return self.ask('/status')['audit']['seq']

    def add_device(self, name, labels=()):
        self.ask('/devices', 'POST', {'id': name, 'labels': labels, 'key': os.urandom(32).hex()})

    def held(self):
        """Connections of its API that sluiced has not let go of: ESTABLISHED, CLOSE-WAIT."""
        port = int(self.lab.address.rsplit(':', 1)[1])
        rows = [line.split() for line in
                pathlib.Path('/proc/net/tcp').read_text().splitlines()[1:]]
        return sum(int(r[1].split(':')[1], 16) == port and r[3] in ('01', '08') for r in rows)

    def begin_rollout(self, name):
        self.addCleanup(self.lab.cli, 'abort', name, check=False)
        self.lab.cli('apply', self.rollout_file(name, self.second, ['cohort: all, share: 100%']))

    def test_a_reader_is_told_what_is_the_case_first(self):
        self.begin_rollout('first')
        stream = self.open()
        self.assertEqual(stream.status, 200)
        self.assertEqual(stream.headers['content-type'], 'text/event-stream')
        self.assertEqual(stream.headers['cache-control'], 'no-store')
        self.assertEqual(stream.headers['x-content-type-options'], 'nosniff')
        fleet = stream.wait(lambda e: e[0] == 'fleet')
        self.assertEqual(set(fleet[1]), set(self.ask('/status')))
        rollout = stream.wait(lambda e: e[0] == 'rollout')
        self.assertEqual(rollout[1]['rollout'], 'first')
        self.assertEqual(set(rollout[1]), set(self.lab.rollout('first')))
        self.assertEqual(stream.of('audit'), [], 'what is past was not asked for')
        self.lab.cli('abort', 'first')

    def test_what_changes_is_told_and_who_is_over_once(self):
        stream = self.open()
        self.assertTrue(stream.wait(lambda e: e[0] == 'fleet'))
        self.begin_rollout('second')
        found = stream.wait(lambda e: e[0] == 'rollout' and e[1]['rollout'] == 'second')
        self.assertTrue(found, stream.events)
        self.lab.cli('abort', 'second')
        ended = stream.wait(lambda e: e[0] == 'rollout' and e[1]['state'] == 'aborted')
        self.assertTrue(ended, stream.events)
        stream.read(2)
        self.assertEqual(sum(e[1]['state'] == 'aborted' for e in stream.of('rollout')), 1)
        actions = [e[1]['action'] for e in stream.of('audit')]
        self.assertIn('rollout.apply', actions)
        self.assertIn('rollout.abort', actions)
        self.assertEqual([int(e[2]) for e in stream.of('audit')],
                         [e[1]['seq'] for e in stream.of('audit')])
        quiet = len(stream.events)
        stream.read(3)
        self.assertEqual(stream.events[quiet:], [], 'nothing changed')

    def test_silence_is_broken_every_five_seconds(self):
        stream = self.open()
        stream.read(12)
        self.assertGreaterEqual(stream.beats, 2)

    def test_a_reader_who_was_away_is_told_the_audit_entries_it_missed(self):
        before = self.audit_seq()
        for n in range(40):
            self.add_device(f'away-{n}')
        after = self.audit_seq()
        self.assertGreaterEqual(after, before + 40)
        stream = self.open(last_id=before)
        stream.wait(lambda e: e[2] == str(after))
        self.assertEqual([int(e[2]) for e in stream.of('audit')],
                         list(range(before + 1, after + 1)))
        whole = self.ask(f'/audit?after={before}&limit=1000')['entries']
        self.assertEqual([e[1] for e in stream.of('audit')], whole)
        for odd in ('x', -1, after + 5, 2**60):
            stream = self.open(last_id=odd)
            stream.read(1.5)
            self.assertEqual(stream.of('audit'), [], odd)

    def test_a_burst_reaches_all_readers_in_order(self):
        streams = [self.open() for _ in range(5)]
        for stream in streams:
            self.assertTrue(stream.wait(lambda e: e[0] == 'fleet'))
        before = self.audit_seq()
        for n in range(300):
            self.add_device(f'burst-{n}')
        after = self.audit_seq()
        for stream in streams:
            self.assertTrue(stream.wait(lambda e: e[2] == str(after)))
            self.assertEqual([int(e[2]) for e in stream.of('audit')],
                             list(range(before + 1, after + 1)))

    def test_who_may_not_read_gets_no_stream(self):
        stream = Stream(self.lab.address, 'sluice_nobody_' + 43 * 'x')
        self.open_streams.append(stream)
        self.assertEqual(stream.status, 401)

    def test_a_key_that_is_taken_out_ends_its_stream(self):
        text = (self.lab.dir / 'api-keys').read_text()
        self.lab.cli('key', 'api', 'watcher', '--scope', 'read')
        key = (self.lab.dir / 'watcher.api.key').read_text().strip()
        stream = self.open(key=key)
        self.assertTrue(stream.wait(lambda e: e[0] == 'fleet'))
        (self.lab.dir / 'api-keys').write_text(text)
        self.assertFalse(stream.read(GONE_S), 'the stream goes on')
        self.assertEqual(self.open(key=key).status, 401)

    def test_a_reader_who_leaves_is_let_go_of(self):
        streams = [self.open() for _ in range(20)]
        wait_for('nothing else', lambda: self.held() == 20, 5)
        for stream in streams:
            stream.close()
        wait_for('them to be let go of', lambda: self.held() == 0, GONE_S)

    def test_a_reader_that_reads_nothing_is_let_go_of(self):
        code = READER.format(here=str(pathlib.Path(__file__).parent), address=self.lab.address,
                             key=self.key)
        with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE,
                              text=True) as reader:
            try:
                self.assertEqual(reader.stdout.readline().strip(), '200')
                reader.send_signal(signal.SIGSTOP)
                before = self.audit_seq()
                self.fill()
                self.assertGreater(self.audit_seq(), before + ROOM, 'it was never full')
            finally:
                reader.kill()

    def fill(self):
        """Let so much happen that nobody can hold it, until sluiced has given up."""
        end, n = time.monotonic() + 60, 0
        while self.held() > 0:
            self.assertLess(time.monotonic(), end, 'it is still held')
            self.add_device(f'full-{n}', [f'l{i}={"x" * 60}' for i in range(16)])
            n += 1

    def test_streams_leave_room_for_requests(self):
        most = 512
        streams = [self.open() for _ in range(most)]
        self.assertEqual({s.status for s in streams}, {200})
        self.assertEqual(self.open().status, 503)
        self.assertEqual(self.ask('/status')['fleet'], 'demo')
        rest = [socket.create_connection(self.lab.address.rsplit(':', 1)) for _ in range(200)]
        self.assertEqual(self.ask('/status')['fleet'], 'demo')
        for s in rest + streams:
            s.close()
        wait_for('room', lambda: self.open().status == 200, GONE_S, 0.2)

    def test_requests_that_take_their_time_do_not_open_more(self):
        """All headers are in before any of them is answered."""
        most, more, keys = 512, 8, []
        host, port = self.lab.address.rsplit(':', 1)
        for name in (f'many-{n}' for n in range(8)):  # each has a limit of 200 at once
            self.lab.cli('key', 'api', name, '--scope', 'read')
            keys.append((self.lab.dir / f'{name}.api.key').read_text().strip())

        def begin(key):
            s = socket.create_connection((host, int(port)), 10)
            self.open_streams.append(s)
            s.sendall(f'GET /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n'
                      f'Authorization: Bearer {key}\r\n\r\n'.encode())
            return s
        begun = [begin(keys[n % len(keys)]) for n in range(most + more)]
        statuses = []
        for s in begun:
            s.sendall(b'x')
        for s in begun:
            statuses.append(s.recv(12).decode()[-3:])
        self.assertEqual((statuses.count('200'), statuses.count('503')), (most, more))
        for s in self.open_streams:
            s.close()
        wait_for('room', lambda: self.open().status == 200, GONE_S, 0.2)

    def test_a_stop_ends_streams_and_does_not_wait(self):
        stream = self.open()
        self.assertTrue(stream.wait(lambda e: e[0] == 'fleet'))
        began = time.monotonic()
        self.lab.sluiced.stop()
        self.assertLess(time.monotonic() - began, 5)
        self.assertFalse(stream.read(1))
        self.assertEqual(self.lab.sluiced.child.returncode, 0)
        self.lab.start_sluiced()


if __name__ == '__main__':
    unittest.main()
