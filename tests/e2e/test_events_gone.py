#!/usr/bin/env python3
"""Readers of GET /events whose network goes away: no last word from them, and no answer."""
import pathlib
import subprocess
import sys
import time
import unittest

import bad_link

INSIDE = bad_link.enter()

from common import FleetTest, wait_for  # noqa: E402  (not before we are inside)

GONE_S = 20  # such a reader is let go of within; here it takes half of that
READERS = '''\
import sys
sys.path.insert(0, {here!r})
from sse import Stream
streams = [Stream({address!r}, {key!r}) for _ in range(10)]
print(set(s.status for s in streams), flush=True)
while True:
    for s in streams:
        s.read(0.1)
'''


@unittest.skipUnless(INSIDE, 'SKIPPED: not root, and there are no namespaces for users here')
class Gone(FleetTest):
    @classmethod
    def prepare(cls):
        cls.net = bad_link.Network(cls.dir, 1)
        config = cls.lab.dir / 'sluiced.yaml'
        text = config.read_text()
        config.write_text(text.replace('listen: 127.0.0.1:0', 'listen: 0.0.0.0:0\n'
                                       '  insecure_plain_http: true'))

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.net.close()

    def held(self):
        port = int(self.lab.address.rsplit(':', 1)[1])
        rows = [line.split() for line in
                pathlib.Path('/proc/net/tcp').read_text().splitlines()[1:]]
        return sum(int(r[1].split(':')[1], 16) == port and r[3] in ('01', '08') for r in rows)

    def test_readers_who_vanish_are_let_go_of(self):
        code = READERS.format(here=str(pathlib.Path(__file__).parent),
                              address=self.lab.address.replace('0.0.0.0', bad_link.NEAR),
                              key=(self.lab.dir / 'api.key').read_text().strip())
        words = ['nsenter', '--target', str(self.net.far), '--net', sys.executable, '-c', code]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as readers:
            try:
                self.assertEqual(readers.stdout.readline().strip(), '{200}')
                wait_for('ten readers', lambda: self.held() == 10, 5)
                self.net.set(loss=1000)
                began = time.monotonic()
                wait_for('them to be let go of', lambda: self.held() == 0, 60)
                took = time.monotonic() - began
                print(f'let go of after {took:.1f} s')
                self.assertGreater(self.net.set()['lost'], 0, 'nothing was lost')
                self.assertLess(took, GONE_S)
            finally:
                readers.kill()


if __name__ == '__main__':
    unittest.main()
