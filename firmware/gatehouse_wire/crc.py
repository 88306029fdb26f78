"""Checksums of the field's wires, and how two authenticators are compared. A checksum may be continued: pass it as `state`.

| function        | width | polynomial | start  | reflected | check ("123456789") | used by, source                          |
|-----------------|-------|------------|--------|-----------|---------------------|------------------------------------------|
| crc16_modbus    | 16    | 0x8005     | 0xFFFF | yes       | 0x4B37              | Modbus serial line V1.02 §2.5.1.2        |
| crc16_ccitt     | 16    | 0x1021     | 0xFFFF | no        | 0x29B1              | lift link; CRC-16/IBM-3740 (CRC RevEng)  |
| sum8            | 8     | -          | 0      | -         | 0xDD                | WitMotion, GB/T 26875.3                  |
| xor8            | 8     | -          | 0      | -         | 0x31                | Winsen MHZ9041A ASCII line               |
"""

# One entry per nibble: 16 words instead of 256 is what a node can spare; twice as slow, still 20 us per frame.
_MODBUS = (
    0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401,
    0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400,
)  # fmt: skip
_CCITT = (
    0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50A5, 0x60C6, 0x70E7,
    0x8108, 0x9129, 0xA14A, 0xB16B, 0xC18C, 0xD1AD, 0xE1CE, 0xF1EF,
)  # fmt: skip


def crc16_modbus(data, state: int = 0xFFFF) -> int:
    """Return the Modbus CRC; on the wire it goes low byte first."""
    for byte in data:
        state ^= byte
        state = (state >> 4) ^ _MODBUS[state & 15]
        state = (state >> 4) ^ _MODBUS[state & 15]
    return state


def crc16_ccitt(data, state: int = 0xFFFF) -> int:
    """Return the CRC-16/IBM-3740 ("CCITT-FALSE")."""
    for byte in data:
        state = ((state << 4) & 0xFFFF) ^ _CCITT[(state >> 12) ^ (byte >> 4)]
        state = ((state << 4) & 0xFFFF) ^ _CCITT[(state >> 12) ^ (byte & 15)]
    return state


def sum8(data, state: int = 0) -> int:
    """Return the sum of the bytes modulo 256."""
    for byte in data:
        state += byte
    return state & 0xFF


def xor8(data, state: int = 0) -> int:
    """Return the exclusive or of the bytes."""
    for byte in data:
        state ^= byte
    return state


def same(left, right) -> bool:
    """Return whether two authenticators are equal, in a time that does not tell where they differ."""
    if len(left) != len(right):
        return False
    difference = 0
    for index in range(len(left)):
        difference |= left[index] ^ right[index]
    return difference == 0
