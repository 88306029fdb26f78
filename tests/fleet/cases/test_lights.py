"""A light follows from two marks and the time, and along one deadline it never goes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.cases.lights import Light, Marks, light, worst

START = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
MARKS = Marks(yellow_at=START + timedelta(minutes=75), due_at=START + timedelta(minutes=100))


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(0, "green"), (74.999, "green"), (75, "yellow"), (99.999, "yellow"), (100, "yellow"), (100.001, "red")],
)
def test_the_light_changes_at_its_marks(minutes: float, expected: str) -> None:
    assert light(MARKS, START + timedelta(minutes=minutes)) == expected


@given(a=st.timedeltas(), b=st.timedeltas())
def test_the_light_never_goes_back(a: timedelta, b: timedelta) -> None:
    order = list(Light)
    early, late = sorted((a % timedelta(days=9), b % timedelta(days=9)))
    assert order.index(light(MARKS, START + early)) <= order.index(light(MARKS, START + late))


def test_the_worst_light_counts() -> None:
    assert worst([Light.GREEN, Light.RED, Light.YELLOW]) is Light.RED
    assert worst([]) is None


def test_marks_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="after the deadline"):
        Marks(yellow_at=MARKS.due_at, due_at=MARKS.yellow_at)
