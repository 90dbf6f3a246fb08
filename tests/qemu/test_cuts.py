#!/usr/bin/env python3
"""Power cuts at random instants of updates, on a disk that loses what was not flushed: the old or
the new image boots, whole, and the update gets there.

SLUICE_CUTS   how many cuts (50)
SLUICE_SEED   of the dice; printed, so that a run can be had again (but for the clock)"""
import collections
import os
import random
import re
import threading
import time
import unittest

from gateway import NAME
from nbd import CachedDisk
from scenarios import SLOTS, TRIES, Scenarios, tried_line

CUTS = int(os.environ.get('SLUICE_CUTS', '50'))
SEED = int(os.environ.get('SLUICE_SEED', str(random.SystemRandom().randrange(1 << 32))))
CUT_S = 30  # from power on or the order to a cut, at most, if nothing was measured
WRITES = 300


class Cuts(Scenarios):
    def open_disk(self, path):
        return CachedDisk(path, SEED)

    def setUp(self):
        super().setUp()
        self.dice = random.Random(SEED)
        self.say(f'SLUICE_SEED={SEED} SLUICE_CUTS={CUTS}')
        self.held = {'a': self.first, 'b': None}
        self.current = 'a'
        self.phases, self.lost = collections.Counter(), 0

    def other(self):
        return 'b' if self.current == 'a' else 'a'

    # ---- one cut -----------------------------------------------------------------------

    def place_cut(self):
        """An instant to come: seconds from now, or a write to be torn. Gives an event that is
        set when the power is gone, what was chosen, and how to call it off."""
        gone, kill = threading.Event(), self.machine.child.kill

        def pull():
            kill()
            gone.set()
        if self.dice.random() < 0.5:
            seconds = self.dice.uniform(0.2, self.seconds)
            timer = threading.Timer(seconds, pull)
            timer.daemon = True
            timer.start()
            return gone, f'{seconds:.2f} s', timer.cancel
        disk = self.machine.disk
        write = disk.writes + self.dice.randrange(1, self.writes)
        disk.arm(write, pull)
        return gone, f'write {write}', lambda: disk.arm(None, None)

    def confirmed(self, release):
        device = self.lab.device(NAME)
        return device['confirmed'] and device['running'] == release['image']

    def run_to_cut(self, release):
        """Let it run until the power is cut; what cut it, or None if the update was done."""
        gone, what, cancel = self.place_cut()
        while not gone.wait(0.2):
            if self.confirmed(release):
                cancel()
                return None
        return what

    def phase(self):
        """What the machine did when it was heard last, in a word."""
        for _, text in reversed(self.machine.lines):
            if state := re.search(r'event=update.state state=(\S+)', text):
                return state[1]
            if 'guest: down' in text or 'Starting kernel' in text or 'power on' in text:
                return 'boot'
            if 'event=net.up' in text or 'guest: up' in text:
                return 'start'
        return 'boot'

    def come_back(self, release):
        """After a cut: the slot that was proved is as it was, and what boots is whole."""
        proved = self.held[self.current]
        self.assertTrue(self.slot_holds(self.current, proved), 'the proved slot was changed')
        self.machine.power_on()
        at, found = self.machine.wait_line(r'guest: up version=(\S+) root=/dev/(\w+)', 120)
        slot = next(s for s, device in SLOTS.items() if device == found[2])
        if slot != self.current:
            self.assertEqual(found[1], release['version'])
            self.assertTrue(self.slot_holds(slot, release), 'it booted half an image')
        else:
            self.assertEqual(found[1], proved['version'])
        return slot, at

    # ---- one update --------------------------------------------------------------------

    def update(self, cuts):
        """One release to the end, with up to so many cuts; gives how many there were."""
        release = self.publish()
        name = self.begin(release)
        done, on_trial = 0, 0
        while done < cuts and on_trial < TRIES - 1:
            what = self.run_to_cut(release)
            if what is None:
                break
            armed = self.machine.count(tried_line(self.other()))
            phase = self.phase()
            stake, lost = self.machine.cut()
            self.lost += lost
            slot, at = self.come_back(release)
            done += 1
            self.phases[phase] += 1
            on_trial += armed + (slot != self.current) if on_trial == 0 else 1
            self.say(f'cut at {what} in {phase}, {lost} of {stake} sectors lost: slot '
                     f'{slot} after {at:.1f} s')
        self.wait_device('the update to get there', lambda d: d['confirmed']
                         and d['running'] == release['image'])
        end = self.lab.wait_state(name, 'completed', 'halted', seconds=60)
        self.assertEqual(end['state'], 'completed', end)
        self.current = self.other()
        if self.held[self.current] not in (None, self.first):
            self.held[self.current]['path'].unlink()
        self.held[self.current] = release
        return done

    def test_every_cut_leaves_the_old_or_the_new_image_and_the_update_gets_there(self):
        self.seconds, self.writes = CUT_S, WRITES
        began, writes = time.monotonic(), self.machine.disk.writes
        self.update(0)
        self.seconds = time.monotonic() - began
        self.writes = self.machine.disk.writes - writes
        self.say(f'an update takes {self.seconds:.1f} s and {self.writes} writes')
        done = 0
        while done < CUTS:
            done += self.update(CUTS - done)
        self.say(f'{done} cuts in {time.monotonic() - began:.0f} s: {dict(self.phases)}')
        if CUTS >= 20:
            self.assertGreater(self.lost, 0, 'the disk lost nothing')
        self.assertGreater(len(self.phases), min(2, CUTS // 5), 'the cuts fell in one place')


if __name__ == '__main__':
    unittest.main()
