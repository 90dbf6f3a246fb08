#!/usr/bin/env python3
"""The agent as the units of deploy/systemd start it, below a real systemd: in the walls that they
put around it, it takes releases, and systemd watches both its processes."""
import hashlib
import random
import re
import unittest

from gateway import BOOT_S, NAME, UPDATE_S, wait_for
from scenarios import GoodRelease, Scenarios
from systemd_system import DROP_IN, SystemdSystem

INSTALL, NET = 'sluice-agent-install.service', 'sluice-agent-net.service'
BITS = {'kill': 5, 'setgid': 6, 'setuid': 7}  # linux/capability.h
STATE = '/var/lib/sluice-agent'
HANG_S = 240  # until the watchdog has bitten, and what hangs was killed for it


class Systemd(Scenarios):
    """What both kinds of slot share."""

    make_system = SystemdSystem
    places = {'place': '/var/sluice', 'state': STATE, 'spool': '/var/spool/sluice-agent',
              'reboot': 'systemctl, reboot'}

    def setUp(self):
        super().setUp()
        self.shell()

    def shell(self):
        """Wait until questions can be asked in this boot."""
        up = max(i for i, (_, text) in enumerate(self.machine.lines) if 'guest: up' in text)
        self.machine.wait_line('guest: shell', BOOT_S, up)

    def property(self, unit, name):
        return self.machine.ask(f'systemctl show -P {name} {unit}').strip()

    def facts(self, unit):
        """What the kernel says of the process of a service: key -> value."""
        text = self.machine.ask(f'cat /proc/{self.property(unit, "MainPID")}/status')
        return dict(re.findall(r'^(\w+):\s+(.*)$', text, re.M))

    def both_are_active(self):
        """END: systemd is content with both halves and with their socket, and was so when it
        stopped them for a reboot."""
        self.shell()
        text = self.machine.ask(f'systemctl status --no-pager sluice-agent.socket {INSTALL} {NET}')
        self.assertEqual(text.count('Active: active (running)'), 3, text)
        for unit in (INSTALL, NET):
            self.assertEqual(self.property(unit, 'NRestarts'), '0', text)
        self.assertEqual(self.machine.count(r'sluice-agent.*: Failed with result'), 0)


class UnderSystemd(GoodRelease, Systemd):
    """Slots of type block under U-Boot, with the drop-in of deploy/boot/README.md."""

    def stays(self, release, slot):
        self.both_are_active()
        super().stays(release, slot)
        self.both_are_active()

    def test_one_whose_hook_says_no_goes_back_at_once(self):
        self.bad_update('sick', 'HEALTH', 'hook health exited with 1')
        self.both_are_active()

    def test_the_walls_stand(self):
        for unit, rights, user in ((INSTALL, ('kill', 'setgid', 'setuid'), '0'), (NET, (), None)):
            facts = self.facts(unit)
            self.assertEqual(int(facts['CapBnd'], 16), sum(1 << BITS[r] for r in rights), unit)
            self.assertEqual((facts['NoNewPrivs'], facts['Seccomp']), ('1', '2'), unit)
            self.assertEqual(facts['Uid'].split()[0] == '0', user == '0', unit)
        install, net = (self.property(unit, 'MainPID') for unit in (INSTALL, NET))
        self.assertNotIn('eth0', self.machine.ask(f'cat /proc/{install}/net/dev'))
        self.assertIn('eth0', self.machine.ask(f'cat /proc/{net}/net/dev'))
        self.assertRegex(self.machine.ask(f'ls -ld /proc/{net}/root{STATE}'), '^d---------')
        mounts = self.machine.ask(f'cat /proc/{install}/mountinfo')
        self.assertRegex(mounts, rf'(?m) {STATE} rw,')
        self.assertRegex(mounts, r'(?m) /var ro,')

    def test_one_that_hangs_is_killed_and_started_again(self):
        for number, (unit, back) in enumerate((
                (NET, 'event=net.up'), (INSTALL, r'event=install.started .* state=idle'))):
            beat = self.property(unit, 'WatchdogTimestampMonotonic')
            wait_for(f'the heart of {unit}', lambda: self.property(
                unit, 'WatchdogTimestampMonotonic') != beat, HANG_S, 1)
            pid, other = (self.property(u, 'MainPID') for u in (unit, INSTALL))
            since = self.machine.mark()
            self.machine.ask(f'kill -STOP {pid}')
            self.machine.wait_line(f'{unit}: Watchdog timeout', HANG_S, since)
            self.machine.wait_line(back, HANG_S, since)
            self.assertNotEqual(self.property(unit, 'MainPID'), pid)
            self.assertEqual(self.property(INSTALL, 'MainPID') == other, unit == NET)
            self.assertEqual(self.property(unit, 'NRestarts'), '1')
            self.say(f'{unit} was started again')
        self.good_update()


class UnderSystemdAlone(Systemd):
    """Slots of type file, and the units as they are, without a drop-in."""

    def make_image(self, version, newer, changes):
        path = self.dir / f'application-{version}.img'
        noise = bytearray(random.Random(1).randbytes(4 << 20))
        noise[1 << 20:(1 << 20) + 50000] = random.Random(version).randbytes(50000)
        path.write_bytes(noise)
        return path

    def boots_from(self, release):
        return self.system.image('1.0', changes={DROP_IN: None})

    def fill(self, folder, release):
        (folder / 'application.img').write_bytes(release['path'].read_bytes())

    def slots(self, version, counter):
        return (f'slot:\n  type: file\n  dir: {STATE}/slots\n'
                f'  initial: {self.places["place"]}/application.img\n'
                f'  initial_version: {version}\n  initial_counter: {counter}\n')

    def test_a_good_release_of_an_application_is_confirmed(self):
        self.assertEqual(self.property(INSTALL, 'DropInPaths'), '')
        release, since = self.publish(), self.machine.mark()
        name = self.begin(release)
        self.machine.wait_line('guest: up', UPDATE_S, since)
        self.wait_device('the new release to be confirmed', lambda d: d['confirmed']
                         and d['running'] == release['image'])
        end = self.lab.wait_state(name, 'completed', 'halted', seconds=60)
        self.assertEqual(end['state'], 'completed', end)
        self.assertLess(end['bytes']['published'], 0.25 * end['bytes']['full'], end['bytes'])
        self.shell()
        self.assertEqual(self.machine.ask(f'busybox sha256sum <{STATE}/slots/current').split()[0],
                         hashlib.sha256(release['path'].read_bytes()).hexdigest())
        self.both_are_active()
        self.say(f'{NAME} runs {release["version"]}')


if __name__ == '__main__':
    unittest.main()
