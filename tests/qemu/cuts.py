"""Power cuts at instants that are spread over a whole update, on a disk that loses what was not
flushed: the old or the new image boots, whole, and the update gets there.

How far an update is, is counted half in time and half in writes to the disk: a kernel that boots
takes long and changes nothing. One update is measured first; then the N cuts are drawn, one in each
N-th of an update, and each is placed in the leg of the way that it falls into: so much of the leg's
time or writes after the leg began, or when the leg ends, if that is earlier.

SLUICE_CUTS   how many cuts, in place of what the test program says
SLUICE_SEED   of the dice; printed, so that a run can be had again (but for the clock)"""
import collections
import os
import random
import re
import threading
import time

from debian import Failed
from gateway import NAME, UPDATE_S
from nbd import CachedDisk
from scenarios import SLOTS, TRIES, tried_line

NIGHT = bool(os.environ.get('SLUICE_NIGHTLY'))
SEED = int(os.environ.get('SLUICE_SEED', str(random.SystemRandom().randrange(1 << 32))))
NOISE_BYTES = 512 << 10  # new in each image, so that a patch has chunks to be fetched ...
NOISE_STEP_BYTES, NOISE_STEPS = 64 << 10, 8  # ... and all behind it is elsewhere, to be written
FEW_WRITES = 4  # of a leg with fewer, no write is torn


def state(name):
    """What the console says when the agent enters a state, or starts in one."""
    return rf'event=(update\.state|install\.started) .*?\bstate={name}\b'


# The legs of an update, and the line with which each begins; systemd-boot says nothing, and the
# kernel's first line is that of the initrd. Which cuts one update has room for depends on the
# group: a boot on trial is one of three.
LEGS = (('offered', state('offered')), ('fetching', state('fetching')),
        ('installing', state('installing')), ('armed', state('armed')),
        ('rebooting', state('rebooting')), ('kernel', r'sluice: slot \w, left|initrd: root='),
        ('start', 'guest: up version='), ('proving', state('proving')))
DONE = len(LEGS)
INSTALLING, REBOOTING, START = 2, 4, 6
GROUPS = (range(0, REBOOTING), range(REBOOTING, START), range(START, DONE))
EARLY_IN_ONE = 4  # cuts before the reboot that one update gets

Leg = collections.namedtuple('Leg', 'seconds writes share')
Cut = collections.namedtuple('Cut', 'progress leg part torn')


def leg_of(text):
    """The leg that a line begins; DONE at the end of the last, None for any other line."""
    if re.search(r'event=update\.state state=confirmed', text):
        return DONE
    return next((i for i, (_, begins) in enumerate(LEGS) if re.search(begins, text)), None)


def measured(marks):
    """Legs from (seconds, writes) at the beginning of each and at the end."""
    spans = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(marks, marks[1:])]
    seconds, writes = (sum(span[i] for span in spans) for i in (0, 1))
    return [Leg(s, w, (s / seconds + w / writes) / 2) for s, w in spans]


def drawn(count, legs, dice):
    """One cut in each count-th of an update, shuffled."""
    cuts = []
    for number in range(count):
        progress = rest = (number + dice.random()) / count
        leg = 0
        while rest >= legs[leg].share and leg < DONE - 1:
            rest -= legs[leg].share
            leg += 1
        torn = legs[leg].writes >= FEW_WRITES and dice.random() < 0.5
        cuts.append(Cut(progress, leg, min(1.0, rest / legs[leg].share), torn))
    dice.shuffle(cuts)
    return cuts


