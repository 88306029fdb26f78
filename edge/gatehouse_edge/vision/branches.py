"""Paths that have ended and wait to be judged while another that parted from them goes on falling. Pure.

Where paths part, one may end on a stray while the other follows the fall to the ground: the whole of it is to be told, once.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from gatehouse_edge.vision.facade import Calibration
from gatehouse_edge.vision.features import falling_part
from gatehouse_edge.vision.strip import Part, Strip, strip_of
from gatehouse_edge.vision.tracks import Path, Tracker

PATIENCE_S: Final = 3.0
"""A branch waits at most so long after its end."""
LATELY_S: Final = 0.2
"""What has come down to a new depth within this time goes on falling."""
SHARED: Final = 0.4
"""Two paths that have so much of the shorter one's falling part in common follow one thing."""
_MOST_WAITING: Final = 64
"""Beyond, those that have waited longest are judged: what waits is bounded, whatever moves."""
_REMEMBERED_PARTS: Final = 256
"""Falling parts that are not judged a second time."""


class _Branch(NamedTuple):
    since_s: float
    path: Path
    strip: Strip
    other: Path | None = None
    """What it waits for, as it was when it last fell."""


class Branches:
    """One camera's ended paths that have not been judged."""

    def __init__(self) -> None:
        self._waiting: list[_Branch] = []
        self._judged: Final[deque[Part]] = deque(maxlen=_REMEMBERED_PARTS)

    def ripe(
        self,
        ended: list[Path],
        tracker: Tracker,
        now_s: float,
        *,
        height_px: int,
        calibration: Calibration | None,
    ) -> list[Strip]:
        """Take paths that have ended and return the strips of those that need wait no longer, each falling part once.

        A branch waits as long as the longest path that parted from it falls; that one is then looked at as well, as far as it has come.
        """

        def fresh(path: Path) -> Strip | None:
            strip = strip_of(path, height_px=height_px, calibration=calibration, known=self._judged)
            if strip is not None:
                self._judged.append(strip.part)
            return strip

        self._waiting += [_Branch(now_s, path, strip) for path in ended if (strip := fresh(path)) is not None]
        ripe, waiting = self._parted(tracker, now_s)
        surplus = max(0, len(waiting) - _MOST_WAITING)
        ripe, waiting = ripe + waiting[:surplus], waiting[surplus:]
        lost = {_end(one.other) for one in waiting if now_s - one.since_s >= PATIENCE_S}
        self._waiting = [one for one in waiting if _end(one.other) not in lost]
        strips: list[Strip] = []
        for branch in (*ripe, *(one for one in waiting if _end(one.other) in lost)):
            strips.append(branch.strip)
            if branch.other is not None and (strip := fresh(branch.other)) is not None:
                strips.append(strip)
        return strips

    def _parted(self, tracker: Tracker, now_s: float) -> tuple[list[_Branch], list[_Branch]]:
        """Return the branches beside which nothing falls, and the others with what does."""
        is_falling: dict[int, bool] = {}
        alone, waiting = [], []
        for branch in self._waiting:
            points = branch.strip.points
            other = tracker.branch_of(branch.path, points[int(SHARED * len(points))])
            end = _end(other)
            if other is not None and end not in is_falling:
                is_falling[end] = falling_part(other)[-1].at_s >= now_s - LATELY_S
            if is_falling.get(end, False):
                waiting.append(branch._replace(other=other))
            else:
                alone.append(branch)
        return alone, waiting


def _end(path: Path | None) -> int:
    """Return what tells growing paths apart: no two of them end alike."""
    return 0 if path is None else id(path.points[-1])
