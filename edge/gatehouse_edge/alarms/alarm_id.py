"""Names for what is born at the gateway: ULIDs that a repeated step makes again."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from gatehouse_edge.clock import Now

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(now: Now, *parts: str) -> str:
    """Return the ULID of something born at `now`; equal arguments give the equal id, so a step can be repeated.

    48 bits of wall time in ms, 80 bits of a hash over boot id, CLOCK_BOOTTIME and `parts`.
    """
    milliseconds = max(0, int(now.wall.timestamp() * 1000)) & (1 << 48) - 1
    seed = "\0".join((now.boot, str(now.mono_ns), repr(now.service_s), *parts)).encode()
    number = milliseconds << 80 | int.from_bytes(blake2b(seed, digest_size=10).digest(), "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
