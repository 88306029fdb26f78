"""The framed serial link between our lift node and the gateway. Little-endian. One frame per COBS packet.

Frame, before COBS (`cobs.wrap`), at most 185 bytes; 115200 8N1:

| offset | type  | name    | unit | meaning                                                                    |
|--------|-------|---------|------|----------------------------------------------------------------------------|
| 0      | u8    | version |      | 1                                                                          |
| 1      | u8    | type    |      | node: 1 HELLO, 2 STATUS, 3 EVENT, 5 UPDATE_ANSWER;                         |
|        |       |         |      | gateway: 0x81 ACK, 0x82 CHALLENGE, 0x85 UPDATE                             |
| 2      | u16   | node_id |      | the node speaking or spoken to                                             |
| 4      | u8    | key_id  |      | which of the node's keys made `mac` (two may be valid during a rotation)    |
| 5      | u8    | flags   |      | bit 0 on battery, bit 1 events were lost (ring overwritten), others 0       |
| 6      | u32   | boot    |      | node: its boot count, kept in flash; ACK: the boot answered; CHALLENGE: 0   |
| 10     | u32   | seq     |      | node: +1 per frame sent in this boot, from 1; ACK: the seq answered; CH.: 0 |
| 14     | u8    | length  | byte | of the payload                                                             |
| 15     | bytes | payload |      | below                                                                      |
| 15+n   | 8 B   | mac     |      | first 8 bytes of mac(LABEL + bytes 0..15+n); HMAC-SHA256 with the node key  |
| 23+n   | u16   | crc     |      | crc16_ccitt of everything before; tells noise from forgery. Same place in   |
|        |       |         |      | every future version                                                       |

State, 12 bytes, in STATUS and EVENT:

| 0      | u8    | car       |      | 0 unknown, 1 stopped, 2 running                                          |
| 1      | u8    | direction |      | 0 none, 1 up, 2 down                                                     |
| 2      | u8    | points    |      | 2 bits each, low first: door_zone, door_closed, passenger, alarm_button; |
|        |       |           |      | 0 not reported, 1 no, 2 yes                                              |
| 3      | u8    | mode      |      | service mode 0..7 of GB/T 24476-2017; 7 unknown                          |
| 4      | i16   | speed     | mm/s | up positive; -32768 unknown                                              |
| 6      | u16   | faults    |      | sensor faults, bits FAULT_*                                              |
| 8      | 4 B   | floor     |      | ASCII as shown in the car ("-1", "B2", "12"), zero-padded; empty unknown |

Payloads:

| HELLO 20 B     | nonce 8 B (zero: unasked) | firmware 3 x u8 | reset cause u8 | ring oldest u32 | ring newest u32       |
| STATUS 12 B    | state                                                                                            |
| EVENT 25 B     | ring seq u32 | boot of the event u32 | uptime ms u32 at the event | cause u8 | state               |
| ACK 4 B        | ring seq u32: every event up to and with it is on the gateway's disk; the node may forget it     |
| CHALLENGE 8 B  | nonce 8 B, random, not zero                                                                      |
| UPDATE         | a request of `node_update`, 1..160 B; its header as in ACK: a boot and a seq that the node has used |
| UPDATE_ANSWER  | its answer, 20 B                                                                                 |

An empty ring has oldest = newest + 1. Ring sequences never restart: they live in flash beside the ring.

Freshness (domain table row 17). Every frame of a node carries (boot, seq), strictly rising. The gateway keeps
no counter for that on disk: after its own start, or when it meets a boot it does not know, it sends a CHALLENGE and
believes nothing until a HELLO brings the nonce back; from there `seq` must rise (`Gate`). So a recording is worth
nothing to another run of the gateway, and a node restart costs one exchange. EVENT repeats until acknowledged
(each sending with a new `seq`); the ring seq, committed with the alarm, drops the duplicates. A node obeys an ACK only
if `boot` is its own, `seq` was sent, and the ring seq lies in its ring (`is_answer`).

Source: our own; the side slowest to upgrade owns it. Service modes: domain notes §3.1.
"""

