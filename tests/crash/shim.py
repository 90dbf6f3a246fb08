"""The Python side of the shim: its control page, and the log of what was done to the disk."""
import errno
import mmap
import os
import pathlib
import struct
import typing

COUNT, KILL_BEFORE, KILL_AFTER, TEAR, FAIL, FAIL_ON, READONLY, ROT = range(8)  # enum how of shim.c
# what is done to a call -> enum how, errno
HOWS = {'killed-before': (KILL_BEFORE, 0), 'killed-after': (KILL_AFTER, 0), 'torn': (TEAR, 0),
        'EIO': (FAIL, errno.EIO), 'ENOSPC': (FAIL, errno.ENOSPC),
        'full': (FAIL_ON, errno.ENOSPC),  # the call and all later ones that need room
        'read-only': (READONLY, errno.EROFS),  # the call and all later ones
        'rotten': (ROT, 0)}  # one bit of what a sync made safe turns over after it
PAGE = struct.Struct('<IIIIIIII480s')
HEAD = struct.Struct('<IIQQQII24s')
FAILED, GROWS = 1 << 31, 1 << 30  # SHIM_FAILED, SHIM_GROWS
LOADER = 'boot loader'  # name of a change that no process of ours makes
KINDS = ('none', 'create', 'write', 'resize', 'allocate', 'sync', 'rename', 'link', 'symlink',
         'unlink', 'mkdir', 'rmdir', 'mode', 'control', 'say')  # enum shim_kind of shim.h


class Call(typing.NamedTuple):
    """One call that was made, with paths relative to the watched folder."""
    kind: str
    name: str
    path: str
    path2: str
    ino: int
    offset: int
    flag: int
    failed: bool
    grows: bool
    data: bytes

    def __str__(self):
        return f'{self.name} {self.path}' + (f' -> {self.path2}' if self.path2 else '')

    @property
    def is_counted(self):
        """True for a call of the agent, or of a command of its, that changes the disk."""
        return self.kind != 'say' and self.name != LOADER


class Shim:
    """A shared library, a control page and a log, for one run of a device."""

    def __init__(self, library, folder, watched):
        self.library, self.watched = library, watched
        self.path = pathlib.Path(folder) / 'control'
        self.log = pathlib.Path(folder) / 'log'
        self.path.write_bytes(bytes(PAGE.size))
        with open(self.path, 'r+b') as f:
            self.page = mmap.mmap(f.fileno(), PAGE.size)

    def close(self):
        self.page.close()

    def set(self, at=0, how=COUNT, error=0, record=False):
        """Break call number `at`; counting begins anew."""
        self.log.unlink(missing_ok=True)
        self.page[:] = PAGE.pack(0, 0, at, how, error, record, 0, 0, b'')

    def heal(self):
        """Nothing is broken any more; the count goes on."""
        fields = list(PAGE.unpack(self.page[:]))
        self.page[8:16] = struct.pack('<II', 0, COUNT)
        return fields

    @property
    def count(self):
        return PAGE.unpack(self.page[:])[0]

    @property
    def fired(self):
        """How many times something was broken."""
        return PAGE.unpack(self.page[:])[1]

    @property
    def what(self):
        """The call that was broken."""
        return PAGE.unpack(self.page[:])[8].split(b'\0')[0].decode(errors='replace')

    def environment(self):
        return {**os.environ, 'LD_PRELOAD': str(self.library), 'CRASH_DIR': str(self.watched),
                'CRASH_CONTROL': str(self.path), 'CRASH_LOG': str(self.log),
                'CRASH_CMDLINE': str(self.path.parent / 'cmdline')}

    def note(self, kind, path, path2='', *, offset=0, data=b''):
        """Record what the boot loader did: it goes past the kernel, and is safe at once."""
        if not PAGE.unpack(self.page[:])[5]:
            return
        self.append(kind, path, path2, offset, data)
        self.append('sync', path.parent if path2 else path)

    def append(self, kind, path, path2='', offset=0, data=b''):
        ino = pathlib.Path(path2 or path).stat().st_ino
        paths = str(path).encode(), str(path2).encode()
        with open(self.log, 'ab') as log:
            log.write(HEAD.pack(KINDS.index(kind), 0, ino, offset, len(data),
                                *map(len, paths), LOADER.encode()) + b''.join(paths) + data)

    def calls(self):
        """What was recorded."""
        return [call for _, call in calls_of(self.log.read_bytes(), str(self.watched))]


def calls_of(raw, watched):
    """What a log holds: (where its bytes end, call) of each."""
    at = 0

    def text(length):
        nonlocal at
        path = raw[at:at + length].decode()
        at += length
        return path[len(watched) + 1:] if path.startswith(watched) else path
    while at < len(raw):
        kind, flag, ino, offset, data_len, path_len, path2_len, name = HEAD.unpack_from(raw, at)
        at += HEAD.size
        path, path2 = text(path_len), text(path2_len)
        data = raw[at:at + data_len]
        at += data_len
        yield at, Call(KINDS[kind], name.rstrip(b'\0').decode(), path, path2, ino, offset,
                       flag & ~(FAILED | GROWS), bool(flag & FAILED), bool(flag & GROWS), data)
