#!/usr/bin/env python3
"""An agent as the units of deploy/systemd start it: two services and a socket, made by
systemd's own systemd-socket-activate, with the command lines of the units."""
import os
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import time
import unittest

from common import TOP, FleetTest, wait_for

UNITS = TOP / 'deploy/systemd'
BOOT_ID = pathlib.Path('/proc/sys/kernel/random/boot_id')
STRANGER = 65534  # a user


def key_of(unit, key):
    """The value of a key that a unit has once."""
    values = [line.split('=', 1)[1] for line in (UNITS / unit).read_text().splitlines()
              if line.startswith(f'{key}=')]
    assert len(values) == 1, (unit, key, values)
    return values[0]


def calls_in(name):
    """The system calls of a set of systemd's, sets within it included."""
    lines = subprocess.run(['systemd-analyze', 'syscall-filter', '--no-pager', name], check=True,
                           capture_output=True, text=True).stdout.splitlines()[1:]
    words = [line.strip() for line in lines if line.strip() and line.strip()[0] != '#']
    return {call for word in words for call in
            (calls_in(word) if word.startswith('@') else [word])}


def allowed_by(unit):
    """The system calls that a unit allows."""
    allowed = calls_in('@default')
    for line in (UNITS / unit).read_text().splitlines():
        if line.startswith('SystemCallFilter='):
            words = line.split('=', 1)[1]
            calls = {call for word in words.removeprefix('~').split() for call in
                     (calls_in(word) if word.startswith('@') else [word])}
            allowed = allowed - calls if words.startswith('~') else allowed | calls
    return allowed