import struct

from gatehouse_wire.cobs import wrap
from gatehouse_wire.crc import crc16_ccitt, same
from gatehouse_wire.errors import CRC, FIELD, KEY, LENGTH, MAC, TYPE, VERSION, WireError
from gatehouse_wire.record import Record

VERSION_1 = 1
LABEL = b"gatehouse lift link 1"
"""Put before the bytes that the MAC covers, so that a MAC of another protocol never fits."""
MAC_BYTES = 8
HEADER_BYTES = 15
MAX_PAYLOAD = 160
MAX_FRAME = HEADER_BYTES + MAX_PAYLOAD + MAC_BYTES + 2
MAX_STUFFED = MAX_FRAME + 1
"""For `cobs.Deframer(MAX_STUFFED)`."""

HELLO = 0x01
STATUS = 0x02
EVENT = 0x03
UPDATE_ANSWER = 0x05
ACK = 0x81
CHALLENGE = 0x82
UPDATE = 0x85

ON_BATTERY = 0x01
EVENTS_LOST = 0x02
_KNOWN_FLAGS = 0x03

CAR_UNKNOWN = 0
CAR_STOPPED = 1
CAR_RUNNING = 2
DIRECTION_NONE = 0
DIRECTION_UP = 1
DIRECTION_DOWN = 2
MODE_NORMAL = 1
MODE_UNKNOWN = 7
SPEED_UNKNOWN = -32768

FAULT_MOTION_SENSOR = 0x0001
FAULT_DOOR_SENSOR = 0x0002
FAULT_ZONE_SENSOR = 0x0004
FAULT_PRESENCE_SENSOR = 0x0008
FAULT_PRESSURE_SENSOR = 0x0010
FAULT_RING = 0x0020
_KNOWN_FAULTS = 0x003F

CAUSE_STATE = 1
"""A point of the state changed."""
CAUSE_ALARM_BUTTON = 2
CAUSE_SENSOR_FAULT = 3
CAUSE_TAMPER = 4
CAUSE_POWER = 5
"""Mains of the node lost or back; see ON_BATTERY."""
_KNOWN_CAUSES = (1, 2, 3, 4, 5)

NO_NONCE = bytes(8)


class State(Record):
    """What the node's sensors say. None: this node does not report that point (or does not know it now)."""

    def __init__(  # noqa: PLR0913  # one argument per point
        self,
        *,
        car: int = CAR_UNKNOWN,
        direction: int = DIRECTION_NONE,
        door_zone=None,
        door_closed=None,
        passenger=None,
        alarm_button=None,
        mode: int = MODE_UNKNOWN,
        speed_mm_s=None,
        faults: int = 0,
        floor: str = "",
    ):
        self.car = car
        self.direction = direction
        self.door_zone = door_zone
        self.door_closed = door_closed
        self.passenger = passenger
        self.alarm_button = alarm_button
        self.mode = mode
        self.speed_mm_s = speed_mm_s
        self.faults = faults
        self.floor = floor


class Header(Record):
    """Who says it and when in its own counting; part of every message."""

    def __init__(self, *, node_id: int, key_id: int, boot: int = 0, seq: int = 0, flags: int = 0):
        self.node_id = node_id
        self.key_id = key_id
        self.boot = boot
        self.seq = seq
        self.flags = flags


class Hello(Record):
    """The node has started, or answers a challenge."""

    type = HELLO

    def __init__(
        self,
        header,
        *,
        ring_oldest: int,
        ring_newest: int,
        firmware=(0, 0, 0),
        reset_cause: int = 0,
        nonce=NO_NONCE,
    ):
        self.header = header
        self.nonce = nonce
        self.firmware = tuple(firmware)
        self.reset_cause = reset_cause
        self.ring_oldest = ring_oldest
        self.ring_newest = ring_newest


class Status(Record):
    """Live state, several times a second; never acknowledged, never repeated."""

    type = STATUS

    def __init__(self, header, state):
        self.header = header
        self.state = state


