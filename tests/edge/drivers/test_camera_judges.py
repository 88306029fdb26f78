"""The pure judges of a camera's stream: rates, holes, losses, time, view."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatehouse_edge.clock import Now
from gatehouse_edge.drivers.camera_flow import FlowJudge, FlowSettings
from gatehouse_edge.drivers.camera_time import BELIEVED_S, CaptureClock
from gatehouse_edge.drivers.camera_view import ViewJudge
from gatehouse_edge.reading import Flaw
from gatehouse_events.clock import ClockQuality
from gatehouse_events.evidence import ClockBasis
from gatehouse_hil.facade import Facade

ZERO = datetime(2026, 5, 1, tzinfo=UTC)


def at(s: float) -> Now:
    quality = ClockQuality(synced=True, offset_ms=1.0)
    return Now(
        wall=ZERO + timedelta(seconds=s), service_s=s, boot="b" * 32, mono_ns=int(s * 1e9), clock=quality
    )


# --- flow


def flowed(times_s, *, bad_every: int = 0, is_timed=True, **settings) -> dict[Flaw, str]:
    judge = FlowJudge(FlowSettings(**settings))
    judge.opened(times_s[0], is_counted=True)
    for number, s in enumerate(times_s):
        judge.packet(s)
        if bad_every and number % bad_every == 0:
            judge.bad(s)
        judge.frame(s, s, is_timed=is_timed)
    return judge.flaws(times_s[-1])


def every(step_s: float, seconds: float = 12.0) -> list[float]:
    return [n * step_s for n in range(int(seconds / step_s))]


def test_a_steady_camera_has_no_flaw() -> None:
    found = flowed(every(0.04))
    assert set(found) >= {Flaw.SLOW, Flaw.UNEVEN, Flaw.CORRUPT, Flaw.UNTIMED}
    assert not any(found.values())


def test_nothing_is_said_of_rates_before_a_whole_window_was_seen() -> None:
    assert set(flowed(every(0.5, 5.0))) == {Flaw.UNSTABLE}


def test_five_pictures_a_second_are_too_few_and_eight_and_a_half_are_not() -> None:
    assert "5.0" in flowed(every(0.2))[Flaw.SLOW]
    assert flowed(every(1 / 8.5))[Flaw.SLOW] == ""
    assert flowed(every(1 / 7.97))[Flaw.SLOW] == "", "a camera set to eight whose clock is a little slow"
    assert "7.9 a second, below 8" in flowed(every(1 / 7.9))[Flaw.SLOW]


def test_a_camera_that_pauses_again_and_again_is_uneven_though_its_mean_rate_is_well() -> None:
    paused = [s + (0.6 if s % 2 > 1 else 0.0) for s in every(0.04)]
    found = flowed(sorted(set(paused)))
    assert found[Flaw.SLOW] == ""
    assert "holes up to" in found[Flaw.UNEVEN]


def test_a_variable_rate_without_holes_is_no_flaw() -> None:
    times = list(itertools.accumulate(itertools.islice(itertools.cycle((0.03, 0.09, 0.05)), 240)))
    assert not any(flowed(times).values())


def test_one_broken_packet_is_chance_and_one_in_twenty_a_flaw() -> None:
    assert flowed(every(0.04), bad_every=200)[Flaw.CORRUPT] == ""
    assert "use TCP" in flowed(every(0.04), bad_every=20)[Flaw.CORRUPT]


def test_a_stream_without_time_stamps_is_named() -> None:
    assert "no time stamps" in flowed(every(0.04), is_timed=False)[Flaw.UNTIMED]


def test_a_camera_that_breaks_five_times_in_ten_minutes_is_unstable_and_no_more_after_ten_quiet_ones() -> (
    None
):
    judge = FlowJudge(FlowSettings())
    for s in range(0, 300, 60):
        judge.opened(s, is_counted=True)
    assert "4 breaks" in judge.flaws(250.0)[Flaw.UNSTABLE]
    assert judge.flaws(900.0)[Flaw.UNSTABLE] == ""


# --- time


def test_capture_times_are_those_of_the_stream_and_the_quickest_picture_dates_them() -> None:
    clock = CaptureClock()
    delays = (0.30, 0.12, 0.45, 0.20)
    stamps = [clock.stamp(1000.0 + 0.04 * n, at(50 + 0.04 * n + delay)) for n, delay in enumerate(delays)]
    steps = [b.capture_s - a.capture_s for a, b in itertools.pairwise(stamps)]
    assert steps == pytest.approx([0.04] * 3)
    assert (stamps[-1].at - ZERO).total_seconds() == pytest.approx(50 + 0.12 + 0.12)
    assert clock.lag_s == pytest.approx(0.08)
    assert {stamp.clock for stamp in stamps} == {ClockBasis.ARRIVAL}


def test_sender_reports_date_pictures_by_the_cameras_clock_unless_it_is_astray() -> None:
    clock = CaptureClock()
    clock.tell(pts_s=10.0, camera_wall_s=(ZERO + timedelta(seconds=49.7)).timestamp())
    stamp = clock.stamp(10.0, at(50.0))
    assert (stamp.clock, (stamp.at - ZERO).total_seconds()) == (ClockBasis.CAMERA, pytest.approx(49.7))
    clock.tell(pts_s=10.04, camera_wall_s=(ZERO - timedelta(days=365)).timestamp())
    stamp = clock.stamp(10.04, at(50.04))
    assert stamp.clock is ClockBasis.ARRIVAL
    assert clock.clock_offset_s is not None
    assert abs(clock.clock_offset_s) > BELIEVED_S


def test_a_camera_that_drifts_is_dated_by_its_last_half_minute() -> None:
    clock, drift = (
        CaptureClock(),
        1.001,
    )  # three orders of magnitude worse than a quartz: 60 s in a day is 0.0007
    for n in range(25 * 3600):
        stamp = clock.stamp(n / 25 / drift, at(n / 25 + 0.1))
    assert (stamp.at - ZERO).total_seconds() == pytest.approx(3600 + 0.1, abs=0.1)
    assert clock.lag_s < 0.1


def test_time_stamps_that_leap_begin_a_new_run_and_capture_times_still_grow() -> None:
    clock = CaptureClock()
    stamps = [clock.stamp(pts, at(s)) for s, pts in ((1, 90_000.0), (1.1, 90_000.1), (1.2, 0.0), (1.3, 0.1))]
    assert [stamp.is_new_run for stamp in stamps] == [False, False, True, False]
    assert all(b.capture_s > a.capture_s for a, b in itertools.pairwise(stamps))


@given(st.lists(st.tuples(st.none() | st.floats(-1e6, 1e6), st.floats(0, 10)), max_size=60))
@example([(0.5, 0.0), (0.0, 0.0)])  # a first capture at zero
def test_capture_times_never_run_back_whatever_the_stream_says(steps) -> None:
    clock, now_s, before = CaptureClock(), 0.0, float("-inf")
    for pts_s, gap_s in steps:
        now_s += gap_s
        stamp = clock.stamp(pts_s, at(now_s))
        assert stamp.capture_s >= before
        before = stamp.capture_s


# --- view


def looked(judge: ViewJudge, picture_of, *, seconds: int = 12, since: int = 0) -> dict[Flaw, str]:
    for s in range(since, since + seconds):
        judge.see(picture_of(s), float(s))
    return judge.flaws


def shifted(picture, share: float):
    return np.roll(picture, int(share * picture.shape[1]), axis=1)


@pytest.fixture
def house() -> Facade:
    return Facade(640, 360, floors=10, columns=9)


def test_the_same_view_in_other_light_is_the_same_view(house: Facade) -> None:
    judge = ViewJudge(after_s=3.0)
    assert not any(looked(judge, house.picture).values())
    sunny = looked(
        judge, lambda s: np.clip(house.picture(s).astype(int) + 50, 0, 235).astype(np.uint8), since=12
    )
    assert not any(sunny.values())


def test_a_camera_that_was_pushed_aside_looks_elsewhere_also_after_a_restart(
    house: Facade, tmp_path: Path
) -> None:
    file = tmp_path / "views" / "cam-1.npz"
    looked(ViewJudge(after_s=3.0, file=file), house.picture)
    assert file.exists()
    again = ViewJudge(after_s=3.0, file=file)
    assert "5% / 0%" in looked(again, lambda s: shifted(house.picture(s), 0.05))[Flaw.MOVED]
    other = Facade(640, 360, floors=7, columns=13, seed=99)
    turned = ViewJudge(after_s=3.0, file=file)
    assert looked(turned, lambda s: other.picture(s)[:, ::-1].copy())[Flaw.MOVED]


def test_a_push_along_rows_of_like_windows_is_seen_at_every_look_through_a_noisy_night() -> None:
    noisy = Facade(320, 240, noise_sigma=20.0)
    judge = ViewJudge(after_s=3.0)
    looked(judge, noisy.picture)
    looked(judge, lambda s: shifted(noisy.picture(s), 0.15), since=12)
    words = [
        looked(judge, lambda s: shifted(noisy.picture(s), 0.15), since=s, seconds=1)[Flaw.MOVED]
        for s in range(24, 60)
    ]
    assert all(words)


def test_the_reference_is_after_a_hundred_looks_what_it_was(house: Facade) -> None:
    judge = ViewJudge(after_s=3.0)
    looked(judge, house.picture)
    assert judge._reference is not None
    before = judge._reference.edges.copy()
    looked(judge, house.picture, since=12, seconds=100)
    assert np.array_equal(judge._reference.edges, before)
    assert "5% / 0%" in looked(judge, lambda s: shifted(house.picture(s), 0.05), since=112)[Flaw.MOVED]


@pytest.mark.parametrize("share", [0.003, 0.006, 0.009, 0.0125, 0.019])
def test_a_mast_in_the_wind_is_neither_another_view_nor_a_window_farther_on(
    house: Facade, share: float
) -> None:
    judge = ViewJudge(after_s=3.0)
    looked(judge, house.picture)

    def swaying(s: int):
        across = round(share * house.width * np.sin(2.3 * s))
        return np.roll(house.picture(s), (across // 2, across), axis=(0, 1))

    for s in range(12, 42):
        assert not any(looked(judge, swaying, since=s, seconds=1).values())


def test_a_flaw_of_the_view_must_last(house: Facade) -> None:
    judge = ViewJudge(after_s=5.0)
    looked(judge, house.picture)
    passing = looked(judge, lambda s: shifted(house.picture(s), 0.05), seconds=4, since=12)
    assert passing[Flaw.MOVED] == ""


def test_breath_on_the_lens_is_blur_and_not_another_view(house: Facade) -> None:
    judge = ViewJudge(after_s=3.0)
    looked(judge, house.picture)
    found = looked(judge, lambda s: cv2.GaussianBlur(house.picture(s), (0, 0), 5.0), since=12, seconds=14)
    assert "clean the lens" in found[Flaw.BLURRED]
    assert not found.get(Flaw.MOVED)


def test_by_night_the_view_is_not_judged(house: Facade) -> None:
    judge = ViewJudge(after_s=3.0)
    looked(judge, house.picture)
    rng = np.random.default_rng(5)
    found = looked(
        judge,
        lambda _: np.clip(20 + rng.normal(0, 3, (360, 640)), 16, 60).astype(np.uint8),
        since=12,
        seconds=20,
    )
    assert Flaw.MOVED not in found


@pytest.mark.parametrize("spoilt", [b"", b"PK\x03\x04 not a zip", b"\x00" * 4096])
def test_a_spoilt_reference_is_as_good_as_none(house: Facade, tmp_path: Path, spoilt: bytes) -> None:
    file = tmp_path / "cam-1.npz"
    file.write_bytes(spoilt)
    assert not any(looked(ViewJudge(after_s=3.0, file=file), house.picture).values())
    assert file.read_bytes() != spoilt
