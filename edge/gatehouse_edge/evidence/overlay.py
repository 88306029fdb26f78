"""Trajectory and floors as layers beside the clip: JSON that a page draws in step with it, and SVG for a still or a print.

Nothing is drawn into the picture: the clip stays what the camera sent.
"""

from __future__ import annotations

from html import escape
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_edge.evidence.promise import Cut, Promise
from gatehouse_edge.vision.facade import Calibration, Origin
from gatehouse_events.chain import canonical

FORMAT: Final = "gatehouse-track/1"
_MAX_PIXELS: Final = 3840 * 2160 * 2
_LINE: Final = "#ff2d2d"
_GRID: Final = "#2dd4ff"


class TrackError(ValueError):
    """A file is not a track."""


class TrackBox(Struct, frozen=True, kw_only=True):
    """The thing in one picture."""

    t_s: float
    """Seconds into the clip (`currentTime` of a player)."""
    at_ms: int
    """Capture time, milliseconds after `first_seen_at` of the manifest."""
    x: float
    y: float
    width_px: float
    height_px: float


class Track(Struct, frozen=True, kw_only=True):
    """The layer as JSON."""

    format: str = FORMAT
    event_id: str
    width_px: int
    """Size of the picture all coordinates refer to."""
    height_px: int
    clip_s: float | None
    """Length of the clip; None: there is no clip, times count from the first box."""
    boxes: tuple[TrackBox, ...]
    calibration: Calibration | None
    origin: Origin | None


def track_of(promise: Promise, cut: Cut | None) -> Track:
    """Return the layer that belongs to a clip that begins where `cut` says."""
    first_s = promise.time_of(promise.boxes[0])
    zero_s = first_s if cut is None else cut.first_s
    boxes = tuple(
        TrackBox(
            t_s=round(promise.time_of(box) - zero_s, 4),
            at_ms=round((promise.time_of(box) - first_s) * 1000),
            x=round(box.x, 1),
            y=round(box.y, 1),
            width_px=round(box.width_px, 1),
            height_px=round(box.height_px, 1),
        )
        for box in promise.boxes
    )
    return Track(
        event_id=promise.event_id,
        width_px=promise.width_px,
        height_px=promise.height_px,
        clip_s=None if cut is None else round(cut.last_s - cut.first_s, 3),
        boxes=boxes,
        calibration=None if promise.drawn is None else promise.drawn.calibration,
        origin=promise.origin,
    )


def encode_track(track: Track) -> bytes:
    """Return the layer as a file."""
    return canonical(track)


def decode_track(raw: bytes) -> Track:
    """Return a layer from a file.

    Raises:
        TrackError: not one.
    """
    try:
        track = msgspec.json.decode(raw, type=Track)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise TrackError(f"not a track: {error}") from error
    if track.format != FORMAT or not track.boxes or not 0 < track.width_px * track.height_px <= _MAX_PIXELS:
        raise TrackError("not a track this program can read")
    return track


def svg_of(track: Track) -> bytes:
    """Return the whole path over the floor lines as one transparent picture of the clip's size."""
    width, height = track.width_px, track.height_px
    stroke = max(1.0, height / 540)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<title>{escape(track.event_id)}</title>",
    ]
    if track.calibration is not None:
        parts += grid_of(track.calibration, stroke)
    centres = [(box.x + box.width_px / 2, box.y + box.height_px / 2) for box in track.boxes]
    parts.append(
        f'<polyline points="{_points(centres)}" fill="none" stroke="{_LINE}" stroke-width="{stroke * 2:.1f}"/>'
    )
    parts += [
        f'<rect x="{box.x - 2:.1f}" y="{box.y - 2:.1f}" width="{box.width_px + 4:.1f}" height="{box.height_px + 4:.1f}" '
        f'fill="none" stroke="{_LINE}" stroke-width="{stroke:.1f}"/>'
        for box in dict.fromkeys((track.boxes[0], track.boxes[-1]))
    ]
    if track.origin is not None:
        told = track.origin
        floors = (
            f"{told.floor_low}"
            if told.floor_low == told.floor_high
            else f"{told.floor_low}-{told.floor_high}"
        )
        words = f"{floors}层 floor {floors} ({told.probability:.0%})"
        x, y = centres[0]
        parts.append(
            f'<text x="{x + 12:.0f}" y="{max(y - 12, height / 30):.0f}" font-family="sans-serif" font-size="{height / 30:.0f}" '
            f'fill="{_LINE}">{escape(words)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""]).encode()


def grid_of(calibration: Calibration, stroke: float) -> list[str]:
    """Return the façade and its floor lines as SVG elements."""
    size = calibration.height_px / 45
    parts = [
        f'<polygon points="{_points(calibration.facade)}" fill="none" stroke="{_GRID}" stroke-width="{stroke * 1.5:.1f}"/>'
    ]
    for line in sorted(calibration.floors, key=lambda one: one.floor):
        (x0, y0), (x1, y1) = line.left, line.right
        name = calibration.name_of(line.floor)
        parts.append(
            f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{_GRID}" stroke-width="{stroke:.1f}"/>'
            f'<text x="{x0:.1f}" y="{y0 - 2:.1f}" font-family="sans-serif" font-size="{size:.0f}" fill="{_GRID}">{escape(name)}</text>'
        )
    return parts


def _points(points: tuple[tuple[float, float], ...] | list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
