#!/usr/bin/env python3
"""The power goes after any system call, and of what was not synced only a part has reached the
disk: nothing, everything, names without bytes, bytes without names, any pages, any sectors.
What is left is made a disk again, and the device started on it."""
import random
import unittest

import cuts
import laws
import points
from loaders import BACKENDS, SAMPLED

SEEDS_BY_NIGHT, SEEDS_OF_LOADER = 8, 2  # a command takes its time
PER_CALL = 2  # cuts by day after each call of the first story ...
SAMPLE = 30   # ... of each other one altogether ...
SAMPLE_OF_LOADER = 15  # ... and of each of a boot loader of which little is tried


def sample(found, backend, name, dice):
    """What is tried by day: of each moment a few ways to lose something."""
    if backend in SAMPLED:
        return dice.sample(found, SAMPLE_OF_LOADER)
    if name != 'first':
        return dice.sample(found, min(SAMPLE, len(found)))
    by_call = {}
    for cut in found:
        by_call.setdefault(cut.call, []).append(cut)
    return [c for group in by_call.values() for c in dice.sample(group, min(PER_CALL, len(group)))]


class PowerCuts(unittest.TestCase):
    campaigns = {}

    @classmethod
    def tearDownClass(cls):
        for campaign in cls.campaigns.values():
            campaign.close()

    def check_story(self, backend, name):
        campaign = points.campaign_of(self, backend)
        recorded = cuts.recording(campaign.lab, backend, name)
        seeds = SEEDS_OF_LOADER if backend in SAMPLED else SEEDS_BY_NIGHT
        found = recorded.cuts(backend, name, range(seeds if points.nightly() else 1))
        todo = found if points.nightly() else sample(found, backend, name, random.Random(1))
        print(f'{backend} {name}: {len(recorded.calls)} calls, {len(found)} cuts, '
              f'{len(todo)} of them now')
        wrong = campaign.run(f'{backend} {name}', cuts.try_cut, todo)
        self.assertEqual(wrong, [])


for b in BACKENDS:
    for s in points.stories(b):
        setattr(PowerCuts, f'test_{b}_{s}', lambda self, b=b, s=s: self.check_story(b, s))

if __name__ == '__main__':
    unittest.main()
