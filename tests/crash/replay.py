"""The disk after a loss of power, made of what was recorded: everything up to some call was
done, but of what was not yet synced only a part has reached the disk. The model is that of
POSIX and stricter than any one file system: a file's bytes are safe after fsync of the file,
a name is safe after fsync of its folder."""
import os
import pathlib
import random
import stat
import typing

SECTOR, PAGE = 512, 4096


class Link(typing.NamedTuple):
    target: str


class File:
    """Bytes that are safe, and writes that are not: (offset, data) or (length, None)."""

    def __init__(self, data=b''):
        self.safe, self.pending = data, []

    def sync(self):
        if self.pending:
            self.safe = bytearray(self.safe)
        for op in self.pending:
            put(self.safe, *op)
        self.pending = []


class Folder:
    """Names that are safe, names as programs see them, and changes on their way."""

    def __init__(self):
        self.safe, self.now, self.pending = {}, {}, []

    def sync(self):
        for change in list(self.pending):
            change.make_safe()
        self.pending = []


class Change:
    """Of names, all or nothing: (folder, name, object or None if it goes)."""

    def __init__(self, *names):
        self.names, self.done = names, False
        for folder, name, thing in names:
            set_name(folder.now, name, thing)
            if self not in folder.pending:
                folder.pending.append(self)

    def make_safe(self):
        if not self.done:
            for folder, name, thing in self.names:
                set_name(folder.safe, name, thing)
        self.done = True


def set_name(names, name, thing):
    if thing is None:
        names.pop(name, None)
    else:
        names[name] = thing


def put(data, offset, piece):
    """Write a piece, or, without one, give data a length."""
    if piece is None:
        del data[offset:]
        data.extend(bytes(offset - len(data)))
        return
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset:offset + len(piece)] = piece


class Tree:
    """A folder as it is: (name, inode, Link or bytes or Tree) of what is in it."""

    def __init__(self, path):
        self.entries = []
        for entry in sorted(os.scandir(path), key=lambda e: e.name):
            info = entry.stat(follow_symlinks=False)
            if entry.is_symlink():
                thing = Link(os.readlink(entry.path))
            elif stat.S_ISDIR(info.st_mode):
                thing = Tree(entry.path)
            else:
                thing = pathlib.Path(entry.path).read_bytes()
            self.entries.append((entry.name, info.st_ino, thing))

    def grow(self, by_ino):
        """A Folder of it, all of it safe; by_ino finds what is in it."""
        folder = Folder()
        for name, ino, thing in self.entries:
            if isinstance(thing, bytes):
                thing = File(thing)
            elif isinstance(thing, Tree):
                thing = thing.grow(by_ino)
            by_ino[ino] = folder.safe[name] = folder.now[name] = thing
        return folder


