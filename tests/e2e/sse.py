"""A reader of GET /events, as plain as can be: a socket, chunks, lines."""
import json
import socket
import time


class Stream:
    """One open stream. Events are (type, data, id)."""

    def __init__(self, address, key, last_id=None, source=None, window=0, cookie=None):
        host, port = address.rsplit(':', 1)
        self.sock = socket.socket()
        if window:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        if source:
            self.sock.bind((source, 0))
        self.sock.settimeout(10)
        self.sock.connect((host, int(port)))
        more = f'Last-Event-ID: {last_id}\r\n' if last_id is not None else ''
        who = f'Cookie: {cookie}' if cookie else f'Authorization: Bearer {key}'
        self.sock.sendall(f'GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\n{who}\r\n'
                          f'{more}\r\n'.encode())
        self.raw, self.text, self.beats, self.ended = b'', '', 0, False
        self.events, self.pieces = [], 0
        head = b''
        while b'\r\n\r\n' not in head:
            got = self.sock.recv(1)
            if not got:
                break
            head += got
        lines = head.decode().split('\r\n')
        self.status = int(lines[0].split()[1]) if lines[0] else 0
        self.headers = dict(line.lower().split(': ', 1) for line in lines[1:] if ': ' in line)

    def _chunks(self):
        """What of the body has arrived whole, without the framing of its chunks."""
        while b'\r\n' in self.raw:
            size, rest = self.raw.split(b'\r\n', 1)
            size = int(size, 16)
            if size == 0:
                self.ended = True
            if len(rest) < size + 2:
                return
            self.text += rest[:size].decode()
            self.raw = rest[size + 2:]

    def _blocks(self):
        while '\n\n' in self.text:
            block, self.text = self.text.split('\n\n', 1)
            if block == ': hb':
                self.beats += 1
            lines = dict(line.split(': ', 1) for line in block.split('\n')
                         if not line.startswith(':'))
            if 'event' in lines:
                self.events.append((lines['event'], json.loads(lines['data']), lines.get('id')))

    def read(self, seconds):
        """Take what comes until then; false once the other side has ended it."""
        end = time.monotonic() + seconds
        while not self.ended and time.monotonic() < end:
            self.sock.settimeout(max(0.01, end - time.monotonic()))
            try:
                got = self.sock.recv(65536)
            except TimeoutError:
                break
            except ConnectionError:
                got = b''
            self.ended = self.ended or not got
            self.raw += got
            self._chunks()
            self._blocks()
        return not self.ended

    def wait(self, probe, seconds=10):
        """The first event that probe likes, from those that came on; or None."""
        end, looked = time.monotonic() + seconds, 0
        while True:
            for event in self.events[looked:]:
                if probe(event):
                    return event
            looked = len(self.events)
            if self.ended or time.monotonic() > end:
                return None
            self.read(0.1)

    def of(self, kind):
        return [e for e in self.events if e[0] == kind]

    def close(self):
        self.sock.close()
