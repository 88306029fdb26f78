"""Why what looks like a fall may be none: how a path began and went, beside what its judge says of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from gatehouse_edge.vision.tracks import Point

_ENTERED: Final = 2.5
_PASSES: Final = 1.0
_BRIEF: Final = 2.5
_FLAT: Final = 1.0
_FLOWN: Final = 1.5
_SINKS: Final = 2.0
"""Natural logits less for each reason; how they were weighed: decisions 55 and 56."""
_BRIEF_S: Final = 0.4
_SINKS_S: Final = 3.0
_SINKS_HEIGHTS_S: Final = 0.06
"""Slower than that a plastic bag sinks only before a camera that sees forty metres and more of a front."""
_FLIGHT_S: Final = 0.35
_RISEN_SHARE: Final = 0.35
"""A path's first points are off by a pixel or two: so much of what a body would have risen is enough."""


def doubts(points: Sequence[Point], rise: Sequence[Point] = (), *, height_px: int) -> float:
    """Return natural logits by which a throw is less likely than its judge says, 0 or more.

    Args:
        points: the falling part of a path, at least two.
        rise: what led smoothly up to it.
        height_px: of the picture.
    """
    entered = has_entered((*rise, *points)[0])
    return (
        _ENTERED * entered
        + _PASSES * (entered and has_left(points[-1], height_px))
        + _BRIEF * is_brief(points)
        + _FLAT * is_flat(points)
        + _FLOWN * has_flown(points, rise)
        + _SINKS * sinks_slowly(points, height_px)
    )


def has_entered(first: Point) -> bool:
    """Return whether a path that begins here came into the picture from above: its first box is at most half its height away from the upper rim.

    Nobody saw where it began, and vehicles and birds come in so as well.
    """
    return first.spot.y <= first.spot.height_px


def has_left(last: Point, height_px: int) -> bool:
    """Return whether a path that ends here may have gone on below the picture: its last box is at most half its height away from the lower rim."""
    return last.spot.y + last.spot.height_px >= height_px - 1


def is_brief(points: Sequence[Point]) -> bool:
    """Return whether so little was seen of something that a bird, an insect or a bit of an image in glass may have done the same."""
    return points[-1].at_s - points[0].at_s < _BRIEF_S


def is_flat(points: Sequence[Point]) -> bool:
    """Return whether something went further aside than down: thrown hard it may, for half a second; a bird does, and traffic on a road."""
    return abs(points[-1].spot.x - points[0].spot.x) > points[-1].spot.y - points[0].spot.y


def has_flown(points: Sequence[Point], rise: Sequence[Point]) -> bool:
    """Return whether what led up to the fall went on for longer than a moment without rising as a body does.

    What was thrown upwards rises in the time before its highest point at least as far as it falls in the same time after it: the air brakes both
    ways. A bird that has flown level before it sinks has not.
    """
    if not rise:
        return False
    before_s = points[0].at_s - rise[0].at_s
    since_s = [p.at_s - points[0].at_s for p in points]
    fallen_px = float(np.interp(before_s, since_s, [p.spot.y - points[0].spot.y for p in points]))
    if before_s > since_s[-1]:  # seen for a shorter time than before: it would have gone on as bodies do
        fallen_px *= (before_s / since_s[-1]) ** 2
    return before_s > _FLIGHT_S and rise[0].spot.y - points[0].spot.y < _RISEN_SHARE * fallen_px


def sinks_slowly(points: Sequence[Point], height_px: int) -> bool:
    """Return whether something took seconds for a small part of the picture: birds and drones sink so, one rendered fall in two hundred does."""
    took_s = points[-1].at_s - points[0].at_s
    return took_s > _SINKS_S and points[-1].spot.y - points[0].spot.y < _SINKS_HEIGHTS_S * height_px * took_s
