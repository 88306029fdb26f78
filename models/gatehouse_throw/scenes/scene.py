"""One scene: everything put together, frame by frame, with the truth beside each picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from gatehouse_edge.vision.facade import Calibration, FloorLine
from gatehouse_throw.scenes.bodies import Mark, stamp
from gatehouse_throw.scenes.cast import make
from gatehouse_throw.scenes.distractors import Box, Distractor, Stage, Tree
from gatehouse_throw.scenes.facade import Facade, Picture, draw, random_facade
from gatehouse_throw.scenes.falls import Fall, random_falls
from gatehouse_throw.scenes.spec import SceneSpec, Setting, random_of
from gatehouse_throw.scenes.view import Floats, random_view

Luma = npt.NDArray[np.uint8]
MIN_VISIBLE: Final = 0.25
"""A body of which less is to be seen has no box in that frame."""
MIN_MIRRORED: Final = 0.08
"""Likewise of an image in glass, which is faint everywhere."""
_NEAREST_M: Final = 1.0
_LINES: Final = 6
"""Floor lines an operator has the patience for."""
_ON_WALL: Final = frozenset({"laundry", "curtain", "window", "lamp", "lift_outside"})
"""Drawn behind trees and falling things; everything else that moves is in front of them."""


class Change(NamedTuple):
    """What a thing adds to a picture."""

    corner: tuple[int, int]
    luma: Picture


@dataclass(slots=True)
class Truth:
    """What is in one frame."""

    throws: dict[int, Box] = field(default_factory=dict)
    """Number of the fall -> its box."""
    clarity: dict[int, float] = field(default_factory=dict)
    """Number of the fall -> how far it stands out of the sensor's noise: root of the sum of its squared contrast over the noise's
    deviation, what an ideal matched filter would see in one frame before the codec."""
    changes: dict[int, Change] = field(default_factory=dict)
    """Number of the fall -> what it adds to the picture."""
    mirrored: list[Box] = field(default_factory=list)
    """Images of falls in glass."""
    others: list[tuple[str, Box]] = field(default_factory=list)

    def see(self, number: int, mark: Mark, *, shape: tuple[int, ...], noise: float) -> None:
        """Note what a stamp has left of a fall in a picture of that shape, unless too little of it is to be seen. `noise`: its deviation, luma."""
        x, y, w, h = mark.box
        inside = 0 <= x + w / 2 < shape[1] and 0 <= y + h / 2 < shape[0]
        if mark.seen >= MIN_VISIBLE and inside and w:
            self.throws[number] = mark.box
            self.clarity[number] = float((mark.change**2).sum()) ** 0.5 / noise
            self.changes[number] = Change(mark.corner, mark.change)


class Scene:
    """Iterate over `frames()`; the same spec gives the same frames to the bit on one machine."""

    def __init__(self, spec: SceneSpec) -> None:
        self.spec: Final = spec
        rng = random_of(spec.seed, "place")
        self.view: Final = random_view(rng, spec.width_px, spec.height_px, zoom=spec.zoom)
        self.facade: Final[Facade | None] = (
            random_facade(rng, self.view) if spec.setting is Setting.FACADE else None
        )
        self._mirror: npt.NDArray[np.float32] | None = None
        self._rails: npt.NDArray[np.float32] | None = None
        self.still: Final = self._paint(rng)
        self._exposure_s = (
            float(rng.uniform(0.001, 0.02)) if not spec.is_night else float(rng.uniform(0.008, 0.035))
        )
        self._exposure_s = min(self._exposure_s, 0.8 / spec.fps)
        self.throws: Final = self._falls(random_of(spec.seed, "throws"))
        stage = Stage(
            view=self.view,
            facade=self.facade,
            seconds=spec.seconds,
            exposure_s=self._exposure_s,
            is_night=spec.is_night,
            still=self.still,
        )
        rng = random_of(spec.seed, "distractors")
        made: list[Distractor] = [one for kind in spec.distractors for one in make(kind, rng, stage)]
        self._trees = [one for one in made if isinstance(one, Tree)]
        self._on_wall = [one for one in made if one.kind in _ON_WALL]
        self._in_air = [one for one in made if one.kind not in _ON_WALL and not isinstance(one, Tree)]
        self._sensor = random_of(spec.seed, "sensor")
        self._noise_bank = self._sensor.normal(0, 1, (spec.height_px + 64, spec.width_px + 64)).astype(
            np.float32
        )
        self._noise = (
            float(self._sensor.uniform(0.8, 3.0))
            if not spec.is_night
            else float(self._sensor.uniform(3.0, 9.0))
        )
        self._gain_swing = float(self._sensor.choice([0, 0, 0.05, 0.2]))
        self._gain_at_s = float(self._sensor.uniform(0, spec.seconds))
        self._shake_hz = tuple(
            random_of(spec.seed, "shake").uniform((0.6, 0.6, 0.05, 0.05), (1.6, 1.6, 0.6, 0.6))
        )
        self._drops = self._weather(random_of(spec.seed, "weather"))

    def frames(self) -> Iterator[tuple[float, Luma, Truth]]:
        """Yield (capture time in seconds, luma, truth) of every frame the sensor reads."""
        for index in range(int(self.spec.seconds * self.spec.fps)):
            t_s = index / self.spec.fps
            yield t_s, *self._shoot(t_s)

    def calibration(self) -> Calibration | None:
        """Return what an operator would have drawn on the still: the front and some floor lines; None where there is no front to be seen."""
        facade = self.facade
        if facade is None:
            return None
        x0, x1, y = facade.left_m, facade.left_m + facade.width_m, facade.distance_m
        floors = []
        for floor in range(1, facade.floors + 2):
            z = (floor - 1) * facade.floor_m
            (lx, ly, ld), (rx, ry, rd) = self.view.project([[x0, y, z], [x1, y, z]]).tolist()
            middle = (ly + ry) / 2
            if (
                min(ld, rd) > _NEAREST_M and -0.1 < middle / self.spec.height_px < 1.1
            ):  # a line may leave the picture a little
                floors.append(FloorLine(floor=floor, left=(lx, ly), right=(rx, ry)))
        if len(floors) < 2:  # a scale needs two
            return None
        kept = {int(n) for n in np.linspace(0, len(floors) - 1, min(_LINES, len(floors))).round()}
        low = facade.corners()
        low[2:, 2] = (floors[0].floor - 1) * facade.floor_m
        corners = [(float(u), float(v)) for u, v, _ in self.view.project(low)]
        return Calibration(
            width_px=self.spec.width_px,
            height_px=self.spec.height_px,
            facade=(corners[0], corners[1], corners[2], corners[3]),
            floors=tuple(line for n, line in enumerate(floors) if n in kept),
            columns=facade.columns,
            floor_m=facade.floor_m,
            distance_m=facade.distance_m,
        )

    def _shoot(self, t_s: float) -> tuple[Luma, Truth]:
        """Draw from back to front: what hangs on the wall, trees, what falls (trees and rails cover it), what is nearer."""
        truth = Truth()
        frame = self.still.copy()
        for thing in self._on_wall:
            truth.others += [(thing.kind, box) for box in thing.draw(frame, t_s)]
        cover = self._rails
        for tree in self._trees:
            truth.others += [("tree", box) for box in tree.draw(frame, t_s)]
            if tree.mask is not None:
                cover = tree.mask if cover is None else np.maximum(cover, tree.mask)
        for number, throw in enumerate(self.throws):
            self._draw_throw(frame, number, throw, t_s, cover, truth)
        for thing in self._in_air:
            truth.others += [(thing.kind, box) for box in thing.draw(frame, t_s)]
        self._fall_of_weather(frame, t_s)
        return self._expose(frame, t_s, truth), truth

    def _draw_throw(
        self,
        frame: Picture,
        number: int,
        throw: Fall,
        t_s: float,
        cover: npt.NDArray[np.float32] | None,
        truth: Truth,
    ) -> None:
        polygons = throw.outlines(self.view, t_s, self._exposure_s)
        if polygons is None:
            return
        if self._mirror is not None:
            ghost = polygons + np.array([self._ghost_px, 0.0])
            image = stamp(frame, ghost, throw.body.luma, alpha=1 - 0.35 * self._mirror)
            if image.seen >= MIN_MIRRORED:
                truth.mirrored.append(image.box)
        mark = stamp(frame, polygons, throw.body.luma, alpha=cover, shade=throw.body.shade)
        truth.see(number, mark, shape=frame.shape, noise=self._noise)

    def _falls(self, rng: np.random.Generator) -> list[Fall]:
        """Return what falls; where no front is drawn it falls as if before one all the same."""
        if not self.spec.throws:
            return []
        return random_falls(
            rng,
            view=self.view,
            facade=self.facade or random_facade(rng, self.view),
            still=self.still,
            seconds=self.spec.seconds,
            count=self.spec.throws,
        )

    def _paint(self, rng: np.random.Generator) -> Picture:
        h, w = self.spec.height_px, self.spec.width_px
        top, bottom = float(rng.uniform(90, 250)), float(rng.uniform(90, 250))
        still: Picture = np.repeat(np.linspace(top, bottom, h, dtype=np.float32)[:, None], w, 1)
        clouds = cv2.resize(
            rng.normal(0, 1, (7, 9)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC
        )
        still += clouds * float(rng.uniform(0, 7))
        match self.spec.setting:
            case Setting.FACADE:
                self._paint_facade(still, rng)
            case Setting.SKY:
                self._paint_horizon(still, rng)
            case Setting.ROAD | Setting.YARD:
                self._paint_ground(still, rng)
        if self.spec.is_night:
            still = 18 + still * float(rng.uniform(0.12, 0.4))
        return np.asarray(
            cv2.GaussianBlur(np.clip(still, 1, 254), (0, 0), float(rng.uniform(0.4, 1.0))), np.float32
        )

    def _paint_facade(self, still: Picture, rng: np.random.Generator) -> None:
        assert self.facade is not None  # noqa: S101  # setting is FACADE
        h, w = still.shape
        for _ in range(int(rng.integers(0, 3))):  # neighbours
            x, width = int(rng.uniform(0, w)), int(rng.uniform(0.1, 0.4) * w)
            cv2.rectangle(
                still, (x, int(rng.uniform(0.1, 0.8) * h)), (x + width, h), float(rng.uniform(60, 200)), -1
            )
        front, mask = draw(self.facade, rng)
        fh, fw = front.shape
        corners = np.array([[0, 0], [fw, 0], [fw, fh], [0, fh]], float)
        if (self.view.project(self.facade.corners())[:, 2] < 0.5).any():
            low = self.facade.corners()
            low[2:, 2] = max(0.0, self.view.height_m)
            corners[2:, 1] = fh - low[2:, 2] * self.facade.pixels_per_m
            matrix = self.view.homography(low, corners)
        else:
            matrix = self.view.homography(self.facade.corners(), corners)
        seen = cv2.warpPerspective(front, matrix, (w, h), flags=cv2.INTER_AREA)
        cover = cv2.warpPerspective(np.ones_like(front), matrix, (w, h), flags=cv2.INTER_LINEAR)
        still += cover * (seen - still)
        glass = cv2.warpPerspective(mask, matrix, (w, h), flags=cv2.INTER_NEAREST)
        if rng.random() < 0.35:
            self._mirror = (glass == 255).astype(np.float32)
            self._ghost_px = float(rng.uniform(4, 40)) * float(rng.choice([-1, 1]))
        if rng.random() < 0.5:
            self._rails = (glass == 128).astype(np.float32)

    def _paint_horizon(self, still: Picture, rng: np.random.Generator) -> None:
        h, w = still.shape
        line = rng.uniform(0.62, 0.95) * h
        rough = np.cumsum(rng.normal(0, 1.2, w)) * 0.4 + rng.normal(0, 2.0, w)
        xs = np.arange(w)
        tops = np.clip(line + rough - rough.mean(), 0.4 * h, h - 1).astype(int)
        rows = np.arange(h)[:, None]
        under = rows >= tops[None, :]
        fine = cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), 1.2) * 40
        still[:] = np.where(under, float(rng.uniform(25, 100)) + fine, still)
        for _ in range(int(rng.integers(0, 6))):
            x = int(rng.uniform(0, w))
            cv2.line(
                still,
                (x, int(rng.uniform(0.3, 0.8) * h)),
                (x + int(rng.normal(0, 8)), h),
                float(rng.uniform(20, 230)),
                int(rng.integers(1, 6)),
            )
        if rng.random() < 0.4:
            x = int(xs[int(rng.integers(0, w))])
            cv2.rectangle(
                still,
                (x, int(rng.uniform(0.6, 0.85) * h)),
                (x + int(0.4 * w), h),
                float(rng.uniform(30, 180)),
                -1,
            )

    def _paint_ground(self, still: Picture, rng: np.random.Generator) -> None:
        h, w = still.shape
        grain = cv2.GaussianBlur(
            rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), float(rng.uniform(0.8, 3))
        )
        start = int(rng.uniform(0, 0.5) * h)
        still[start:] = float(rng.uniform(60, 170)) + (grain * 14)[start:]
        for _ in range(int(rng.integers(2, 9))):
            a = (int(rng.uniform(0, w)), int(rng.uniform(start, h)))
            b = (int(rng.uniform(0, w)), int(rng.uniform(start, h)))
            cv2.line(still, a, b, float(rng.uniform(40, 230)), int(rng.integers(1, 9)), cv2.LINE_AA)
        for _ in range(int(rng.integers(0, 5))):
            x, y = int(rng.uniform(0, w)), int(rng.uniform(0, h))
            cv2.rectangle(
                still,
                (x, y),
                (x + int(rng.uniform(0.05, 0.3) * w), y + int(rng.uniform(0.05, 0.4) * h)),
                float(rng.uniform(30, 220)),
                -1,
            )

    def _weather(self, rng: np.random.Generator) -> Floats:
        count = {"rain": 220, "snow": 160}.get(self.spec.weather, 0)
        count = int(count * rng.uniform(0.3, 1.3) * self.spec.width_px * self.spec.height_px / (1280 * 720))
        self._slant = float(rng.normal(0, 0.15))
        # x, y, speed (share of the height a second), size, brightness
        return np.stack(
            [
                rng.uniform(0, 1, count), rng.uniform(0, 1, count),
                rng.uniform(2.5, 6.0, count) if self.spec.weather == "rain" else rng.uniform(0.08, 0.5, count),
                rng.uniform(0.5, 1.0, count), rng.uniform(15, 60, count),
            ],
            axis=1,
        )  # fmt: skip

    def _fall_of_weather(self, frame: Picture, t_s: float) -> None:
        h, w = frame.shape
        for x, y, speed, size, glow in self._drops:
            py = ((y + speed * t_s) % 1.1 - 0.05) * h
            px = (
                (
                    x
                    + self._slant * speed * t_s
                    + (0.01 * math.sin(5 * t_s + 60 * x) if self.spec.weather == "snow" else 0)
                )
                % 1.0
            ) * w
            if self.spec.weather == "rain":
                length = speed * h * min(self._exposure_s, 0.02)
                a, b = (int(px), int(py)), (int(px + self._slant * length), int(py + length))
                x0, x1 = max(0, min(a[0], b[0])), min(w, max(a[0], b[0]) + 1)
                y0, y1 = max(0, a[1]), min(h, b[1] + 1)
                if x1 > x0 and y1 > y0:
                    frame[y0:y1, x0:x1] += np.float32(glow * 0.5)
            else:
                radius = max(1, int(size * 3 * h / 720))
                x0, y0 = int(px), int(py)
                if 0 <= x0 < w - radius and 0 <= y0 < h - radius:
                    frame[y0 : y0 + radius, x0 : x0 + radius] += np.float32(glow)

    def _moved(self, t_s: float) -> tuple[float, float]:
        """Return how far the camera's own movement has shifted the picture."""
        quick, slow, (f, g, h, k) = self.spec.shake_px, self.spec.sway_px, self._shake_hz
        dx = quick * (math.sin(7.1 * f * t_s) + 0.5 * math.sin(17.3 * g * t_s + 1))
        dy = quick * (math.cos(6.3 * g * t_s) + 0.5 * math.sin(21.7 * f * t_s))
        return dx + slow * math.sin(2 * math.pi * h * t_s), dy + slow * math.cos(2 * math.pi * k * t_s)

    def _expose(self, frame: Picture, t_s: float, truth: Truth) -> Luma:
        if self.spec.shake_px or self.spec.sway_px:
            dx, dy = self._moved(t_s)
            matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
            size = (frame.shape[1], frame.shape[0])
            shaken = cv2.warpAffine(frame, matrix, size, borderMode=cv2.BORDER_REPLICATE)
            frame = np.asarray(shaken, np.float32)
            truth.throws = {n: (x + dx, y + dy, w, h) for n, (x, y, w, h) in truth.throws.items()}
            truth.others = [(kind, (x + dx, y + dy, w, h)) for kind, (x, y, w, h) in truth.others]
            truth.changes = {
                n: Change((round(one.corner[0] + dx), round(one.corner[1] + dy)), one.luma)
                for n, one in truth.changes.items()
            }
            truth.mirrored = [(x + dx, y + dy, w, h) for x, y, w, h in truth.mirrored]
        if self._gain_swing:
            frame = frame * np.float32(1 + self._gain_swing / (1 + math.exp(-8 * (t_s - self._gain_at_s))))
        oy, ox = self._sensor.integers(0, 64, 2)
        noise = self._noise_bank[oy : oy + frame.shape[0], ox : ox + frame.shape[1]]
        return np.clip(frame + noise * np.float32(self._noise), 0, 255).astype(np.uint8)
