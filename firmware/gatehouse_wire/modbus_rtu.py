"""Modbus RTU frames, as far as register reads need them: built and judged byte by byte. Big-endian, CRC low byte first.

| request (FC 3, 4)          | reply (FC 3, 4)                | exception           | write one (FC 6), reply is its echo |
|----------------------------|--------------------------------|---------------------|-------------------------------------|
| 0 u8 unit                  | 0 u8 unit                      | 0 u8 unit           | 0 u8 unit                           |
| 1 u8 function              | 1 u8 function                  | 1 u8 function+0x80  | 1 u8 0x06                           |
| 2 u16 first register       | 2 u8 byte count = 2 x registers| 2 u8 exception code | 2 u16 register                      |
| 4 u16 registers, 1..125    | 3 u16 x registers              | 3 u16 crc           | 4 u16 value                         |
| 6 u16 crc                  | 3+2n u16 crc                   |                     | 6 u16 crc                           |

| write many (FC 16), reply is bytes 0..5 + crc | who are you (FC 0x11) | its reply                | node update (FC 0x41, both ways) |
|-----------------------------------------------|-----------------------|--------------------------|----------------------------------|
| 0 u8 unit                                     | 0 u8 unit             | 0 u8 unit                | 0 u8 unit                        |
| 1 u8 0x10                                     | 1 u8 0x11             | 1 u8 0x11                | 1 u8 0x41                        |
| 2 u16 first register                          | 2 u16 crc             | 2 u8 byte count n + 1    | 2 bytes of `node_update`         |
| 4 u16 registers, 1..123                       |                       | 3 bytes, n: who          | n u16 crc                        |
| 6 u8 byte count = 2 x registers               |                       | 3+n u8 0xFF running      |                                  |
| 7 u16 x registers, then u16 crc               |                       | 4+n u16 crc              |                                  |

Sources: Modbus application protocol V1.1b3 §5 (0x41 is a user-defined function code), §6.3, §6.4, §6.6, §6.12, §6.13, §7;
Modbus serial line V1.02 §2.5.1.
The gateway's drivers use pymodbus; this is for nodes, simulators and for talkers that are not masters (`pir_radar`).
"""

import struct

from gatehouse_wire.crc import crc16_modbus
from gatehouse_wire.errors import CRC, FIELD, LENGTH, REFUSED, TYPE, WireError
from gatehouse_wire.record import Record

READ_HOLDING = 3
READ_INPUT = 4
WRITE_SINGLE = 6
WRITE_MULTIPLE = 16
REPORT_ID = 0x11
NODE_UPDATE = 0x41
MAX_REGISTERS = 125
MAX_WRITTEN = 123
MAX_FRAME = 256

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
DEVICE_FAILURE = 4


class Request(Record):
    """A master's request as its slave reads it. `values` are the registers to write, `data` what a node update carries."""

    def __init__(self, *, unit: int, function: int, start: int = 0, count: int = 0, values=(), data=b""):
        self.unit = unit
        self.function = function
        self.start = start
        self.count = count
        self.values = tuple(values)
        self.data = data


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


def exception_reply(*, unit: int, function: int, code: int) -> bytes:
    """Return a refusal (V1.1b3 §7)."""
    return with_crc(bytes([unit, function | 0x80, code]))


def write_reply(request) -> bytes:
    """Return the confirmation of a FC 6 or FC 16 request."""
    last = request.values[0] if request.function == WRITE_SINGLE else request.count
    return with_crc(struct.pack(">BBHH", request.unit, request.function, request.start, last))


def write_request(*, unit: int, register: int, value: int) -> bytes:
    """Return a request to write one register (FC 6)."""
    return with_crc(struct.pack(">BBHH", unit, WRITE_SINGLE, register, value))


def report_id_reply(*, unit: int, who) -> bytes:
    """Return the answer to FC 0x11: `who` in at most 200 bytes, and that the node runs."""
    return with_crc(bytes([unit, REPORT_ID, len(who) + 1]) + bytes(who) + b"\xff")


def update_frame(*, unit: int, data) -> bytes:
    """Return a frame of a node update, request or answer alike."""
    return with_crc(bytes([unit, NODE_UPDATE]) + bytes(data))


def parse_request(frame) -> Request:
    """Return the request in a frame, for a slave of ours.

    Raises:
        WireError: LENGTH or CRC: no frame, to be ignored. TYPE: a function we do not know (answer ILLEGAL_FUNCTION);
            FIELD: its numbers contradict (answer ILLEGAL_VALUE). `code` of the last two holds the exception to answer.
    """
    body = checked(frame)
    unit = body[0]
    function = body[1]
    if function == NODE_UPDATE:
        return Request(unit=unit, function=function, data=body[2:])
    if function == REPORT_ID:
        if len(body) != 2:
            raise WireError(FIELD, "%d bytes" % len(frame), ILLEGAL_VALUE)
        return Request(unit=unit, function=function)
    if function not in (READ_HOLDING, READ_INPUT, WRITE_SINGLE, WRITE_MULTIPLE):
        raise WireError(TYPE, "function %d" % function, ILLEGAL_FUNCTION)
    if len(body) < 6:
        raise WireError(FIELD, "%d bytes" % len(frame), ILLEGAL_VALUE)
    start, count = struct.unpack(">HH", body[2:6])
    if function == WRITE_SINGLE and len(body) == 6:
        return Request(unit=unit, function=function, start=start, count=1, values=(count,))
    if function == WRITE_MULTIPLE:
        if not 1 <= count <= MAX_WRITTEN or len(body) != 7 + 2 * count or body[6] != 2 * count:
            raise WireError(FIELD, "%d registers in %d bytes" % (count, len(frame)), ILLEGAL_VALUE)
        values = [body[at] << 8 | body[at + 1] for at in range(7, len(body), 2)]
        return Request(unit=unit, function=function, start=start, count=count, values=values)
    if len(body) != 6 or not 1 <= count <= MAX_REGISTERS:
        raise WireError(FIELD, "%d registers in %d bytes" % (count, len(frame)), ILLEGAL_VALUE)
    return Request(unit=unit, function=function, start=start, count=count)
