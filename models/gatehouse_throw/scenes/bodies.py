"""Things that fall: their path through the air and how they look.

dv/dt = g - g (|v| / v_terminal) v / v_terminal, integrated in small steps; flutter adds a swing to light things.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from gatehouse_throw.scenes.view import Floats

G_M_S2: Final = 9.81
_STEP_S: Final = 0.005
_LONGEST_FALL_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyKind:
    """A family of things people throw or let fall."""

    name: str
    size_m: tuple[float, float]
    terminal_m_s: tuple[float, float]
    flutter_m: tuple[float, float]
    """Amplitude of the swing."""
    slenderness: tuple[float, float]
    """Long side over short side."""
    share: float


KINDS: Final = (
    BodyKind(name="ball", size_m=(0.06, 0.3), terminal_m_s=(20, 40), flutter_m=(0, 0), slenderness=(1, 1.1), share=0.14),
    BodyKind(name="bottle", size_m=(0.18, 0.35), terminal_m_s=(18, 35), flutter_m=(0, 0.05), slenderness=(2, 4), share=0.18),
    BodyKind(name="box", size_m=(0.15, 0.6), terminal_m_s=(15, 30), flutter_m=(0, 0.1), slenderness=(1, 1.8), share=0.14),
    BodyKind(name="pot", size_m=(0.15, 0.35), terminal_m_s=(35, 55), flutter_m=(0, 0), slenderness=(1, 1.4), share=0.12),
    BodyKind(name="rubbish_bag", size_m=(0.25, 0.6), terminal_m_s=(12, 25), flutter_m=(0, 0.1), slenderness=(1, 1.5), share=0.16),
    BodyKind(name="stub", size_m=(0.05, 0.09), terminal_m_s=(9, 16), flutter_m=(0, 0.03), slenderness=(2, 5), share=0.06),
    BodyKind(name="plastic_bag", size_m=(0.25, 0.5), terminal_m_s=(3.0, 6.0), flutter_m=(0.1, 0.35), slenderness=(1, 1.6), share=0.06),
    BodyKind(name="card", size_m=(0.15, 0.4), terminal_m_s=(3.5, 8.0), flutter_m=(0.1, 0.4), slenderness=(1.2, 3), share=0.06),
    BodyKind(name="cloth", size_m=(0.3, 0.9), terminal_m_s=(4.0, 9.0), flutter_m=(0.05, 0.3), slenderness=(1, 2), share=0.08),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One thing and its path."""

    kind: str
    size_m: float
    slenderness: float
    luma: float
    spin_rad_s: float
    phase_rad: float
    outline: Floats
    """Unit polygon, longest side 1, shape (n, 2)."""
    shade: float
    """Luma difference between its two halves."""
    times_s: Floats
    path_m: Floats
    """World points at `times_s`, shape (n, 3)."""

    def at(self, t_s: float) -> Floats:
        """Return where it is at `t_s` after its release."""
        return np.array([np.interp(t_s, self.times_s, self.path_m[:, axis]) for axis in range(3)])

    @property
    def lasts_s(self) -> float:
        """From release to landing."""
        return float(self.times_s[-1])

    def shape(self, t_s: float) -> Floats:
        """Return its outline at `t_s`, in units of its size: tumbling shows it from several sides."""
        angle = self.phase_rad + self.spin_rad_s * t_s
        squeeze = 0.35 + 0.65 * abs(np.cos(0.7 * angle + self.phase_rad))
        flat = self.outline * (1.0, squeeze)
        c, s = np.cos(angle), np.sin(angle)
        turned: Floats = flat @ np.array([[c, s], [-s, c]])
        return turned


def random_body(
    rng: np.random.Generator, start_m: npt.ArrayLike, *, background: float, kind: BodyKind | None = None
) -> Body:
    """Return something that leaves `start_m` at time 0 and falls to the ground."""
    chosen = kind or KINDS[int(rng.choice(len(KINDS), p=[k.share for k in KINDS]))]
    terminal = float(rng.uniform(*chosen.terminal_m_s))
    is_thrown = rng.random() < 0.4
    speed = float(rng.uniform(1.5, 6.0) if is_thrown else rng.uniform(0.0, 1.2))
    heading = float(rng.uniform(-1.2, 1.2))
    velocity = np.array(
        [
            speed * np.sin(heading),
            -speed * np.cos(heading),
            float(rng.uniform(-0.5, 2.5)) if is_thrown else 0.0,
        ]
    )
    wind = np.array([float(rng.normal(0, 0.8)), 0.0, 0.0]) if terminal < 10 else np.zeros(3)
    times, path = _fall(np.asarray(start_m, float), velocity, terminal, wind)
    swing = float(rng.uniform(*chosen.flutter_m))
    rate = float(rng.uniform(2.0, 6.0))
    path[:, 0] += swing * np.sin(rate * times) * np.minimum(1.0, times / 0.5)
    contrast = float(rng.choice([-1, 1])) * float(rng.uniform(18, 130))
    return Body(
        kind=chosen.name,
        size_m=float(rng.uniform(*chosen.size_m)),
        slenderness=float(rng.uniform(*chosen.slenderness)),
        luma=float(np.clip(background + contrast, 6, 245)),
        spin_rad_s=float(rng.normal(0, 7.0)),
        phase_rad=float(rng.uniform(0, 2 * np.pi)),
        outline=_outline(rng, chosen.name, float(rng.uniform(*chosen.slenderness))),
        shade=float(rng.normal(0, 18)),
        times_s=times,
        path_m=path,
    )


