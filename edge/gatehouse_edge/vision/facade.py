"""The front of a house as an operator has drawn it on a still: floors, columns, zones. Plain geometry.

No numpy: the gateway's own process checks drawings too, and carries no picture library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct, structs

_MAX_FLOOR: Final = 120
_SHRINK: Final = 1.12
"""Floors look smaller the higher they are: beyond the last line each is taken to be a little smaller than the one before."""
_SMALLEST_ZONE_PX: Final = 16.0
_SIZE_TOLERANCE: Final = 0.01
"""A stream of the same view may be rounded to whole macroblocks."""
Pixel = tuple[float, float]
Polygon = Annotated[tuple[Pixel, ...], Meta(min_length=3, max_length=32)]


class CalibrationError(ValueError):
    """What was drawn cannot be a façade."""


class FloorLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The lower edge of one floor, as drawn."""

    floor: Annotated[int, Meta(ge=-3, le=_MAX_FLOOR)]
    left: Pixel
    right: Pixel
    name: Annotated[str, Meta(max_length=16)] = ""
    """What people call it (`B1`, `设备层`); empty: its number."""


class Calibration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator has drawn on a still of one camera."""

    width_px: Annotated[int, Meta(ge=64, le=8192)]
    height_px: Annotated[int, Meta(ge=64, le=8192)]
    facade: tuple[Pixel, Pixel, Pixel, Pixel]
    """Corners of the front: top left, top right, bottom right, bottom left."""
    floors: Annotated[tuple[FloorLine, ...], Meta(min_length=2, max_length=_MAX_FLOOR)]
    columns: Annotated[int, Meta(ge=1, le=200)] = 1
    """Window columns across the front."""
    floor_m: Annotated[float, Meta(ge=2.2, le=6.0)] = 2.9
    distance_m: Annotated[float, Meta(ge=2.0, le=500.0)] | None = None
    """From the camera to the wall; None: not measured."""
    detect: Annotated[tuple[Polygon, ...], Meta(max_length=16)] = ()
    """Where a throw may be; empty: everywhere."""
    shield: Annotated[tuple[Polygon, ...], Meta(max_length=16)] = ()
    """Where nothing may be seen or kept (windows of others below the limit)."""
    landing: Annotated[tuple[Polygon, ...], Meta(max_length=4)] = ()
    """Where things come down: stays clear in a masked viewing copy."""

    def name_of(self, floor: int) -> str:
        """Return what people call a floor."""
        return next((line.name for line in self.floors if line.floor == floor and line.name), f"{floor}F")


class Origin(Struct, frozen=True, kw_only=True):
    """What is told of a throw's beginning and end."""

    floor_low: int
    floor_high: int
    probability: float
    """That the true floor is one of them."""
    column: int | None
    """Window column from the left, 1 the first; None: outside the front."""
    landing_px: Pixel
    fall_s: float
    """From release to where it was last seen, estimated."""
    speed_m_s: float
    """When last seen, estimated."""


def faults_of(calibration: Calibration) -> list[tuple[str, str]]:
    """Return everything that cannot be a façade: (field, sentence); empty: it can be one."""
    return [*_line_faults(calibration), *_corner_faults(calibration), *_zone_faults(calibration)]


def checked(calibration: Calibration) -> Calibration:
    """Return `calibration` if it can be a façade.

    Raises:
        CalibrationError: it cannot; the text says all that is wrong.
    """
    faults = faults_of(calibration)
    if faults:
        raise CalibrationError("; ".join(sentence for _, sentence in faults))
    return calibration


def _line_faults(calibration: Calibration) -> Iterator[tuple[str, str]]:
    lines = sorted(calibration.floors, key=lambda line: line.floor)
    crooked = [line.floor for line in lines if line.left[0] >= line.right[0]]
    for floor in crooked:
        yield "floors", f"floor line {floor}: its left end must be left of its right end"
    if crooked:
        return
    for line in lines:
        if not all(_is_near(calibration, point) for point in (line.left, line.right)):
            yield "floors", f"floor line {line.floor} lies far outside the picture"
    for lower, upper in pairwise(lines):
        if lower.floor == upper.floor:
            yield "floors", f"floor {lower.floor} has two lines"
            continue
        ends = (min(lower.left[0], upper.left[0]), max(lower.right[0], upper.right[0]))
        if any(_height_at(upper, x) >= _height_at(lower, x) for x in ends):
            yield (
                "floors",
                f"the line of floor {upper.floor} must lie above that of floor {lower.floor} over the whole front",
            )


def _corner_faults(calibration: Calibration) -> Iterator[tuple[str, str]]:
    corners = calibration.facade
    sides = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise((*corners, corners[0]))]
    turns = [a[0] * b[1] - a[1] * b[0] for a, b in pairwise((*sides, sides[0]))]
    if not (all(turn > 0 for turn in turns) or all(turn < 0 for turn in turns)):
        yield (
            "facade",
            "the front's four corners must go around it: top left, top right, bottom right, bottom left",
        )
    if not all(_is_near(calibration, corner) for corner in calibration.facade):
        yield "facade", "a corner of the front lies far outside the picture"


