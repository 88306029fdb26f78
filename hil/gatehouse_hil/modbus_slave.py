"""A simulated Modbus slave: four banks, eight functions, and every bad manner seen in the field.

Written after the Modbus application protocol V1.1b3 and serial line V1.02 alone, with its own CRC, so that it can
prove the gateway's driver wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gatehouse_hil.line import Emission

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
_READ_BITS: Final = (1, 2)
_READ_REGISTERS: Final = (3, 4)


def crc16(content: bytes) -> bytes:
    """Return the two CRC bytes of an RTU frame, low byte first (serial line V1.02 §6.2.2, bit by bit)."""
    crc = 0xFFFF
    for octet in content:
        crc ^= octet
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return struct.pack("<H", crc)


@dataclass(slots=True)
class Manners:
    """How a slave misbehaves; all off at first. Set the fields at any time."""

    is_dead: bool = False
    late_s: float = 0.0
    """Thinks this long before it answers."""
    as_unit: int | None = None
    """Answers under another's unit id."""
    byte_gap_s: float | None = None
    """Sends byte by byte with this pause between."""
    exception: int | None = None
    """Answers every request with this exception code."""
    mangle: Callable[[bytes], bytes] | None = None
    """Changes the finished frame (CRC and all) before it is sent."""
    deaf_every: int = 0
    """Ignores every n-th request; 0: none."""


class ModbusError(Exception):
    """The request cannot be served; `code` is the exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


@dataclass
class Slave:
    """One unit: banks are dicts of address -> value, what is not in them is an illegal address."""

    unit_id: int
    coils: dict[int, int] = field(default_factory=dict)
    inputs: dict[int, int] = field(default_factory=dict)
    holding: dict[int, int] = field(default_factory=dict)
    registers: dict[int, int] = field(default_factory=dict)
    manners: Manners = field(default_factory=Manners)
    min_gap_s: float = 0.0
    """A request sooner than this after the last one is ignored, as the vendors' slow controllers do."""
    requests: int = 0
    hurried: int = 0
    """Requests ignored because they came too soon."""
    functions_seen: set[int] = field(default_factory=set)
    _last_s: float = -1e9

    def kill(self) -> None:
        """Stop answering."""
        self.manners.is_dead = True

    def revive(self) -> None:
        """Answer again."""
        self.manners.is_dead = False

    def before_read(self) -> None:
        """Bring the banks up to date; subclasses compute their registers here."""

    def after_write(self, address: int, *, is_coil: bool) -> None:
        """React to something written."""

    def hear(self, frame: bytes, at_s: float) -> list[Emission]:
        """Answer one RTU frame as a slave on the line; see `LineSlave`."""
        if len(frame) < 4 or frame[0] != self.unit_id or crc16(frame[:-2]) != frame[-2:]:
            return []
        reply = self.reply(frame[1:-2], at_s)
        if reply is None:
            return []
        manners = self.manners
        body = bytes([self.unit_id if manners.as_unit is None else manners.as_unit]) + reply
        whole = body + crc16(body)
        if manners.mangle:
            whole = manners.mangle(whole)
        if manners.byte_gap_s is None:
            return [Emission(manners.late_s, whole)]
        return [
            Emission(manners.late_s if not at else manners.byte_gap_s, whole[at : at + 1])
            for at in range(len(whole))
        ]

    def reply(self, request: bytes, at_s: float) -> bytes | None:
        """Return the reply PDU to a request PDU, None when this slave keeps silent."""
        self.requests += 1
        manners = self.manners
        if manners.is_dead or (manners.deaf_every and self.requests % manners.deaf_every == 0):
            return None
        if at_s - self._last_s < self.min_gap_s:
            self.hurried += 1
            return None
        self._last_s = at_s
        function = request[0]
        self.functions_seen.add(function)
        if manners.exception is not None:
            return bytes([function | 0x80, manners.exception])
        try:
            return bytes([function]) + self._serve(function, request[1:])
        except ModbusError as error:
            return bytes([function | 0x80, error.code])
        except struct.error:
            return bytes([function | 0x80, ILLEGAL_VALUE])

    def _serve(self, function: int, body: bytes) -> bytes:
        if function in _READ_BITS or function in _READ_REGISTERS:
            self.before_read()
            address, count = struct.unpack(">HH", body)
            if function in _READ_BITS:
                return _pack_bits(
                    _slice(self.coils if function == 1 else self.inputs, address, count, limit=2000)
                )
            values = _slice(self.holding if function == 3 else self.registers, address, count, limit=125)
            return bytes([2 * count]) + struct.pack(f">{count}H", *values)
        if function == 5:
            address, value = struct.unpack(">HH", body)
            if value not in {0, 0xFF00}:
                raise ModbusError(ILLEGAL_VALUE)
            self._write(self.coils, address, [value == 0xFF00])
            return body
        if function == 6:
            address, value = struct.unpack(">HH", body)
            self._write(self.holding, address, [value])
            return body
        if function == 15:
            address, count, size = struct.unpack_from(">HHB", body)
            bits = int.from_bytes(body[5 : 5 + size], "little")
            self._write(self.coils, address, [bool(bits >> at & 1) for at in range(count)])
            return body[:4]
        if function == 16:
            address, count, _ = struct.unpack_from(">HHB", body)
            self._write(self.holding, address, struct.unpack_from(f">{count}H", body, 5))
            return body[:4]
        raise ModbusError(ILLEGAL_FUNCTION)

    def _write(self, bank: dict[int, int], address: int, values: Sequence[int]) -> None:
        if any(address + at not in bank for at in range(len(values))):
            raise ModbusError(ILLEGAL_ADDRESS)
        for at, value in enumerate(values):
            bank[address + at] = value
            self.after_write(address + at, is_coil=bank is self.coils)


def _slice(bank: dict[int, int], address: int, count: int, *, limit: int) -> list[int]:
    if not 1 <= count <= limit:
        raise ModbusError(ILLEGAL_VALUE)
    try:
        return [bank[at] for at in range(address, address + count)]
    except KeyError:
        raise ModbusError(ILLEGAL_ADDRESS) from None


def _pack_bits(bits: list[int]) -> bytes:
    size = (len(bits) + 7) // 8
    number = sum(bool(bit) << at for at, bit in enumerate(bits))
    return bytes([size]) + number.to_bytes(size, "little")
