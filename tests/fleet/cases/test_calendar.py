"""Holidays come from the State Council's notice; a year nobody has told is an error with a name."""

from __future__ import annotations

import contextlib
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.cases.calendar import (
    WORKING,
    Calendar,
    DayKind,
    HolidayYear,
    parse_year,
    shipped_years,
)
from gatehouse_fleet.cases.errors import CalendarError, CalendarMissingError

SAMPLE = "year: 2027\nprovenance: 示例 sample\n"
CALENDAR = Calendar(shipped_years())

# 国务院办公厅关于2026年部分节假日安排的通知 (2025-11-04), typed from the notice day by day: the second story beside the file.
OFF_2026 = (
    *(date(2026, 1, d) for d in (1, 2, 3)),
    *(date(2026, 2, d) for d in range(15, 24)),
    *(date(2026, 4, d) for d in (4, 5, 6)),
    *(date(2026, 5, d) for d in (1, 2, 3, 4, 5)),
    *(date(2026, 6, d) for d in (19, 20, 21)),
    *(date(2026, 9, d) for d in (25, 26, 27)),
    *(date(2026, 10, d) for d in range(1, 8)),
)
MAKE_UP_2026 = (
    date(2026, 1, 4),
    date(2026, 2, 14),
    date(2026, 2, 28),
    date(2026, 5, 9),
    date(2026, 9, 20),
    date(2026, 10, 10),
)


def every_day(year: int) -> list[date]:
    return [
        date(year, 1, 1) + timedelta(days=n) for n in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)
    ]


def test_2026_is_as_the_notice_says() -> None:
    kinds = {day: CALENDAR.day(day).kind for day in every_day(2026)}
    assert tuple(day for day, kind in kinds.items() if kind is DayKind.HOLIDAY) == OFF_2026
    assert tuple(day for day, kind in kinds.items() if kind is DayKind.MAKE_UP) == MAKE_UP_2026


def test_2026_has_248_working_days() -> None:
    # 365 days - 104 days of weekends - 19 holidays between Monday and Friday + 6 make-up days.
    assert sum(1 for day in every_day(2026) if CALENDAR.day(day).kind in WORKING) == 248


def test_a_day_says_for_which_holiday_it_is_off_or_worked() -> None:
    assert CALENDAR.day(date(2026, 2, 16)).name == "春节"
    assert CALENDAR.day(date(2026, 2, 28)).name == "春节"


def test_a_year_that_nobody_told_is_refused_with_the_command_that_helps() -> None:
    with pytest.raises(CalendarMissingError, match=r"gatehouse-fleet case calendar 2027\.yaml") as refused:
        CALENDAR.day(date(2027, 1, 4))
    assert refused.value.year == 2027


def test_an_assumed_year_knows_weekends_and_says_so() -> None:
    calendar = CALENDAR.assuming(2027)
    assert calendar.is_assumed(2027)
    assert not calendar.is_assumed(2026)
    assert calendar.day(date(2027, 1, 1)).kind is DayKind.WORKDAY
    assert calendar.day(date(2027, 1, 2)).kind is DayKind.WEEKEND


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "object"),
        ("year: 2027\nprovenance: 示例 sample notice\nholidays: []\nholiday: []", "holiday"),
        ("year: 2027\nprovenance: x\nholidays: []", "provenance"),
        (
            "year: 2027\nprovenance: 示例 sample\nholidays: [{name: 元旦, first: 2026-01-01, last: 2026-01-02}]",
            "not in 2027",
        ),
        (
            "year: 2027\nprovenance: 示例 sample\nholidays: [{name: 元旦, first: 2027-01-03, last: 2027-01-01}]",
            "follow",
        ),
        (
            f"{SAMPLE}holidays: [{{name: 元旦, first: 2027-01-01, last: 2027-01-01, make_up: [2027-01-04]}}]",
            "no Saturday",
        ),
        (
            f"{SAMPLE}holidays: [{{name: 元旦, first: 2027-01-01, last: 2027-01-03, make_up: [2027-01-02]}}]",
            "at once",
        ),
        ("year: [", "YAML|expected"),
        ("#" * 70_000, "at most"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_place(text: str, says: str) -> None:
    with pytest.raises(CalendarError, match=says):
        parse_year(text.encode())


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    with contextlib.suppress(CalendarError):
        assert isinstance(parse_year(raw), HolidayYear)
