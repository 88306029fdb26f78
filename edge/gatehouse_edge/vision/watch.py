"""One camera watched: frames in, throws out. The whole chain but for input and output. Pure given its models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gatehouse_edge.vision.branches import Branches
from gatehouse_edge.vision.classifier import Classifier
from gatehouse_edge.vision.detector import Detector, Spot, pictured
from gatehouse_edge.vision.facade import Calibration, fitted
from gatehouse_edge.vision.stack import FrameStack, Luma
from gatehouse_edge.vision.tracks import Path, Tracker
from gatehouse_edge.vision.verdicts import THRESHOLD, Judged, Throw, Verdicts


class Watch:
    """One camera. `see` every decoded frame in order; `end` when the stream ends."""

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier | None,
        *,
        height_px: int,
        threshold: float = THRESHOLD,
        calibration: Calibration | None = None,
    ) -> None:
        self.stack: Final = FrameStack()
        self.paths_seen = 0
        self._detector: Final = detector
        self._classifier: Final = classifier
        self._height_px = height_px
        self._calibration: Calibration | None = calibration
        self._drawn: Calibration | None = None
        self._drawn_for: tuple[int, ...] = ()
        self._tracker = Tracker(height_px)
        self._verdicts: Final = Verdicts(threshold, height_px=height_px)
        self._trials: list[tuple[Verdicts, list[Throw]]] = []
        self._branches: Final = Branches()
        self.keep_paths: list[Path] | None = None
        """Set to a list to collect every finished path (training, diagnosis)."""
        self.keep_spots: list[tuple[int, list[Spot]]] | None = None
        """Set to a list to collect every frame's spots."""
        self.keep_judged: list[tuple[float, list[Judged]]] | None = None
        """Set to a list to collect what the classifier has said and when."""

    def draw(self, calibration: Calibration | None) -> None:
        """Take what an operator has drawn on this view, from the next frame on; None: the judge does without metres."""
        if calibration is not self._calibration:
            self._calibration, self._drawn_for = calibration, ()

    def see(self, luma: Luma, capture_s: float) -> list[Throw]:
        """Take one frame and return the throws that are settled by now.

        Another picture size in mid-stream ends every path: nothing can be followed across it.
        """
        if luma.shape[0] != self._height_px:
            self._judge(self._tracker.end(), capture_s)
            self._height_px = luma.shape[0]
            self._tracker = Tracker(self._height_px)
            for verdicts in (self._verdicts, *(one for one, _ in self._trials)):
                verdicts.forget_places(self._height_px)
        if luma.shape != self._drawn_for:
            self._drawn_for = luma.shape
            self._drawn = (
                None if self._calibration is None else fitted(self._calibration, luma.shape[1], luma.shape[0])
            )
        look = self.stack.add(luma, capture_s, wanted=self._tracker.wanted(capture_s))
        if look is None:
            # After a landing a scene may stand still for minutes: the fall is over all the same, and is told now.
            self._judge(self._tracker.wait(capture_s), capture_s)
            return self._settled(capture_s)
        spots = pictured(self._detector.find(look), look)
        if self.keep_spots is not None:
            self.keep_spots.append((look.number, spots))
        ended = self._tracker.add(
            capture_s, look.number, spots, active_share=look.active_share, shift=look.shift
        )
        self._judge(ended, capture_s)
        return self._settled(capture_s)

    def end(self) -> list[Throw]:
        """Return what remains; the stream has ended."""
        self._judge(self._tracker.end(), float("inf"))
        return self._settled(float("inf"))

    def try_also(self, thresholds: Iterable[float]) -> dict[float, list[Throw]]:
        """Return lists which from now on fill with what would have been told at other thresholds (figures)."""
        tried: dict[float, list[Throw]] = {one: [] for one in thresholds}
        self._trials += [(Verdicts(one, height_px=self._height_px), told) for one, told in tried.items()]
        return tried

    def _settled(self, now_s: float) -> list[Throw]:
        for verdicts, told in self._trials:
            told.extend(verdicts.settled(now_s, self._tracker.growing))
        return self._verdicts.settled(now_s, self._tracker.growing)

    def _judge(self, paths: list[Path], now_s: float) -> None:
        self.paths_seen += len(paths)
        if self.keep_paths is not None:
            self.keep_paths += paths
        if self._classifier is None:
            return
        strips = self._branches.ripe(
            paths, self._tracker, now_s, height_px=self._height_px, calibration=self._drawn
        )
        if not strips:
            return
        judged = [
            Judged(strip.points, one, strip.rise, strip.looked)
            for strip, one in zip(strips, self._classifier.judge(strips), strict=True)
        ]
        if self.keep_judged is not None:
            self.keep_judged.append((now_s, judged))
        for verdicts in (self._verdicts, *(one for one, _ in self._trials)):
            verdicts.hear(judged, now_s)
