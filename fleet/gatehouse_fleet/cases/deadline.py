"""When something must be done: an amount of hours, 工作时 or 工作日 counted from a start. Pure.

Days are counted as 民法典 Art. 201 and 203 say: the day of the start does not count, and the last day ends when business
closes. Hours run from the moment of the start; 工作时 run only inside the city's working hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from msgspec import Struct, structs

from gatehouse_fleet.cases.calendar import Calendar, Day
from gatehouse_fleet.cases.errors import CalendarMissingError, PolicyError

MAX_DAYS: Final = 1100
"""Days looked at for one deadline: three years."""
MAX_AMOUNT: Final[dict[str, float]] = {
    "calendar_minute": 60 * 24 * 366,
    "calendar_hour": 24 * 366,
    "working_hour": 1000,
    "working_day": 250,
}


class Basis(StrEnum):
    """What an amount counts."""

    CALENDAR_MINUTE = "calendar_minute"
    CALENDAR_HOUR = "calendar_hour"
    WORKING_HOUR = "working_hour"
    """工作时."""
    WORKING_DAY = "working_day"
    """工作日."""


class Allowance(Struct, frozen=True, kw_only=True):
    """How much time there is."""

    basis: Basis
    amount: float

    def __post_init__(self) -> None:
        if not 0 < self.amount <= MAX_AMOUNT[self.basis]:
            raise ValueError(f"{self.amount:g} {self.basis}: more than 0, at most {MAX_AMOUNT[self.basis]:g}")
        if self.basis is Basis.WORKING_DAY and self.amount != int(self.amount):
            raise ValueError(f"{self.amount:g} working_day: whole days only")


class Window(Struct, frozen=True, kw_only=True):
    """Hours in which people work."""

    opens: time
    closes: time


class WorkingTime(Struct, frozen=True, kw_only=True):
    """When a city's offices work."""

    zone: ZoneInfo
    windows: tuple[Window, ...]
    calendar: Calendar

    def __post_init__(self) -> None:
        edges = [edge for window in self.windows for edge in (window.opens, window.closes)]
        if not edges or any(a >= b for a, b in pairwise(edges)):
            raise ValueError("working hours must follow each other within one day")


class CountedDay(Struct, frozen=True, kw_only=True):
    """One day that was looked at."""

    day: date
    kind: str
    name: str
    counted_s: int
    """Seconds of this day that count; for 工作日 a whole working day or nothing."""


class Counted(Struct, frozen=True, kw_only=True):
    """A deadline, and how it came about."""

    start: datetime
    due: datetime
    allowance: Allowance
    days: tuple[CountedDay, ...]
    assumed_years: tuple[int, ...] = ()
    """Years of which only the weekends were known: the deadline is provisional."""


def count(allowance: Allowance, start: datetime, working: WorkingTime) -> Counted:
    """Return the deadline of what starts at `start` (aware), in UTC.

    Raises:
        CalendarMissingError: it reaches into a year whose holidays are not known.
        PolicyError: the working hours leave no time in three years.
    """
    due, days = _reach(allowance, start, working)
    years = {day.day.year for day in days}
    return Counted(
        start=start.astimezone(UTC),
        due=due,
        allowance=allowance,
        days=days,
        assumed_years=tuple(sorted(year for year in years if working.calendar.is_assumed(year))),
    )


def count_or_assume(allowance: Allowance, start: datetime, working: WorkingTime) -> Counted:
    """Return the deadline also when a year's holidays are unknown: its weekends are taken, and `assumed_years` says so.

    A case must never go without a deadline because somebody forgot to import a file.
    """
    while True:
        try:
            return count(allowance, start, working)
        except CalendarMissingError as missing:
            working = structs.replace(working, calendar=working.calendar.assuming(missing.year))


def part_way(counted: Counted, fraction: float, working: WorkingTime) -> datetime:
    """Return the moment at which `fraction` of the counted time is used up (the yellow light)."""
    if counted.allowance.basis in {Basis.CALENDAR_MINUTE, Basis.CALENDAR_HOUR}:
        return counted.start + (counted.due - counted.start) * fraction
    calendar = working.calendar
    for year in counted.assumed_years:
        calendar = calendar.assuming(year)
    working = structs.replace(working, calendar=calendar)
    return _spend(worked(counted.start, counted.due, working) * fraction, counted.start, working)[0]


def worked(start: datetime, end: datetime, working: WorkingTime) -> timedelta:
    """Return how much working time lies between two moments; zero when `end` is not later."""
    total = timedelta()
    for _, spans in _days(start, working):
        for opens, closes in spans:
            if opens >= end:
                return total
            total += min(closes, end) - opens
    return total


def _reach(
    allowance: Allowance, start: datetime, working: WorkingTime
) -> tuple[datetime, tuple[CountedDay, ...]]:
    basis = allowance.basis
    match basis:
        case Basis.CALENDAR_MINUTE:
            return (start + timedelta(minutes=allowance.amount)).astimezone(UTC), ()
        case Basis.CALENDAR_HOUR:
            return (start + timedelta(hours=allowance.amount)).astimezone(UTC), ()
        case Basis.WORKING_HOUR:
            return _spend(timedelta(hours=allowance.amount), start, working)
        case Basis.WORKING_DAY:
            return _nth_day(int(allowance.amount), start, working)
        case never:
            assert_never(never)


def _spend(
    amount: timedelta, start: datetime, working: WorkingTime
) -> tuple[datetime, tuple[CountedDay, ...]]:
    left = amount
    days: list[CountedDay] = []
    for day, spans in _days(start, working):
        spent = timedelta()
        for opens, closes in spans:
            if closes - opens >= left:
                days.append(_counted(day, spent + left))
                return opens + left, tuple(days)
            left -= closes - opens
            spent += closes - opens
        days.append(_counted(day, spent))
    raise PolicyError(f"{amount} of working time do not fit into {MAX_DAYS} days: look at the working hours")


def _nth_day(n: int, start: datetime, working: WorkingTime) -> tuple[datetime, tuple[CountedDay, ...]]:
    first = start.astimezone(working.zone).date()
    days = [_counted(working.calendar.day(first), timedelta())]
    left = n
    for offset in range(1, MAX_DAYS):
        day = working.calendar.day(first + timedelta(days=offset))
        spans = _windows(day.day, working) if day.is_working else ()
        days.append(_counted(day, sum((closes - opens for opens, closes in spans), timedelta())))
        left -= 1 if day.is_working else 0
        if left == 0:
            return spans[-1][1], tuple(days)
    raise PolicyError(f"{n} working days do not fit into {MAX_DAYS} days: look at the calendar")


def _days(start: datetime, working: WorkingTime) -> Iterator[tuple[Day, list[tuple[datetime, datetime]]]]:
    """Yield each day from the one of `start` with its working spans (UTC) that lie after `start`."""
    first = start.astimezone(working.zone).date()
    for offset in range(MAX_DAYS):
        day = working.calendar.day(first + timedelta(days=offset))
        spans = _windows(day.day, working) if day.is_working else ()
        yield day, [(max(opens, start.astimezone(UTC)), closes) for opens, closes in spans if closes > start]


def _windows(day: date, working: WorkingTime) -> tuple[tuple[datetime, datetime], ...]:
    return tuple(
        (
            datetime.combine(day, window.opens, working.zone).astimezone(UTC),
            datetime.combine(day, window.closes, working.zone).astimezone(UTC),
        )
        for window in working.windows
    )


def _counted(day: Day, counted: timedelta) -> CountedDay:
    return CountedDay(day=day.day, kind=day.kind, name=day.name, counted_s=round(counted.total_seconds()))
