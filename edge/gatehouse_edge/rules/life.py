"""How long a gas detector may still be used: tasks 90, 30 and 0 days before its life ends (domain row 25).

Life: 5 years in a household, 3 in a business (CJJ/T 146, domain notes §2.1, grade S). Only a believable wall clock
counts; the latest credible day is kept, so a gateway that starts in 1970 neither forgets an expired detector nor
renews it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from gatehouse_edge.clock import Now
from gatehouse_edge.rules.condition import Condition

_PLAUSIBLE_FROM: Final = datetime(2025, 1, 1, tzinfo=UTC)
_TASKS_DAYS: Final = (90, 30)


def credible_day(known: int | None, now: Now) -> int | None:
    """Return the proleptic ordinal of today as far as it may be believed, else the `known` one.

    A synchronised clock is believed both ways; an unsynchronised but plausible one only forward.
    """
    if now.wall < _PLAUSIBLE_FROM:
        return known
    today = now.wall.date().toordinal()
    if now.clock.synced or known is None:
        return today
    return max(known, today)


def end_of_life(installed_on: date, life_years: float) -> date:
    """Return the first day on which the detector is too old. A 29 February counts as the 28th."""
    whole = int(life_years)
    year = min(installed_on.year + whole, 9998)
    try:
        end = installed_on.replace(year=year)
    except ValueError:
        end = installed_on.replace(year=year, day=28)
    return date.fromordinal(end.toordinal() + round((life_years - whole) * 365))


def life_conditions(installed_on: date | None, life_years: float, day: int | None) -> tuple[Condition, ...]:
    """Return the task that is due on `day`; its `occurrence` is the number of the reminder (1: 90 d, 2: 30 d)."""
    if installed_on is None or day is None:
        return ()
    end = end_of_life(installed_on, life_years)
    left = end.toordinal() - day
    if left <= 0:
        return (Condition(code="gas.expired", text=f"since {end.isoformat()}"),)
    reminder = sum(left <= days for days in _TASKS_DAYS)
    if reminder == 0:
        return ()
    return (Condition(code="gas.life_ending", occurrence=reminder, text=f"ends {end.isoformat()}"),)
