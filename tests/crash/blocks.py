"""A loss of power below a real file system: the disk of a device is a file of crash_disk,
with ext4 on it, which knows each write and each flush. For a moment of a device's story the
disk is built again, with what was flushed, and a part of what was not; it is mounted, so
that ext4 goes through its journal, and the device is started on it."""
import contextlib
import ctypes
import functools
import os
import pathlib
import pickle
import random
import shutil
import struct
import subprocess
import tempfile
import typing

import laws
import points
import replay
from device import HEAD, REPORT, Device, Wrong, read_report
from cuts import AFTER_THE_CUT
from shim import calls_of

ENTRY = struct.Struct('<IIQ')  # struct entry of disk.c
WRITE, FLUSH, SAYS = range(1, 4)
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
ROOM_KIB = 12 * 1024  # of a disk, beside its images: ext4's journal, state, a tree
HOWS = ('lost', 'kept', 'pages', 'sectors')
LIBC = ctypes.CDLL(None, use_errno=True)


# ---- mounts

@functools.cache
def own_mounts():
    """What is mounted from now on is seen by this process and by what it starts alone, and
    is gone with them."""
    if LIBC.unshare(CLONE_NEWNS) != 0 or \
            LIBC.mount(b'none', b'/', None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), 'no mounts of our own')


def do(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                          env={**os.environ, 'PATH': os.environ['PATH'] + ':/usr/sbin:/sbin'})
    if done.returncode != 0:
        raise Wrong(f'{command[0]} failed: {done.stderr.strip()}')


@contextlib.contextmanager
def mounted(image, at):
    """An image of ext4 at a path, which is made."""
    at.mkdir()
    do('mount', '-t', 'ext4', '-o', 'loop', image, at)
    try:
        yield
    finally:
        do('umount', at)


