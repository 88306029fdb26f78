"""The download mode of an ESP32-C3 without the chip: enough of its ROM loader for stock `esptool --no-stub`.

A request and its answer are SLIP packets (RFC 1055), little-endian inside:

| offset | type | name | meaning |
|---|---|---|---|
| 0 | u8 | direction | 0 request, 1 answer |
| 1 | u8 | op | see `Op` |
| 2 | u16 | length | of what follows offset 8 |
| 4 | u32 | value | request: XOR of the payload with 0xEF; answer: the register read |
| 8 | bytes | body | an answer's body ends in 4 status bytes: failed?, reason, 0, 0 |

Source: Espressif, "Serial Protocol" in the esptool manual. Power can be cut after any block: the flash then holds
what had been written, as on a board whose cable was pulled.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

FLASH_BYTES: Final = 4 * 1024 * 1024
_SECTOR: Final = 4096
_END: Final = b"\xc0"
_PACKET_LIMIT: Final = 40_000
"""A block is 16 KiB at most, and SLIP can double it; what is longer is noise."""
_MAGIC_REGISTER: Final = 0x4000_1000
_SPI_W0: Final = 0x6000_2058
_SPI_COMMAND: Final = 0x6000_2000
_JEDEC_4MB: Final = 0x16_40EF
"""Winbond, 4 MiB; esptool reads the size out of the third byte."""


class Op(IntEnum):
    """Commands that the loader answers."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    CHANGE_BAUD = 0x0F
    DEFL_BEGIN = 0x10
    DEFL_DATA = 0x11
    DEFL_END = 0x12
    FLASH_MD5 = 0x13
    SECURITY_INFO = 0x14


class Reason(IntEnum):
    """Why the loader refuses (esptool manual, "ROM Loader Errors")."""

    INVALID = 0x05
    FAILED = 0x06
    CHECKSUM = 0x07
    DEFLATE = 0x0B


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """What tells one chip from another."""

    name: str
    chip_id: int
    """As in the image header and in GET_SECURITY_INFO."""
    mac_register: int
    """First word of the MAC in eFuse."""


ESP32_C3: Final = Chip(name="ESP32-C3", chip_id=5, mac_register=0x6000_8844)
ESP32_S3: Final = Chip(name="ESP32-S3", chip_id=9, mac_register=0x6000_7044)


def escape(packet: bytes) -> bytes:
    """Return `packet` framed by SLIP."""
    return _END + packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + _END


def unescape(packet: bytes) -> bytes:
    """Return what stood between two SLIP ends."""
    return packet.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")


@dataclass(slots=True)
class _Writing:
    """A write that has begun."""

    at: int
    ends: int
    inflater: zlib._Decompress | None


@dataclass(slots=True)
class FakeRom:
    """The loader of one chip. `feed` it what the host sends; it returns what the chip says."""

    chip: Chip
    mac: bytes
    """Six bytes."""
    flash: bytearray = field(default_factory=lambda: bytearray(b"\xff" * FLASH_BYTES))
    cut_after_blocks: int | None = None
    """So many further blocks are written, then the power is gone."""
    has_power: bool = True
    _heard: bytearray = field(default_factory=bytearray)
    _registers: dict[int, int] = field(default_factory=dict)
    _writing: _Writing | None = None

    def feed(self, octets: bytes) -> bytes:
        """Take bytes from the host; return the answer, often empty."""
        self._heard += octets
        said = b""
        while self.has_power and (end := self._heard.find(_END)) >= 0:
            packet = unescape(bytes(self._heard[:end]))
            del self._heard[: end + 1]
            if packet:
                said += self._answer(packet)
        del self._heard[:-_PACKET_LIMIT]
        return said if self.has_power else b""

    def _answer(self, packet: bytes) -> bytes:
        if len(packet) < 8 or packet[0] != 0:
            return b""
        _, code, length, checksum = struct.unpack_from("<BBHI", packet)
        body = packet[8:]
        if len(body) != length or code not in set(Op):
            return self._refuse(code, Reason.INVALID)
        op = Op(code)
        try:
            return self._obey(op, body, checksum)
        except struct.error:
            return self._refuse(op, Reason.INVALID)

    def _obey(self, op: Op, body: bytes, checksum: int) -> bytes:
        if op is Op.SYNC:
            return self._say(op) * 8  # the ROM answers a sync eight times; esptool reads them all
        if op is Op.READ_REG:
            return self._say(op, value=self._register(struct.unpack_from("<I", body)[0]))
        if op is Op.WRITE_REG:
            address, value = struct.unpack_from("<II", body)
            self._registers[address] = value if len(self._registers) < 4096 else 0
        elif op is Op.SECURITY_INFO:
            return self._say(op, body=struct.pack("<IB7BII", 0, 0, *[0] * 7, self.chip.chip_id, 0))
        elif op in (Op.FLASH_BEGIN, Op.DEFL_BEGIN):
            return self._begin(op, body)
        elif op in (Op.FLASH_DATA, Op.DEFL_DATA):
            return self._write(op, body, checksum)
        elif op is Op.FLASH_MD5:
            start, size = struct.unpack_from("<II", body)
            digest = hashlib.md5(self.flash[start : start + size], usedforsecurity=False).hexdigest()
            return self._say(op, body=digest.encode())
        return self._say(op)

    def _register(self, address: int) -> int:
        if address == self.chip.mac_register:
            return int.from_bytes(self.mac[2:], "big")
        if address == self.chip.mac_register + 4:
            return int.from_bytes(self.mac[:2], "big")
        if address == _SPI_W0:
            return _JEDEC_4MB
        if address == _SPI_COMMAND:
            return 0  # the command has run
        return self._registers.get(address, 0)

    def _begin(self, op: Op, body: bytes) -> bytes:
        size, _blocks, _block_bytes, start = struct.unpack_from("<IIII", body)
        ends = start + -(-size // _SECTOR) * _SECTOR
        if ends > len(self.flash):
            return self._refuse(op, Reason.FAILED)
        if op is Op.FLASH_BEGIN:
            self.flash[start:ends] = b"\xff" * (ends - start)
        self._writing = _Writing(start, ends, zlib.decompressobj() if op is Op.DEFL_BEGIN else None)
        return self._say(op)

    def _write(self, op: Op, body: bytes, checksum: int) -> bytes:
        length, _seq = struct.unpack_from("<II", body)
        block = body[16 : 16 + length]
        writing = self._writing
        if writing is None or len(block) != length:
            return self._refuse(op, Reason.INVALID)
        if checksum != _checksum(block):
            return self._refuse(op, Reason.CHECKSUM)
        if self.cut_after_blocks is not None:
            if self.cut_after_blocks <= 0:
                self.has_power = False
                return b""
            self.cut_after_blocks -= 1
        if writing.inflater is not None:
            try:
                block = writing.inflater.decompress(block, max(1, writing.ends - writing.at))
            except zlib.error:
                return self._refuse(op, Reason.DEFLATE)
        if writing.at + len(block) > writing.ends:
            return self._refuse(op, Reason.FAILED)
        self.flash[writing.at : writing.at + len(block)] = block
        writing.at += len(block)
        return self._say(op)

    def _say(self, op: int, *, value: int = 0, body: bytes = b"") -> bytes:
        body += bytes(4)
        return escape(struct.pack("<BBHI", 1, op, len(body), value) + body)

    def _refuse(self, op: int, reason: Reason) -> bytes:
        return escape(struct.pack("<BBHI", 1, op, 4, 0) + bytes((1, reason, 0, 0)))


def _checksum(block: bytes) -> int:
    folded = 0xEF
    for octet in block:
        folded ^= octet
    return folded
