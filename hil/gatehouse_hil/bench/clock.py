"""The only module of the bench that reads clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Gives the time; tests pass one they can set."""

    def now(self) -> datetime:
        """Return the wall clock: aware, UTC."""
        ...

    def elapsed_s(self) -> float:
        """Return a monotonic number of seconds, for durations only."""
        ...


class SystemClock:
    """The real clocks."""

    def now(self) -> datetime:
        """Return the wall clock: aware, UTC."""
        return datetime.now(UTC)  # noqa: TID251  # the one place

    def elapsed_s(self) -> float:
        """Return a monotonic number of seconds."""
        return time.monotonic()
