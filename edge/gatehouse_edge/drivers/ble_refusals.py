"""Ten thousand forged adverts are a handful of reports: refused messages folded per reason, in constant memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gatehouse_edge.clock import Now
from gatehouse_edge.reading import Refusal, RefusalReason

SOURCE_MAX: Final = 64
"""Characters of `Refusal.source`."""


@dataclass(slots=True)
class _Fold:
    count: int = 0
    source: str = ""
    has_more_sources: bool = False
    due_s: float = 0.0
    pause_s: float = 0.0
    added_s: float = 0.0


class RefusalFold:
    """Counts refusals and says now and then how many there were.

    The first one of a reason is reported at the next `collect`; while they go on, the pause between two reports doubles
    from ``first_pause_s`` to ``last_pause_s``, because a neighbour's thermometer shouts for years. ``last_pause_s`` without
    any refusal starts over. Times are seconds of the service scale.
    """

    def __init__(self, bus_id: str, *, first_pause_s: float = 5.0, last_pause_s: float = 300.0) -> None:
        self._bus_id = bus_id
        self._first_pause_s = first_pause_s
        self._last_pause_s = last_pause_s
        self._folds = {reason: _Fold() for reason in RefusalReason}

    def add(self, reason: RefusalReason, source: str, *, at_s: float) -> None:
        """Count one refused message; ``source`` is the peer as the wire names it."""
        fold = self._folds[reason]
        if at_s - fold.added_s > self._last_pause_s:
            fold.pause_s = 0.0
        fold.added_s = at_s
        fold.count += 1
        if not fold.source:
            fold.source = _printable(source)
        elif fold.source != _printable(source):
            fold.has_more_sources = True

    def collect(self, at: Now) -> list[Refusal]:
        """Return the reports that are due now, at most one per reason."""
        due = []
        for reason, fold in self._folds.items():
            if not fold.count or at.service_s < fold.due_s:
                continue
            due.append(
                Refusal(device_id=self._bus_id, at=at, reason=reason, count=fold.count, source=_source(fold))
            )
            fold.pause_s = min(max(fold.pause_s * 2, self._first_pause_s), self._last_pause_s)
            fold.due_s = at.service_s + fold.pause_s
            fold.count, fold.source, fold.has_more_sources = 0, "", False
        return due


def _source(fold: _Fold) -> str:
    return fold.source + (" and others" if fold.has_more_sources else "")


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[: SOURCE_MAX - len(" and others")]