def _zone_faults(calibration: Calibration) -> Iterator[tuple[str, str]]:
    for name in ("detect", "shield", "landing"):
        for number, polygon in enumerate(getattr(calibration, name), start=1):
            if not all(
                0 <= x <= calibration.width_px and 0 <= y <= calibration.height_px for x, y in polygon
            ):
                yield name, f"{name} zone {number} leaves the picture"
            elif abs(_area(polygon)) < _SMALLEST_ZONE_PX:
                yield name, f"{name} zone {number} has no area"


def _area(polygon: Sequence[Pixel]) -> float:
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise((*polygon, polygon[0]))) / 2


def _is_near(calibration: Calibration, point: Pixel) -> bool:
    """A corner of a tall house may lie outside the picture, but not by more than a picture."""
    x, y = point
    width, height = calibration.width_px, calibration.height_px
    return -width <= x <= 2 * width and -height <= y <= 2 * height


def decode(raw: bytes) -> Calibration:
    """Return a calibration as the console sends or keeps it.

    Raises:
        CalibrationError: not one, or impossible.
    """
    try:
        return checked(msgspec.json.decode(raw, type=Calibration))
    except (msgspec.DecodeError, ValueError) as error:
        raise CalibrationError(str(error)) from error


def scaled(calibration: Calibration, width_px: int, height_px: int) -> Calibration:
    """Return what was drawn as it lies on the same view at another picture size."""
    across, down = width_px / calibration.width_px, height_px / calibration.height_px

    def at(point: Pixel) -> Pixel:
        return (point[0] * across, point[1] * down)

    return structs.replace(
        calibration,
        width_px=width_px,
        height_px=height_px,
        facade=tuple(map(at, calibration.facade)),
        floors=tuple(
            structs.replace(line, left=at(line.left), right=at(line.right)) for line in calibration.floors
        ),
        detect=tuple(tuple(map(at, polygon)) for polygon in calibration.detect),
        shield=tuple(tuple(map(at, polygon)) for polygon in calibration.shield),
        landing=tuple(tuple(map(at, polygon)) for polygon in calibration.landing),
    )


def fitted(calibration: Calibration, width_px: int, height_px: int) -> Calibration | None:
    """Return what was drawn as it lies on a picture of this size; None if its proportions are others: it shows another view."""
    across, down = width_px / calibration.width_px, height_px / calibration.height_px
    if abs(across / down - 1) > _SIZE_TOLERANCE:
        return None
    return calibration if across == down == 1 else scaled(calibration, width_px, height_px)


def floor_of(calibration: Calibration, x: float, y: float) -> float:
    """Return how high a point of the wall is, in floors (3.5: the middle of floor 3); goes on beyond the drawn lines."""
    lines = sorted(calibration.floors, key=lambda line: line.floor)
    ys = [_height_at(line, x) for line in lines]
    if y >= ys[0]:
        return lines[0].floor - _beyond(ys[0], ys[1], lines[1].floor - lines[0].floor, y)
    for lower, upper, y0, y1 in zip(lines, lines[1:], ys, ys[1:], strict=False):
        if y >= y1:
            return lower.floor + (upper.floor - lower.floor) * (y0 - y) / (y0 - y1)
    step = lines[-1].floor - lines[-2].floor
    return lines[-1].floor + step * (ys[-1] - y) / (ys[-2] - ys[-1]) * _SHRINK


def line_of(calibration: Calibration, floor: float) -> tuple[Pixel, Pixel]:
    """Return left and right end of the lower edge of a floor, between and beyond what was drawn; undoes `floor_of`."""
    lines = sorted(calibration.floors, key=lambda line: line.floor)
    pairs = list(pairwise(lines))
    lower, upper = next((pair for pair in pairs if floor <= pair[1].floor), pairs[-1])
    share = (floor - lower.floor) / (upper.floor - lower.floor)
    if share < 0:
        share *= _SHRINK
    elif share > 1:
        share = 1 + (share - 1) / _SHRINK

    def between(a: Pixel, b: Pixel) -> Pixel:
        return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share

    return between(lower.left, upper.left), between(lower.right, upper.right)


def column_of(calibration: Calibration, x: float, y: float) -> int | None:
    """Return the window column of a point, 1 the leftmost; None outside the front."""
    (tlx, tly), (trx, try_), (brx, bry), (blx, bly) = calibration.facade
    span_y = ((bly - tly) + (bry - try_)) / 2
    down = (y - (tly + try_) / 2) / span_y if span_y else 0.0
    left, right = tlx + (blx - tlx) * down, trx + (brx - trx) * down
    share = (x - left) / (right - left) if right > left else -1.0
    return int(share * calibration.columns) + 1 if 0 <= share < 1 else None


def contains(polygons: Sequence[Sequence[Pixel]], x: float, y: float) -> bool:
    """Return whether a point lies inside one of the polygons (even-odd rule)."""
    return any(_inside(polygon, x, y) for polygon in polygons)


def _inside(polygon: Sequence[Pixel], x: float, y: float) -> bool:
    is_in = False
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) / (y1 - y0) * (x1 - x0):
            is_in = not is_in
    return is_in


def _height_at(line: FloorLine, x: float) -> float:
    (x0, y0), (x1, y1) = line.left, line.right
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def _beyond(y0: float, y1: float, floors: int, y: float) -> float:
    """Floors below the lowest line; they look larger there."""
    return floors * (y - y0) / (y0 - y1) / _SHRINK
