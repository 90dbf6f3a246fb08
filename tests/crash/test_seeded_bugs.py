#!/usr/bin/env python3
"""The tests of this folder find what they are for: each bug that proto/base/seeded.h plants is
found by a point or by a cut. (That the right agent shows nothing is what the other programs
say.)"""
import pathlib
import random
import re
import unittest

import cuts
import laws
import points

TOP = pathlib.Path(__file__).resolve().parents[2]
STORY = 'first'
BACKENDS = ('file', 'directory', 'block')
# What cannot go wrong elsewhere. A partition has no name in a folder; that of an archive is
# made safe with the name of its tree. Trees are what slots of type `directory` have.
ONLY = {'folder_unsynced': ('file',), 'tree_unsynced': ('directory',)}
# Of a partition it takes a document without its bytes, for which the device waits in vain.
BY_NIGHT = (('block', 'rename_unsynced'),)
KILLED = ('in_place', 'early_switch', 'early_floor')  # found by killing the process alone
CUTS_MAX = 400


def bugs():
    """The names of the bugs, in the order of their numbers."""
    text = (TOP / 'proto/base/seeded.h').read_text()
    return [name.lower() for name in re.findall(r'^\tOTA_BUG_(\w+),', text, re.M)[1:]]


class SeededBugs(unittest.TestCase):
    def check(self, number, name, backend):
        build = points.build_directory()
        agent = build / f'tests/crash/sluice-agent-bug-{number}'
        campaign = points.Campaign(build, agent, backends=[backend], stories=[STORY],
                                   kib=points.SMALL_KIB)
        try:
            recorded = cuts.recording(campaign.lab, backend, STORY)
            if name in KILLED:
                todo = points.points_of(backend, STORY, recorded.calls, ('killed-after', 'torn'))
            else:
                todo = recorded.cuts(backend, STORY, range(1))
            todo = random.Random(number).sample(todo, min(len(todo), CUTS_MAX))
            wrong = campaign.run(
                f'{backend} {name}', points.try_one if name in KILLED else cuts.try_cut, todo,
                enough=1)
            self.assertGreater(len(wrong), 0, f'{name} is not found')
        finally:
            campaign.close()


for i, bug in enumerate(bugs(), 1):
    for b in ONLY.get(bug, BACKENDS):
        if points.nightly() or (b, bug) not in BY_NIGHT:
            setattr(SeededBugs, f'test_{b}_{i}_{bug}',
                    lambda self, i=i, bug=bug, b=b: self.check(i, bug, b))

if __name__ == '__main__':
    unittest.main()
