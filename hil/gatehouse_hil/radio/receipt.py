"""How a button checks the gateway's receipt; written a second time on purpose, see `advert`.

| offset | bytes | field                                                                       |
|-------:|------:|-----------------------------------------------------------------------------|
| 0      | 1     | version, 1                                                                  |
| 1      | 1     | key id                                                                      |
| 2      | 4     | counter of the press, little endian                                         |
| 6      | 1     | status: 1 recorded, 2 acknowledged by a person                              |
| 7      | 8     | first 8 bytes of HMAC-SHA256(key, label, address, bytes 0 to 6)             |

Source: `firmware/gatehouse_wire/button_receipt.py`, which owns the format.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

SERVICE_UUID: Final = "EF3AF7B8-AA87-4F26-A71D-A47E6FE1EF99"
RECEIPT_UUID: Final = "4BBB9E4A-C696-42CC-8606-91613BFBDD18"
_LABEL: Final = b"gatehouse button receipt 1"
_STATUSES: Final = frozenset({1, 2})


def is_genuine(value: bytes, *, secret: bytes, key_id: int, address: str, counter: int) -> bool:
    """Return whether ``value`` proves that a holder of ``secret`` has taken exactly this press."""
    if len(value) != 15 or value[0] != 1 or value[1] != key_id or value[6] not in _STATUSES:
        return False
    if int.from_bytes(value[2:6], "little") != counter:
        return False
    signed = _LABEL + bytes.fromhex(address.replace(":", "")) + value[:7]
    return hmac.compare_digest(hmac.digest(secret, signed, hashlib.sha256)[:8], value[7:])
