"""Verdicts: what is doubtful must be surer, and what begins with the very same spot is told once."""

from __future__ import annotations

import numpy as np
import pytest

from gatehouse_edge.vision.detector import Spot
from gatehouse_edge.vision.tracks import Point
from gatehouse_edge.vision.verdicts import Judged, Verdicts

FPS = 25
SURE = 0.8
HEIGHT_PX = 1000


def fall(
    frames: int, *, top_px: float = 60.0, first: Point | None = None, aside_px: float = 0.0
) -> tuple[Point, ...]:
    """Something that falls for so many frames; `first`: the spot with which it begins."""
    points = [
        Point(n / FPS, n, Spot(100.0 + aside_px * n, top_px + 0.3 * n * n, 6.0, 8.0, 0.9), 0, 0.0)
        for n in range(frames)
    ]
    return (first, *points[1:]) if first is not None else tuple(points)


def told(verdicts: Verdicts, points: tuple[Point, ...], probability: float = SURE) -> int:
    now_s = points[-1].at_s
    verdicts.hear([Judged(points, np.array([probability, 1 - probability], np.float32))], now_s)
    return len(verdicts.settled(now_s + 1.0))


@pytest.mark.parametrize(
    ("points", "probability", "count"),
    [
        (fall(20), 0.8, 1),
        (fall(10), 0.96, 0),  # 0.36 s
        (fall(10), 0.97, 1),
        (fall(20, top_px=8.0), 0.96, 0),  # from above the picture
        (fall(20, top_px=8.0), 0.97, 1),
        (fall(10, top_px=8.0), 0.995, 0),  # both
        (fall(10, top_px=8.0), 0.998, 1),
    ],
)
def test_what_is_doubtful_must_be_surer(points: tuple[Point, ...], probability: float, count: int) -> None:
    assert told(Verdicts(0.7, height_px=HEIGHT_PX), points, probability) == count


def test_what_begins_with_the_very_same_spot_is_told_once_wherever_it_was_lost() -> None:
    verdicts = Verdicts(0.7, height_px=HEIGHT_PX)
    scrap = fall(14)
    assert told(verdicts, scrap) == 1
    assert told(verdicts, fall(40, first=scrap[0], aside_px=4.0)) == 0


def test_what_begins_elsewhere_is_told_as_well() -> None:
    verdicts = Verdicts(0.7, height_px=HEIGHT_PX)
    assert told(verdicts, fall(14)) == 1
    assert told(verdicts, fall(40, aside_px=4.0)) == 1


def test_what_a_doubt_weighs_follows_the_size_of_the_picture() -> None:
    through = fall(20, top_px=8.0)
    assert told(Verdicts(0.7, height_px=HEIGHT_PX), through, 0.975) == 1
    assert told(Verdicts(0.7, height_px=125), through, 0.975) == 0, "it has also left the picture below"
    verdicts = Verdicts(0.7, height_px=HEIGHT_PX)
    verdicts.forget_places(125)
    assert told(verdicts, through, 0.975) == 0
