"""Alarm and incident ids: ULIDs, 26 characters, in order of the time they were made."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from ulid import ULID

_PATTERN: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)


def new_id(at: datetime) -> str:
    """Return a fresh ULID for the aware time `at`; two calls with one time differ in 80 random bits.

    A clock that stands before 1970 counts as 1970: an id must always be had.

    Raises:
        ValueError: `at` is naive.
    """
    if at.tzinfo is None:
        raise ValueError(f"an id needs an aware time, not {at.isoformat()}")
    return str(ULID.from_datetime(max(at, _FIRST)))


def is_id(text: str) -> bool:
    """Return whether `text` is a ULID in its one canonical spelling."""
    return _PATTERN.fullmatch(text) is not None
