"""The queue model behind docs/scale.md: right where theory gives the answer, and honest where it cannot keep up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse_hil.light.scale import BACKLOG_ALARMS, BACKLOG_TELEMETRY, Writer, simulate

FAST = Writer(commit_s=0.002, entry_s=1 / 40_000)


def test_an_idle_writer_delays_an_alarm_by_about_one_commit() -> None:
    outcome = simulate(10, FAST, seconds=7_200)
    assert 2.0 <= outcome.alarm_p50_ms <= 4.5  # its own commit, and half of one that was running


def test_the_backlog_takes_as_long_as_the_spare_capacity_says() -> None:
    outcome = simulate(1_000, FAST, with_backlog=True)
    spare = 1 / (FAST.entry_s + FAST.commit_s / 4000) - outcome.entries_per_s
    expected = 1_000 * (BACKLOG_ALARMS + BACKLOG_TELEMETRY) / spare
    assert outcome.drain_s == pytest.approx(expected, rel=0.05)


def test_new_alarms_do_not_wait_for_the_backlog() -> None:
    outcome = simulate(1_000, FAST, with_backlog=True)
    assert outcome.alarm_worst_drain_ms is not None
    # Worst: a full group has just begun, then its own.
    assert outcome.alarm_worst_drain_ms <= 2.2 * 1000 * (FAST.commit_s + 4000 * FAST.entry_s)


def test_what_cannot_keep_up_says_so() -> None:
    outcome = simulate(100_000, Writer(commit_s=0.01, entry_s=1 / 20_000))
    assert outcome.busy > 1
    assert outcome.alarm_p99_ms == float("inf")


@given(st.integers(1, 20_000), st.integers(1, 8))
@settings(max_examples=30)
def test_more_writers_never_make_an_alarm_slower(gateways: int, writers: int) -> None:
    one, many = simulate(gateways, FAST, seconds=30), simulate(gateways, FAST, writers=writers, seconds=30)
    assert many.busy <= one.busy + 1e-9