class Event(Record):
    """One entry of the node's event ring; repeated until acknowledged."""

    type = EVENT

    def __init__(self, header, state, *, ring_seq: int, cause: int, event_boot: int, uptime_ms: int):
        self.header = header
        self.state = state
        self.ring_seq = ring_seq
        self.cause = cause
        self.event_boot = event_boot
        self.uptime_ms = uptime_ms


class Ack(Record):
    """Gateway to node: events up to `ring_seq` are on disk. Its header repeats boot and seq of the frame answered."""

    type = ACK

    def __init__(self, header, *, ring_seq: int):
        self.header = header
        self.ring_seq = ring_seq


class Challenge(Record):
    """Gateway to node: say HELLO with this nonce."""

    type = CHALLENGE

    def __init__(self, header, *, nonce):
        self.header = header
        self.nonce = nonce


class Update(Record):
    """Gateway to node: a request of `node_update`. Its header repeats boot and seq of a frame of the node, as an Ack's does."""

    type = UPDATE

    def __init__(self, header, *, data):
        self.header = header
        self.data = data


class UpdateAnswer(Record):
    """The node's answer to an Update."""

    type = UPDATE_ANSWER

    def __init__(self, header, *, data):
        self.header = header
        self.data = data


def encode(message, mac) -> bytes:
    """Return `message` as it goes onto the line, stuffed and delimited.

    `mac` takes bytes and returns at least 8 bytes: HMAC-SHA256 with the key `header.key_id` names.

    Raises:
        WireError: reason FIELD; a field of the message does not fit its table.
    """
    return wrap(pack(message, mac))


def pack(message, mac) -> bytes:
    """Return `message` as a frame, not yet stuffed. Arguments and errors as `encode`."""
    head = message.header
    _check(not head.flags & ~_KNOWN_FLAGS, "flags")
    payload = _pack_payload(message)
    body = _packed(
        "<BBHBBIIB",
        (VERSION_1, message.type, head.node_id, head.key_id, head.flags, head.boot, head.seq, len(payload)),
    )
    body += payload
    body += mac(LABEL + body)[:MAC_BYTES]
    return bytes(body + struct.pack("<H", crc16_ccitt(body)))


def decode(frame, mac_for):
    """Return the Hello, Status, Event, Ack, Challenge, Update or UpdateAnswer in one unstuffed frame.

    `mac_for(node_id, key_id)` returns that key's mac function, or None for a sender who is not known.
    Checks in this order: length, CRC, version, type, length field, flags, key, MAC, fields.

    Raises:
        WireError: reason LENGTH, CRC, VERSION, TYPE, FIELD, KEY or MAC. KEY and MAC are worth counting as
            security events; the others are noise or an incompatible node.
    """
    size = len(frame)
    if size < HEADER_BYTES + MAC_BYTES + 2 or size > MAX_FRAME:
        raise WireError(LENGTH, "frame of %d bytes" % size)
    frame = bytes(frame)
    if crc16_ccitt(frame[:-2]) != frame[-2] | frame[-1] << 8:
        raise WireError(CRC, "frame of %d bytes" % size)
    version, kind, node_id, key_id, flags, boot, seq, length = struct.unpack(
        "<BBHBBIIB", frame[:HEADER_BYTES]
    )
    if version != VERSION_1:
        raise WireError(VERSION, "version %d" % version)
    if kind not in _PAYLOAD_BYTES:
        raise WireError(TYPE, "type 0x%02x" % kind)
    least, most = _PAYLOAD_BYTES[kind]
    if length != size - HEADER_BYTES - MAC_BYTES - 2 or not least <= length <= most:
        raise WireError(LENGTH, "type 0x%02x with length %d in %d bytes" % (kind, length, size))
    _check(not flags & ~_KNOWN_FLAGS, "flags")
    mac = mac_for(node_id, key_id)
    if mac is None:
        raise WireError(KEY, "node %d key %d" % (node_id, key_id))
    if not same(mac(LABEL + frame[: -MAC_BYTES - 2])[:MAC_BYTES], frame[-MAC_BYTES - 2 : -2]):
        raise WireError(MAC, "node %d key %d" % (node_id, key_id))
    header = Header(node_id=node_id, key_id=key_id, boot=boot, seq=seq, flags=flags)
    return _unpack_payload(kind, header, frame[HEADER_BYTES : -MAC_BYTES - 2])


