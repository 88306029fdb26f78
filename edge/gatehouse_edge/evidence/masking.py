"""Which pixels may be seen: shield zones that nobody may, and the corridor of a fall outside of which a copy is made coarse. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from gatehouse_edge.evidence.overlay import Track, TrackBox

Mask = npt.NDArray[np.bool_]
"""Shape (height, width)."""
Picture = npt.NDArray[np.uint8]
"""Shape (height, width) or (height, width, 3)."""
Zones = Sequence[Sequence[tuple[float, float]]]

BLOCKS: Final = 30
"""Coarse picture elements over the height of a picture: a window is one or two of them, a face is none."""
_MARGIN_SHARE: Final = 0.035
"""Half width of the corridor beside the thing itself, as a share of the picture's height: about half a storey of a tall house."""
_DARK: Final = 16
"""Black in limited range; a shielded zone has this and no other value."""
_SUBPIXEL_BITS: Final = 3


def zone_mask(zones: Zones, *, width_px: int, height_px: int) -> Mask:
    """Return where polygons lie; their edge belongs to them."""
    mask = np.zeros((height_px, width_px), np.uint8)
    for zone in zones:
        corners = np.round(np.array(zone, float) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(mask, [corners], 1, shift=_SUBPIXEL_BITS)
    return mask.astype(bool)


def shield(luma: Picture, mask: Mask) -> Picture:
    """Return a picture's luma with the shielded zones black: for whoever looks at pictures before they are stored."""
    return np.where(mask, np.uint8(_DARK), luma)


def corridor(track: Track) -> Mask:
    """Return what stays clear in a viewing copy: the way of the thing with a margin, and where things come down."""
    height, width = track.height_px, track.width_px
    mask = np.zeros((height, width), np.uint8)
    margin = max(8, round(height * _MARGIN_SHARE))
    centres = [(round(b.x + b.width_px / 2), round(b.y + b.height_px / 2)) for b in track.boxes]
    for a, b in pairwise(centres):
        cv2.line(mask, a, b, 1, 2 * margin)
    for box in track.boxes:
        cv2.rectangle(mask, *_corners(box, margin), 1, -1)
    clear = mask.astype(bool)
    if track.calibration is not None and track.calibration.landing:
        clear |= zone_mask(track.calibration.landing, width_px=width, height_px=height)
    return clear


def coarse(picture: Picture, clear: Mask) -> Picture:
    """Return the picture in blocks wherever it is not `clear`. Blocks are means, so nothing finer can be won back."""
    height, width = picture.shape[:2]
    block = max(4, round(height / BLOCKS))
    # A picture whose size nobody foresaw has nothing clear.
    clear = clear if clear.shape == (height, width) else np.zeros((height, width), bool)
    small = cv2.resize(
        picture, (max(1, width // block), max(1, height // block)), interpolation=cv2.INTER_AREA
    )
    blocks = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    result: Picture = np.where(clear[..., None] if picture.ndim == 3 else clear, picture, blocks)  # noqa: PLR2004
    return result


def _corners(box: TrackBox, margin: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (
        (round(box.x) - margin, round(box.y) - margin),
        (round(box.x + box.width_px) + margin, round(box.y + box.height_px) + margin),
    )
