"""Where paths that are no throws keep beginning: a map that lowers a prior and never forbids. Pure.

A tree, a line of washing, a road give birth to one rejected path after another. There a path must be a little surer to be told;
a fall that begins beside foliage is still told when it looks like one.
"""

from __future__ import annotations

import math
from typing import Final

CELL_PX: Final = 48
"""Side of the map's cells."""
HALF_LIFE_S: Final = 900.0
_MOST: Final = 1.2
"""Natural logits that the busiest place takes off."""
_STEP: Final = 0.35
_WARM_S: Final = 60.0
"""A rate is taken over at least so long: the first seconds of a camera say little."""


class Shield:
    """One camera's map."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], tuple[float, float]] = {}
        """Cell -> (decayed count, when it was right)."""
        self._last_beginnings: dict[tuple[int, int], float] = {}
        """Cell -> when the path rejected there last had begun."""
        self._began_s: float | None = None

    def reject(self, x: float, y: float, at_s: float, *, began_s: float) -> None:
        """Remember that a path which is no throw began here at `began_s`; all hypotheses that have the same beginning are one thing."""
        self._began_s = at_s if self._began_s is None else self._began_s
        cell = (int(x) // CELL_PX, int(y) // CELL_PX)
        if self._last_beginnings.get(cell) == began_s:
            return
        self._last_beginnings[cell] = began_s
        self._counts[cell] = (self._count(cell, at_s) + 1.0, at_s)

    def lowered(self, probability: float, x: float, y: float, at_s: float) -> float:
        """Return `probability` (0 to 1) as it is held for a path that began here."""
        if self._began_s is None:
            return probability
        column, row = int(x) // CELL_PX, int(y) // CELL_PX
        around = max(self._count((column + i, row + j), at_s) for i in (-1, 0, 1) for j in (-1, 0, 1))
        minutes = min(max(at_s - self._began_s, _WARM_S), HALF_LIFE_S) / 60
        off = min(_MOST, _STEP * math.log1p(around / minutes))
        return lowered(probability, off)

    def _count(self, cell: tuple[int, int], at_s: float) -> float:
        count, then_s = self._counts.get(cell, (0.0, at_s))
        left: float = 0.5 ** (max(0.0, at_s - then_s) / HALF_LIFE_S)
        return count * left


def lowered(probability: float, logits: float) -> float:
    """Return a probability (0 to 1) whose logarithmic odds are less by `logits`."""
    if not 0.0 < probability < 1.0:
        return probability
    odds = probability / (1 - probability) * math.exp(-logits)
    return odds / (1 + odds)
