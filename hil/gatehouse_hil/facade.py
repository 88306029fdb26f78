"""A house front drawn from numbers: what the simulated cameras look at. No recording, no licence, no person."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]

_NOISE_FIELDS: Final = 7
"""Noise is drawn once and reused shifted: drawing it afresh would cost more than encoding."""


class Facade:
    """One view of one facade; the same seed gives the same house.

    `noise_sigma` is the sensor noise in luma steps (a small camera by day has 1 to 2, at night 3 and more).
    """

    def __init__(
        self, width: int = 320, height: int = 240, *, seed: int = 7, noise_sigma: float = 2.0
    ) -> None:
        self.width: Final = width
        self.height: Final = height
        self._random: Final = np.random.default_rng(seed)
        self._wall: Final = self._build()
        self._noise: Final = [
            self._random.normal(0.0, noise_sigma, (height, width)).round().astype(np.int16)
            for _ in range(_NOISE_FIELDS)
        ]

    def picture(self, number: int) -> Luma:
        """Return frame `number`: the wall, lit windows, fresh noise. Limited range (16 to 235)."""
        noise = np.roll(self._noise[number % _NOISE_FIELDS], (number * 37) % self.width, axis=1)
        picture: Luma = np.clip(self._wall + noise, 16, 235).astype(np.uint8)
        return picture

    def black(self, number: int) -> Luma:
        """Return frame `number` of a covered lens: video black with a little noise."""
        noise = np.roll(self._noise[number % _NOISE_FIELDS], (number * 37) % self.width, axis=1)
        picture: Luma = np.clip(17 + noise // 2, 16, 24).astype(np.uint8)
        return picture

    def _build(self) -> npt.NDArray[np.int16]:
        rows = np.linspace(150, 90, self.height)[:, None]
        wall = np.broadcast_to(rows, (self.height, self.width)).copy()
        step_x, step_y = self.width // 8, self.height // 6
        for top in range(step_y // 4, self.height - step_y // 2, step_y):
            for left in range(step_x // 4, self.width - step_x // 2, step_x):
                light = 210 if self._random.random() < 0.2 else self._random.integers(40, 75)
                wall[top : top + step_y // 2, left : left + step_x // 2] = light
        return wall.astype(np.int16)
