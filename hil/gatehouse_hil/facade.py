"""A house front drawn from numbers: what the simulated cameras look at. No recording, no licence, no person.

Things can be thrown from it: `throw` lets one go, and from then on every picture shows it where gravity and drag have brought it by the time
of that picture, smeared over the exposure, until it lies on the ground.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]

FLOOR_M: Final = 2.9
G_M_S2: Final = 9.81
_NOISE_FIELDS: Final = 7
"""Noise is drawn once and reused shifted: drawing it afresh would cost more than encoding."""
_EXPOSURE_S: Final = 0.01
_SMEAR: Final = 6
"""Positions drawn within one exposure."""
_ZOOM: Final = 4
"""Parts of a pixel in which a thing's outline is told."""
_LIES_S: Final = 20.0
"""So long it lies on the ground before somebody takes it away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Something thrown. Heights in metres above the ground line, sideways in metres from the left edge."""

    from_s: float
    """Time of the picture in which it leaves."""
    x_m: float
    height_m: float
    sideways_m_s: float = 0.6
    size_m: float = 0.45
    slenderness: float = 1.6
    terminal_m_s: float = 32.0
    """Where drag holds gravity: a full bottle or a bag of rubbish."""
    luma: int = 225
    spin_rad_s: float = 6.0

    def at(self, t_s: float) -> tuple[float, float]:
        """Return (sideways, height) at a time; on the ground it stays.

        dv/dt = g (1 - (v / v_t)^2): v = v_t tanh(g t / v_t), fallen v_t^2 / g ln cosh(g t / v_t).
        """
        age_s = max(0.0, t_s - self.from_s)
        v = self.terminal_m_s
        fallen_m = v * v / G_M_S2 * math.log(math.cosh(G_M_S2 * age_s / v))
        moving_s = age_s if fallen_m < self.height_m else self.fall_s
        return self.x_m + self.sideways_m_s * moving_s, max(0.0, self.height_m - fallen_m)

    @property
    def fall_s(self) -> float:
        """From its release to the ground."""
        v = self.terminal_m_s
        return v / G_M_S2 * math.acosh(math.exp(G_M_S2 * self.height_m / (v * v)))


