"""Whom to tell while a deadline passes: which rungs are due, and when to look again. Pure.

Rungs are counted, so a restart neither repeats nor skips one: what came due during an outage is all taken at the first look.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from gatehouse_fleet.cases.lights import Light, Marks, light
from gatehouse_fleet.cases.policy import Rung

_A_MOMENT: Final = timedelta(microseconds=1)
"""Times are kept in microseconds: the first one after a deadline."""


class Look(Struct, frozen=True, kw_only=True):
    """What one look at a deadline finds."""

    light: Light
    due: tuple[Rung, ...]
    """Rungs to take now, in order."""
    taken: int
    """Rungs taken in all afterwards."""
    next_at: datetime | None
    """When the next thing happens; None: nothing more will."""


def red_at(marks: Marks) -> datetime:
    """Return the first moment of the red light."""
    return marks.due_at + _A_MOMENT


def look(rungs: Sequence[Rung], marks: Marks, taken: int, now: datetime) -> Look:
    """Return what is due at `now` when `taken` rungs have been taken already."""
    times = sorted(((_time(rung, marks), n) for n, rung in enumerate(rungs)), key=lambda item: item)
    passed = sum(1 for at, _ in times if at <= now)
    coming = [at for at, _ in times[passed:]] + [at for at in (marks.yellow_at, red_at(marks)) if at > now]
    return Look(
        light=light(marks, now),
        due=tuple(rungs[n] for _, n in times[taken:passed]),
        taken=max(taken, passed),
        next_at=min(coming, default=None),
    )


def _time(rung: Rung, marks: Marks) -> datetime:
    return (marks.yellow_at if rung.light is Light.YELLOW else red_at(marks)) + rung.after