def for_one_update(todo):
    """Which of the cuts to do the next update gets, in the order it passes them."""
    early, middle, late = ([c for c in todo if c.leg in group] for group in GROUPS)
    updates = max(len(middle), len(late), -(-len(early) // EARLY_IN_ONE))
    return sorted([*early[:-(-len(early) // updates)], *middle[:1], *late[:1]])


class PowerCuts:
    """A mixin for Scenarios."""

    cuts = 8
    agent_more = 'limits: {rate: 192K}\n'
    fleet_more = 'quarantine: {boots: 0}\n'  # it boots more often than a sound device

    def open_disk(self, path):
        return CachedDisk(path, SEED)

    def setUp(self):
        super().setUp()
        self.held = {'a': self.first, 'b': None}
        self.current, self.since = 'a', 0
        self.at_stake = self.lost = 0

    def other(self):
        return 'b' if self.current == 'a' else 'a'

    # ---- one cut -----------------------------------------------------------------------

    def leg(self):
        """The leg that began last, -1 before the first."""
        legs = (leg_of(text) for _, text in self.machine.lines[self.since:])
        return next((leg for leg in reversed(list(legs)) if leg is not None), -1)

    def reach(self, leg):
        """Wait for a leg; gives the one that it is then, which may be a later one."""
        deadline = time.monotonic() + UPDATE_S
        while self.leg() < leg:
            if time.monotonic() > deadline:
                raise Failed(f'waited in vain for {LEGS[leg][0]}; the console is in '
                             f'{self.machine.console}\n{self.machine.tail()}')
            time.sleep(0.01)
        return self.leg()

    def pull_at(self, cut, before):
        """The power goes at that instant, or when the leg ends. before: how much of the leg was
        done already when it was cut last. Gives the leg that it was then, and what was chosen;
        nothing if the update is done."""
        disk, kill, gone = self.machine.disk, self.machine.child.kill, threading.Event()
        leg, part = self.legs[cut.leg], max(0.0, cut.part - before)
        if self.reach(cut.leg) == DONE:
            return None

        def pull():
            kill()
            gone.set()
        began, what = time.monotonic(), f'{part * leg.seconds:.2f} s'
        seconds = part * leg.seconds
        if cut.torn:
            write = max(1, round(part * leg.writes))
            seconds, what = UPDATE_S, f'write {write}'
            disk.arm(disk.writes + write, pull)
        while not gone.wait(0.005):
            now = self.leg()
            if now == DONE:
                disk.arm(None, None)
                return None
            if now > cut.leg or time.monotonic() > began + seconds:
                disk.arm(None, None)
                pull()
        return what

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
            self.since = 0
        else:
            self.assertEqual(found[1], proved['version'])
            self.since = self.machine.mark()  # a later kernel is on trial
        return f'slot {slot} after {at:.1f} s'

    def cut_power(self, cut, before, release, name):
        """One cut and its end; gives the leg it fell into, or None if it came too late."""
        what = self.pull_at(cut, before)
        if what is None:
            return None
        stake, lost = self.machine.cut()
        leg, tried = self.leg(), self.machine.count(tried_line(self.other()))
        self.tries += tried or leg in (REBOOTING, REBOOTING + 1)  # it may have been counted
        if leg == DONE:  # it was done while the plug was pulled
            self.come_back(release)
            return None
        self.assertIn(leg, range(DONE), 'no update was under way')
        self.assertFalse(self.confirmed(release), 'the update was done')
        self.assertNotIn(self.lab.rollout(name)['state'], ('completed', 'halted'))
        self.at_stake, self.lost = self.at_stake + stake, self.lost + lost
        where = self.come_back(release)
        self.say(f'cut at {cut.progress:.3f} of an update, in {LEGS[leg][0]} ({what}), {lost} '
                 f'of {stake} sectors lost: {where}')
        return leg

    # ---- one update --------------------------------------------------------------------

    def confirmed(self, release):
        device = self.lab.device(NAME)
        return device['confirmed'] and device['running'] == release['image']

    def order(self):
        length = NOISE_BYTES + self.releases % NOISE_STEPS * NOISE_STEP_BYTES
        noise = random.Random(f'{SEED}/{self.releases}').randbytes(length)
        release = self.publish(changes={'boot/0-noise': (noise, 0o644)})
        self.since, self.tries = self.machine.mark(), 0
        return release, self.begin(release)

    def get_there(self, release, name):
        """END: the new release is confirmed in the other slot."""
        self.wait_device('the update to get there', lambda d: d['confirmed']
                         and d['running'] == release['image'])
        end = self.lab.wait_state(name, 'completed', 'halted', seconds=60)
        self.assertEqual(end['state'], 'completed', end)
        self.current = self.other()
        if self.held[self.current] not in (None, self.first):
            self.held[self.current]['path'].unlink()
        self.held[self.current] = release

    def measure(self):
        """An update without a cut; gives its legs."""
        release, name = self.order()
        marks = []
        for leg in range(DONE + 1):
            while len(marks) <= leg <= self.reach(leg):
                marks.append((time.monotonic(), self.machine.disk.writes))
        self.get_there(release, name)
        return measured(marks)

    def update(self, cuts):
        """One release to the end, with these cuts; gives those that were done, and where."""
        release, name = self.order()
        done, last = {}, None
        for cut in cuts:
            if self.tries + self.machine.count(tried_line(self.other())) >= TRIES:
                break
            again = last is not None and last.leg == cut.leg == INSTALLING  # goes on behind it
            leg = self.cut_power(cut, last.part if again else 0.0, release, name)
            if leg is not None:
                done[cut] = leg
            last = cut
        self.get_there(release, name)
        return done

    def test_every_cut_leaves_the_old_or_the_new_image_and_the_update_gets_there(self):
        count = int(os.environ.get('SLUICE_CUTS', self.cuts))
        self.say(f'SLUICE_SEED={SEED} SLUICE_CUTS={count}')
        self.legs = self.measure()
        self.say('an update: ' + ', '.join(f'{name} {leg.seconds:.1f} s {leg.writes} writes'
                                           for (name, _), leg in zip(LEGS, self.legs)))
        todo, legs = drawn(count, self.legs, random.Random(SEED)), collections.Counter()
        began, updates = time.monotonic(), 0
        while todo:
            done = self.update(for_one_update(todo))
            todo = [cut for cut in todo if cut not in done]
            legs.update(LEGS[leg][0] for leg in done.values())
            updates += 1
            self.assertLess(updates, 2 * count + 3, f'cuts that come too late: {todo}')
        self.say(f'{count} cuts in {updates} updates and {time.monotonic() - began:.0f} s: '
                 f'{dict(legs)}; {self.lost} of {self.at_stake} sectors lost')
        self.assertEqual(sum(legs.values()), count)
        if count >= 20:
            self.assertGreater(self.lost, 0, 'the disk lost nothing')
            self.assertGreater(len(legs), 5, 'the cuts fell in few places')
