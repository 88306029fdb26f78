"""The file that esptool writes: which chip it is for, what it holds, whether it is whole.

A runtime for the ESP32-C3 is one file from flash address 0: boot loader at 0x0, partition table at 0x8000, program
at 0x10000. Boot loader and program are images:

| offset | type | name | meaning |
|---|---|---|---|
| 0 | u8 | magic | 0xE9 |
| 1 | u8 | segments | |
| 4 | u32 | entry | |
| 12 | u16 | chip id | 5 = ESP32-C3 |
| 23 | u8 | hash appended | 1: SHA-256 of everything before it follows the checksum |
| 24 | | segments | load address u32, length u32, content |

The first segment of a program opens with the description (magic 0xABCD5432, version at 16, name at 48, 32 bytes each).
Source: Espressif, "App Image Format" in the ESP-IDF manual. `stand_in` builds one of our own: no public index holds
the true MicroPython binary, so the simulated boards flash this file in its place.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import md5, sha256
from itertools import pairwise
from typing import Final

PROGRAM_AT: Final = 0x10000
PARTITIONS_AT: Final = 0x8000
_MAGIC: Final = 0xE9
_DESCRIPTION_MAGIC: Final = 0xABCD5432
_HEADER: Final = struct.Struct("<BBBBI4xH9xB")
_MAX_SEGMENTS: Final = 16
CHIP_NAMES: Final = {
    0: "ESP32",
    2: "ESP32-S2",
    5: "ESP32-C3",
    9: "ESP32-S3",
    12: "ESP32-C2",
    13: "ESP32-C6",
    16: "ESP32-H2",
}
"""Chip ids of the image header (esptool, IMAGE_CHIP_ID of each target)."""


class ImageError(ValueError):
    """The file is no whole image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What an image says of itself, once its checksum and its hash were found right."""

    chip: str
    name: str
    version: str
    """Empty in a boot loader."""
    size: int


def read(content: bytes | bytearray, at: int = 0) -> Image:
    """Return what the image at offset `at` says.

    Raises:
        ImageError: no image begins there, or it is cut short or damaged.
    """
    if len(content) < at + 24:
        raise ImageError("the file ends before the image header does")
    magic, segments, _mode, _size, _entry, chip_id, has_hash = _HEADER.unpack_from(content, at)
    if magic != _MAGIC or not 0 < segments <= _MAX_SEGMENTS:
        raise ImageError(f"no image begins at {at:#x}")
    cursor, folded, first = at + 24, 0xEF, b""
    for number in range(segments):
        if cursor + 8 > len(content):
            raise ImageError("the image is cut short")
        _address, length = struct.unpack_from("<II", content, cursor)
        body = bytes(content[cursor + 8 : cursor + 8 + length])
        if len(body) != length:
            raise ImageError("the image is cut short")
        first = body if number == 0 else first
        folded ^= _fold(body)
        cursor += 8 + length
    cursor = at + ((cursor - at) | 15)  # the checksum is the last byte of a 16-byte row
    if cursor >= len(content) or content[cursor] != folded:
        raise ImageError("the image is damaged: its checksum does not fit")
    end = cursor + 1
    if has_hash:
        if bytes(content[end : end + 32]) != sha256(content[at:end]).digest():
            raise ImageError("the image is damaged: its hash does not fit")
        end += 32
    name, version = _description(first)
    return Image(chip=CHIP_NAMES.get(chip_id, f"chip {chip_id}"), name=name, version=version, size=end - at)


def read_runtime(content: bytes | bytearray) -> Image:
    """Return the program of a runtime file: at 0x10000 where there is one, else at 0.

    Raises:
        ImageError: the boot loader or the program is not whole.
    """
    loader = read(content)
    return read(content, PROGRAM_AT) if len(content) > PROGRAM_AT else loader


def digest(content: bytes) -> str:
    """Return the SHA-256 of a runtime file, hex: what a record says was written."""
    return sha256(content).hexdigest()


def stand_in(
    *, chip_id: int, version: str, name: str = "micropython-stand-in", program_bytes: int = 24_576
) -> bytes:
    """Return a runtime file of our own with everything where the true one has it, and no program inside."""
    seed = sha256(f"{name} {version}".encode()).digest()
    body = b"".join(sha256(seed + struct.pack("<I", at)).digest() for at in range(program_bytes // 32))
    description = struct.pack(
        "<II8x32s32s", _DESCRIPTION_MAGIC, 0, version.encode()[:31], name.encode()[:31]
    ).ljust(256, b"\0")
    loader = build(chip_id=chip_id, content=seed * 32)
    parts = (
        (0, loader),
        (PARTITIONS_AT, _partitions()),
        (PROGRAM_AT, build(chip_id=chip_id, content=description + body)),
    )
    whole = b""
    for (_, part), (following, _) in pairwise((*parts, (len(parts[-1][1]) + PROGRAM_AT, b""))):
        whole = (whole + part).ljust(following, b"\xff")
    return whole


def build(*, chip_id: int, content: bytes) -> bytes:
    """Return an image with `content` as its only segment (load address 0x3C000020)."""
    content = content.ljust(-(-len(content) // 4) * 4, b"\0")
    image = _HEADER.pack(_MAGIC, 1, 2, 0x20, 0x4038_0000, chip_id, 1)
    image += struct.pack("<II", 0x3C00_0020, len(content)) + content
    image = image.ljust(len(image) | 15, b"\0") + bytes([0xEF ^ _fold(content)])
    return image + sha256(image).digest()


def _partitions() -> bytes:
    """The table of MicroPython's 4 MiB layout (ports/esp32/partitions-4MiB.csv), with the MD5 row at its end."""
    rows = (
        (1, 0x02, 0x9000, 0x6000, b"nvs"),
        (1, 0x01, 0xF000, 0x1000, b"phy_init"),
        (0, 0x00, 0x10000, 0x1F0000, b"factory"),
        (1, 0x81, 0x200000, 0x200000, b"vfs"),
    )
    table = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, sub, at, size, label, 0)
        for kind, sub, at, size, label in rows
    )
    table += b"\xeb\xeb" + b"\xff" * 14 + md5(table, usedforsecurity=False).digest()
    return table.ljust(0xC00, b"\xff")


def _description(segment: bytes) -> tuple[str, str]:
    """Name and version in the first segment of a program; empty in a boot loader."""
    if len(segment) < 80 or int.from_bytes(segment[:4], "little") != _DESCRIPTION_MAGIC:
        return "", ""
    version, name = (segment[at : at + 32].split(b"\0")[0] for at in (16, 48))
    return _printable(name), _printable(version)


def _printable(octets: bytes) -> str:
    return "".join(chr(octet) for octet in octets if 0x20 <= octet < 0x7F)


def _fold(body: bytes) -> int:
    """XOR of all bytes: of the halves of the number, again and again."""
    number, octets = int.from_bytes(body, "big"), max(1, len(body))
    while octets > 1:
        half = -(-octets // 2)
        number = (number >> (8 * half)) ^ (number & ((1 << (8 * half)) - 1))
        octets = half
    return number