def is_answer(ack, *, boot: int, seq: int, ring_oldest: int, ring_newest: int) -> bool:
    """Return whether a node (its boot, last sent seq and ring) may obey this acknowledgement."""
    return bool(is_addressed(ack, boot=boot, seq=seq) and ring_oldest <= ack.ring_seq <= ring_newest)


def is_addressed(message, *, boot: int, seq: int) -> bool:
    """Return whether an Ack or Update speaks to this start of the node (its boot and last sent seq)."""
    return bool(message.header.boot == boot and 1 <= message.header.seq <= seq)


FRESH = "fresh"
"""Believe it."""
UNPROVEN = "unproven"
"""From a boot not yet proven: drop it and send a CHALLENGE (rate-limited by the caller)."""
REPLAY = "replay"
"""Its seq or nonce is spent: drop it, count it as a security event."""


class Gate:
    """The gateway's judge of freshness for one node, after `decode` has accepted the MAC. Holds no clock."""

    def __init__(self):
        self.boot = None
        self.seq = 0
        self.nonce = None

    def challenge(self, nonce):
        """Remember the nonce sent last; 8 random bytes, never reused. Only its HELLO opens a session."""
        if len(nonce) != 8 or bytes(nonce) == NO_NONCE:
            raise WireError(FIELD, "nonce must be 8 bytes, not all zero")
        self.nonce = bytes(nonce)

    def admit(self, message) -> str:
        """Return FRESH, UNPROVEN or REPLAY for a frame of the node, and note what it proves."""
        head = message.header
        if message.type == HELLO and self.nonce is not None and message.nonce == self.nonce:
            self.nonce = None
            self.boot = head.boot
            self.seq = head.seq
            return FRESH
        if self.boot is None or head.boot != self.boot:
            return UNPROVEN
        if head.seq <= self.seq or (message.type == HELLO and message.nonce != NO_NONCE):
            return REPLAY
        self.seq = head.seq
        return FRESH


_PAYLOAD_BYTES = {
    HELLO: (20, 20), STATUS: (12, 12), EVENT: (25, 25), UPDATE_ANSWER: (20, 20), ACK: (4, 4), CHALLENGE: (8, 8),
    UPDATE: (1, MAX_PAYLOAD),
}  # fmt: skip
"""Shortest and longest payload of each type."""


def _check(is_right, what):
    if not is_right:
        raise WireError(FIELD, what)


def _packed(layout, values):
    """Return `struct.pack`, with one error for all the ways CPython and MicroPython refuse a value."""
    packed = None
    try:
        packed = struct.pack(layout, *values)
    except Exception:  # noqa: BLE001, S110  # struct.error here, OverflowError or TypeError there
        pass
    if packed is None or list(struct.unpack(layout, packed)) != list(values):
        raise WireError(FIELD, "%r does not fit" % (values,))
    return packed


EVENT_BYTES = 25
"""An event without its header, as a node keeps it in flash."""


def event_payload(event) -> bytes:
    """Return the 25 bytes of an event that do not change from sending to sending.

    Raises:
        WireError: reason FIELD; a field does not fit its table.
    """
    return _pack_payload(event)


def parse_event_payload(payload, header):
    """Return the Event of 25 bytes under a header of this sending.

    Raises:
        WireError: LENGTH or FIELD.
    """
    if len(payload) != EVENT_BYTES:
        raise WireError(LENGTH, "event of %d bytes" % len(payload))
    return _unpack_payload(EVENT, header, bytes(payload))


