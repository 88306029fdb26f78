"""What the network is measured against: OpenCV's MOG2 over the whole picture, behind the same tracker and a classifier of its own."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from typing_extensions import override

from gatehouse_edge.vision.classifier import Classifier
from gatehouse_edge.vision.detector import Spot, merged
from gatehouse_edge.vision.stack import Look, Luma
from gatehouse_edge.vision.verdicts import Throw
from gatehouse_edge.vision.watch import Watch

_LEAST_AREA_PX: Final = 2
_WIDEST_PX: Final = 60
_MOST_BLOBS: Final = 200


class Mog2Detector:
    """Foreground blobs of 2 to 60 px. It needs whole pictures: `show` it each before it is asked."""

    def __init__(self) -> None:
        self._model: Final = cv2.createBackgroundSubtractorMOG2(
            history=300, varThreshold=16, detectShadows=False
        )
        self._mask: Luma | None = None
        self._size: tuple[int, ...] | None = None

    def show(self, luma: Luma) -> None:
        """Take the picture of which the next `find` asks; a shifted one is taken as it is, as a plain MOG2 would."""
        if self._size not in (None, luma.shape):
            self._model.clear()
        self._size = luma.shape
        self._mask = np.asarray(self._model.apply(luma), np.uint8)

    def find(self, look: Look) -> list[Spot]:
        """Return the foreground's blobs, the largest first."""
        if self._mask is None:
            return []
        _, _, stats, centres = cv2.connectedComponentsWithStats(self._mask, connectivity=8)
        stats, centres = stats[1:], centres[1:]
        fits = (stats[:, 4] >= _LEAST_AREA_PX) & (stats[:, 2:4].max(axis=1, initial=0) <= _WIDEST_PX)
        stats, centres = stats[fits], centres[fits]
        best = np.argsort(-stats[:, 4], kind="stable")[:_MOST_BLOBS]
        dx, dy = look.shift
        return merged(
            [
                Spot(float(x - dx), float(y - dy), float(w), float(h), float(min(0.5, 0.1 + area / 200)))
                for (x, y), (_, _, w, h, area) in zip(centres[best], stats[best], strict=True)
            ]
        )


class Mog2Watch(Watch):
    """A chain with MOG2 in place of tiles and network."""

    def __init__(self, classifier: Classifier | None, *, height_px: int, threshold: float) -> None:
        self._mog2: Final = Mog2Detector()
        super().__init__(self._mog2, classifier, height_px=height_px, threshold=threshold)

    @override
    def see(self, luma: Luma, capture_s: float) -> list[Throw]:
        """Take one frame."""
        self._mog2.show(luma)
        return super().see(luma, capture_s)
