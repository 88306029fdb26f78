"""How long to wait after a failure: twice as long each time, up to a bound, with jitter so that a city's servers do not march."""

from __future__ import annotations

import random
from typing import Final

from gatehouse_fleet.city.target import Retry

_MAX_DOUBLINGS: Final = 30


class Patience:
    """Counts failures of one thing and says when to try again. `dice` gives numbers from 0 to 1."""

    def __init__(self, settings: Retry, dice: random.Random) -> None:
        self._settings: Final = settings
        self._dice: Final = dice
        self.failures = 0

    def next_s(self, *, asked_s: float | None = None) -> float:
        """Count one failure and return the seconds to wait: between half of the doubled time and all of it.

        Args:
            asked_s: what the platform asked for; obeyed up to the target's own bound.
        """
        doubled = self._settings.first_s * float(1 << min(self.failures, _MAX_DOUBLINGS))
        self.failures += 1
        longest = min(self._settings.most_s, doubled)
        jittered = longest * (0.5 + self._dice.random() / 2)
        return max(jittered, min(asked_s or 0.0, self._settings.most_s))

    def reset(self) -> None:
        """Forget: it worked."""
        self.failures = 0
