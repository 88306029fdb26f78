"""Frames of WitMotion motion sensors (JY901, WT901, JY61), serial 9600 8N1. Little-endian, signed 16-bit unless said.

| offset | type | name | meaning                         |
|--------|------|------|---------------------------------|
| 0      | u8   | head | 0x55                            |
| 1      | u8   | type | 0x50..0x59, below               |
| 2      | 8 B  | data | below                           |
| 10     | u8   | sum  | sum8 of bytes 0..9              |

| type | data (unit after scaling)                                                                                          |
|------|--------------------------------------------------------------------------------------------------------------------|
| 0x50 | time: YY MM DD hh mm ss, ms u16 (the sensor's own clock; never trusted)                                            |
| 0x51 | acceleration x y z (g) = raw/32768*16; temperature raw                                                             |
| 0x52 | angular rate x y z (deg/s) = raw/32768*2000; temperature or voltage raw                                            |
| 0x53 | angle roll pitch yaw (deg) = raw/32768*180; version u16                                                            |
| 0x54 | magnetic field x y z (raw); temperature raw                                                                        |
| 0x55 | ports D0..D3 (raw)                                                                                                 |
| 0x56 | pressure i32 (Pa); height i32 (raw: the unit, cm by hearsay, is not verified)                                      |
| 0x57 | longitude i32, latitude i32 (raw, degrees*1e7 as degrees-minutes)                                                  |
| 0x58 | GPS height (raw), GPS yaw (raw), ground speed i32 (raw)                                                            |
| 0x59 | quaternion q0..q3 = raw/32768                                                                                      |

Sources: WT901 datasheet v20-0702 §5.1 (scales, sum); zbx-sadman/JY901 `src/witmotion_uart.cpp`. The temperature stays
raw because models disagree: WT901 raw/100, JY61 raw/340+36.53 (BWT61CL datasheet v20-0630 §6.1.1).
"""

import struct

from gatehouse_wire.crc import sum8
from gatehouse_wire.errors import CRC, FRAMING, LENGTH, TYPE, WireError
from gatehouse_wire.record import Record

FRAME_BYTES = 11
HEAD = 0x55
TIME = 0x50
ACCELERATION = 0x51
ANGULAR_RATE = 0x52
ANGLE = 0x53
MAGNETIC = 0x54
PORTS = 0x55
PRESSURE = 0x56
POSITION = 0x57
GROUND = 0x58
QUATERNION = 0x59

_LAYOUT = {
    TIME: "<BBBBBBH",
    ACCELERATION: "<hhhh",
    ANGULAR_RATE: "<hhhh",
    ANGLE: "<hhhH",
    MAGNETIC: "<hhhh",
    PORTS: "<hhhh",
    PRESSURE: "<ii",
    POSITION: "<ii",
    GROUND: "<hhi",
    QUATERNION: "<hhhh",
}
# Type: full scale of the leading values, and how many of them are scaled.
_SCALE = {ACCELERATION: (16, 3), ANGULAR_RATE: (2000, 3), ANGLE: (180, 3), QUATERNION: (1, 4)}


class Sample(Record):
    """One frame. `values` in the units of the table above, in its order."""

    def __init__(self, kind: int, values):
        self.kind = kind
        self.values = values


def parse(frame) -> Sample:
    """Return the sample in one frame of 11 bytes.

    Raises:
        WireError: LENGTH, FRAMING (head), CRC (sum), TYPE.
    """
    if len(frame) != FRAME_BYTES:
        raise WireError(LENGTH, "%d bytes" % len(frame))
    if frame[0] != HEAD:
        raise WireError(FRAMING, "head 0x%02x" % frame[0])
    if sum8(frame[:10]) != frame[10]:
        raise WireError(CRC, "sum")
    kind = frame[1]
    if kind not in _LAYOUT:
        raise WireError(TYPE, "type 0x%02x" % kind)
    raw = struct.unpack(_LAYOUT[kind], bytes(frame[2:10]))
    full_scale, count = _SCALE.get(kind, (1, 0))
    values = [value / 32768 * full_scale if index < count else value for index, value in enumerate(raw)]
    return Sample(kind, tuple(values))


def build(kind: int, raw) -> bytes:
    """Return the frame with these raw values (for simulated sensors)."""
    body = bytes([HEAD, kind]) + struct.pack(_LAYOUT[kind], *raw)
    return body + bytes([sum8(body)])


class Deframer:
    """Finds frames in the raw line; holds at most 10 bytes between calls. `skipped` counts bytes that fit nowhere."""

    def __init__(self):
        self.skipped = 0
        self._held = b""

    def feed(self, data) -> list[Sample]:
        """Return the samples that `data` completes, oldest first."""
        samples = []
        held = self._held + bytes(data)
        at = 0
        while at + FRAME_BYTES <= len(held):
            try:
                samples.append(parse(held[at : at + FRAME_BYTES]))
                at += FRAME_BYTES
            except WireError:
                self.skipped += 1
                at += 1
        self._held = held[at:]
        return samples
