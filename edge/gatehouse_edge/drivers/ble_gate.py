"""Each counter passes once: fifty adverts of one press are one event, yesterday's recording is none.

The strict order itself is the wire's (`gatehouse_wire.bthome.CounterGate`); here it is kept per key, starts from what
the ledger has committed, and a repeat grows stale: the same counter hours later is a recording.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from gatehouse_edge.ports import Counters
from gatehouse_wire import bthome

REPEAT_WINDOW_S: Final = 30.0
"""A press is repeated for 3 s and through its 5 s window; later the same counter can only be a recording."""
RECENT_MAX: Final = 8
"""Counters per key remembered as just heard, for repeats that overtake each other on two adapters."""


class Verdict(StrEnum):
    """What a counter is worth."""

    FRESH = "fresh"
    REPEAT = "repeat"
    """Heard within the last 30 s: one more advert of the same press, says nothing new."""
    REPLAY = "replay"


class CounterGates:
    """The counter gates of all keys.

    ``now_s`` is any clock that never goes back, in seconds. A fresh counter is remembered at once, so that its repeats
    collapse while the ledger still writes; what is remembered here is lost with the process, and the committed value
    takes over.
    """

    def __init__(self, counters: Counters, *, now_s: float) -> None:
        self._counters = counters
        self._started_s = now_s
        self._gates: dict[str, bthome.CounterGate] = {}
        self._recent: dict[str, dict[int, float]] = {}

    def judge(self, key: str, counter: int, *, now_s: float) -> Verdict:
        """Return what this counter is, and remember it if it is fresh."""
        gate = self._gate(key)
        recent = self._recent[key]
        if gate.accept(counter):
            recent[counter] = now_s
            while len(recent) > RECENT_MAX:
                del recent[next(iter(recent))]
            return Verdict.FRESH
        heard_s = recent.get(counter)
        if heard_s is not None and now_s - heard_s <= REPEAT_WINDOW_S:
            return Verdict.REPEAT
        return Verdict.REPLAY

    def forget(self, key: str, counter: int) -> None:
        """Take back a counter whose event found no room, so that the next repeat of it is let in again."""
        if key in self._gates and self._gates[key].last == counter:
            del self._gates[key]
            del self._recent[key]

    def _gate(self, key: str) -> bthome.CounterGate:
        gate = self._gates.get(key)
        if gate is None:
            committed = self._counters.get(key)
            gate = self._gates[key] = bthome.CounterGate(committed)
            # A restart in the middle of a press: its remaining adverts are repeats, not an attack.
            self._recent[key] = {} if committed is None else {committed: self._started_s}
        return gate
