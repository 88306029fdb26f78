"""Which days are working days: weekends, public holidays and the make-up workdays 调休 that the State Council orders.

One file per year, with its source. A year without a file is an error with a name, never a guess: who must go on all the
same asks for `assuming` and then says so. Which day a holiday falls on is told, not computed: the notice moves days.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum
from importlib.resources import files
from typing import Annotated, Final

import msgspec
import yaml
from msgspec import Meta, Struct, structs

from gatehouse_fleet.cases.errors import CalendarError, CalendarMissingError

MAX_FILE_BYTES: Final = 64 * 1024
SHIPPED: Final = ("cn-2026.yaml",)
"""Years whose notice we have read; every other year is imported."""
_SATURDAY: Final = 5
_MAX_RANGE_DAYS: Final = 31


class DayKind(StrEnum):
    """What one day is."""

    WORKDAY = "workday"
    MAKE_UP = "make_up"
    """A Saturday or Sunday on which people work 调休上班."""
    WEEKEND = "weekend"
    HOLIDAY = "holiday"


WORKING: Final = frozenset({DayKind.WORKDAY, DayKind.MAKE_UP})


class Holiday(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One holiday: first and last day off, and the days worked instead."""

    name: Annotated[str, Meta(min_length=1, max_length=32)]
    first: date
    last: date
    make_up: tuple[date, ...] = ()


class HolidayYear(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The holidays of one year, as ordered. File of this shape: `data/cn-2026.yaml`."""

    year: Annotated[int, Meta(ge=2000, le=2200)]
    provenance: Annotated[str, Meta(min_length=8, max_length=500)]
    """Who ordered it, when, and where it was read."""
    holidays: Annotated[tuple[Holiday, ...], Meta(max_length=32)]
    is_assumed: bool = False
    """Nobody has told the holidays: only weekends are known."""

    def __post_init__(self) -> None:
        for holiday in self.holidays:
            span = (holiday.last - holiday.first).days
            if not 0 <= span < _MAX_RANGE_DAYS:
                raise ValueError(f"{holiday.name}: last day {holiday.last} does not follow {holiday.first}")
            if self.year not in {holiday.first.year, holiday.last.year}:
                raise ValueError(f"{holiday.name}: {holiday.first} is not in {self.year}")
            for day in holiday.make_up:
                if day.weekday() < _SATURDAY:
                    raise ValueError(f"{holiday.name}: {day} is no Saturday or Sunday, it needs no make-up")
                if any(other.first <= day <= other.last for other in self.holidays):
                    raise ValueError(f"{holiday.name}: {day} is worked and off at once")


class Day(Struct, frozen=True, kw_only=True):
    """One day and what it is."""

    day: date
    kind: DayKind
    name: str = ""
    """Of the holiday that makes it one, or for which it is worked."""

    @property
    def is_working(self) -> bool:
        """People work on it."""
        return self.kind in WORKING


class Calendar:
    """Every year that is known, and what each of their days is."""

    def __init__(self, years: Iterable[HolidayYear]) -> None:
        self._years: Final = {year.year: year for year in years}
        self._marked: Final[dict[date, Day]] = {}
        for year in self._years.values():
            for holiday in year.holidays:
                for n in range((holiday.last - holiday.first).days + 1):
                    day = holiday.first + timedelta(days=n)
                    self._marked[day] = Day(day=day, kind=DayKind.HOLIDAY, name=holiday.name)
                for day in holiday.make_up:
                    self._marked[day] = Day(day=day, kind=DayKind.MAKE_UP, name=holiday.name)

    @property
    def years(self) -> tuple[HolidayYear, ...]:
        """The years, oldest first."""
        return tuple(self._years[year] for year in sorted(self._years))

    def day(self, day: date) -> Day:
        """Return what `day` is.

        Raises:
            CalendarMissingError: its year is not known.
        """
        if day.year not in self._years:
            raise CalendarMissingError(day.year)
        marked = self._marked.get(day)
        if marked is not None:
            return marked
        return Day(day=day, kind=DayKind.WEEKEND if day.weekday() >= _SATURDAY else DayKind.WORKDAY)

    def is_assumed(self, year: int) -> bool:
        """Return whether only the weekends of `year` are known."""
        return year in self._years and self._years[year].is_assumed

    def assuming(self, year: int) -> Calendar:
        """Return a calendar that knows only the weekends of `year`; what it counts is provisional."""
        blank = HolidayYear(
            year=year, provenance="假定:仅周末 assumed: weekends only", holidays=(), is_assumed=True
        )
        return Calendar((*self._years.values(), blank))

    def with_year(self, year: HolidayYear) -> Calendar:
        """Return a calendar that knows one year more, or anew."""
        return Calendar((*(known for known in self._years.values() if known.year != year.year), year))


def parse_year(raw: bytes) -> HolidayYear:
    """Return the year in a YAML file.

    Raises:
        CalendarError: too large, not YAML, or not such a year; the text says where.
    """
    if len(raw) > MAX_FILE_BYTES:
        raise CalendarError(f"{len(raw)} bytes; a year of holidays has at most {MAX_FILE_BYTES}")
    try:
        year = msgspec.convert(yaml.safe_load(raw), HolidayYear)
    except (yaml.YAMLError, msgspec.ValidationError, RecursionError, ValueError) as error:
        raise CalendarError(f"节假日文件不正确 the file of holidays does not fit: {error}") from error
    return structs.replace(year, is_assumed=False)


def shipped_years() -> tuple[HolidayYear, ...]:
    """Return the years that come with the program."""
    folder = files("gatehouse_fleet.cases") / "data"
    return tuple(parse_year((folder / name).read_bytes()) for name in SHIPPED)