class Units(FleetTest):
    fleet_yaml = ('fleet: demo\ncohorts:\n  - {name: stays, labels: {ring: stays}}\n'
                  '  - {name: do, labels: {ring: do}}\n  - {name: fleet}\n')

    def setUp(self):
        self.ring = self.id().rsplit('_', 1)[1]  # a device and a cohort for each test
        self.name = f'gw-{self.ring}'
        self.agent = self.add(self.name, ring=self.ring, start=False)
        self.socket = self.agent.dir / 'sock'
        self.log = self.agent.dir / 'units.log'
        config = self.agent.dir / 'agent.yaml'
        config.write_text(config.read_text().replace('reboot: self', 'reboot: [/bin/true]'))

    def command(self, unit):
        """What the unit starts, with the paths and the boot of here."""
        place = {'/usr/bin/sluice-agent': str(self.lab.programs['sluice-agent']),
                 '/etc/sluice/agent.yaml': str(self.agent.dir / 'agent.yaml'),
                 key_of('sluice-agent.socket', 'ListenSequentialPacket'): str(self.socket),
                 '%b': BOOT_ID.read_text().strip().replace('-', '')}
        return [place.get(word, word) for word in shlex.split(key_of(unit, 'ExecStart'))]

    def rights(self, unit):
        """A wrapper that leaves root the capabilities that the unit leaves it."""
        if os.geteuid() != 0:
            return []
        names = [name.removeprefix('CAP_').lower()
                 for name in key_of(unit, 'CapabilityBoundingSet').split()]
        return ['setpriv', '--inh-caps=-all',
                '--bounding-set=' + ','.join(['-all', *(f'+{name}' for name in names)])]

    def begin_service(self, words, **more):
        with open(self.log, 'ab') as out:
            child = subprocess.Popen(words, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                     env={**os.environ, **more})
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def ear(self):
        """What systemd would hear, and where it is said."""
        path = self.agent.dir / 'notify'
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(ear.close)
        ear.bind(str(path))
        path.chmod(0o777)
        ear.settimeout(20)
        return ear, str(path)

    def said(self, text):
        return self.log.read_text().count(text)

    def test_net_comes_and_goes_and_install_stays(self):
        unit = 'sluice-agent-install.service'
        ear, where = self.ear()
        install = self.begin_service([*self.rights(unit), 'systemd-socket-activate',
                                      '--seqpacket', '-l', self.socket,
                                      '-E', f'NOTIFY_SOCKET={where}', *self.command(unit)])
        wait_for('the socket', self.socket.exists, 20)
        net = self.begin_service(self.command('sluice-agent-net.service'), NOTIFY_SOCKET=where,
                                 WATCHDOG_USEC='500000')
        wait_for('a report', lambda: self.lab.device(self.name)['last_report_s'], 30)
        heard = []
        while heard.count(b'READY=1') < 2 or heard.count(b'WATCHDOG=1') < 2:
            heard.append(ear.recv(64))
        self.assertEqual(heard.count(b'READY=1'), 2)
        for times in (1, 2):
            net.send_signal(signal.SIGKILL)
            net.wait()
            wait_for('install to notice', lambda: self.said('event=net.gone') == times, 20)
            before = self.lab.device(self.name)['last_report_s']
            wait_for('another second', lambda: int(time.time()) > before, 5)
            net = self.begin_service(self.command('sluice-agent-net.service'))
            wait_for('a link', lambda: self.said('event=net.up') == times + 1, 20)
            wait_for('a newer report', lambda: self.lab.device(self.name)['last_report_s'] > before,
                     30)
        self.assertEqual(self.said('event=install.started'), 1)
        self.assertIsNone(install.poll())
        self.begin('units', self.publish(), [f'name: all, cohort: {self.ring}, share: 100%'])
        wait_for('the command that reboots', lambda: self.said('event=reboot.commanded'), 60)
        self.assertEqual(self.said('event=slot.written'), 1)
        net.terminate()
        self.assertEqual(net.wait(20), 0)
        self.strangers()
        install.terminate()
        self.assertEqual(install.wait(20), 0)

    def test_systemd_would_let_them_do_what_they_do(self):
        traces = {}
        for unit, words in (
                ('sluice-agent-install.service',
                 ['systemd-socket-activate', '--seqpacket', '-l', self.socket]),
                ('sluice-agent-net.service', [])):
            traces[unit] = self.agent.dir / f'{unit}.trace'
            wrapper = self.begin_service([*words, 'strace', '-f', '-qq', '-o', traces[unit],
                                          *self.command(unit)])
            if words:
                wait_for('the socket', self.socket.exists, 20)
            self.addCleanup(self.end_children, wrapper)
        self.begin('traced', self.publish(), [f'name: all, cohort: {self.ring}, share: 100%'])
        wait_for('the command that reboots', lambda: self.said('event=reboot.commanded'), 90)
        for unit, trace in traces.items():
            used = set(re.findall(r'^\d+ +(\w+)\(', trace.read_text(), re.M))
            self.assertGreater(len(used), 40, 'something was traced')
            self.assertEqual(used - allowed_by(unit), set(), unit)
        self.assertIn('seccomp', re.findall(r' (\w+)\(', traces[
            'sluice-agent-install.service'].read_text()), 'the decoder was traced too')

    @staticmethod
    def end_children(wrapper):
        """strace ends when what it traces has ended."""
        children = pathlib.Path(f'/proc/{wrapper.pid}/task/{wrapper.pid}/children')
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        wrapper.wait(20)

    def strangers(self):
        """Who is neither root nor the user of net is sent away."""
        if os.geteuid() != 0:
            self.skipTest('SKIPPED: not root, so nobody else can be played')
        for folder in (self.dir, self.lab.dir, self.agent.dir.parent, self.agent.dir):
            folder.chmod(0o755)
        self.socket.chmod(0o666)
        subprocess.run(['setpriv', '--reuid', str(STRANGER), '--clear-groups', 'python3', '-c', (
            'import socket, sys\n'
            's = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n'
            's.connect(sys.argv[1]); s.settimeout(20)\n'
            'sys.exit(s.recv(1) != b"")'), self.socket], check=True)
        self.assertEqual(self.said(f'event=net.stranger uid={STRANGER}'), 1)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
            one.connect(str(self.socket))  # root may: it is heard, and speaks nonsense
            gone = self.said('event=net.gone')
            one.send(b'nonsense')
            wait_for('it to be sent away', lambda: self.said('event=net.gone') > gone, 20)


if __name__ == '__main__':
    unittest.main()
