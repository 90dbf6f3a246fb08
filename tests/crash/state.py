"""What a device keeps, read from its disk without the agent's code: the layouts stand in
proto/io/record.c, agent/core/journal.h and agent/core/slot.h."""
import hashlib
import struct
import typing

RECORD_LEN, PAYLOAD_AT, DIGEST_AT = 4096, 16, 4064
STATES = ('idle', 'offered', 'fetching', 'verifying', 'installing', 'armed', 'rebooting',
          'proving', 'confirmed', 'rolling-back', 'failed')
BAD, TRIAL, GOOD = range(3)
REVERTING, LOST = 1, 2  # flags of the journal


class Wrong(Exception):
    """What a device must never do."""


class Slot(typing.NamedTuple):
    state: int
    image: bytes
    image_len: int
    counter: int
    version: str


class Table(typing.NamedTuple):
    current: int
    primary: int
    tries: int
    slots: tuple


class Journal(typing.NamedTuple):
    state: str
    lost: bool
    reverting: bool
    boot: int
    reports_reserved: int
    floor: int
    seen: tuple  # sequences of fresh, catalog, assign, order


def digest(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def record(path):
    """The newest valid record of a file, or None if there is none."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    newest = None
    for i in range(2):
        slot = raw[i * RECORD_LEN:(i + 1) * RECORD_LEN]
        if len(slot) < RECORD_LEN or digest(slot[:DIGEST_AT]) != slot[DIGEST_AT:]:
            continue
        magic, seq, length = struct.unpack_from('<4sQI', slot)
        if magic == b'OTR1' and (newest is None or seq > newest[0]):
            newest = seq, slot[PAYLOAD_AT:PAYLOAD_AT + length]
    return newest[1] if newest else None


def table(path):
    raw = record(path)
    if raw is None:
        return None
    assert raw[:4] == b'OTS1', raw[:4]
    slots = []
    for at in (40, 168):
        state, image, length, counter, version = struct.unpack_from('<Q32sQQ72s', raw, at)
        slots.append(Slot(state, image, length, counter, version.rstrip(b'\0').decode()))
    return Table(raw[4], raw[5], raw[6], tuple(slots))


def journal(path):
    raw = record(path)
    if raw is None:
        return None
    assert raw[:4] == b'OTJ1', raw[:4]
    boot, reserved, floor = struct.unpack_from('<QQQ', raw, 616)
    seen = tuple(struct.unpack_from('<Q', raw, 680 + 48 * i + 8)[0] for i in range(4))
    return Journal(STATES[raw[4]], bool(raw[5] & LOST), bool(raw[5] & REVERTING), boot, reserved,
                   floor, seen)
