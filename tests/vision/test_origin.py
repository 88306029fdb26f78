"""Where it fell from: drawn lines give heights, gravity gives the rest, and the interval says how sure that is."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_wall import DISTANCE_M, FLOOR_M, FLOORS, VIEW, drawn, fall
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse_edge.vision.facade import (
    CalibrationError,
    column_of,
    contains,
    decode,
    floor_of,
)
from gatehouse_edge.vision.origin import COVERAGE, G_M_S2, _interval, origin


def test_a_point_on_a_drawn_line_has_its_floor() -> None:
    calibration = drawn()
    for line in calibration.floors:
        middle = [(a + b) / 2 for a, b in zip(line.left, line.right, strict=True)]
        assert floor_of(calibration, *middle) == pytest.approx(line.floor, abs=0.05)


@given(st.floats(300, 900), st.floats(20, 700), st.floats(1, 60))
@settings(max_examples=60)
def test_higher_in_the_picture_is_never_a_lower_floor(x: float, y: float, up: float) -> None:
    calibration = drawn()
    assert floor_of(calibration, x, y - up) >= floor_of(calibration, x, y)


def test_the_interval_holds_the_true_floor_nine_times_in_ten_and_is_at_most_three_floors_wide() -> None:
    calibration = drawn()
    rng = np.random.default_rng(9)
    held, widths = 0, []
    for n in range(120):
        floor = int(rng.integers(6, FLOORS))
        points = fall(
            (floor - 1) * FLOOR_M + rng.uniform(0.9, 2.2),
            out_m=rng.uniform(0.2, 1.2),
            unseen_s=rng.uniform(0.05, 0.6),
            seed=n,
        )
        told = origin(points, calibration)
        held += told.floor_low <= floor <= told.floor_high
        widths.append(told.floor_high - told.floor_low + 1)
    assert held / 120 >= 0.9
    assert np.mean(widths) <= 3.0


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(0, 1000))
@settings(max_examples=60)
def test_an_interval_owns_up_to_being_off_by_one_but_names_no_floor_below_the_lowest_that_is_drawn(
    likely: list[int], seed: int
) -> None:
    floors = np.array(likely)
    weight = np.random.default_rng(seed).uniform(0.1, 1.0, len(floors))
    low, high, probability = _interval(floors, weight, lowest=1)
    assert low >= 1
    assert COVERAGE <= probability <= 1.0
    assert high > low or low == 1
    inside = float(weight[(floors >= low) & (floors <= high)].sum() / weight.sum())
    assert probability == pytest.approx(inside, abs=0.1)


def test_a_floor_that_every_guess_names_is_told_with_a_neighbour() -> None:
    low, high, probability = _interval(np.full(50, 7), np.ones(50), lowest=1)
    assert (low, high) in {(6, 7), (7, 8)}
    assert probability == pytest.approx(0.95)
    assert _interval(np.full(50, 1), np.ones(50), lowest=1) == (1, 1, pytest.approx(0.95))


def test_speed_and_time_of_the_fall_are_those_of_gravity() -> None:
    points = fall(40.0, unseen_s=0.2)
    told = origin(points, drawn())
    true_s = 0.2 + points[-1].at_s - points[0].at_s
    assert told.fall_s == pytest.approx(true_s, abs=0.35)
    assert told.speed_m_s == pytest.approx(G_M_S2 * true_s, rel=0.25)


def test_the_window_column_counts_from_the_left() -> None:
    calibration = drawn()
    u, v, _ = VIEW.project([-12 + 24 / 8 * 2.5, DISTANCE_M, 30.0])[0]
    assert column_of(calibration, u, v) == 3
    assert column_of(calibration, 5.0, 5.0) is None


def test_a_zone_is_inside_its_polygon_only() -> None:
    zone = (((10.0, 10.0), (50.0, 10.0), (50.0, 40.0), (10.0, 40.0)),)
    assert contains(zone, 30, 20)
    assert not contains(zone, 60, 20)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {
                "floors": (
                    {"floor": 3, "left": (10, 100), "right": (5, 100)},
                    {"floor": 4, "left": (0, 90), "right": (9, 90)},
                )
            },
            "left of its right",
        ),
        (
            {
                "floors": (
                    {"floor": 3, "left": (0, 100), "right": (9, 100)},
                    {"floor": 4, "left": (0, 190), "right": (9, 190)},
                )
            },
            "must lie above",
        ),
        ({"facade": ((0, 0), (10, 10), (10, 0), (0, 10))}, "go around"),
        ({"hight_px": 3}, "hight_px"),
    ],
)
def test_an_impossible_drawing_is_refused_with_what_is_wrong(change: dict[str, object], said: str) -> None:
    import msgspec

    told = msgspec.json.decode(msgspec.json.encode(drawn())) | change
    with pytest.raises(CalibrationError, match=said):
        decode(msgspec.json.encode(told))
