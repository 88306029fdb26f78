"""How long to wait after a failure, and when to stop trying. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

FIRST: Final = timedelta(seconds=2)
LONGEST: Final = timedelta(minutes=5)
PARK_AFTER: Final = timedelta(hours=24)
"""A receiver that has failed for a day is parked: somebody has to look."""
_MAX_DOUBLINGS: Final = 16


def pause(failures: int, spread: float) -> timedelta:
    """Return how long to wait after so many failures in a row: doubled each time, up to five minutes.

    Args:
        failures: 1 after the first.
        spread: 0 to 1, random: the wait is half to all of its length, so that receivers are not hit in step.
    """
    whole_s: float = FIRST.total_seconds() * (1 << min(failures - 1, _MAX_DOUBLINGS))
    return min(timedelta(seconds=whole_s), LONGEST) * (0.5 + spread / 2)


def is_hopeless(failing_since: datetime, now: datetime) -> bool:
    """Return whether to stop trying."""
    return now - failing_since >= PARK_AFTER
