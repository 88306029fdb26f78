"""The time scale of timers goes on over restarts, whatever the wall clock says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_edge.clock import LastSeen, SystemClock, resume

WALL = datetime(2026, 11, 23, 12, tzinfo=UTC)
LAST = LastSeen(service_s=1000.0, wall=WALL, boot="a", mono_ns=5_000_000_000)


def test_a_first_start_begins_at_zero() -> None:
    assert resume(None, wall=WALL, boot="a", mono_ns=1).service_s == 0.0


def test_within_one_boot_the_kernel_clock_decides_even_with_the_wall_clock_at_1970() -> None:
    got = resume(LAST, wall=datetime(1970, 1, 1, tzinfo=UTC), boot="a", mono_ns=9_000_000_000)
    assert (got.service_s, got.downtime_s) == (1004.0, 4.0)


def test_across_boots_the_wall_clock_decides() -> None:
    got = resume(LAST, wall=WALL + timedelta(hours=2), boot="b", mono_ns=1)
    assert (got.service_s, got.downtime_s) == (8200.0, 7200.0)


@pytest.mark.parametrize(
    "wall", [datetime(1970, 1, 1, tzinfo=UTC), WALL - timedelta(seconds=1), WALL + timedelta(days=400)]
)
def test_an_unbelievable_wall_clock_leaves_timers_where_they_stood(wall: datetime) -> None:
    got = resume(LAST, wall=wall, boot="b", mono_ns=1)
    assert (got.service_s, got.downtime_s) == (1000.0, None)


@given(
    st.floats(0, 1e9),
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from("ab"),
    st.integers(0, 10**18),
    st.integers(0, 10**18),
)
def test_the_scale_never_runs_backwards(
    service_s: float, then: datetime, wall: datetime, boot: str, before_ns: int, mono_ns: int
) -> None:
    last = LastSeen(service_s=service_s, wall=then, boot="a", mono_ns=before_ns)
    assert resume(last, wall=wall, boot=boot, mono_ns=mono_ns).service_s >= service_s


def test_the_system_clock_is_aware_and_moves() -> None:
    clock = SystemClock()
    first, second = clock.now(), clock.now()
    assert first.wall.tzinfo is UTC
    assert second.mono_ns > first.mono_ns
    assert second.service_s > first.service_s >= 0.0
