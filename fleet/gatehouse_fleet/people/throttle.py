"""Slows down whoever guesses passwords and codes: five failures in five minutes per key, bounded memory.

Counted per worker: with N workers a guesser has N times five tries, which changes nothing against 50 bits or argon2.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_FAILURES: Final = 5
WINDOW_S: Final = 300.0
_MAX_KEYS: Final = 4096
"""Peers and names remembered; the oldest gives way, so a flood of names costs no memory."""


class Throttle:
    """Counts failures per key (a peer, a name) over a sliding window. One event loop."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[float, ...]] = OrderedDict()

    def wait_s(self, key: str, now_s: float) -> float:
        """Return how long this key must wait, 0 if it may try."""
        recent = self._recent(key, now_s)
        return 0.0 if len(recent) < MAX_FAILURES else recent[0] + WINDOW_S - now_s

    def fail(self, key: str, now_s: float) -> None:
        """Note a failure."""
        self._failures[key] = (*self._recent(key, now_s), now_s)[-MAX_FAILURES:]
        self._failures.move_to_end(key)
        while len(self._failures) > _MAX_KEYS:
            self._failures.popitem(last=False)

    def succeed(self, key: str) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def _recent(self, key: str, now_s: float) -> tuple[float, ...]:
        return tuple(at_s for at_s in self._failures.get(key, ()) if now_s - at_s < WINDOW_S)
