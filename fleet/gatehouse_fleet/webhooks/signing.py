"""The signature of a delivery: HMAC-SHA256 over time and body, so that neither can be changed nor sent again later.

```
X-Gatehouse-Signature: t=1795570000,v1=5257a869e7…
v1 = hex(HMAC-SHA256(secret, b"1795570000." + body))
```
A receiver recomputes it over the raw body, compares in constant time and refuses what is older than five minutes.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

HEADER: Final = "X-Gatehouse-Signature"
TOLERANCE_S: Final = 300


def sign(secret: bytes, body: bytes, at_s: int) -> str:
    """Return the value of the header for a body sent at `at_s`, seconds since 1970."""
    return f"t={at_s},v1={_digest(secret, body, at_s)}"


def is_genuine(secret: bytes, body: bytes, header: str, now_s: int) -> bool:
    """Return whether a delivery comes from who knows the secret, and is fresh. For receivers and tests."""
    fields = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    stamp = fields.get("t", "")
    if not stamp.isascii() or not stamp.isdigit() or abs(now_s - int(stamp)) > TOLERANCE_S:
        return False
    return hmac.compare_digest(_digest(secret, body, int(stamp)).encode(), fields.get("v1", "").encode())


def _digest(secret: bytes, body: bytes, at_s: int) -> str:
    return hmac.new(secret, str(at_s).encode() + b"." + body, hashlib.sha256).hexdigest()