def _pack_payload(message):
    if message.type == HELLO:
        _check(len(message.nonce) == 8 and len(message.firmware) == 3, "hello")
        ring = (message.ring_oldest, message.ring_newest)
        return bytes(message.nonce) + _packed("<BBBBII", message.firmware + (message.reset_cause,) + ring)
    if message.type == STATUS:
        return _pack_state(message.state)
    if message.type == EVENT:
        _check(message.cause in _KNOWN_CAUSES, "cause")
        when = (message.ring_seq, message.event_boot, message.uptime_ms, message.cause)
        return _packed("<IIIB", when) + _pack_state(message.state)
    if message.type == ACK:
        return _packed("<I", (message.ring_seq,))
    if message.type in (UPDATE, UPDATE_ANSWER):
        least, most = _PAYLOAD_BYTES[message.type]
        _check(least <= len(message.data) <= most, "update of %d bytes" % len(message.data))
        return bytes(message.data)
    _check(len(message.nonce) == 8 and message.nonce != NO_NONCE, "nonce")
    return bytes(message.nonce)


def _unpack_payload(kind, header, payload):
    if kind == HELLO:
        major, minor, patch, cause, oldest, newest = struct.unpack("<BBBBII", payload[8:])
        return Hello(
            header,
            nonce=payload[:8],
            firmware=(major, minor, patch),
            reset_cause=cause,
            ring_oldest=oldest,
            ring_newest=newest,
        )
    if kind == STATUS:
        return Status(header, _unpack_state(payload))
    if kind == EVENT:
        ring_seq, boot, uptime_ms, cause = struct.unpack("<IIIB", payload[:13])
        _check(cause in _KNOWN_CAUSES, "cause %d" % cause)
        return Event(
            header,
            _unpack_state(payload[13:]),
            ring_seq=ring_seq,
            cause=cause,
            event_boot=boot,
            uptime_ms=uptime_ms,
        )
    if kind == ACK:
        return Ack(header, ring_seq=struct.unpack("<I", payload)[0])
    if kind == UPDATE:
        return Update(header, data=payload)
    if kind == UPDATE_ANSWER:
        return UpdateAnswer(header, data=payload)
    _check(payload != NO_NONCE, "nonce is zero")
    return Challenge(header, nonce=payload)


def _pack_state(state):
    points = 0
    for shift, point in (
        (0, state.door_zone),
        (2, state.door_closed),
        (4, state.passenger),
        (6, state.alarm_button),
    ):
        points |= (0 if point is None else 2 if point else 1) << shift
    speed = SPEED_UNKNOWN if state.speed_mm_s is None else state.speed_mm_s
    _check(state.speed_mm_s is None or -32767 <= speed <= 32767, "speed")
    _check(
        state.car in (0, 1, 2) and state.direction in (0, 1, 2) and 0 <= state.mode <= 7,
        "car, direction or mode",
    )
    _check(not state.faults & ~_KNOWN_FAULTS, "faults")
    floor = state.floor.encode()
    _check(len(floor) <= 4 and _is_floor(floor), "floor")
    return (
        struct.pack("<BBBBhH", state.car, state.direction, points, state.mode, speed, state.faults)
        + floor
        + bytes(4 - len(floor))
    )


def _unpack_state(data):
    car, direction, points, mode, speed, faults = struct.unpack("<BBBBhH", data[:8])
    _check(car <= 2, "car %d" % car)
    _check(direction <= 2, "direction %d" % direction)
    _check(mode <= 7, "mode %d" % mode)
    _check(not faults & ~_KNOWN_FAULTS, "faults 0x%04x" % faults)
    told = []
    for shift in (0, 2, 4, 6):
        point = (points >> shift) & 3
        _check(point != 3, "points 0x%02x" % points)
        told.append(None if point == 0 else point == 2)
    text = data[8:12]
    end = text.find(b"\x00")
    floor = text if end < 0 else text[:end]
    _check(_is_floor(floor) and text[len(floor) :] == bytes(4 - len(floor)), "floor")
    return State(
        car=car,
        direction=direction,
        door_zone=told[0],
        door_closed=told[1],
        passenger=told[2],
        alarm_button=told[3],
        mode=mode,
        speed_mm_s=None if speed == SPEED_UNKNOWN else speed,
        faults=faults,
        floor=floor.decode(),
    )


def _is_floor(text):
    for byte in text:
        if not 0x21 <= byte <= 0x7E:
            return False
    return True
