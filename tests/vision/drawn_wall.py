"""A wall as an operator has drawn it, and what falls before it, seen by a pinhole camera."""

from __future__ import annotations

import numpy as np

from gatehouse_edge.vision.detector import Spot
from gatehouse_edge.vision.facade import Calibration, FloorLine
from gatehouse_edge.vision.origin import G_M_S2
from gatehouse_edge.vision.tracks import Point
from gatehouse_throw.scenes.view import View

FLOOR_M, DISTANCE_M, FLOORS = 2.9, 28.0, 18
VIEW = View(width_px=1280, height_px=720, focal_px=800.0, pitch_rad=0.8, yaw_rad=0.0, height_m=3.0)


def drawn(every: int = 3) -> Calibration:
    def pixel(x: float, floor: int) -> tuple[float, float]:
        u, v, _ = VIEW.project([x, DISTANCE_M, (floor - 1) * FLOOR_M])[0]
        return float(u), float(v)

    lines = tuple(
        FloorLine(floor=n, left=pixel(-12, n), right=pixel(12, n)) for n in range(4, FLOORS + 1, every)
    )
    corners = (pixel(-12, FLOORS + 1), pixel(12, FLOORS + 1), pixel(12, 1), pixel(-12, 1))
    return Calibration(
        width_px=1280,
        height_px=720,
        facade=corners,
        floors=lines,
        columns=8,
        floor_m=FLOOR_M,
        distance_m=DISTANCE_M,
    )


def fall(
    from_m: float,
    *,
    x: float = 2.0,
    out_m: float = 0.6,
    unseen_s: float = 0.3,
    fps: float = 25.0,
    noise_px: float = 0.5,
    seed: int = 0,
) -> list[Point]:
    rng = np.random.default_rng(seed)
    points = []
    for n in range(60):
        t = unseen_s + n / fps
        z = from_m - 0.5 * G_M_S2 * t * t
        u, v, _ = VIEW.project([x, DISTANCE_M - out_m, z])[0]
        if z < 0 or not 0 <= v < 720:
            continue
        spot = Spot(float(u + rng.normal(0, noise_px)), float(v + rng.normal(0, noise_px)), 6.0, 6.0, 0.9)
        points.append(Point(n / fps, n, spot, 0, 0.001))
    return points
