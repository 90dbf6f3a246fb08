#!/usr/bin/env python3
"""A device on which nothing happens: its processes make no system calls but those of a keepalive."""
import os
import re
import subprocess
import unittest

from common import FleetTest, wait_for

KEEPALIVE_S = 6
PERIODS = 3
# Time to ping, the ping, its answer, and between them the looks that Paho takes at its socket.
CALLS_PER_PING = 40
STILL_S = 3     # Paho's own pace is 5 calls in each second
LINE = re.compile(r'^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s.*?(\w+)$', re.M)


class Idle(FleetTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.agent = cls.add('gw-1', start=False)
        config = cls.agent.dir / 'agent.yaml'
        config.write_text(config.read_text().replace(
            'broker:\n', f'broker:\n  keepalive: {KEEPALIVE_S}s\n', 1))
        cls.agent.start()
        wait_for('a first report', lambda: cls.lab.device('gw-1')['last_report_s'], 30)

    def calls(self, role, seconds):
        """The system calls of a process and all its threads, by name."""
        out = self.dir / f'calls-{role}'
        tracer = subprocess.run(
            ['timeout', '--signal=INT', str(seconds), 'strace', '-f', '-c', '-o', str(out),
             '-p', str(self.agent.role_pid(role))], capture_output=True, text=True)
        self.assertIn('attached', tracer.stderr)
        found = {name: int(count) for count, name in LINE.findall(out.read_text())}
        found.pop('total', None)
        found.pop('restart_syscall', None)  # what strace itself has interrupted
        return found

    def test_net_wakes_for_the_keepalive_and_install_for_nothing(self):
        if os.geteuid() != 0:
            self.skipTest('SKIPPED: not root, so strace may not look into another\'s processes')
        wait_for('net to come to rest', lambda: sum(self.calls('net', STILL_S).values()) < STILL_S,
                 60)
        net = self.calls('net', PERIODS * KEEPALIVE_S)
        print(f'net, {PERIODS} keepalives of {KEEPALIVE_S} s: {net}')
        self.assertLess(sum(net.values()), (PERIODS + 1) * CALLS_PER_PING)
        self.assertGreaterEqual(net.get('write', 0), PERIODS - 1, 'not even a ping')
        install = self.calls('install', KEEPALIVE_S)
        self.assertLessEqual(sum(install.values()), 5, install)
        self.assertTrue(self.lab.device('gw-1')['online'])


if __name__ == '__main__':
    unittest.main()
