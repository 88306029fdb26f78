"""How long to wait after a failure: full jitter, so that a thousand gateways do not come back in one second."""

from __future__ import annotations

import random
from typing import Final


class Backoff:
    """Each pause is anywhere between nothing and a bound that doubles (AWS Architecture Blog, "Exponential backoff and jitter")."""

    def __init__(self, *, first_s: float = 1.0, most_s: float = 60.0, rng: random.Random) -> None:
        self._first_s: Final = first_s
        self._most_s: Final = most_s
        self._rng: Final = rng
        self._bound_s = first_s

    def next_s(self, *, at_least_s: float = 0.0) -> float:
        """Return the next pause in seconds; `at_least_s` is what the other side asked for, bounded too."""
        pause_s = self._rng.uniform(0.0, self._bound_s)
        self._bound_s = min(self._most_s, 2 * self._bound_s)
        return max(pause_s, min(at_least_s, self._most_s))

    def reset(self) -> None:
        """It went well."""
        self._bound_s = self._first_s
