"""A disk with a volatile cache: what was written and not flushed is lost in a power cut, or
not, sector by sector, as dice fall. QEMU reaches it as a network block device on a socket of
this machine."""
import os
import pathlib
import random
import socket
import struct
import tempfile
import threading

SECTOR = 512
REQUEST = struct.Struct('>IHHQQI')  # magic, flags, type, handle, offset, length
REPLY = struct.Struct('>IIQ')       # magic, error, handle
OPTION = struct.Struct('>QII')      # IHAVEOPT, option, length
OPTION_REPLY = struct.Struct('>QIII')
IHAVEOPT = 0x49484156454F5054
READ, WRITE, DISCONNECT, FLUSH = range(4)
FUA = 1                             # flag of a write: durable before it is answered
OPT_ABORT, OPT_INFO, OPT_GO = 2, 6, 7
REP_ACK, REP_INFO, REP_UNSUPPORTED = 1, 3, 0x80000001
EXPORT_FLAGS = 1 | 1 << 2 | 1 << 3  # has flags, takes flushes, takes FUA
EIO = 5


def read_exactly(connection, length):
    data = bytearray()
    while len(data) < length:
        part = connection.recv(min(length - len(data), 1 << 20))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


class CachedDisk:
    """Serves one file to one QEMU at a time. seed: of the dice."""

    def __init__(self, path, seed):
        self.path = pathlib.Path(path)
        self.dice = random.Random(seed)
        self.file = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        self.flushed = {}  # sector -> its content at the last flush, if written since
        self.lock = threading.Lock()
        self.writes = self.flushes = 0
        self.cut_at, self.on_cut = None, None  # after so many writes; what to call then
        self.dead = False
        self.folder = tempfile.TemporaryDirectory(prefix='sluice-nbd-')
        self.socket = socket.socket(socket.AF_UNIX)
        self.address = str(pathlib.Path(self.folder.name) / 'disk')
        self.socket.bind(self.address)
        self.socket.listen(1)
        threading.Thread(target=self._accept, daemon=True).start()

    def drive(self):
        return (f'driver=raw,file.driver=nbd,file.server.type=unix,'
                f'file.server.path={self.address},cache=writeback')

    def close(self):
        self.socket.close()
        self.folder.cleanup()
        os.close(self.file)

    def read(self, offset, length):
        return os.pread(self.file, length, offset)

    # ---- power -----------------------------------------------------------------------

    def power_on(self):
        """Count writes from here on."""
        with self.lock:
            self.dead, self.writes, self.flushes = False, 0, 0
            self.cut_at = None

    def arm(self, writes, on_cut):
        """Call on_cut in the middle of that write, half of which is done; nothing is
        answered after it."""
        with self.lock:
            self.cut_at, self.on_cut = writes, on_cut

    def cut(self):
        """The power is gone: of what was not flushed a part survives. Gives how many
        sectors were at stake, and how many of them are lost."""
        with self.lock:
            self.dead = True
            at_stake = len(self.flushed)
            share = self.dice.choice((0.0, 0.5, 0.9, 1.0))  # of what is lost
            lost = [s for s in sorted(self.flushed) if self.dice.random() < share]
            for sector in lost:
                os.pwrite(self.file, self.flushed[sector], sector * SECTOR)
            self.flushed.clear()
            return at_stake, len(lost)

    # ---- requests --------------------------------------------------------------------

    def _write(self, offset, data, flags):
        with self.lock:
            if self.dead:
                return False
            self.writes += 1
            cut = self.cut_at is not None and self.writes >= self.cut_at
            if cut:  # torn in the middle
                self.dead = True
                data = data[:len(data) // 2 // SECTOR * SECTOR]
            first, end = offset // SECTOR, -(-(offset + len(data)) // SECTOR)
            if flags & FUA and not cut:
                for sector in range(first, end):
                    self.flushed.pop(sector, None)
            else:
                self._remember(first, end)
            os.pwrite(self.file, data, offset)
        if cut:
            self.on_cut()
        return not cut

    def _remember(self, first, end):
        old = os.pread(self.file, (end - first) * SECTOR, first * SECTOR)
        for number in range(end - first):
            self.flushed.setdefault(first + number,
                                    old[number * SECTOR:(number + 1) * SECTOR])

    def _flush(self):
        with self.lock:
            if self.dead:
                return False
            self.flushes += 1
            self.flushed.clear()
            return True

    def _serve(self, connection):
        while True:
            _, flags, kind, handle, offset, length = REQUEST.unpack(
                read_exactly(connection, REQUEST.size))
            payload = read_exactly(connection, length) if kind == WRITE else b''
            answer, good = b'', True
            if kind == READ:
                answer = os.pread(self.file, length, offset)
            elif kind == WRITE:
                good = self._write(offset, payload, flags)
            elif kind == FLUSH:
                good = self._flush()
            else:
                return
            if self.dead:
                return  # who has no power does not answer
            connection.sendall(REPLY.pack(0x67446698, 0 if good else EIO, handle) + answer)

    # ---- handshake -------------------------------------------------------------------

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return  # closed
            with connection:
                try:
                    if self._greet(connection):
                        self._serve(connection)
                except (EOFError, OSError):
                    pass  # QEMU ended

    def _greet(self, connection):
        connection.sendall(b'NBDMAGICIHAVEOPT' + struct.pack('>H', 3))
        read_exactly(connection, 4)
        while True:
            _, option, length = OPTION.unpack(read_exactly(connection, OPTION.size))
            read_exactly(connection, length)
            if option == OPT_ABORT:
                return False
            if option not in (OPT_INFO, OPT_GO):
                self._reply(connection, option, REP_UNSUPPORTED)
                continue
            self._reply(connection, option, REP_INFO,
                        struct.pack('>HQH', 0, self.size, EXPORT_FLAGS))
            self._reply(connection, option, REP_ACK)
            if option == OPT_GO:
                return True

    @staticmethod
    def _reply(connection, option, kind, data=b''):
        connection.sendall(OPTION_REPLY.pack(0x3E889045565A9, option, kind, len(data)) + data)
