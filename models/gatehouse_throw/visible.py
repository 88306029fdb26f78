"""What the codec has left of a fall: a thing of four pixels that x264 has smoothed away is in no picture, whatever the renderer drew."""

from __future__ import annotations

import numpy as np

from gatehouse_edge.vision.stack import FrameStack
from gatehouse_throw.scenes.scene import Change, Truth

_LEAST_ENERGY = 1e-3


def clarity(stack: FrameStack, shift: tuple[float, float], truth: Truth) -> dict[int, float]:
    """Return for each fall how far it stands out of the noise in the newest frame of `stack`, as decoded.

    The renderer's own figure (`Truth.clarity`) times the share of its change that is found again in the decoded picture: the
    change's projection on what differs from the frame before, the one before that or the background, whichever shows it best.
    """
    return {
        number: seen * _kept(stack, shift, truth.changes[number]) for number, seen in truth.clarity.items()
    }


def _kept(stack: FrameStack, shift: tuple[float, float], change: Change) -> float:
    now, before, earlier, *_, still = stack.pictures()
    others = (before, earlier, still)
    x, y = round(change.corner[0] - shift[0]), round(change.corner[1] - shift[1])
    height, width = change.luma.shape
    x0, y0, x1, y1 = max(0, x), max(0, y), min(now.shape[1], x + width), min(now.shape[0], y + height)
    wanted = change.luma[y0 - y : y1 - y, x0 - x : x1 - x]
    energy = float((wanted * wanted).sum())
    if x1 <= x0 or y1 <= y0 or energy < _LEAST_ENERGY:
        return 0.0
    part = np.s_[y0:y1, x0:x1]
    shares = [
        float((wanted * (now[part].astype(np.float32) - other[part].astype(np.float32))).sum()) / energy
        for other in others
    ]
    return float(np.clip(max(shares), 0.0, 1.0))
