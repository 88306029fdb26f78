"""Alarm load against ISA-18.2: ten in ten minutes are a flood."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.cases.statistics import DeskLoad, load_of

START = datetime(2026, 11, 25, tzinfo=UTC)
END = START + timedelta(hours=10)


def minutes(*at: float) -> list[datetime]:
    return [START + timedelta(minutes=m) for m in at]


def test_ten_alarms_in_ten_minutes_are_a_flood() -> None:
    per_hour, worst, share = load_of(minutes(*range(10)), START, END)
    assert (per_hour, worst) == (1.0, 10)
    assert share == pytest.approx(9 / 600)


def test_nine_in_ten_minutes_and_one_at_the_eleventh_are_none() -> None:
    assert load_of(minutes(*range(9), 10), START, END)[1:] == (9, 0.0)


def test_a_long_flood_is_counted_once() -> None:
    _, worst, share = load_of(minutes(*[m / 2 for m in range(60)]), START, END)
    assert worst == 20
    assert share == pytest.approx(29.5 / 600)


def test_nothing_is_nothing() -> None:
    assert load_of([], START, END) == (0.0, 0, 0.0)


@pytest.mark.parametrize(
    ("per_hour", "verdict"), [(6.0, "good"), (6.1, "high"), (12.0, "high"), (12.1, "overload")]
)
def test_the_hourly_figures_give_the_verdict(per_hour: float, verdict: str) -> None:
    one = DeskLoad(
        node_id=1,
        name="示例",
        alarms=1,
        per_hour=per_hour,
        worst_10_min=1,
        flood_share=0.0,
        stale=0,
        by_priority={},
    )
    assert one.verdict == verdict


@given(st.lists(st.floats(0, 599), max_size=60))
def test_the_share_is_a_share_and_the_order_of_telling_is_no_matter(at: list[float]) -> None:
    found = load_of(minutes(*at), START, END)
    assert found == load_of(minutes(*sorted(at)), START, END)
    assert 0.0 <= found[2] <= 1.0
    assert (found[2] > 0) <= (found[1] >= 10)
