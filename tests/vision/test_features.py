"""The smooth part of a path: what a tracker strung together of a fall and something else is not one thing."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse_edge.vision.detector import Spot
from gatehouse_edge.vision.features import LEAST_POINTS, NAMES, falling_part, features
from gatehouse_edge.vision.tracks import Path, Point


def path(places: list[tuple[float, float]], *, size: float = 7.0) -> Path:
    points = tuple(Point(n / 25, n, Spot(x, y, size, size, 0.6), 0, 0.0) for n, (x, y) in enumerate(places))
    return Path(points=points, looked=tuple((p.frame, p.at_s) for p in points), merit=1.0)


FALL = [(300.0 + n, 60.0 + 0.5 * n * n) for n in range(22)]


def test_what_follows_a_fall_at_another_place_is_not_part_of_it() -> None:
    leaves = [(380.0, 420.0), (330.0, 450.0), (360.0, 468.0), (310.0, 500.0)]
    assert [p.frame for p in falling_part(path(FALL + leaves))] == list(range(22))


def test_what_came_before_it_is_not_either() -> None:
    flakes = [(250.0, 10.0), (340.0, 25.0), (270.0, 44.0)]
    frames = [p.frame for p in falling_part(path(flakes + FALL))]
    assert frames[0] >= 3
    assert frames[-1] == 24


def test_a_stray_between_is_left_out_and_the_fall_goes_on() -> None:
    places = list(FALL)
    places[10] = (340.0, 90.0)
    frames = [p.frame for p in falling_part(path(places))]
    assert 10 not in frames
    assert (frames[0], frames[-1]) == (0, 21)


@given(st.lists(st.tuples(st.floats(0, 700), st.floats(0, 400)), min_size=4, max_size=40), st.floats(1, 60))
@settings(max_examples=60, deadline=None)
def test_any_path_has_its_numbers_or_none(places: list[tuple[float, float]], size: float) -> None:
    one = path(places, size=size)
    part = falling_part(one)
    assert 1 <= len(part) <= len(places)
    assert [p.frame for p in part] == sorted({p.frame for p in part})
    if len(part) >= LEAST_POINTS:
        row = features(one, part, height_px=432)
        assert row.shape == (len(NAMES),)
        assert bool(np.isfinite(row).all())
