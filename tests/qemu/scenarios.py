"""What happens to a gateway, whatever boots it: each scenario ends in a named state."""
import time

import disk as disks
from debian import Failed
from gateway import NAME, UPDATE_S, Gateway, LabError, wait_for

UP = r'guest: up version={} root=/dev/{}'
SLOTS = {'a': 'vda2', 'b': 'vda3'}
TRIES = 3  # boots that an image on trial gets
PROVE_S = 30  # an image has so long to prove itself

PANICS = '''#!/bin/sh
echo "guest: panics on purpose"
echo c >/proc/sysrq-trigger
'''
HANGS = '''#!/bin/sh
echo "guest: hangs on purpose"
while :; do :; done
'''

# name -> what is changed in the image: path -> (content, mode), or None to leave it out
BAD = {
    'panics': {'usr/sbin/init': (PANICS.encode(), 0o755)},
    'hangs': {'usr/sbin/init': (HANGS.encode(), 0o755)},
    'without a kernel': {'boot/vmlinuz': (b'no kernel\n' * 1000, 0o644)},
    'without a network': {'etc/sluice/network': None},
    'sick': {'etc/sluice/health': (b'bad\n', 0o644)},
}


def tried_line(slot):
    """What the console says when a kernel of a slot has come up."""
    return f'initrd: root=/dev/{SLOTS[slot]}$'


class Scenarios(Gateway):
    """Steps and ends that the tests of all boot loaders share. Each begins with a gateway that
    runs from slot a."""

    def setUp(self):
        super().setUp()
        self.power_on()

    def slot_up(self, release, slot, seconds=UPDATE_S, since=0):
        """Wait until a release has booted from a slot; gives seconds since power on."""
        pattern = UP.format(release['version'].replace('.', r'\.'), SLOTS[slot])
        return self.machine.wait_line(pattern, seconds, since)[0]

    def wait_device(self, what, probe, seconds=UPDATE_S):
        try:
            return wait_for(what, lambda: (lambda d: d if probe(d) else None)(
                self.lab.device(NAME)), seconds, 0.2)
        except LabError as e:
            raise Failed(f'{e}: {self.lab.device(NAME)}; the console is in '
                         f'{self.machine.console}:\n{self.machine.tail()}') from e

    def slot_holds(self, slot, release):
        """The slot's partition begins with the release's image, byte for byte."""
        image = release['path'].read_bytes()
        return self.machine.disk.read(disks.offset_of(f'slot-{slot}'), len(image)) == image

    # ---- ends ------------------------------------------------------------------------

    def good_update(self):
        """END: the new release is confirmed in slot b, and stays there."""
        release = self.publish()
        since, began = self.machine.mark(), time.monotonic()
        name = self.begin(release)
        up = self.slot_up(release, 'b', since=since) + self.machine.started - began
        device = self.wait_device('the new release to be confirmed', lambda d: d['confirmed']
                                  and d['running'] == release['image'])
        self.say(f'ordered, fetched, written and booted in {up:.1f} s, confirmed after '
                 f'{time.monotonic() - began:.1f} s')
        self.assertEqual(device['version'], release['version'])
        self.assertEqual(device['state'], 'confirmed')
        end = self.lab.wait_state(name, 'completed', 'halted', seconds=60)
        self.assertEqual(end['state'], 'completed', end)
        self.assertLess(end['bytes']['published'], 0.25 * end['bytes']['full'], end['bytes'])
        self.say(f'published {end["bytes"]["published"]} bytes, '
                 f'{end["bytes"]["saved_permille"] / 10:.1f} % less than the image')
        self.assertTrue(self.slot_holds('b', release), 'slot b is not the image')
        self.assertTrue(self.slot_holds('a', self.first), 'slot a was changed')
        return release

    def stays(self, release, slot):
        """What is confirmed is booted again after the plug was pulled."""
        self.machine.cut()
        self.machine.power_on()
        at = self.slot_up(release, slot)
        self.machine.wait_line('event=net.up', UPDATE_S)
        self.say(f'after a power cut: up in slot {slot} again in {at:.1f} s')

    def bad_update(self, kind, error, text='.'):
        """END: back in slot a by itself, the failure reported with its reason."""
        release = self.publish(changes=BAD[kind])
        since, began = self.machine.mark(), time.monotonic()
        name = self.begin(release, prove=f'{PROVE_S}s')
        self.machine.wait_line(self.boot.tried, UPDATE_S, since)
        tried = time.monotonic()
        since = self.machine.mark()
        self.slot_up(self.first, 'a', since=since)
        back = time.monotonic()
        device = self.wait_device('the failure to be reported', lambda d: d['error'] != 0
                                  and d['running'] == self.first['image'])
        self.say(f'tried {tried - began:.1f} s after the order, back in slot a '
                 f'{back - tried:.1f} s later: {device["error_name"]}, '
                 f'{device["error_text"]!r}')
        self.assertEqual(device['state'], 'failed', device)
        self.assertEqual(device['error_name'], error, device)
        self.assertRegex(device['error_text'], text)
        self.assertTrue(self.slot_holds('a', self.first), 'slot a was changed')
        end = self.lab.wait_state(name, 'halted', 'completed', seconds=60)
        self.assertEqual(end['state'], 'halted', end)
        self.lab.cli('abort', name)  # somebody has looked at it; the next may come
        return release


class GoodRelease:
    """A mixin for Scenarios: the release that stays."""

    def test_a_good_release_is_confirmed_in_slot_b(self):
        self.stays(self.good_update(), 'b')


class SickReleases:
    """A mixin for Scenarios: releases that whatever boots them gives up, with nobody's help."""

    def test_one_that_panics_is_tried_three_times(self):
        self.bad_update('panics', 'FELLBACK', 'boot loader went back')
        self.assertEqual(self.machine.count('guest: panics on purpose'), TRIES)
        self.assertEqual(self.machine.count('Kernel panic'), TRIES)

    def test_one_that_hangs_is_ended_by_the_watchdog(self):
        self.bad_update('hangs', 'FELLBACK', 'boot loader went back')
        self.assertEqual(self.machine.count('guest: hangs on purpose'), TRIES)

    def test_one_without_a_network_gives_up_at_its_deadline(self):
        self.bad_update('without a network', 'HEALTH',
                        'no word from the orchestrator within its time')
        self.assertEqual(self.machine.count(self.boot.tried), 1)

    def test_one_whose_hook_says_no_goes_back_at_once(self):
        self.bad_update('sick', 'HEALTH', 'health')
        self.assertEqual(self.machine.count(self.boot.tried), 1)

    def test_after_a_bad_release_a_good_one_is_taken(self):
        self.bad_update('sick', 'HEALTH')
        self.good_update()
