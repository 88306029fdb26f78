"""The PIR + radar presence sensor on RS-485 that speaks first: 9600 8N1, frames of Modbus FC 6.

| offset | type | name     | unit | meaning                                                                      |
|--------|------|----------|------|------------------------------------------------------------------------------|
| 0      | u8   | unit     |      | address of the sensor, 1 from the factory                                    |
| 1      | u8   | function |      | 0x06                                                                         |
| 2      | u16  | register |      | 2 presence: value 1 occupied, 0 empty; 4 which part saw it: low byte 0xAA    |
|        |      |          |      | radar, 0x55 PIR                                                              |
| 4      | u16  | value    |      | as above                                                                     |
| 6      | u16  | crc      |      | crc16_modbus, low byte first                                                 |

The sensor pushes a change 3 times until the host echoes the frame within 100 ms (`echo`).
Source: modbus.cn article 11133 (a secondary page; register 4 read there only, one sensor type).
A Modbus master cannot receive this: it talks when not asked. `Deframer` reads the raw line.
"""

import struct

from gatehouse_wire.errors import FIELD, LENGTH, TYPE, WireError
from gatehouse_wire.modbus_rtu import checked, with_crc
from gatehouse_wire.record import Record

FRAME_BYTES = 8
ECHO_WITHIN_MS = 100
PUSHES = 3
PRESENCE = 2
SEEN_BY = 4
RADAR = 0xAA
PIR = 0x55


class Push(Record):
    """One pushed frame. For PRESENCE `value` is 0 or 1, for SEEN_BY it is RADAR or PIR."""

    def __init__(self, *, unit: int, register: int, value: int):
        self.unit = unit
        self.register = register
        self.value = value


def build(push) -> bytes:
    """Return the frame of a push; the echo is the same bytes."""
    return with_crc(struct.pack(">BBHH", push.unit, 6, push.register, push.value))


def echo(push) -> bytes:
    """Return what the host answers."""
    return build(push)


def parse(frame) -> Push:
    """Return the push in one frame.

    Raises:
        WireError: LENGTH, CRC, TYPE (another function), FIELD (unknown register or value).
    """
    if len(frame) != FRAME_BYTES:
        raise WireError(LENGTH, "%d bytes" % len(frame))
    unit, function, register, value = struct.unpack(">BBHH", checked(frame))
    if function != 6:
        raise WireError(TYPE, "function %d" % function)
    if (register, value) not in (
        (PRESENCE, 0),
        (PRESENCE, 1),
        (SEEN_BY, RADAR),
        (SEEN_BY, PIR),
    ) or not 1 <= unit <= 247:
        raise WireError(FIELD, "unit %d register %d = %d" % (unit, register, value))
    return Push(unit=unit, register=register, value=value)


class Deframer:
    """Finds pushes in the raw line; holds at most 7 bytes between calls. `skipped` counts bytes that fit nowhere."""

    def __init__(self):
        self.skipped = 0
        self._held = b""

    def feed(self, data) -> list[Push]:
        """Return the pushes that `data` completes, oldest first."""
        pushes = []
        held = self._held + bytes(data)
        at = 0
        while at + FRAME_BYTES <= len(held):
            try:
                pushes.append(parse(held[at : at + FRAME_BYTES]))
                at += FRAME_BYTES
            except WireError:
                self.skipped += 1
                at += 1
        self._held = held[at:]
        return pushes
