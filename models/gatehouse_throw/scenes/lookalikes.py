"""What comes down the picture as a light fall does and is none: birds that sink, machines that descend, traffic far below.

Only scenes that teach have them (`spec.spec_of`). What tells them from a fall is how long they go on, how they slow down, what
their outline does and what else goes the same way; a straight line down is not enough of a difference.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from typing_extensions import override

from gatehouse_throw.scenes.distractors import Flyer, Stage, Traffic
from gatehouse_throw.scenes.view import Floats

_SIZES_PX: Final = {"bird": (3.0, 30.0), "drone": (4.0, 50.0)}
"""Of pictures of 720 lines."""
_BRAKING_S: Final = 0.25


class Sinker(Flyer):
    """A bird that glides or flutters down, or a drone that descends: for seconds, nearly straight, now faster and now slower."""

    def __init__(self, kind: str, rng: np.random.Generator, stage: Stage) -> None:
        super().__init__(kind, rng, stage)
        h, w = stage.view.height_px, stage.view.width_px
        self._size = float(np.exp(rng.uniform(*np.log(_SIZES_PX[kind])))) * h / 720
        heading = math.pi / 2 + float(rng.normal(0, 0.22))
        # In heights of the picture a second: as slow as what takes ten seconds, as quick as a light thing that falls.
        pace = float(np.exp(rng.uniform(math.log(0.03), math.log(0.3)))) * h
        self._way = pace * np.array([math.cos(heading), math.sin(heading)])
        self._from_s = float(rng.uniform(-0.4 * stage.seconds, 0.35 * stage.seconds))
        self._lasts_s = float(rng.uniform(0.6, 1.4)) * stage.seconds
        self._start = np.array([rng.uniform(0, w), rng.uniform(-0.05, 0.6) * h])
        self._unrest = float(rng.choice([0.0, rng.uniform(0.1, 0.9)]))
        self._unrest_rate = float(rng.uniform(0.4, 3.0))
        self._brakes_at_s = float(rng.uniform(0.3, 1.5)) * self._lasts_s
        if kind == "bird" and rng.random() < 0.45:  # glides: wings held out
            self._rate, self._phase = 0.0, float(rng.uniform(-0.5, 0.8))

    @override
    def place(self, t_s: float) -> Floats | None:
        """Return where it is, None while it is not there."""
        age = t_s - self._from_s
        if not 0 <= age <= self._lasts_s:
            return None
        # Whatever means to land slows down before it, here to a third.
        late = max(0.0, age - self._brakes_at_s)
        gone = age - 2 / 3 * (late - _BRAKING_S * (1 - math.exp(-late / _BRAKING_S)))
        rate = self._unrest_rate
        gone += self._unrest / rate * (math.sin(rate * gone + self._phase) - math.sin(self._phase))
        bob = self._wobble * math.sin(self._rate * 1.3 * age + self._phase)
        place: Floats = self._start + self._way * gone + np.array([0.0, bob])
        return place


class DistantTraffic(Traffic):
    """Cars of a few pixels seen from above, down a road that may slant; they brake and go on."""

    def __init__(self, rng: np.random.Generator, stage: Stage) -> None:
        super().__init__(rng, stage)
        self._is_above = True
        self._size = float(np.exp(rng.uniform(math.log(5), math.log(32)))) * stage.view.height_px / 720
        self._slant = float(rng.normal(0, 0.5))
        self._speed = float(np.exp(rng.uniform(math.log(0.04), math.log(0.6))))
        self._brake = (
            float(rng.uniform(0.0, 0.9)),
            float(rng.uniform(0.5, 2.5)),
            float(rng.uniform(0, 6.28)),
        )

    @override
    def _gone(self, offset: float, pace: float, t_s: float) -> float:
        depth, rate, phase = self._brake
        eased = t_s + depth / rate * (math.sin(rate * t_s + phase) - math.sin(phase))
        return super()._gone(offset, pace, eased)
