#!/usr/bin/env python3
"""The power goes below a real ext4: after each write, each flush and each report, with what
was not flushed lost, written, or written in part. ext4 goes through its journal, the device
is started on what it makes of it, and the laws are those of the other programs."""
import pathlib
import random
import sys
import unittest
import zlib

import blocks
import laws
import points
from test_seeded_bugs import bugs

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import suites  # noqa: E402

BACKENDS = ('file', 'directory', 'block')  # GRUB writes its blocks below the file system
SEEDS_BY_NIGHT = 3
BY_DAY = {'file': 16, 'directory': 8}  # cuts of the first story
BUGS_BY_DAY = ('slot_unsynced', 'record_unsynced')
# ext4 syncs the name of a new file with its bytes; and a file has no tree.
BUGS_OF_OTHERS = ('folder_unsynced', 'tree_unsynced')
CUTS_OF_A_BUG = 150


class Ext4(unittest.TestCase):
    """Its tests are made below."""

    campaigns = {}

    @classmethod
    def setUpClass(cls):
        if not suites.is_root():
            raise unittest.SkipTest('SKIPPED: not root of this machine, so nothing can be '
                                    'mounted')
        blocks.own_mounts()

    @classmethod
    def tearDownClass(cls):
        for campaign in cls.campaigns.values():
            campaign.close()

    def check(self, campaign, backend, name, *, seeds=1, most=None, bug=''):
        """What is wrong after the cuts of a story. bug: one is enough."""
        kept = campaign.build / f'tests/crash/ext4-{backend}-{bug or name}'
        recorded = blocks.recording(campaign.lab, backend, name)
        found = recorded.cuts(kept, backend, name, range(seeds))
        print(f'{backend} {name}: {len(recorded.entries)} writes and flushes, '
              f'{recorded.flushes()} of them flushes; {len(found)} cuts')
        self.assert_it_is_worth_something(recorded, found)
        if most:
            found = random.Random(1).sample(found, min(most, len(found)))
        campaign.more = f' --agent {campaign.agent}' if bug else ''
        wrong = campaign.run(bug or f'{backend} {name}', blocks.try_cut, found,
                             enough=1 if bug else None)
        if wrong:
            blocks.keep(kept, campaign.lab, backend, name)
        return wrong

    def assert_it_is_worth_something(self, recorded, cuts):
        """The disk was flushed and reports were sent, and cuts leave different disks."""
        some = random.Random(1).sample(cuts, 20)
        self.assertGreater(recorded.flushes(), 20)
        self.assertGreater(len(recorded.said(len(recorded.entries))), 5)
        self.assertGreater(len({zlib.crc32(recorded.image(c)) for c in some}), 10)

    def check_story(self, backend, name):
        campaign = points.campaign_of(self, backend)
        if points.nightly():
            wrong = self.check(campaign, backend, name, seeds=SEEDS_BY_NIGHT)
        else:
            wrong = self.check(campaign, backend, name, most=BY_DAY[backend])
        self.assertEqual(wrong, [])

    def check_bug(self, number, name):
        build = points.build_directory()
        campaign = points.Campaign(build, build / f'tests/crash/sluice-agent-bug-{number}',
                                   backends=['file'], stories=['first'],
                                   kib=points.SMALL_KIB)
        try:
            wrong = self.check(campaign, 'file', 'first', most=CUTS_OF_A_BUG, bug=name)
            self.assertGreater(len(wrong), 0, f'{name} is not found')
        finally:
            campaign.close()


for b in BACKENDS:
    for s in laws.SCENARIOS:
        if points.nightly() or (s == 'first' and b in BY_DAY):
            setattr(Ext4, f'test_{b}_{s}', lambda self, b=b, s=s: self.check_story(b, s))
for i, bug in enumerate(bugs(), 1):
    if bug in BUGS_BY_DAY or (points.nightly() and bug not in BUGS_OF_OTHERS):
        setattr(Ext4, f'test_bug_{bug}', lambda self, i=i, bug=bug: self.check_bug(i, bug))

if __name__ == '__main__':
    unittest.main()