@contextlib.contextmanager
def watched_disk(program, base, folder):
    """crash_disk over a file, in a folder of its own; gives the folder where it shows."""
    at = folder / 'watched'
    at.mkdir()
    process = subprocess.Popen([program, base, folder / 'entries', at],
                               stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout.readline() != 'ready\n':
            raise Wrong('crash_disk does not start')
        yield at
    finally:
        do('umount', '-l', at)
        process.wait(20)
        process.stdout.close()


# ---- an undisturbed run

class Entry(typing.NamedTuple):
    """What the disk was asked for, or a packet that was sent by then."""
    kind: int
    offset: int
    data: bytes


def read_entries(path):
    raw, at = path.read_bytes(), 0
    while at + ENTRY.size <= len(raw):
        kind, length, offset = ENTRY.unpack_from(raw, at)
        at += ENTRY.size
        yield Entry(kind, offset, raw[at:at + length])
        at += length


class Recording:
    """The disk before a story, what was done to it, and what was said meanwhile."""

    def __init__(self, lab, backend, scenario):
        folder = lab.dir / points.own_name('blocks')
        folder.mkdir()
        base = folder / 'base'
        self.make_disk(lab, backend, scenario, base)
        with watched_disk(lab.programs['disk'], base, folder) as watched:
            first = self.tell(lab, backend, scenario, watched, folder / 'entries')
        entries = list(read_entries(folder / 'entries'))
        self.base = bytearray(base.read_bytes())
        for entry in entries[:first]:  # of mounting it
            if entry.kind == WRITE:
                replay.put(self.base, entry.offset, entry.data)
        self.base = bytes(self.base)
        self.take(entries[first:self.end])
        shutil.rmtree(folder)

    @staticmethod
    def make_disk(lab, backend, scenario, base):
        """ext4 with what a device has at the beginning of a scenario."""
        image_kib = len(lab.kit.images['old']) // 1024
        with open(base, 'wb') as f:
            f.truncate((ROOM_KIB + 6 * image_kib) * 1024)
        do('mkfs.ext4', '-q', '-F', '-b', 4096, '-J', 'size=4', '-m', 0, '-E',
           'nodiscard,lazy_itable_init=0,lazy_journal_init=0', base)
        at = base.parent / 'fill'
        with mounted(base, at):
            golden = lab.golden(backend, scenario.after)
            if golden:
                golden(at, dirs_exist_ok=True)
            else:
                points.BACKENDS[backend].prepare(lab.kit, at)

    def tell(self, lab, backend, scenario, watched, log):
        """The story; returns how many entries there were before it."""
        with contextlib.ExitStack() as stack:
            device = lab.device(backend, scenario, points.own_name('watched'), lambda path:
                                stack.enter_context(mounted(watched / 'disk', path)))
            stack.callback(device.kill)
            do('sync', '-f', device.disk)
            first = sum(1 for _ in read_entries(log))
            device.shim.set(record=True)
            device.shim.log = watched / 'says'
            lab.settle(device, scenario)
            self.end = sum(1 for _ in read_entries(log))
            self.watched = str(device.disk)
        device.remove()
        return first

    def take(self, entries):
        """Entries of the disk, with the calls and packets that came before each."""
        raw, ends = b'', []  # of what was said: bytes, and where the disk was then
        self.entries = [e for e in entries if e.kind != SAYS]
        done = 0
        for entry in entries:
            if entry.kind == SAYS:
                raw += entry.data
                ends.append((len(raw), done))
            done += entry.kind != SAYS
        self.calls = []  # (entries of the disk by then, call)
        at = iter(ends)
        here = next(at)
        for end, call in calls_of(raw, self.watched):
            while here[0] < end:
                here = next(at)
            self.calls.append((here[1], call))

    def said(self, at):
        """Packets that had been sent when so many entries were done."""
        return [c for done, c in self.calls if done <= at and c.kind == 'say']

    def heard(self, at, public_key):
        """The reports among them."""
        return [read_report(c.data[HEAD.size:], public_key) for c in self.said(at)
                if HEAD.unpack_from(c.data)[0] == REPORT]

    def last_call(self, at):
        """What the device did last, as text."""
        return next((str(c) for done, c in reversed(self.calls)
                     if done <= at and c.kind != 'say'), 'nothing')

    def flushes(self):
        return sum(e.kind == FLUSH for e in self.entries)

    def image(self, cut):
        """The disk after a cut."""
        disk, done = bytearray(self.base), self.entries[:cut.at]
        safe = max((i for i, e in enumerate(done) if e.kind == FLUSH), default=0)
        for entry in done[:safe]:
            if entry.kind == WRITE:
                replay.put(disk, entry.offset, entry.data)
        pending = [(e.offset, e.data) for e in done[safe:] if e.kind == WRITE]
        if cut.how == 'lost':
            pending = []
        elif cut.how != 'kept':
            size = replay.PAGE if cut.how == 'pages' else replay.SECTOR
            pending = replay.some_pieces(pending, size,
                                         random.Random(f'{cut.seed} {cut.at}'))
        for offset, data in pending:
            replay.put(disk, offset, data)
        return disk

    def cuts(self, kept, backend, scenario, seeds):
        """After each flush, each write, and each packet that was sent meanwhile. kept: as
        in Cut."""
        found, unsafe = [], False
        spoke = {done for done, c in self.calls if c.kind == 'say'}

        def add(at, how, seed=0):
            found.append(Cut(kept, backend, scenario, at, how, seed))
        for at, entry in enumerate(self.entries, 1):
            unsafe = entry.kind == WRITE
            if entry.kind == FLUSH or at in spoke:
                add(at, 'lost')
            if unsafe:
                add(at, 'kept')
                for seed in seeds:
                    add(at, 'pages', seed)
                    add(at, 'sectors', seed)
        return found


# ---- a cut

class Cut(typing.NamedTuple):
    kept: pathlib.Path  # where the recording will lie, if a cut is found to be wrong
    backend: str
    scenario: str
    at: int  # entries of the disk that were done before
    how: str
    seed: int

    def __str__(self):
        return (f'tests/crash/point --disk {self.kept} --cut {self.at} --how {self.how} '
                f'--seed {self.seed}')


def recording_path(folder, backend, name):
    return folder / f'blocks-{backend}-{name}'


@functools.cache
def recording(lab, backend, name):
    """Made once, kept in the lab's folder for the other workers."""
    path = recording_path(lab.dir, backend, name)
    if not path.exists():
        path.write_bytes(pickle.dumps(Recording(lab, backend, laws.SCENARIOS[name])))
    return pickle.loads(path.read_bytes())


def keep(kept, lab, backend, name):
    """Keep a recording, and the kit it was made with, for the command of a cut: no two are
    the same. Documents of the kit are valid for a day."""
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    shutil.copytree(lab.kit.dir, kept / 'kit')
    shutil.copy(recording_path(lab.dir, backend, name), kept)


def try_cut(cut):
    """What is wrong after a cut, for a worker of points.Campaign."""
    recorded = recording(points.lab, cut.backend, cut.scenario)
    with tempfile.NamedTemporaryFile(dir=points.lab.dir) as image:
        image.write(recorded.image(cut))
        image.flush()
        try:
            go_on(cut, recorded, image.name)
        except (Wrong, AssertionError) as wrong:
            return cut, str(wrong), recorded.last_call(cut.at)
    return cut, None, ''


def go_on(cut, recorded, image):
    """Start the device on a disk, and see it to the end of its story."""
    lab, scenario = points.lab, laws.SCENARIOS[cut.scenario]
    heard = recorded.heard(cut.at, lab.kit.public_key)
    with contextlib.ExitStack() as stack:
        device = lab.device(cut.backend, scenario, points.own_name('cut'), lambda path:
                            stack.enter_context(mounted(image, path)))
        stack.callback(Device.kill, device)
        try:
            device.boot, device.reports = AFTER_THE_CUT, heard
            laws.check_disk(device, scenario, heard)
            lab.settle(device, scenario)
            laws.check_disk(device, scenario, device.reports)
            laws.check_end(device, scenario)
        finally:
            stack.close()
            device.remove()
