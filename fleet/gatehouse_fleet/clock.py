"""The fleet's clock: the only module here that reads one."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time; tests pass one that stands still until it is moved."""

    def now(self) -> datetime:
        """Return the wall clock, aware, UTC."""
        ...

    def elapsed_s(self) -> float:
        """Return seconds on a clock that never jumps."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock, aware, UTC."""
        return datetime.now(UTC)  # noqa: TID251  # the one place

    def elapsed_s(self) -> float:
        """Return the monotonic clock."""
        return time.monotonic()


class SetClock:
    """A clock that somebody sets: for rehearsals and tests of deadlines."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        """Return the time as set."""
        return self._at

    def elapsed_s(self) -> float:
        """Return the seconds moved so far."""
        return self._elapsed_s

    def move_to(self, at: datetime) -> None:
        """Set the time; the monotonic clock goes on by the difference, never back."""
        self._elapsed_s += max(0.0, (at - self._at).total_seconds())
        self._at = at
