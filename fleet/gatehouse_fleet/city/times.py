"""How a platform writes a time. Inside, times are aware; only here do they become what the other side expects."""

from __future__ import annotations

from datetime import datetime, tzinfo
from enum import StrEnum
from typing import assert_never


class TimeFormat(StrEnum):
    """The forms met in the field (domain table row 4)."""

    RFC3339 = "rfc3339"
    EPOCH_S = "epoch_s"
    """Whole seconds since 1970, as text."""
    EPOCH_MS = "epoch_ms"
    """Milliseconds since 1970, as text."""
    LOCAL = "local"
    """`yyyy-MM-dd HH:mm:ss` on the clock of the target's zone, no zone written."""


def formatted(at: datetime, form: TimeFormat, zone: tzinfo) -> str:
    """Return `at` as the platform writes it.

    Raises:
        ValueError: `at` is naive.
    """
    if at.tzinfo is None:
        raise ValueError(f"a time without zone cannot be told to anybody: {at.isoformat()}")
    match form:
        case TimeFormat.RFC3339:
            return at.astimezone(zone).isoformat(timespec="milliseconds")
        case TimeFormat.EPOCH_S:
            return str(_epoch_ms(at) // 1000)
        case TimeFormat.EPOCH_MS:
            return str(_epoch_ms(at))
        case TimeFormat.LOCAL:
            return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
        case _:
            assert_never(form)


def _epoch_ms(at: datetime) -> int:
    # Not timestamp() * 1000: a float loses the last millisecond of some times.
    return int(at.timestamp() // 1) * 1000 + at.microsecond // 1000
