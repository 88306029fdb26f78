"""Everything that moves and is no throw: each draws itself and says where it is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from gatehouse_throw.scenes.bodies import leaf, stamp
from gatehouse_throw.scenes.facade import Facade
from gatehouse_throw.scenes.view import Floats, View

Picture = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]
"""x, y, width, height, pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a distractor may know of the scene."""

    view: View
    facade: Facade | None
    seconds: float
    exposure_s: float
    is_night: bool
    still: Picture
    """The scene without anything that moves."""


class Distractor(Protocol):
    """One moving thing."""

    kind: str

    def draw(self, frame: Picture, t_s: float) -> list[Box]:
        """Draw what it is at `t_s`; return where it covers pixels."""
        ...


class Flyer:
    """A bird, insect, drone or helicopter: a body on a smooth path in the picture, with wings or rotors."""

    def __init__(
        self, kind: str, rng: np.random.Generator, stage: Stage, *, near: Floats | None = None
    ) -> None:
        self.kind = kind
        w, h = stage.view.width_px, stage.view.height_px
        scale = h / 720
        sizes = {
            "bird": (3, 28),
            "flock": (2, 10),
            "insect": (4, 40),
            "drone": (4, 60),
            "helicopter": (4, 24),
        }
        self._size = float(np.exp(rng.uniform(*np.log(sizes[kind])))) * scale
        lengths_s = {
            "bird": (4, 26),
            "flock": (5, 20),
            "insect": (8, 60),
            "drone": (0.6, 9),
            "helicopter": (0.5, 5),
        }
        speed = self._size * float(rng.uniform(*lengths_s[kind]))
        if kind == "insect":
            speed = float(rng.uniform(200, 1600)) * scale
        heading = float(rng.uniform(0, 2 * math.pi))
        if kind in {"drone", "bird"} and rng.random() < 0.45:
            heading = math.pi / 2 + float(
                rng.normal(0, 0.35)
            )  # down the picture: what downward-only rules fall for
        start = near if near is not None else np.array([rng.uniform(0, w), rng.uniform(0, h * 0.9)])
        self._start = start + rng.normal(0, 30 * scale, 2) * (near is not None)
        self._velocity = speed * np.array([math.cos(heading), math.sin(heading)])
        self._from_s = float(rng.uniform(-0.3 * stage.seconds, 0.7 * stage.seconds))
        self._lasts_s = (
            float(rng.uniform(0.6, 1.2) * stage.seconds) if kind != "insect" else float(rng.uniform(0.3, 2.5))
        )
        self._turn = float(rng.normal(0, {"insect": 5.0, "bird": 0.6, "flock": 0.4}.get(kind, 0.15)))
        self._wobble = float(rng.uniform(0, {"insect": 1.2, "bird": 0.5}.get(kind, 0.15))) * self._size
        self._rate = float(rng.uniform(2.5, 11.0))
        self._phase = float(rng.uniform(0, 6.28))
        share = 0.85 if kind in {"bird", "flock", "drone", "helicopter"} else 0.3
        dark = rng.random() < (0.35 if stage.is_night else share)  # warm bodies glow in the infrared
        self._luma = float(rng.uniform(10, 70)) if dark else float(rng.uniform(150, 245))
        self._exposure = stage.exposure_s
        self._alpha = 0.45 if kind == "insect" else 1.0
        self._sink = float(rng.normal(0, 0.1))
        hovers = kind in {"drone", "helicopter"} and rng.random() < 0.5
        self._hover = (
            (float(rng.uniform(0.2, 2.5)), float(rng.uniform(0.4, 2.0))) if hovers else (math.inf, 0.0)
        )
        """Begins so long after its start, lasts so long, seconds."""

    def _flown_s(self, age: float) -> float:
        """Return for how long it has moved: a hovering machine slows down and sets off again within a third of a second."""
        begins, lasts = self._hover
        waited = float(np.clip(age - begins, 0, lasts))
        return age - waited + 0.15 * (1 - math.exp(-waited / 0.15))

    def place(self, t_s: float) -> Floats | None:
        """Return where it is, None while it is not there."""
        age = t_s - self._from_s
        if not 0 <= age <= self._lasts_s:
            return None
        age = self._flown_s(age)
        # Constant turn: the velocity vector rotates, the path is an arc.
        turn = self._turn if abs(self._turn) > 1e-3 else 1e-3
        vx, vy = self._velocity
        x = (vx * math.sin(turn * age) - vy * (1 - math.cos(turn * age))) / turn
        y = (vy * math.sin(turn * age) + vx * (1 - math.cos(turn * age))) / turn
        bob = self._wobble * math.sin(self._rate * 1.3 * age + self._phase)
        place: Floats = self._start + np.array([x, y + bob + self._sink * self._size * age])
        return place

    def draw(self, frame: Picture, t_s: float) -> list[Box]:
        """Draw body and wings over the exposure."""
        polygons = []
        for step in range(4):
            place = self.place(t_s + self._exposure * step / 3)
            if place is None:
                return []
            polygons.append(self._outline(t_s) + place)
        before = frame.copy() if self._alpha < 1 and self._size < 80 else None
        (x, y, w, h), seen, *_ = stamp(frame, np.array(polygons), self._luma, alpha=None)
        if before is not None and w:
            region = np.s_[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2]
            frame[region] = cv2.GaussianBlur(
                before[region] + self._alpha * (frame[region] - before[region]),
                (0, 0),
                max(0.6, self._size / 8),
            )
        return [(x, y, w, h)] if seen > 0 else []

    def _outline(self, t_s: float) -> Floats:
        s, flap = self._size, math.sin(2 * math.pi * self._rate * t_s + self._phase)
        if self.kind in {"bird", "flock"}:
            lift = 0.45 * flap
            unit = [
                (-0.5, lift),
                (-0.15, 0.02),
                (0, -0.1),
                (0.15, 0.02),
                (0.5, lift),
                (0.12, 0.14),
                (0, 0.1),
                (-0.12, 0.14),
            ]
        elif self.kind == "drone":
            unit = [
                (-0.5, -0.12),
                (-0.2, -0.1),
                (0.2, -0.1),
                (0.5, -0.12),
                (0.5, 0),
                (0.15, 0.15),
                (-0.15, 0.15),
                (-0.5, 0),
            ]
        elif self.kind == "helicopter":
            unit = [
                (-0.5, 0),
                (-0.2, -0.2),
                (0.2, -0.22),
                (0.3, 0),
                (0.5, -0.05),
                (0.5, 0.08),
                (0.1, 0.2),
                (-0.3, 0.15),
            ]
        else:
            unit = [(-0.5, 0), (0, -0.3), (0.5, 0), (0, 0.3)]
        return np.array(unit) * s


class Flock:
    """Several birds together."""

    kind = "flock"

    def __init__(self, rng: np.random.Generator, stage: Stage) -> None:
        centre = np.array([rng.uniform(0, stage.view.width_px), rng.uniform(0, stage.view.height_px * 0.8)])
        leader = Flyer("flock", rng, stage, near=centre)
        self._birds = [leader]
        for _ in range(int(rng.integers(3, 14))):
            bird = Flyer("flock", rng, stage, near=centre)
            bird._velocity = leader._velocity * rng.uniform(0.85, 1.15) + rng.normal(0, 4, 2)  # noqa: SLF001  # its own kind
            bird._from_s, bird._lasts_s = leader._from_s, leader._lasts_s  # noqa: SLF001
            self._birds.append(bird)

    def draw(self, frame: Picture, t_s: float) -> list[Box]:
        """Draw every bird."""
        return [box for bird in self._birds for box in bird.draw(frame, t_s)]


class Leaf:
    """A leaf that sinks, in metres, in front of the façade or anywhere."""

    kind = "leaf"

    def __init__(self, rng: np.random.Generator, stage: Stage) -> None:
        reach = stage.facade.distance_m if stage.facade else 25.0
        self._depth_m = float(rng.uniform(0.25, 0.95)) * reach
        start = [rng.uniform(-0.4, 0.4) * self._depth_m, self._depth_m, rng.uniform(3, 20)]
        self._body = leaf(rng, start, background=float(rng.uniform(60, 190)))
        self._from_s = float(rng.uniform(-4, stage.seconds))
        self._view = stage.view
        self._exposure = stage.exposure_s

    def draw(self, frame: Picture, t_s: float) -> list[Box]:
        """Draw it where the air has carried it."""
        age = t_s - self._from_s
        if not 0 <= age <= self._body.lasts_s:
            return []
        polygons = []
        for step in range(2):
            u, v, depth = self._view.project(self._body.at(age + step * self._exposure))[0]
            if depth < 0.5:
                return []
            size = self._view.focal_px * self._body.size_m / depth
            if size > 80:
                return []
            polygons.append(self._body.shape(age) * max(size, 0.7) + (u, v))
        (x, y, w, h), seen, *_ = stamp(
            frame, np.array(polygons), self._body.luma, alpha=None, shade=self._body.shade
        )
        return [(x, y, w, h)] if seen else []


class Tree:
    """Foliage that sways: a textured crown, displaced by gusts."""

    kind = "tree"

    def __init__(self, rng: np.random.Generator, stage: Stage) -> None:
        h, w = stage.still.shape
        radius = float(rng.uniform(0.08, 0.34)) * min(h, w)
        side = rng.choice(["left", "right", "bottom", "middle"], p=[0.3, 0.3, 0.3, 0.1])
        cx = {"left": 0.05, "right": 0.95, "bottom": rng.uniform(0, 1), "middle": rng.uniform(0.2, 0.8)}[
            str(side)
        ] * w
        cy = rng.uniform(0.3, 1.0) * h if side in {"left", "right"} else rng.uniform(0.75, 1.05) * h
        size = max(24, int(2.4 * radius))
        self._x, self._y = int(cx - size / 2), int(cy - size / 2)
        leaf_px = float(rng.uniform(1.5, 5.0)) * h / 720 + 0.8
        fine = _even(rng.normal(0, 1, (size, size)), leaf_px / 2)
        base = float(rng.uniform(28, 110))
        self._tone = np.clip(base + fine * float(rng.uniform(10, 34)), 4, 235).astype(np.float32)
        yy, xx = np.mgrid[0:size, 0:size].astype(np.float32)
        edge = np.hypot(xx - size / 2, yy - size / 2) / (size / 2)
        rough = _even(rng.normal(0, 1, (size, size)), leaf_px * 1.5)
        density = 0.78 - edge + 0.22 * rough
        self._alpha = np.clip(density * 8, 0, 1).astype(np.float32)
        self._xx, self._yy = xx, yy
        self._gust = float(rng.uniform(0.2, 1.0)) * float(rng.uniform(0.5, 5.0)) * h / 720
        self._rates = rng.uniform(0.4, 2.2, 3)
        self._waves = rng.uniform(0.01, 0.07, (3, 2))
        self._phases = rng.uniform(0, 6.28, 3)
        self.mask: npt.NDArray[np.float32] | None = None
        self._shape = (h, w)

    def layers(self, t_s: float) -> tuple[Picture, Picture]:
        """Return tone and alpha at `t_s`."""
        # The wind is smooth: worked out on every eighth pixel and spread from there.
        xx, yy = self._xx[::8, ::8], self._yy[::8, ::8]
        dx, dy = np.zeros_like(xx), np.zeros_like(yy)
        envelope = 0.6 + 0.4 * math.sin(0.7 * t_s + self._phases[0])
        for rate, wave, phase in zip(self._rates, self._waves, self._phases, strict=True):
            angle = wave[0] * xx + wave[1] * yy + 2 * math.pi * rate * t_s + phase
            dx += self._gust * envelope * np.sin(angle) / 2
            dy += self._gust * envelope * 0.5 * np.cos(1.3 * angle) / 2
        size = (self._xx.shape[1], self._xx.shape[0])
        mx, my = (
            self._xx + cv2.resize(dx.astype(np.float32), size),
            self._yy + cv2.resize(dy.astype(np.float32), size),
        )
        tone = cv2.remap(self._tone, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        alpha = cv2.remap(self._alpha, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return tone, alpha

    def draw(self, frame: Picture, t_s: float) -> list[Box]:
        """Draw it over everything behind it; its alpha is left in `mask` for what falls behind it."""
        tone, alpha = self.layers(t_s)
        h, w = self._shape
        n = tone.shape[0]
        x0, y0, x1, y1 = max(0, self._x), max(0, self._y), min(w, self._x + n), min(h, self._y + n)
        if x1 <= x0 or y1 <= y0:
            return []
        part = np.s_[y0 - self._y : y1 - self._y, x0 - self._x : x1 - self._x]
        patch = frame[y0:y1, x0:x1]
        patch += alpha[part] * (tone[part] - patch)
        self.mask = np.zeros(self._shape, np.float32)
        self.mask[y0:y1, x0:x1] = alpha[part]
        return [(x0, y0, x1 - x0, y1 - y0)]


def _even(noise: Floats, blur_px: float) -> Picture:
    """Return blurred noise of standard deviation 1."""
    blurred = np.asarray(cv2.GaussianBlur(noise.astype(np.float32), (0, 0), blur_px), np.float32)
    return np.asarray(blurred / (blurred.std() + 1e-6), np.float32)


class Patch:
    """A piece of the picture that changes: laundry, curtains, windows that open, lamps, headlights."""

    def __init__(self, kind: str, rng: np.random.Generator, stage: Stage) -> None:
        self.kind = kind
        h, w = stage.still.shape
        scale = h / 720
        size = {
            "laundry": (14, 60),
            "curtain": (12, 50),
            "window": (12, 60),
            "lamp": (6, 60),
            "headlight": (60, 300),
            "lift_outside": (14, 40),
        }[kind]
        self._w = max(4, int(rng.uniform(*size) * scale))
        self._h = max(4, int(rng.uniform(*size) * scale))
        self._x = int(rng.uniform(0, max(1, w - self._w)))
        self._y = int(rng.uniform(0.1 * h, max(2, 0.9 * h - self._h)))
        self._tone = float(rng.uniform(30, 225))
        texture = rng.normal(0, 12, (self._h, self._w)).astype(np.float32)
        self._texture = cv2.GaussianBlur(texture, (0, 0), 1.5)
        self._rate = float(rng.uniform(0.3, 2.5))
        self._phase = float(rng.uniform(0, 6.28))
        self._at_s = float(rng.uniform(0, stage.seconds))
        self._amount = float(rng.uniform(0.08, 0.35))
        self._speed = float(rng.uniform(20, 80)) * scale * float(rng.choice([-1, 1]))

    def draw(self, frame: Picture, t_s: float) -> list[Box]:
        """Draw its state at `t_s`."""
        match self.kind:
            case "laundry" | "curtain":
                return self._cloth(frame, t_s)
            case "window":
                share = float(np.clip((t_s - self._at_s) / 0.6, 0, 1))
                width = max(1, int(self._w * (0.15 + 0.85 * share)))
                frame[self._y : self._y + self._h, self._x : self._x + width] = self._tone
                return [(self._x, self._y, width, self._h)]
            case "lift_outside":
                y = int(self._y + self._speed * t_s) % max(1, frame.shape[0] - self._h)
                frame[y : y + self._h, self._x : self._x + self._w] = self._tone
                return [(self._x, y, self._w, self._h)]
            case "lamp":
                on = math.sin(2 * math.pi * self._rate * 3 * t_s + self._phase) > 0.2 or (t_s > self._at_s)
                glow = 1.0 + (1.4 if on else 0.0)
                frame[self._y : self._y + self._h, self._x : self._x + self._w] *= np.float32(glow)
                return [(self._x, self._y, self._w, self._h)]
            case _:
                return self._beam(frame, t_s)

    def _cloth(self, frame: Picture, t_s: float) -> list[Box]:
        sway = self._amount * self._w * math.sin(2 * math.pi * self._rate * t_s + self._phase)
        stretch = 1 + 0.08 * math.sin(3.1 * t_s + self._phase)
        skew = np.array([[1, sway / self._h, 0], [0, stretch, 0]], np.float32)
        reach = (int(self._w + abs(sway)) + 2, self._h + 4)
        tone = cv2.warpAffine(self._texture + self._tone, skew, reach)
        cover = cv2.warpAffine(np.ones_like(self._texture), skew, reach)
        x0, y0 = self._x, self._y
        patch = frame[y0 : y0 + reach[1], x0 : x0 + reach[0]]
        part = np.s_[: patch.shape[0], : patch.shape[1]]
        patch += cover[part] * (tone[part] - patch)
        return [(x0, y0, reach[0], reach[1])]

    def _beam(self, frame: Picture, t_s: float) -> list[Box]:
        h, w = frame.shape
        x = (self._x + self._speed * 6 * t_s) % (w + 2 * self._w) - self._w
        x0, x1 = int(max(0, x)), int(min(w, x + self._w))
        y0, y1 = self._y, min(h, self._y + self._h)
        if x1 <= x0:
            return []
        frame[y0:y1, x0:x1] += np.float32(25)
        return [(x0, y0, x1 - x0, y1 - y0)]


class Walker:
    """A person, a hand near the lens, or a vehicle: a large body that moves slowly for its size."""

    def __init__(self, kind: str, rng: np.random.Generator, stage: Stage) -> None:
        self.kind = kind
        h, w = stage.still.shape
        scale = h / 720
        self._is_road = kind == "vehicle"
        low, high = {"person": (12, 110), "roof_person": (6, 22), "hand": (120, 380), "vehicle": (16, 180)}[
            kind
        ]
        self._size = float(np.exp(rng.uniform(math.log(low), math.log(high)))) * scale
        self._slender = {"person": 0.4, "roof_person": 0.5, "hand": 0.6, "vehicle": 0.9}[kind]
        lengths_s = {
            "person": (0.2, 1.4),
            "roof_person": (0.2, 1.2),
            "hand": (0.3, 2.0),
            "vehicle": (0.6, 5.0),
        }[kind]
        speed = float(rng.uniform(*lengths_s)) * self._size
        if kind == "vehicle":
            heading = math.pi / 2 * float(rng.choice([1, 1, 1, -1])) + float(rng.normal(0, 0.3))
        else:
            heading = float(rng.choice([0, math.pi])) + float(rng.normal(0, 0.3))
        self._start = np.array(
            [
                rng.uniform(0, w),
                rng.uniform(0.02, 0.25) * h if kind == "vehicle" else rng.uniform(0.1, 0.95) * h,
            ]
        )
        if kind == "roof_person":
            self._start[1] = rng.uniform(0.02, 0.2) * h
        self._velocity = speed * np.array([math.cos(heading), math.sin(heading)])
        self._growth = float(rng.uniform(0.0, 0.5)) if kind == "vehicle" else 0.0
        self._from_s = float(rng.uniform(-1.5, stage.seconds * 0.7))
        self._luma = float(rng.uniform(15, 235))
        self._gait = float(rng.uniform(1.2, 2.4))
        self._parts = [
            (float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.4, 0.4)), float(rng.uniform(15, 235)))
            for _ in range(4)
        ]
        self._exposure = stage.exposure_s

    def draw(self, frame: Picture, t_s: float) -> list[Box]:
        """Draw body, parts and swinging limbs."""
        age = t_s - self._from_s
        if age < 0:
            return []
        # An approaching vehicle grows, and the nearer it is the faster it moves in the picture.
        zoom = min(6.0, math.exp(self._growth * age))
        place = self._start + self._velocity * (age if self._growth < 1e-3 else (zoom - 1) / self._growth)
        size = self._size * zoom
        if size > 900:
            return []
        w, h = size * self._slender, size
        if self._is_road:
            w, h = size, size * 0.8
        body = np.array(
            [[-0.5, -0.4], [-0.2, -0.5], [0.2, -0.5], [0.5, -0.4], [0.5, 0.45], [0, 0.5], [-0.5, 0.45]]
        ) * (w, h)
        (x, y, bw, bh), seen, *_ = stamp(frame, (body + place)[None], self._luma, alpha=None, shade=12.0)
        for dx, dy, tone in self._parts:
            part = (
                np.array([[-0.12, -0.1], [0.12, -0.1], [0.12, 0.1], [-0.12, 0.1]]) * (w, h)
                + place
                + (dx * w, dy * h)
            )
            if self.kind in {"person", "roof_person"}:
                part += np.array([0.25 * w * math.sin(2 * math.pi * self._gait * age + 3 * dx), 0.0])
            stamp(frame, part[None], tone, alpha=None)
        return [(x, y, bw, bh)] if seen else []


class Traffic:
    """Vehicles of one road, one after another: seen from above (straight down the picture) or coming from the horizon.

    What comes from the horizon at a constant speed speeds up in the picture as a falling thing does; it also grows.
    """

    kind = "vehicle"

    def __init__(self, rng: np.random.Generator, stage: Stage) -> None:
        h, w = stage.still.shape
        self._is_above = rng.random() < 0.45
        self._size = float(np.exp(rng.uniform(math.log(14), math.log(120)))) * h / 720
        """Of a car, where it is nearest."""
        self._lanes = [float(rng.uniform(0.05, 0.95)) * w for _ in range(int(rng.integers(1, 5)))]
        self._vanish = np.array([rng.uniform(0.1, 0.9) * w, rng.uniform(0.02, 0.45) * h])
        self._speed = float(rng.uniform(0.12, 0.9))
        """Pictures a second from above; nearness units a second from the horizon."""
        self._is_coming = rng.random() < 0.75
        self._slant = float(rng.normal(0, 0.25))
        self._shape = (h, w)
        count = int(rng.integers(2, 12))
        self._cars = [
            (int(rng.integers(len(self._lanes))), float(rng.uniform(0, 1)), float(rng.uniform(0.7, 1.5)),
             float(rng.uniform(15, 240)), float(rng.uniform(15, 240)), float(rng.uniform(0.9, 1.15)))
            for _ in range(count)
        ]  # fmt: skip
        self._has_lights = stage.is_night and rng.random() < 0.8

    def draw(self, frame: Picture, t_s: float) -> list[Box]:
        """Draw each car where its lane has brought it."""
        boxes = []
        for lane, offset, bulk, tone, glass, pace in self._cars:
            x, y, size = self._seen(lane, self._gone(offset, pace, t_s))
            size *= bulk
            if size < 1.5:
                continue
            slope = 0.6 if self._is_above else 0.42
            body = np.array(
                [[-0.3, -slope], [0.3, -slope], [0.34, 0], [0.32, slope], [-0.32, slope], [-0.34, 0]]
            )
            (bx, by, bw, bh), seen, *_ = stamp(
                frame, (body * size * 1.3 + (x, y))[None], tone, alpha=None, shade=10.0
            )
            screen = np.array([[-0.22, -0.18], [0.22, -0.18], [0.25, 0.12], [-0.25, 0.12]]) * size * 1.3
            stamp(frame, (screen + np.array((x, y - 0.1 * size)))[None], glass, alpha=None)
            self._adorn(frame, (x, y), size)
            if self._has_lights:
                for side in (-0.26, 0.26):
                    lamp = np.array([[-0.07, -0.07], [0.07, -0.07], [0.07, 0.07], [-0.07, 0.07]]) * size * 1.3
                    stamp(
                        frame,
                        (lamp + np.array((x + side * size, y + slope * size * 1.2)))[None],
                        252.0,
                        alpha=None,
                    )
            if seen:
                boxes.append((float(bx), float(by), float(bw), float(bh)))
        return boxes

    def _adorn(self, frame: Picture, place: tuple[float, float], size: float) -> None:
        """Draw what a car has that a simple one has not."""

    def _gone(self, offset: float, pace: float, t_s: float) -> float:
        """Return which share of its way a car has behind it."""
        return (offset + self._speed * pace * t_s * (1 if self._is_coming else -1)) % 1.0

    def _seen(self, lane: int, gone: float) -> tuple[float, float, float]:
        """Return (x, y, size) after the share `gone` of the way."""
        h, _ = self._shape
        foot = self._lanes[lane]
        if self._is_above:
            y = (1.3 * gone - 0.15) * h
            return foot + self._slant * (y - h / 2), y, self._size
        near = 1 / (1 + 14 * (1 - gone))  # 1 at the camera's feet
        reach = np.array([foot, 1.15 * h]) - self._vanish
        x, y = self._vanish + reach * near
        return float(x), float(y), self._size * near * 1.6