class Facade:
    """One view of one facade; the same seed gives the same house.

    `noise_sigma` is the sensor noise in luma steps (a small camera by day has 1 to 2, at night 3 and more).
    """

    def __init__(
        self,
        width: int = 320,
        height: int = 240,
        *,
        seed: int = 7,
        noise_sigma: float = 2.0,
        floors: int = 6,
        columns: int = 8,
        fps: int = 12,
    ) -> None:
        """Draw the house.

        Args:
            width: of the picture.
            height: of the picture; `height // floors` pixels are a floor, whatever its height above ground (the camera is far away).
            seed: of the lights and the noise.
            noise_sigma: luma steps.
            floors: from the ground line up; the lowest is floor 1.
            columns: of windows.
            fps: pictures a second: tells the time of picture `number`.
        """
        self.width: Final = width
        self.height: Final = height
        self.floors: Final = floors
        self.columns: Final = columns
        self.fps: Final = fps
        self.bodies: list[Body] = []
        self._random: Final = np.random.default_rng(seed)
        self._wall: Final = self._build()
        self._noise: Final = [
            self._random.normal(0.0, noise_sigma, (height, width)).round().astype(np.int16)
            for _ in range(_NOISE_FIELDS)
        ]

    @property
    def px_per_m(self) -> float:
        """Scale of the whole picture."""
        return self.height // self.floors / FLOOR_M

    def throw(self, number: int, *, floor: int, column: int, size_m: float = 0.45, luma: int = 225) -> Body:
        """Let something go from a window in picture `number` and return it."""
        body = Body(
            from_s=number / self.fps,
            x_m=(column - 0.5) * (self.width // self.columns) / self.px_per_m,
            height_m=(floor - 0.5) * FLOOR_M,
            size_m=size_m,
            luma=luma,
        )
        self.bodies.append(body)
        return body

    def picture(self, number: int) -> Luma:
        """Return frame `number`: the wall, lit windows, what falls, fresh noise. Limited range (16 to 235)."""
        scene = self._wall
        t_s = number / self.fps
        self.bodies = [body for body in self.bodies if t_s - body.from_s < body.fall_s + _LIES_S]
        if self.bodies:
            scene = scene.copy()
            for body in self.bodies:
                self._draw(scene, body, t_s)
        noise = np.roll(self._noise[number % _NOISE_FIELDS], (number * 37) % self.width, axis=1)
        picture: Luma = np.clip(scene + noise, 16, 235).astype(np.uint8)
        return picture

    def black(self, number: int) -> Luma:
        """Return frame `number` of a covered lens: video black with a little noise."""
        noise = np.roll(self._noise[number % _NOISE_FIELDS], (number * 37) % self.width, axis=1)
        picture: Luma = np.clip(17 + noise // 2, 16, 24).astype(np.uint8)
        return picture

    def calibration(self) -> dict[str, object]:
        """Return what an operator would draw on a still of it: the front's corners and the lower edge of every floor."""
        right, bottom, step = self.width - 1.0, self.height - 1.0, self.height // self.floors
        return {
            "width_px": self.width,
            "height_px": self.height,
            "facade": [[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]],
            "floors": [
                {
                    "floor": floor,
                    "left": [0.0, float(self.height - (floor - 1) * step)],
                    "right": [right, float(self.height - (floor - 1) * step)],
                }
                for floor in range(1, self.floors + 1)
            ],
            "columns": self.columns,
            "floor_m": FLOOR_M,
            "distance_m": 60.0,
        }

    def _draw(self, scene: npt.NDArray[np.int16], body: Body, t_s: float) -> None:
        """Lay a tumbling ellipse over the scene, averaged over the exposure."""
        reach = math.ceil(body.size_m * self.px_per_m) + 4
        x_m, height_m = body.at(t_s)
        left, top = (
            int(x_m * self.px_per_m) - reach,
            int(self.height - height_m * self.px_per_m) - reach,
        )
        side = 2 * reach
        if not (0 <= left <= self.width - side and top >= 0):
            return
        side_y = min(side, self.height - top)
        rows, columns = np.mgrid[0 : side * _ZOOM, 0 : side * _ZOOM] / _ZOOM
        cover = np.zeros((side * _ZOOM, side * _ZOOM))
        half = body.size_m * self.px_per_m / 2
        for part in range(_SMEAR):
            at_s = t_s + _EXPOSURE_S * part / _SMEAR
            x_m, height_m = body.at(at_s)
            x, y = x_m * self.px_per_m - left, self.height - height_m * self.px_per_m - half - top
            angle = body.spin_rad_s * min(at_s - body.from_s, body.fall_s)
            across, down = columns - x, rows - y
            along = across * math.cos(angle) + down * math.sin(angle)
            beside = (down * math.cos(angle) - across * math.sin(angle)) * body.slenderness
            cover += along**2 + beside**2 <= half**2
        share = cover.reshape(side, _ZOOM, side, _ZOOM).mean(axis=(1, 3)) / _SMEAR
        patch = scene[top : top + side_y, left : left + side]
        patch += (share[:side_y] * (body.luma - patch)).round().astype(np.int16)

    def _build(self) -> npt.NDArray[np.int16]:
        rows = np.linspace(150, 90, self.height)[:, None]
        wall = np.broadcast_to(rows, (self.height, self.width)).copy()
        step_x, step_y = self.width // self.columns, self.height // self.floors
        for top in range(step_y // 4, self.height - step_y // 2, step_y):
            for left in range(step_x // 4, self.width - step_x // 2, step_x):
                light = 210 if self._random.random() < 0.2 else self._random.integers(40, 75)
                wall[top : top + step_y // 2, left : left + step_x // 2] = light
        return wall.astype(np.int16)