class Replay:
    """A disk to which recorded calls are done one after the other."""

    def __init__(self, tree):
        self.by_ino = {}
        self.root = tree.grow(self.by_ino)

    def folder(self, path):
        """The folder of a path and the name in it."""
        *parts, name = path.strip('/').split('/')
        at = self.root
        for part in parts:
            at = at.now[part]
        return at, name

    def thing(self, path):
        if not path:
            return self.root
        folder, name = self.folder(path)
        return folder.now[name]

    def do(self, call):
        if not call.failed and call.kind not in ('say', 'mode'):
            getattr(self, f'do_{call.kind}')(call)

    def do_create(self, call):
        existed, cut, nameless = call.flag & 1, call.flag & 2, call.flag & 4
        if nameless or not existed:
            self.by_ino[call.ino] = File()
            if not nameless:
                Change((*self.folder(call.path), self.by_ino[call.ino]))
        elif cut:
            self.by_ino[call.ino].pending.append((0, None))

    def do_write(self, call):
        self.by_ino[call.ino].pending.append((call.offset, call.data))

    def do_resize(self, call):
        self.by_ino[call.ino].pending.append((call.offset, None))

    def do_allocate(self, call):
        file = self.by_ino[call.ino]
        now = bytearray(file.safe)
        for op in file.pending:
            put(now, *op)
        if call.offset > len(now):
            file.pending.append((call.offset, None))

    def do_sync(self, call):
        if call.flag:
            for thing in list(self.by_ino.values()) + [self.root]:
                if not isinstance(thing, Link):
                    thing.sync()
        else:
            thing = self.by_ino.get(call.ino)
            (self.thing(call.path) if thing is None else thing).sync()

    def do_rename(self, call):
        a, from_name = self.folder(call.path)
        b, to_name = self.folder(call.path2)
        if call.flag & 2:  # RENAME_EXCHANGE
            Change((a, from_name, b.now[to_name]), (b, to_name, a.now[from_name]))
        else:
            thing = a.now[from_name]
            Change((a, from_name, None), (b, to_name, thing))

    def do_link(self, call):
        Change((*self.folder(call.path2), self.by_ino[call.ino]))

    def do_symlink(self, call):
        Change((*self.folder(call.path), Link(call.data.decode())))

    def do_unlink(self, call):
        Change((*self.folder(call.path), None))

    do_rmdir = do_unlink

    def do_mkdir(self, call):
        self.by_ino[call.ino] = Folder()
        Change((*self.folder(call.path), self.by_ino[call.ino]))

    def things(self, folder=None):
        """Everything that has a safe or a present name, once each."""
        found = {}
        todo = [folder or self.root]
        while todo:
            thing = todo.pop()
            if isinstance(thing, Link) or id(thing) in found:
                continue
            found[id(thing)] = thing
            if isinstance(thing, Folder):
                todo += [*thing.safe.values(), *thing.now.values()]
                todo += [t for c in thing.pending for _, _, t in c.names if t is not None]
        return list(found.values())

    def unsafe(self):
        """True if a loss of power now could lose something."""
        return any(t.pending for t in self.things())


def pieces(op, size):
    offset, data = op
    if data is None:
        return [op]
    return [(offset + at, data[at:at + size]) for at in range(0, len(data), size)]


def some_pieces(pending, size, dice):
    """A part of pending writes, cut into blocks; one block in ten is torn at a sector."""
    for op in pending:
        for offset, data in pieces(op, size):
            luck = dice.random()
            if luck < 0.45 or (data is None and luck < 0.5):
                yield offset, data
            elif luck < 0.55 and data is not None:
                yield offset, data[:SECTOR * dice.randrange(1, 8)]


HOWS = ('lost', 'kept', 'names', 'data', 'pages', 'sectors')


def lose_power(disk, how, seed):
    """Let a part of what is on its way reach the disk, by how:

    lost     nothing of it             names    names, and no bytes
    kept     all of it                 data     bytes, and no names
    pages    any pages, and the first few changes of each folder
    sectors  the same with sectors of 512 bytes"""
    dice = random.Random(seed)
    for thing in disk.things():
        if isinstance(thing, Folder):
            count = {'lost': 0, 'data': 0, 'kept': len(thing.pending),
                     'names': len(thing.pending)}.get(how)
            if count is None:
                count = dice.randint(0, len(thing.pending))
            for change in thing.pending[:count]:
                change.make_safe()
            thing.pending = []
        elif how in ('kept', 'data'):
            thing.sync()
        elif how in ('pages', 'sectors'):
            thing.pending = list(some_pieces(
                thing.pending, PAGE if how == 'pages' else SECTOR, dice))
            thing.sync()


def write_tree(folder, path):
    """Make what is safe a real folder."""
    path.mkdir()
    for name, thing in folder.safe.items():
        at = path / name
        if isinstance(thing, Link):
            at.symlink_to(thing.target)
        elif isinstance(thing, Folder):
            write_tree(thing, at)
        else:
            at.write_bytes(thing.safe)
