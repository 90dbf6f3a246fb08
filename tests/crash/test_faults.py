#!/usr/bin/env python3
"""Each system call with which the install process changes the disk, of each story of a device:
the process is killed before it, after it, in the middle of it; the call fails with EIO or with
ENOSPC; the disk is full from it on. Every fault must come, and whatever comes the device boots
something whole, loses nothing that it said, and finishes what it was told to do."""
import collections
import os
import random
import re
import unittest

import laws
import points
from loaders import BACKENDS, SAMPLED

SAMPLE = 60  # points by day of each story but the first ...
SAMPLE_OF_LOADER = 18  # ... and of each of a boot loader of which little is tried

# Calls that strace knows by other names than shim.c.
NAMES = {'openat': 'open', 'creat': 'open', 'pwrite64': 'pwrite', 'pwritev': 'pwrite',
         'writev': 'write', 'renameat': 'rename', 'renameat2': 'rename', 'symlinkat': 'symlink',
         'linkat': 'link', 'unlinkat': 'unlink', 'mkdirat': 'mkdir', 'fchmodat': 'chmod'}
# Calls that only look, or whose effect on the disk is nothing.
LOOKS = {'access', 'chdir', 'close', 'dup', 'dup2', 'dup3', 'execve', 'faccessat', 'faccessat2', 'fadvise64',
         'fcntl', 'flock', 'fstat', 'fstatfs', 'getcwd', 'getdents64', 'lseek', 'lstat',
         'newfstatat', 'pread64', 'preadv', 'read', 'readahead', 'readlink', 'readlinkat',
         'readv', 'stat', 'statfs', 'statx'}
LOOKING_IOCTLS = re.compile(r'BLK\w*GET\w*|BLKFLSBUF|FS_IOC_GETFLAGS|FIBMAP|FIGETBSZ|TCGETS')


def is_change(name, rest):
    if name in LOOKS:
        return False
    if name in ('open', 'openat'):
        return re.search(r'O_CREAT|O_TRUNC|O_TMPFILE', rest) is not None
    if name == 'mmap':
        return 'MAP_SHARED' in rest and 'PROT_WRITE' in rest
    return name != 'ioctl' or not LOOKING_IOCTLS.search(rest)


def strace_counts(text, watched):
    """The calls in a trace that change something below a folder."""
    counts = collections.Counter()
    for line in text.splitlines():
        m = re.match(r'(?:\d+ +)?(\w+)\((.*)', line)
        if m and re.search(rf'[<"]{re.escape(str(watched))}[/>"]', m[2]) and is_change(*m.groups()):
            name = NAMES.get(m[1], m[1])
            counts['rmdir' if name == 'unlink' and 'AT_REMOVEDIR' in m[2] else name] += 1
    return counts


class Faults(unittest.TestCase):
    """Its tests of stories are made below."""

    campaigns = {}

    @classmethod
    def tearDownClass(cls):
        for campaign in cls.campaigns.values():
            campaign.close()

    def check_story(self, backend, name):
        campaign = points.campaign_of(self, backend)
        recorded = campaign.lab.record(backend, laws.SCENARIOS[name])
        calls = recorded.shim.calls()
        recorded.remove()
        todo = points.points_of(backend, name, calls, tuple(points.HOWS))
        disk = [c for c in calls if c.is_counted]
        self.assertGreater(len(todo), 4 * len(disk))
        print(f'{backend} {name}: {len(disk)} calls, {len(todo)} points')
        if not points.nightly() and (name != 'first' or backend in SAMPLED):
            few = SAMPLE_OF_LOADER if backend in SAMPLED else SAMPLE
            todo = random.Random(1).sample(todo, few)
        wrong = campaign.run(f'{backend} {name}', points.try_one, todo)
        self.assertEqual(wrong, [])

    def check_trace(self, backend):
        """The shim misses no call: strace sees the same ones."""
        if os.geteuid() != 0:
            self.skipTest('SKIPPED: not root, so strace cannot name the files of a process '
                          'that made itself unreadable')
        scenario, lab = laws.SCENARIOS['first'], points.campaign_of(self, backend).lab
        device = lab.device(backend, scenario, 'traced')
        trace = device.dir / 'trace'
        device.prefix = ['strace', '-f', '-y', '-s', '0', '-A', '-o', str(trace)]
        device.shim.set(record=True)
        lab.settle(device, scenario)
        ours = collections.Counter(c.name for c in device.shim.calls() if c.is_counted)
        theirs = strace_counts(trace.read_text(errors='replace'), device.disk)
        total = device.shim.count
        device.remove()
        print(f'{backend}: strace and the shim: {dict(sorted(theirs.items()))}')
        self.assertEqual(theirs, ours)
        self.assertEqual(total, sum(ours.values()))
        self.assertGreater(total, 100)


for b in BACKENDS:
    setattr(Faults, f'test_{b}_no_call_is_missed', lambda self, b=b: self.check_trace(b))
    for s in points.stories(b):
        setattr(Faults, f'test_{b}_{s}', lambda self, b=b, s=s: self.check_story(b, s))

if __name__ == '__main__':
    unittest.main()
