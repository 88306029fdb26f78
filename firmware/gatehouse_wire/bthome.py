"""BTHome v2 service data: what our help buttons and beacons say in their adverts. Little-endian.

Service data of 16-bit UUID 0xFCD2 (the UUID itself is not part of what is parsed here):

| offset | type  | name        | unit | meaning                                                                 |
|--------|-------|-------------|------|-------------------------------------------------------------------------|
| 0      | u8    | device info |      | bit 0 encrypted, bit 2 trigger based, bits 5-7 version (2), others 0     |
| 1      | bytes | objects     |      | plain, or AES-CCM ciphertext of them; each: id u8, then its value        |
| n-8    | u32   | counter     |      | encrypted only; rises by at least one per press, kept in the button      |
| n-4    | 4 B   | mic         |      | encrypted only; AES-CCM tag                                             |

Objects we use; those of other sensors are skipped by their length, an id not in the table is refused:

| id   | type | name      | unit | meaning                                                                       |
|------|------|-----------|------|-------------------------------------------------------------------------------|
| 0x00 | u8   | packet id |      | wraps; not used to tell presses apart (the counter is)                        |
| 0x01 | u8   | battery   | %    | 0..100                                                                        |
| 0x2B | u8   | tamper    |      | 0 off, 1 on                                                                   |
| 0x3A | u8   | button    |      | 0 none, 1 press, 2 double, 3 triple, 4 long, 5 long double, 6 long triple,     |
|      |      |           |      | 0x80 hold, 0x81 hold released                                                 |

Nonce (13 bytes): address (6, as printed) | D2 FC | device info | counter (4, as on the wire).
Repeats of one press are byte for byte the same advert, so one press has one counter.

Sources: bthome.io/format and bthome.io/encryption (v2); lengths also in bthome-ble `const.py`.
"""

import struct

from gatehouse_wire.errors import FIELD, LENGTH, MAC, TYPE, VERSION, WireError
from gatehouse_wire.record import Record

SERVICE_UUID = 0xFCD2
SERVICE_UUID_TEXT = "0000fcd2-0000-1000-8000-00805f9b34fb"
ENCRYPTED = 0x01
TRIGGER_BASED = 0x04
_VERSION_2 = 0x40
_RESERVED = 0x1A
MAX_SERVICE_DATA = 250
"""An extended advert holds 254 bytes; a legacy one 24 of service data."""

PACKET_ID = 0x00
BATTERY = 0x01
TAMPER = 0x2B
BUTTON = 0x3A
BUTTON_NONE = 0x00
BUTTON_PRESS = 0x01
BUTTON_LONG_PRESS = 0x04
_BUTTON_EVENTS = (0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x80, 0x81)

# Index: bytes of the value. 0x53 (text) and 0x54 (raw) carry their own length.
_IDS_BY_LENGTH = (
    b"",
    (
        b"\x00\x01\x09\x0f\x10\x11\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x20\x21\x22\x23\x24\x25\x26\x27\x28\x29\x2a\x2b"
        b"\x2c\x2d\x2e\x2f\x3a\x46\x57\x58\x59\x60\x64\x65"
    ),
    (
        b"\x02\x03\x06\x07\x08\x0c\x0d\x0e\x12\x13\x14\x3c\x3d\x3f\x40\x41\x43\x44\x45\x47\x48\x49\x4a\x51\x52\x56\x5a\x5d\x5e"
        b"\x5f\x61\xf0"
    ),
    b"\x04\x05\x0a\x0b\x42\x4b\xf2",
    b"\x3e\x4c\x4d\x4e\x4f\x50\x55\x5b\x5c\x62\x63\xf1",
)
_OWN_LENGTH = b"\x53\x54"


class Field(Record):
    """One object of an advert: its id and the raw bytes of its value."""

    def __init__(self, object_id: int, value):
        self.object_id = object_id
        self.value = value


class Advert(Record):
    """One advert. `counter` is None when it was not encrypted: then nothing in it may be believed."""

    def __init__(self, *, fields, is_trigger: bool, counter=None):
        self.fields = fields
        self.is_trigger = is_trigger
        self.counter = counter

    def byte(self, object_id: int):
        """Return the value of a one-byte object, None when the advert does not carry it."""
        for field in self.fields:
            if field.object_id == object_id:
                return field.value[0]
        return None


def value_length(object_id: int):
    """Return the bytes of this object's value, -1 when it carries its own length, None when it is unknown."""
    if object_id in _OWN_LENGTH:
        return -1
    for length in range(1, len(_IDS_BY_LENGTH)):
        if object_id in _IDS_BY_LENGTH[length]:
            return length
    return None


def parse(data) -> Advert:
    """Return a plain advert.

    Raises:
        WireError: LENGTH, VERSION, TYPE (unknown object) or FIELD (order, ranges); VERSION if it is encrypted.
    """
    data = bytes(data)
    info = _device_info(data)
    if info & ENCRYPTED:
        raise WireError(VERSION, "encrypted; use open_advert")
    return Advert(fields=_parse_objects(data[1:]), is_trigger=bool(info & TRIGGER_BASED))