def leaf(rng: np.random.Generator, start_m: npt.ArrayLike, *, background: float) -> Body:
    """Return a leaf or a flake of ash: terminal speed about 1 m/s, wide swings, blown sideways. Never a throw."""
    kind = BodyKind(
        name="leaf",
        size_m=(0.04, 0.14),
        terminal_m_s=(0.6, 1.5),
        flutter_m=(0.1, 0.6),
        slenderness=(1, 2),
        share=0,
    )
    return random_body(rng, start_m, background=background, kind=kind)


class Mark(NamedTuple):
    """What a stamp has left in the picture."""

    box: tuple[int, int, int, int]
    """x, y, width, height; width 0: nothing."""
    seen: float
    """Share that nothing hides, 0 to 1."""
    corner: tuple[int, int]
    """Where `change` lies."""
    change: npt.NDArray[np.float32]
    """What was added to the luma."""


_NOTHING: Final = Mark((0, 0, 0, 0), 0.0, (0, 0), np.zeros((0, 0), np.float32))


def stamp(
    frame: npt.NDArray[np.float32],
    polygon_px: Floats,
    luma: float,
    *,
    alpha: npt.NDArray[np.float32] | None,
    shade: float = 0.0,
) -> Mark:
    """Draw polygons (shape (k, n, 2): positions during the exposure) and return what is to be seen of them."""
    low, high = polygon_px.reshape(-1, 2).min(0), polygon_px.reshape(-1, 2).max(0)
    x0, y0 = int(np.floor(low[0])) - 1, int(np.floor(low[1])) - 1
    x1, y1 = int(np.ceil(high[0])) + 2, int(np.ceil(high[1])) + 2
    height, width = frame.shape
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height or x1 - x0 > 1200 or y1 - y0 > 1200:
        return _NOTHING
    zoom = 4 if max(x1 - x0, y1 - y0) < 64 else 1
    cover = np.zeros(((y1 - y0) * zoom, (x1 - x0) * zoom), np.float32)
    one = np.zeros(cover.shape, np.uint8)
    for polygon in polygon_px:
        one[:] = 0
        points = np.round((polygon - (x0, y0)) * zoom * 16).astype(np.int32)
        cv2.fillPoly(one, [points], 255, cv2.LINE_AA, 4)
        cover += one
    cover /= 255.0 * len(polygon_px)
    if zoom > 1:
        cover = np.asarray(cv2.resize(cover, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA), np.float32)
    cx0, cy0, cx1, cy1 = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
    cover = cover[cy0 - y0 : cy1 - y0, cx0 - x0 : cx1 - x0]
    total = float(cover.sum())
    if alpha is not None:
        cover = cover * (1.0 - alpha[cy0:cy1, cx0:cx1])
    seen = float(cover.sum()) / total if total > 0 else 0.0
    patch = frame[cy0:cy1, cx0:cx1]
    tone = luma + shade * (
        np.linspace(-1, 1, patch.shape[1], dtype=np.float32)[None, :] if shade else np.float32(0)
    )
    change = cover * (tone - patch)
    patch += change
    rows, columns = np.nonzero(cover > 0.08)
    if len(rows) == 0:
        return _NOTHING
    bx, by = cx0 + int(columns.min()), cy0 + int(rows.min())
    box = (bx, by, int(columns.max() - columns.min()) + 1, int(rows.max() - rows.min()) + 1)
    return Mark(box, seen, (cx0, cy0), change)


def _fall(start: Floats, velocity: Floats, terminal: float, wind: Floats) -> tuple[Floats, Floats]:
    """Return times and places from release to landing; plain numbers, for arrays of three are slow to step."""
    x, y, z = map(float, start)
    vx, vy, vz = map(float, velocity)
    wx, wy, wz = map(float, wind)
    points = [(x, y, z)]
    drag = G_M_S2 / terminal**2
    while z > 0.0 and len(points) * _STEP_S < _LONGEST_FALL_S:
        rx, ry, rz = vx - wx, vy - wy, vz - wz
        brake = drag * math.sqrt(rx * rx + ry * ry + rz * rz)
        vx, vy, vz = (
            vx - _STEP_S * brake * rx,
            vy - _STEP_S * brake * ry,
            vz - _STEP_S * (G_M_S2 + brake * rz),
        )
        x, y, z = x + _STEP_S * vx, y + _STEP_S * vy, z + _STEP_S * vz
        points.append((x, y, z))
    path = np.array(points)[::4]
    return np.arange(len(path), dtype=float) * _STEP_S * 4, path


def _outline(rng: np.random.Generator, name: str, slenderness: float) -> Floats:
    corners = 12 if name in {"ball", "pot"} else int(rng.integers(4, 9))
    angles = (
        np.sort(rng.uniform(0, 2 * np.pi, corners))
        if name not in {"ball", "pot"}
        else np.linspace(0, 2 * np.pi, corners, endpoint=False)
    )
    radius = 0.5 if name in {"ball", "pot"} else rng.uniform(0.36, 0.5, corners)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles) / slenderness], axis=1)
