#!/usr/bin/env python3
"""What each process of an agent started by root may do, and a device that reboots by a
command. Needs root: it changes users and mounts a file over the kernel's boot id."""
import os
import pathlib
import pwd
import shutil
import subprocess
import unittest
import uuid

from common import FleetTest, wait_for
from lab import free_port

USER = 'nobody'
INET = ('tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6')

# Says with what words it was called, as whom, and whether it could reach a network.
REBOOT = '''#!/bin/sh
here=$(dirname "$0")
python3 -c 'import socket; socket.socket()' 2>"$here/reboot.socket"
echo "$(id -u) $*" >>"$here/reboots"
[ ! -e "$here/reboot-fails" ]
'''

# As that user: what of these paths can be written to, renamed or read?
TRESPASS = '''
import os, sys
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
for path in sys.argv[2:]:
    def may(what, do):
        try:
            do()
            print(what, path)
        except OSError:
            pass
    may('write', lambda: os.close(os.open(path, os.O_WRONLY)))
    may('rename', lambda: os.rename(path, path + '.gone'))
    if os.path.isdir(path):
        may('create', lambda: open(os.path.join(path, 'new'), 'x'))
    if '/slots/' not in path + '/':
        may('read', lambda: os.close(os.open(path, os.O_RDONLY)))
'''


def status_of(pid):
    lines = pathlib.Path(f'/proc/{pid}/status').read_text().splitlines()
    return {k: v.split() for k, v in (line.split(':', 1) for line in lines)}


def links_of(pid):
    return [os.readlink(fd) for fd in pathlib.Path(f'/proc/{pid}/fd').iterdir()]


def inet_sockets(pid):
    """The sockets of the network that a process holds."""
    found = set()
    for table in INET:
        for line in pathlib.Path(f'/proc/{pid}/net/{table}').read_text().splitlines()[1:]:
            found.add(f'socket:[{line.split()[9]}]')
    return [link for link in links_of(pid) if link in found]


