"""What comes down the picture as a light fall does and is none: birds that sink, machines that descend, traffic far below, parts of cars close by.

Only scenes that teach have them (`spec.spec_of`). What tells them from a fall is how long they go on, how they slow down, what
their outline does and what else goes the same way; a straight line down is not enough of a difference.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from typing_extensions import override

from gatehouse_throw.scenes.bodies import stamp
from gatehouse_throw.scenes.distractors import Flyer, Picture, Stage, Traffic
from gatehouse_throw.scenes.view import Floats

_SIZES_PX: Final = {"bird": (3.0, 30.0), "drone": (4.0, 50.0)}
"""Of pictures of 720 lines."""
_BRAKING_S: Final = 0.25
_TURNING_SHARE: Final = 0.45


class Sinker(Flyer):
    """A bird that glides or flutters down, or a drone that descends: for seconds, straight or out of a curve, now faster and now slower."""

    def __init__(self, kind: str, rng: np.random.Generator, stage: Stage) -> None:
        super().__init__(kind, rng, stage)
        h, w = stage.view.height_px, stage.view.width_px
        self._size = float(np.exp(rng.uniform(*np.log(_SIZES_PX[kind])))) * h / 720
        # In heights of the picture a second: as slow as what takes ten seconds, as quick as a light thing that falls.
        pace = float(np.exp(rng.uniform(math.log(0.03), math.log(0.3)))) * h
        self._from_s = float(rng.uniform(-0.4 * stage.seconds, 0.35 * stage.seconds))
        self._lasts_s = float(rng.uniform(0.6, 1.4)) * stage.seconds
        self._start = np.array([rng.uniform(0, w), rng.uniform(-0.05, 0.6) * h])
        self._unrest = float(rng.choice([0.0, rng.uniform(0.1, 0.9)]))
        self._unrest_rate = float(rng.uniform(0.4, 3.0))
        self._brakes_at_s = float(rng.uniform(0.3, 1.5)) * self._lasts_s
        self._reach_s = np.linspace(0, 2 * self._lasts_s, 200)
        self._way = pace * _curve(rng, self._reach_s)
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
        x, y = (float(np.interp(gone, self._reach_s, along)) for along in self._way.T)
        place: Floats = self._start + np.array([x, y + bob])
        return place


def _curve(rng: np.random.Generator, at_s: Floats) -> Floats:
    """Return places, shape (n, 2), of what flies with a speed of 1 and goes down, from the start or out of a turn."""
    heading = np.full(len(at_s), math.pi / 2 + float(rng.normal(0, 0.22)))
    if rng.random() < _TURNING_SHARE:
        begins_s, lasts_s = float(rng.uniform(0, 1.5)), float(rng.uniform(0.4, 2.5))
        before = float(rng.choice([-1, 1])) * float(rng.uniform(0.6, 2.2))
        heading += before * (1 - np.clip((at_s - begins_s) / lasts_s, 0, 1))
    steps = np.diff(at_s)[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)[1:]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])


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


class NearTraffic(Traffic):
    """Cars larger than anything that is told: what is small and moves are their mirrors, wheels, plates and lamps."""

    def __init__(self, rng: np.random.Generator, stage: Stage) -> None:
        super().__init__(rng, stage)
        self._is_above = rng.random() < 0.7
        self._size = float(np.exp(rng.uniform(math.log(70), math.log(280)))) * stage.view.height_px / 720
        self._slant = float(rng.normal(0, 0.3))
        self._speed = float(np.exp(rng.uniform(math.log(0.15), math.log(1.2))))
        self._mirror = float(rng.uniform(0.05, 0.12))
        self._tones = rng.uniform(8, 250, 4)
        self._has = rng.random(4) < 0.7

    @override
    def _adorn(self, frame: Picture, place: tuple[float, float], size: float) -> None:
        parts = (
            ((-0.5, -0.25), (0.5, -0.25), (self._mirror, self._mirror * 0.8), self._tones[0]),  # mirrors
            ((-0.44, 0.35), (0.44, 0.35), (0.05, 0.16), self._tones[1]),  # wheels
            ((0.0, 0.74), (0.0, 0.74), (0.14, 0.05), self._tones[2]),  # plate
            ((-0.3, 0.7), (0.3, 0.7), (0.09, 0.06), self._tones[3]),  # lamps
        )
        # The bodies of those that come from the horizon are so much shorter.
        seen = (1.0, 1.0 if self._is_above else 0.7)
        for is_there, (left, right, (wide, high), shade) in zip(self._has, parts, strict=True):
            corners = np.array([[-wide, -high], [wide, -high], [wide, high], [-wide, high]]) / 2
            for at in (left, right) if is_there else ():
                stamp(frame, ((corners + at) * seen * size + place)[None], float(shade), alpha=None)
