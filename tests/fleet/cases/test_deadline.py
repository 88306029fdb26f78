"""Deadlines: Spring Festival, make-up workdays, midnight, year ends, and a host whose own zone is UTC."""

from __future__ import annotations

import os
import subprocess
import sys
import time as host_time
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.cases.calendar import Calendar, parse_year, shipped_years
from gatehouse_fleet.cases.deadline import (
    Allowance,
    Basis,
    Counted,
    Window,
    WorkingTime,
    count,
    count_or_assume,
    part_way,
    worked,
)
from gatehouse_fleet.cases.errors import CalendarMissingError

SHANGHAI = ZoneInfo("Asia/Shanghai")
YEAR_2027 = parse_year(
    "year: 2027\nprovenance: 示例 invented for tests, no notice\n"
    "holidays: [{name: 元旦, first: 2027-01-01, last: 2027-01-03}]".encode()
)
WINDOWS = (
    Window(opens=time(8, 30), closes=time(12, 0)),
    Window(opens=time(14, 0), closes=time(17, 30)),
)
WORKING = WorkingTime(zone=SHANGHAI, windows=WINDOWS, calendar=Calendar((*shipped_years(), YEAR_2027)))
ONLY_2026 = WorkingTime(zone=SHANGHAI, windows=WINDOWS, calendar=Calendar(shipped_years()))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def due(basis: Basis, amount: float, start: str) -> str:
    counted = count(Allowance(basis=basis, amount=amount), at(start), WORKING)
    return counted.due.astimezone(SHANGHAI).isoformat(" ", "minutes")[:16]


@pytest.mark.parametrize(
    ("amount", "start", "expected"),
    [
        (4, "2026-11-25 08:30", "2026-11-25 14:30"),  # over lunch
        (3.5, "2026-11-25 08:30", "2026-11-25 12:00"),  # ends as the window closes, not as the next one opens
        (4, "2026-11-25 16:00", "2026-11-26 11:00"),  # over night
        (4, "2026-11-25 23:59", "2026-11-26 14:30"),  # before midnight
        (4, "2026-11-26 00:00", "2026-11-26 14:30"),  # at midnight: the same
        (4, "2026-11-27 16:00", "2026-11-30 11:00"),  # over a weekend
        (4, "2026-02-14 16:00", "2026-02-24 11:00"),  # a worked Saturday, then nine days of Spring Festival
        (4, "2026-02-27 16:00", "2026-02-28 11:00"),  # Friday to a worked Saturday 调休
        (4, "2026-09-19 10:00", "2026-09-20 14:30"),  # a free Saturday to a worked Sunday
        (4, "2026-12-31 16:00", "2027-01-04 11:00"),  # year end
    ],
)
def test_working_hours_run_only_while_people_work(amount: float, start: str, expected: str) -> None:
    assert due(Basis.WORKING_HOUR, amount, start) == expected


@pytest.mark.parametrize(
    ("amount", "start", "expected"),
    [
        (1, "2026-11-25 09:00", "2026-11-26 17:30"),  # the day of the start does not count (民法典 Art. 201)
        (1, "2026-11-25 00:00", "2026-11-26 17:30"),
        (1, "2026-11-25 23:59", "2026-11-26 17:30"),
        (1, "2026-11-27 09:00", "2026-11-30 17:30"),  # the last day is no holiday (Art. 203)
        (2, "2026-02-13 09:00", "2026-02-24 17:30"),  # Sat 14 is worked, then the festival
        (5, "2026-02-24 09:00", "2026-03-02 17:30"),  # 25, 26, 27, the worked 28, Monday
        (1, "2026-02-18 12:00", "2026-02-24 17:30"),  # started in the middle of the festival
        (1, "2026-12-31 09:00", "2027-01-04 17:30"),
    ],
)
def test_working_days_end_when_business_closes(amount: float, start: str, expected: str) -> None:
    assert due(Basis.WORKING_DAY, amount, start) == expected


def test_calendar_time_does_not_care_for_holidays() -> None:
    assert due(Basis.CALENDAR_MINUTE, 30, "2026-02-16 23:45") == "2026-02-17 00:15"
    assert due(Basis.CALENDAR_HOUR, 24, "2026-12-31 12:00") == "2027-01-01 12:00"


def test_the_days_that_were_counted_are_told() -> None:
    counted = count(Allowance(basis=Basis.WORKING_DAY, amount=2), at("2026-02-13 09:00"), WORKING)
    told = [(day.day.day, day.kind, day.name, day.counted_s) for day in counted.days]
    assert told[:3] == [(13, "workday", "", 0), (14, "make_up", "春节", 25200), (15, "holiday", "春节", 0)]
    assert told[-1] == (24, "workday", "", 25200)
    assert [day for day in told if day[3]] == [told[1], told[-1]]


def test_a_deadline_in_an_untold_year_is_refused_or_provisional_never_silent() -> None:
    allowance = Allowance(basis=Basis.WORKING_DAY, amount=1)
    with pytest.raises(CalendarMissingError):
        count(allowance, at("2026-12-31 09:00"), ONLY_2026)
    counted = count_or_assume(allowance, at("2026-12-31 09:00"), ONLY_2026)
    assert counted.assumed_years == (2027,)
    assert counted.due == at("2027-01-01 17:30")


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Shanghai"])
def host_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    host_time.tzset()
    yield request.param
    monkeypatch.undo()
    host_time.tzset()


