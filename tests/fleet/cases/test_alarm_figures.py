"""Alarm load: figures reckoned by hand, and what must hold whatever the alarms were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gatehouse_events.states import Disposition, Priority
from gatehouse_fleet.cases.alarm_figures import AlarmFact, figures

START = datetime(2026, 11, 25, tzinfo=UTC)
DAY = timedelta(days=1)


def fact(
    minutes: float, device: str = "gas-1", *, acked_after_s: float | None = None, **more: object
) -> AlarmFact:
    raised = START + timedelta(minutes=minutes)
    acked = None if acked_after_s is None else raised + timedelta(seconds=acked_after_s)
    values = {"priority": Priority.P1, "is_open": False, "community": "示例", "acked_by": "王"} | more
    return AlarmFact(source=("gw", device, "gas.high_alarm"), raised_at=raised, acked_at=acked, **values)  # type: ignore[arg-type]


def measured(facts: list[AlarmFact], *, hours: int = 24) -> dict[str, tuple[float | None, str]]:
    found = figures(facts, START, START + timedelta(hours=hours), START + timedelta(days=2))
    return {one.name: (one.value, one.verdict) for one in found.measures}


def test_a_day_by_hand() -> None:
    calm = [fact(60 * n + 5, f"dev-{n}", priority=Priority.P3) for n in range(13)]
    flood = [fact(600.5 + n / 2, "gas-1") for n in range(11)]
    seen = measured(calm + flood)
    assert seen["mean"] == (24 / 144, "good")
    assert seen["most"] == (12.0, "over"), "eleven of the flood and the one at ten past"
    assert seen["flood"] == (1 / 144, "good"), "one period of a day is less than 1 %"
    assert seen["top_ten"][1] == "over"
    assert seen["critical"] == (11 / 24, "over")


def test_the_time_to_acknowledge_is_that_of_its_priority() -> None:
    facts = [fact(0, acked_after_s=30), fact(1, acked_after_s=60), fact(2, acked_after_s=61), fact(3)]
    answered = figures(facts, START, START + DAY, START + DAY).answered[0]
    assert (answered.alarms, answered.acknowledged, answered.in_time, answered.limit_s) == (4, 3, 2, 60.0)
    assert (answered.mean_s, answered.median_s, answered.slowest_s) == (151 / 3, 60.0, 61.0)


def test_a_clock_that_was_put_back_makes_no_negative_time() -> None:
    answered = figures([fact(5, acked_after_s=-20)], START, START + DAY, START + DAY).answered[0]
    assert (answered.acknowledged, answered.mean_s) == (0, None)


def test_the_worst_actor_is_counted_with_what_joined_its_card() -> None:
    facts = [fact(0, "lift-1", repeats=13), fact(1, "gas-1"), fact(2, "gas-1")]
    found = figures(facts, START, START + DAY, START + DAY)
    assert [(one.device_id, one.times) for one in found.actors] == [("lift-1", 14), ("gas-1", 2)]
    assert found.occurrences == 16


def test_what_lies_ahead_is_not_counted_as_quiet() -> None:
    found = figures([fact(5)], START, START + timedelta(days=7), START + timedelta(minutes=20))
    assert found.periods == (1, 0)


def test_nothing_is_measured_of_nothing_and_says_so() -> None:
    seen = measured([])
    assert seen["top_ten"] == (None, "none")
    assert seen["critical"] == (None, "none")
    assert seen["mean"] == (0.0, "good")


FACTS = st.lists(
    st.builds(
        fact,
        st.floats(-100, 3000, allow_nan=False),
        st.sampled_from(["a", "b", "c"]),
        acked_after_s=st.none() | st.floats(-60, 4000, allow_nan=False),
        priority=st.sampled_from(Priority),
        is_open=st.booleans(),
        repeats=st.integers(0, 50),
        disposition=st.none() | st.sampled_from(Disposition),
    ),
    max_size=60,
)


@given(FACTS)
def test_every_alarm_of_the_span_is_counted_once_and_no_share_leaves_its_bounds(
    facts: list[AlarmFact],
) -> None:
    found = figures(facts, START, START + DAY, START + timedelta(days=3))
    assert sum(found.periods) == found.alarms == sum(one.alarms for one in found.answered)
    assert sum(one.times for one in found.actors) == found.occurrences
    assert all(one.in_time <= one.acknowledged <= one.alarms for one in found.answered)
    assert all(one.value is None or 0 <= one.value <= 1 for one in found.measures if one.is_share)
    assert sum(one.acknowledged for one in found.people) == sum(one.acknowledged for one in found.answered)
