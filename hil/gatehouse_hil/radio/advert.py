"""What a button or beacon puts on air: an encrypted BTHome v2 advert, built here a second time on purpose.

This is not the gateway's codec: it is written from the specification alone (bthome.io/format and
bthome.io/encryption) with another cipher library, so that an error would have to be made twice to go unseen.

| offset | bytes | field                                                                    |
|-------:|------:|--------------------------------------------------------------------------|
| 0      | 3     | flags AD structure `02 01 06`                                            |
| 3      | 1     | length of the service-data AD structure                                  |
| 4      | 1     | AD type 0x16                                                             |
| 5      | 2     | UUID 0xFCD2, little endian                                               |
| 7      | 1     | device information: bit 0 encrypted, bit 2 trigger based, bits 5-7 = 2   |
| 8      | n     | objects, AES-CCM ciphertext                                              |
| 8+n    | 4     | counter, little endian                                                   |
| 12+n   | 4     | message integrity code                                                   |
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESCCM

UUID_LE: Final = b"\xd2\xfc"
INFO_TRIGGERED: Final = 0x45
INFO_PERIODIC: Final = 0x41
MIC_BYTES: Final = 4
_PACKET_ID: Final = 0x00
_BATTERY: Final = 0x01
_TAMPER: Final = 0x2B
_BUTTON: Final = 0x3A
_FLAGS: Final = b"\x02\x01\x06"


class Event(IntEnum):
    """BTHome button event (object 0x3A)."""

    NONE = 0x00
    PRESS = 0x01
    HOLD = 0x80


def objects(
    counter: int, *, battery_pct: int | None, event: Event | None, is_tampered: bool = False
) -> bytes:
    """Return the plain objects in ascending order of their ids, as the format asks."""
    plain = bytes((_PACKET_ID, counter & 0xFF))
    if battery_pct is not None:
        plain += bytes((_BATTERY, battery_pct))
    if is_tampered:
        plain += bytes((_TAMPER, 1))
    if event is not None:
        plain += bytes((_BUTTON, event))
    return plain


def service_data(
    secret: bytes, address: str, counter: int, plain: bytes, *, info: int = INFO_TRIGGERED
) -> bytes:
    """Return what follows the UUID: device information, ciphertext, counter, integrity code."""
    count = struct.pack("<I", counter)
    nonce = bytes.fromhex(address.replace(":", "")) + UUID_LE + bytes((info,)) + count
    sealed = AESCCM(secret, tag_length=MIC_BYTES).encrypt(nonce, plain, None)
    return bytes((info,)) + sealed[:-MIC_BYTES] + count + sealed[-MIC_BYTES:]


def advertising_data(payload: bytes) -> bytes:
    """Return the advert's bytes on air (at most 31) around one service-data payload.

    Raises:
        ValueError: it does not fit a legacy advert.
    """
    section = b"\x16" + UUID_LE + payload
    on_air = _FLAGS + bytes((len(section),)) + section
    if len(on_air) > 31:
        raise ValueError(f"{len(on_air)} bytes do not fit a legacy advert of 31")
    return on_air
