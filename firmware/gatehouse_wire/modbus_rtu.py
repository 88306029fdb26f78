"""Modbus RTU frames, as far as register reads need them: built and judged byte by byte. Big-endian, CRC low byte first.

| request (FC 3, 4)          | reply (FC 3, 4)                | exception           | write one (FC 6), reply is its echo |
|----------------------------|--------------------------------|---------------------|-------------------------------------|
| 0 u8 unit                  | 0 u8 unit                      | 0 u8 unit           | 0 u8 unit                           |
| 1 u8 function              | 1 u8 function                  | 1 u8 function+0x80  | 1 u8 0x06                           |
| 2 u16 first register       | 2 u8 byte count = 2 x registers| 2 u8 exception code | 2 u16 register                      |
| 4 u16 registers, 1..125    | 3 u16 x registers              | 3 u16 crc           | 4 u16 value                         |
| 6 u16 crc                  | 3+2n u16 crc                   |                     | 6 u16 crc                           |

Sources: Modbus application protocol V1.1b3 §6.3, §6.4, §6.6, §7; Modbus serial line V1.02 §2.5.1.
The gateway's drivers use pymodbus; this is for nodes, simulators and for talkers that are not masters (`pir_radar`).
"""

import struct

from gatehouse_wire.crc import crc16_modbus
from gatehouse_wire.errors import CRC, FIELD, LENGTH, REFUSED, TYPE, WireError

READ_HOLDING = 3
READ_INPUT = 4
WRITE_SINGLE = 6
MAX_REGISTERS = 125
MAX_FRAME = 256


def with_crc(body) -> bytes:
    """Return `body` with its CRC."""
    return bytes(body) + struct.pack("<H", crc16_modbus(body))


def checked(frame) -> bytes:
    """Return `frame` without its CRC.

    Raises:
        WireError: LENGTH or CRC.
    """
    if len(frame) < 4 or len(frame) > MAX_FRAME:
        raise WireError(LENGTH, "%d bytes" % len(frame))
    body = bytes(frame[:-2])
    if crc16_modbus(body) != frame[-2] | frame[-1] << 8:
        raise WireError(CRC, "%d bytes" % len(frame))
    return body


def read_request(*, unit: int, function: int, start: int, count: int) -> bytes:
    """Return a request to read `count` registers from `start`."""
    if not (0 <= unit <= 247 and function in (READ_HOLDING, READ_INPUT) and 1 <= count <= MAX_REGISTERS):
        raise WireError(FIELD, "unit, function or count")
    if not 0 <= start <= 0x10000 - count:
        raise WireError(FIELD, "start %d" % start)
    return with_crc(struct.pack(">BBHH", unit, function, start, count))


def read_reply(*, unit: int, function: int, registers) -> bytes:
    """Return the reply to a read (for nodes and simulators)."""
    body = struct.pack(">BBB", unit, function, 2 * len(registers))
    for register in registers:
        body += struct.pack(">H", register)
    return with_crc(body)


def parse_read_reply(frame, *, unit: int, function: int, count: int) -> list[int]:
    """Return the registers in the reply to a read of `count` registers from `unit`.

    Raises:
        WireError: LENGTH, CRC, FIELD (another unit), TYPE (another function), REFUSED (`code` = Modbus exception).
    """
    body = checked(frame)
    if body[0] != unit:
        raise WireError(FIELD, "unit %d answered for %d" % (body[0], unit))
    if body[1] == function | 0x80:
        if len(body) != 3:
            raise WireError(LENGTH, "exception of %d bytes" % len(frame))
        raise WireError(REFUSED, "exception %d" % body[2], body[2])
    if body[1] != function:
        raise WireError(TYPE, "function %d answered for %d" % (body[1], function))
    if body[2] != 2 * count or len(body) != 3 + 2 * count:
        raise WireError(LENGTH, "%d bytes of %d registers" % (len(frame), count))
    return [body[at] << 8 | body[at + 1] for at in range(3, len(body), 2)]