@unittest.skipIf(os.geteuid() != 0, 'SKIPPED: not root, so no process can change its user')
class Privileges(FleetTest):
    fleet_yaml = ('fleet: demo\ncohorts:\n  - {name: one, labels: {ring: one}}\n'
                  '  - {name: two, labels: {ring: two}}\n  - {name: fleet}\n')

    @classmethod
    def prepare(cls):
        for folder in (cls.dir, cls.lab.dir):
            folder.chmod(0o755)

    @classmethod
    def add_as(cls, name, more, **words):
        """A gateway whose network process becomes another user, not yet started."""
        agent = cls.add(name, start=False, more=more, **words)
        for folder in (agent.dir, agent.dir.parent):
            folder.chmod(0o755)
        for file in ('ca.pem', f'{name}.pem', f'{name}.key'):
            shutil.chown(agent.dir / file, USER)
        return agent

    def start(self, agent):
        agent.start()
        wait_for(f'{agent.name} to report',
                 lambda: self.lab.device(agent.name)['last_report_s'], 30)

    def test_net_is_a_user_without_the_slots_and_install_has_no_network(self):
        agent = self.add_as('gw-1', f'user: {USER}\n', ring='one')
        self.start(agent)
        release = self.publish()
        self.begin('small', release, ['name: all, cohort: one, share: 100%'])
        self.assertEqual(self.lab.wait_state('small', 'completed', 'halted')['state'],
                         'completed')
        self.assert_runs('gw-1', release)
        net, install = agent.role_pid('net'), agent.role_pid('install')
        user = pwd.getpwnam(USER)
        said = status_of(net)
        self.assertEqual(said['Uid'], [str(user.pw_uid)] * 4)
        self.assertEqual(said['Gid'], [str(user.pw_gid)] * 4)
        self.assertEqual(said['CapEff'] + said['CapPrm'], ['0' * 16] * 2)
        self.assertEqual(said['NoNewPrivs'], ['1'])
        self.assertNotIn('0', said['Groups'])
        self.assertTrue(inet_sockets(net), 'the look at sockets sees those there are')
        held = [link for link in links_of(net) if '/slots/' in link or '/state/' in link]
        self.assertEqual(held, [])
        said = status_of(install)
        self.assertEqual(said['Uid'], ['0'] * 4)
        self.assertEqual((said['Seccomp'], said['NoNewPrivs']), (['2'], ['1']))
        self.assertEqual(inet_sockets(install), [])
        self.assertEqual((agent.dir / 'spool').stat().st_uid, user.pw_uid)
        self.trespass(agent, user.pw_uid)

    def trespass(self, agent, uid):
        """The user of net can change nothing of the slots, nor read what is secret."""
        paths = [agent.dir / 'device.key', agent.dir / 'agent.yaml']
        for folder in ('slots', 'state'):
            inside = sorted((agent.dir / folder).rglob('*'))
            self.assertGreater(len(inside), 1, folder)
            paths += [agent.dir / folder, *inside]
        paths = [path for path in paths if not path.is_symlink()]
        done = subprocess.run(['python3', '-c', TRESPASS, str(uid), *map(str, paths)],
                              capture_output=True, text=True, check=True)
        could = [line for line in done.stdout.splitlines()
                 if line != f'read {agent.dir}/agent.yaml']
        self.assertEqual(could, [])

    def test_a_reboot_command_reboots_the_device(self):
        agent = self.add_as('gw-2', f'user: {USER}\n', ring='two')
        boot = agent.dir / 'boot_id'
        boot.write_text(f'{uuid.uuid4()}\n')
        script = agent.dir / 'reboot'
        script.write_text(REBOOT)
        script.chmod(0o755)
        config = agent.dir / 'agent.yaml'
        config.write_text(config.read_text().replace(
            'reboot: self', f'reboot: [{script}, --now, "two words"]'))
        self.assertIn('two words', config.read_text())
        kernels = '/proc/sys/kernel/random/boot_id'
        agent.words = ['unshare', '--mount', '--propagation=private', 'sh', '-c',
                       f'mount --bind {boot} {kernels} && exec "$@"', 'sh', *agent.words]
        (agent.dir / 'reboot-fails').touch()
        self.start(agent)
        release = self.publish()
        self.begin('boots', release, ['name: all, cohort: two, share: 100%'])
        reboots = agent.dir / 'reboots'
        # A command that fails is tried again by the next process.
        wait_for('a second try', lambda: reboots.exists() and
                 len(reboots.read_text().splitlines()) > 1, 60)
        (agent.dir / 'reboot-fails').unlink()
        failed = len(reboots.read_text().splitlines())
        wait_for('a try that works', lambda: len(reboots.read_text().splitlines()) > failed, 60)
        self.assertEqual(set(reboots.read_text().splitlines()), {'0 --now two words'})
        self.assertIn('PermissionError', (agent.dir / 'reboot.socket').read_text())
        self.assertIn('event=reboot.commanded status=1', agent.log.read_text())
        # The device goes down, and comes back with another boot of the kernel.
        agent.kill()
        boot.write_text(f'{uuid.uuid4()}\n')
        agent.start()
        self.assertEqual(self.lab.wait_state('boots', 'completed', 'halted')['state'],
                         'completed')
        self.assert_runs('gw-2', release)
        self.assertTrue(self.lab.device('gw-2')['confirmed'])

    def broker(self, password):
        """A Mosquitto that wants a password, as a process that ends with the test."""
        port, place = free_port(), self.dir / 'plain'
        place.mkdir(exist_ok=True)
        passwords, config = place / 'passwords', place / 'mosquitto.conf'
        subprocess.run(['mosquitto_passwd', '-c', '-b', passwords, 'gw-3', password],
                       check=True)
        passwords.chmod(0o644)
        place.chmod(0o755)
        config.write_text(f'listener {port} 127.0.0.1\nallow_anonymous false\n'
                          f'password_file {passwords}\n')
        path = shutil.which('mosquitto', path='/usr/sbin:/usr/bin')
        child = subprocess.Popen([path, '-c', config], stderr=subprocess.DEVNULL)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return port

    def test_a_password_is_read_before_the_user_changes(self):
        agent = self.add_as('gw-3', f'user: {USER}\n')
        port = self.broker('open sesame')
        config = agent.dir / 'agent.yaml'
        lines = config.read_text().splitlines()
        first = lines.index('broker:')
        last = next(i for i in range(first + 1, len(lines)) if not lines[i].startswith(' '))
        lines[first + 1:last] = [f'  url: tcp://127.0.0.1:{port}', '  user: gw-3',
                                 '  password_file: password']
        config.write_text('\n'.join(lines) + '\n')
        secret = agent.dir / 'password'
        secret.write_text('wrong\n')
        secret.chmod(0o600)
        self.assertEqual(secret.stat().st_uid, 0)
        agent.start()
        wait_for('a refusal', lambda: 'event=net.down' in agent.log.read_text(), 30)
        self.assertNotIn('event=net.up', agent.log.read_text())
        agent.stop()
        secret.write_text('open sesame\n')
        agent.start()
        wait_for('the link', lambda: 'event=net.up' in agent.log.read_text(), 30)
        self.assertEqual(status_of(agent.role_pid('net'))['Uid'][0],
                         str(pwd.getpwnam(USER).pw_uid))
        self.assertNotIn('sesame', agent.log.read_text())
        agent.stop()


if __name__ == '__main__':
    unittest.main()