@pytest.mark.usefixtures("host_zone")
def test_the_zone_of_the_host_changes_nothing() -> None:
    assert due(Basis.WORKING_HOUR, 4, "2026-02-14 16:00") == "2026-02-24 11:00"
    assert due(Basis.WORKING_DAY, 1, "2026-11-25 23:59") == "2026-11-26 17:30"


def test_a_start_given_in_utc_is_the_same_start() -> None:
    allowance = Allowance(basis=Basis.WORKING_DAY, amount=1)
    # 01:00 in Shanghai is still the day before in UTC.
    assert count(allowance, datetime(2026, 11, 25, 17, 0, tzinfo=UTC), WORKING).due == at("2026-11-27 17:30")


@pytest.mark.parametrize(
    ("basis", "amount"),
    [(Basis.WORKING_DAY, 1.5), (Basis.WORKING_HOUR, 0), (Basis.CALENDAR_HOUR, -1), (Basis.WORKING_DAY, 1e9)],
)
def test_an_amount_that_means_nothing_is_refused(basis: Basis, amount: float) -> None:
    with pytest.raises(ValueError, match=r"working_day|working_hour|calendar_hour"):
        Allowance(basis=basis, amount=amount)


def test_working_hours_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="follow each other"):
        WorkingTime(zone=SHANGHAI, windows=(*WINDOWS, WINDOWS[0]), calendar=WORKING.calendar)


starts = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 20), timezones=st.just(UTC))  # noqa: DTZ001  # given its zone here
later = st.timedeltas(timedelta(0), timedelta(days=20))
bases = st.sampled_from(list(Basis))
amounts = st.integers(1, 10)


def counted(basis: Basis, amount: float, start: datetime) -> Counted:
    return count_or_assume(Allowance(basis=basis, amount=amount), start, WORKING)


@given(basis=bases, amount=amounts, start=starts, wait=later)
def test_who_starts_later_is_never_due_earlier(
    basis: Basis, amount: int, start: datetime, wait: timedelta
) -> None:
    early, late = counted(basis, amount, start), counted(basis, amount, start + wait)
    assert early.due <= late.due
    assert part_way(early, 0.75, WORKING) <= part_way(late, 0.75, WORKING)


@given(basis=bases, amount=amounts, more=st.integers(0, 10), start=starts)
def test_more_time_is_never_less(basis: Basis, amount: int, more: int, start: datetime) -> None:
    assert counted(basis, amount, start).due <= counted(basis, amount + more, start).due


@given(basis=bases, amount=amounts, start=starts)
def test_a_deadline_lies_after_its_start_and_its_yellow_mark_between(
    basis: Basis, amount: int, start: datetime
) -> None:
    it = counted(basis, amount, start)
    assert start < it.due
    assert start <= part_way(it, 0.75, WORKING) <= it.due


@given(amount=st.integers(1, 40).map(lambda n: n / 4), start=starts)
def test_exactly_the_hours_given_are_worked(amount: float, start: datetime) -> None:
    it = counted(Basis.WORKING_HOUR, amount, start)
    assert worked(start, it.due, WORKING) == timedelta(hours=amount)
    assert sum(day.counted_s for day in it.days) == amount * 3600


@given(amount=amounts, start=starts)
def test_a_deadline_in_working_days_ends_at_closing_time_of_a_working_day(
    amount: int, start: datetime
) -> None:
    it = counted(Basis.WORKING_DAY, amount, start)
    end = it.due.astimezone(SHANGHAI)
    assert end.time() == time(17, 30)
    assert WORKING.calendar.day(end.date()).is_working
    first = start.astimezone(SHANGHAI).date()
    between = [first + timedelta(days=n) for n in range(1, (end.date() - first).days + 1)]
    assert sum(1 for day in between if WORKING.calendar.day(day).is_working) == amount


def test_shanghai_has_had_no_summer_time_since_the_product_exists() -> None:
    offsets = {
        datetime.combine(date(2026, 1, 1) + timedelta(days=n), time(12), SHANGHAI).utcoffset()
        for n in range(730)
    }
    assert offsets == {timedelta(hours=8)}


def test_a_process_on_a_host_in_utc_counts_the_same() -> None:
    program = (
        "from datetime import datetime,time;from zoneinfo import ZoneInfo;"
        "from gatehouse_fleet.cases.calendar import Calendar,shipped_years;"
        "from gatehouse_fleet.cases.deadline import *;z=ZoneInfo('Asia/Shanghai');"
        "w=WorkingTime(zone=z,windows=(Window(opens=time(8,30),closes=time(17,30)),),calendar=Calendar(shipped_years()));"
        "print(count(Allowance(basis=Basis.WORKING_DAY,amount=1),datetime(2026,11,25,0,30,tzinfo=z),w).due.isoformat())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TZ": "UTC"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == "2026-11-26T09:30:00+00:00"
