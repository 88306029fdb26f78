"""Doubts: a bird that turns down and traffic on a road have them, a thing that somebody threw, even upwards, has none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_edge.vision.detector import Spot
from gatehouse_edge.vision.doubts import doubts, has_flown, has_left, is_flat, sinks_slowly
from gatehouse_edge.vision.tracks import Point

FPS = 25
HEIGHT_PX = 1000
GRAVITY_PX_S2 = 300.0


def points(places: list[tuple[float, float]], first: int = 0) -> tuple[Point, ...]:
    return tuple(
        Point(n / FPS, n, Spot(x, y, 4.0, 4.0, 0.9), 0, 0.0) for n, (x, y) in enumerate(places, first)
    )


def thrown(up_px_s: float, aside_px_s: float, frames: int) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Return rise and fall of what leaves a hand with these velocities and is seen for so many frames."""
    times = [n / FPS for n in range(frames)]
    path = points([(100 + aside_px_s * t, 200 - up_px_s * t + GRAVITY_PX_S2 * t * t / 2) for t in times])
    top = min(range(frames), key=lambda n: path[n].spot.y)
    return path[:top], path[top:]


@given(st.floats(0.0, 200.0), st.floats(-60.0, 60.0))
def test_nothing_speaks_against_a_thing_that_was_thrown_however_high(
    up_px_s: float, aside_px_s: float
) -> None:
    rise, fall = thrown(up_px_s, aside_px_s, 50)
    assert doubts(fall, rise, height_px=HEIGHT_PX) == 0.0


@pytest.mark.parametrize(("level_s", "is_doubted"), [(0.3, False), (1.0, True)])
def test_what_has_flown_level_before_it_sinks_is_doubted(level_s: float, is_doubted: bool) -> None:
    count = int(level_s * FPS)
    rise = points([(40.0 + 1.5 * n, 200.0 - 0.05 * n) for n in range(count)])
    fall = points([(40.0 + 1.5 * (count + n), 200.0 + 2.0 * n) for n in range(40)], first=count)
    assert has_flown(fall, rise) is is_doubted
    assert (doubts(fall, rise, height_px=HEIGHT_PX) > 0) is is_doubted


def test_a_short_glimpse_of_a_fall_after_a_long_flight_is_taken_for_what_it_would_have_been() -> None:
    rise = points([(40.0 + n, 204.0 - 0.16 * n) for n in range(25)])
    glimpse = points([(65.0 + n, 200.0 + 0.8 * n) for n in range(9)], first=25)
    assert has_flown(glimpse, rise)


def test_a_path_that_goes_further_aside_than_down_is_doubted_to_whichever_side() -> None:
    for side in (-1, 1):
        flat = points([(400.0 + side * 4 * n, 100.0 + 3 * n) for n in range(30)])
        assert is_flat(flat)
        assert doubts(flat, height_px=HEIGHT_PX) > 0


def test_each_reason_adds_to_the_others() -> None:
    brief_flat_from_above = points([(100.0 + 9 * n, 1.0 + 5 * n) for n in range(8)])
    brief_flat = points([(100.0 + 9 * n, 100.0 + 5 * n) for n in range(8)])
    flat = points([(100.0 + 9 * n, 100.0 + 5 * n) for n in range(18)])
    assert (
        doubts(brief_flat_from_above, height_px=HEIGHT_PX)
        > doubts(brief_flat, height_px=HEIGHT_PX)
        > doubts(flat, height_px=HEIGHT_PX)
        > 0
    )


def test_what_comes_in_above_and_goes_out_below_is_doubted_more_than_what_stays() -> None:
    stays = points([(100.0, 1.0 + 20 * n) for n in range(40)])
    through = points([(100.0, 1.0 + 25.5 * n) for n in range(40)])
    assert (has_left(stays[-1], HEIGHT_PX), has_left(through[-1], HEIGHT_PX)) == (False, True)
    assert doubts(through, height_px=HEIGHT_PX) > doubts(stays, height_px=HEIGHT_PX) > 0


def test_what_leaves_below_and_began_in_the_picture_is_as_good_as_what_lands() -> None:
    leaves = points([(100.0, 200.0 + 20.5 * n) for n in range(40)])
    assert has_left(leaves[-1], HEIGHT_PX)
    assert doubts(leaves, height_px=HEIGHT_PX) == 0.0


@pytest.mark.parametrize(
    ("px_a_frame", "frames", "is_doubted"),
    [(2.0, 100, True), (3.0, 100, False), (2.0, 70, False)],  # 50 and 75 px a second; 2.8 s
)
def test_what_sinks_for_seconds_through_little_of_the_picture_is_doubted(
    px_a_frame: float, frames: int, is_doubted: bool
) -> None:
    path = points([(100.0, 200.0 + px_a_frame * n) for n in range(frames)])
    assert sinks_slowly(path, HEIGHT_PX) is is_doubted
    assert (doubts(path, height_px=HEIGHT_PX) > 0) is is_doubted