def open_advert(data, address, open_) -> Advert:
    """Return an encrypted advert, authenticated.

    `address` is the sender's, 6 bytes as printed; `open_(nonce, ciphertext_and_tag)` returns the plain bytes of
    AES-CCM with a 4-byte tag, or raises anything when the tag is wrong. Freshness is not judged here (`CounterGate`).

    Raises:
        WireError: as `parse`, and MAC when the tag is wrong; VERSION if it is not encrypted (a downgrade).
    """
    data = bytes(data)
    info = _device_info(data)
    if not info & ENCRYPTED:
        raise WireError(VERSION, "not encrypted")
    if len(data) < 10:
        raise WireError(LENGTH, "%d bytes" % len(data))
    counter = data[-8:-4]
    # Raised after the handler, not in it: MicroPython knows no exception chaining and prints a warning for it.
    plain = None
    try:
        plain = open_(nonce_of(address, info, counter), data[1:-8] + data[-4:])
    except Exception:  # noqa: BLE001, S110  # each cipher library has its own exception for a wrong tag
        pass
    if plain is None:
        raise WireError(MAC, "tag is wrong")
    return Advert(
        fields=_parse_objects(plain),
        is_trigger=bool(info & TRIGGER_BASED),
        counter=struct.unpack("<I", counter)[0],
    )


def build(fields, *, is_trigger: bool = False) -> bytes:
    """Return the service data of a plain advert; `fields` in rising order of id."""
    return bytes(bytes([_VERSION_2 | (TRIGGER_BASED if is_trigger else 0)]) + _build_objects(fields))


def seal_advert(fields, *, address, counter: int, seal, is_trigger: bool = True) -> bytes:
    """Return the service data of an encrypted advert; `seal(nonce, plain)` returns ciphertext and 4-byte tag.

    The button must have stored `counter` before it sends: a counter used twice breaks AES-CCM.
    """
    if not 0 <= counter <= 0xFFFFFFFF:
        raise WireError(FIELD, "counter %d" % counter)
    info = _VERSION_2 | ENCRYPTED | (TRIGGER_BASED if is_trigger else 0)
    count = struct.pack("<I", counter)
    sealed = seal(nonce_of(address, info, count), _build_objects(fields))
    return bytes(bytes([info]) + sealed[:-4] + count + sealed[-4:])


def nonce_of(address, info: int, counter) -> bytes:
    """Return the AES-CCM nonce; `counter` as its 4 wire bytes."""
    if len(address) != 6 or len(counter) != 4:
        raise WireError(LENGTH, "address or counter")
    return bytes(address) + b"\xd2\xfc" + bytes([info]) + bytes(counter)


FRESH = "fresh"
"""A counter above all seen: a new message."""
REPEAT = "repeat"
"""The last message again: the button repeats each advert many times. Not a fault."""
REPLAY = "replay"
"""An older counter: a recording."""


class CounterGate:
    """Strictly rising counter of one button and key. Start it from the value committed with the last alarm.

    There is no window and no wrap: a button that has used 2**32 - 1 needs a new key. A button whose counter went
    back (new battery board, flash lost) stays refused until a technician, on site, calls `resync`.
    (bthome-ble 3.25 lets counters below 100 pass after a reset: that is a replay door, see its issue 234.)
    """

    def __init__(self, last=None):
        self.last = last

    def judge(self, counter: int) -> str:
        """Return FRESH, REPEAT or REPLAY; changes nothing."""
        if self.last is None or counter > self.last:
            return FRESH
        return REPEAT if counter == self.last else REPLAY

    def accept(self, counter: int) -> bool:
        """Return whether this is a new message, and remember its counter if so."""
        if self.judge(counter) != FRESH:
            return False
        self.last = counter
        return True

    def resync(self, counter: int):
        """Forget the past: only counters above this one are new. A technician's act, to be written to the audit log."""
        self.last = counter


def _device_info(data):
    if not data or len(data) > MAX_SERVICE_DATA:
        raise WireError(LENGTH, "%d bytes of service data" % len(data))
    if data[0] & 0xE0 != _VERSION_2 or data[0] & _RESERVED:
        raise WireError(VERSION, "device info 0x%02x" % data[0])
    return data[0]


def _parse_objects(data):
    fields = []
    at = 0
    last = -1
    while at < len(data):
        object_id = data[at]
        length = value_length(object_id)
        if length is None:
            raise WireError(TYPE, "object 0x%02x" % object_id)
        if object_id < last:
            raise WireError(FIELD, "object 0x%02x after 0x%02x" % (object_id, last))
        last = object_id
        at += 1
        if length < 0:
            if at >= len(data):
                raise WireError(LENGTH, "object 0x%02x has no length" % object_id)
            length = data[at]
            at += 1
        value = data[at : at + length]
        at += length
        if at > len(data):
            raise WireError(LENGTH, "object 0x%02x is cut short" % object_id)
        _check_value(object_id, value)
        fields.append(Field(object_id, value))
    if not fields:
        raise WireError(LENGTH, "no object")
    return fields


def _build_objects(fields):
    out = b""
    for field in fields:
        value = bytes(field.value)
        length = value_length(field.object_id)
        if length is None:
            raise WireError(TYPE, "object 0x%02x" % field.object_id)
        out += bytes([field.object_id]) + (bytes([len(value)]) if length < 0 else b"") + value
    _parse_objects(out)  # what we would refuse we do not send
    return out


def _check_value(object_id, value):
    if object_id == BATTERY and value[0] > 100:
        raise WireError(FIELD, "battery %d %%" % value[0])
    if object_id == BUTTON and value[0] not in _BUTTON_EVENTS:
        raise WireError(FIELD, "button event 0x%02x" % value[0])
    if object_id == TAMPER and value[0] > 1:
        raise WireError(FIELD, "tamper %d" % value[0])
