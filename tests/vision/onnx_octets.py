"""ONNX files written by hand (onnx.proto3), for networks that are not ours: the library that makes them is no dependency."""

from __future__ import annotations

FLOAT, UINT8 = 1, 2  # TensorProto.DataType


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    octets = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(octets)) + octets


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


def tensor(name: str, kind: int, *sides: int | str) -> bytes:
    shape = b"".join(field(1, field(1, side) if isinstance(side, int) else field(2, side)) for side in sides)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))
