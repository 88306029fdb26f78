"""A camera that looks up: from metres in the world to pixels in the picture.

World: x to the right, y away from the camera, z up, metres, the camera above the origin. The façade is the plane y = distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One camera: a pinhole, pitched up and turned a little."""

    width_px: int
    height_px: int
    focal_px: float
    pitch_rad: float
    yaw_rad: float
    height_m: float
    """Of the camera over the ground."""

    def project(self, points: npt.ArrayLike) -> Floats:
        """Return (u, v, depth) of world points, shape (n, 3): pixels, pixels, metres along the axis (> 0 in front)."""
        p = np.atleast_2d(np.asarray(points, float)) - (0.0, 0.0, self.height_m)
        cy, sy = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        x, y = p[:, 0] * cy - p[:, 1] * sy, p[:, 0] * sy + p[:, 1] * cy
        cp, sp = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        depth = y * cp + p[:, 2] * sp
        up = -y * sp + p[:, 2] * cp
        safe = np.maximum(depth, 0.1)
        u = self.width_px / 2 + self.focal_px * x / safe
        v = self.height_px / 2 - self.focal_px * up / safe
        return np.stack([u, v, depth], axis=1)

    def homography(self, plane: Floats, texture: Floats) -> npt.NDArray[np.float64]:
        """Return the 3x3 matrix from texture pixels (4 corners) to the picture, for 4 world points of a plane."""
        seen = self.project(plane)[:, :2].astype(np.float32)
        return np.asarray(cv2.getPerspectiveTransform(texture.astype(np.float32), seen), float)


def random_view(rng: np.random.Generator, width_px: int, height_px: int, *, zoom: float = 1.0) -> View:
    """Return a camera as they are mounted: 30, 45 or 60 degrees up, a lens of 4 to 12 mm, `zoom` times that."""
    pitch = math.radians(float(rng.choice([30, 45, 60]) + rng.uniform(-8, 8)))
    field = math.radians(float(rng.uniform(28, 75)))
    return View(
        width_px=width_px,
        height_px=height_px,
        focal_px=zoom * height_px / 2 / math.tan(field / 2),
        pitch_rad=pitch,
        yaw_rad=math.radians(float(rng.normal(0, 9))),
        height_m=float(rng.uniform(1.5, 5.0)),
    )
