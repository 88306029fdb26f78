"""A façade: floors, window columns, balconies with rails, air conditioners; drawn flat, then seen in perspective."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gatehouse_throw.scenes.view import Floats, View

Picture = npt.NDArray[np.float32]
"""Luma 0 to 255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facade:
    """One building front in the plane y = `distance_m`."""

    distance_m: float
    left_m: float
    width_m: float
    floors: int
    floor_m: float
    columns: int
    wall: float
    glass: float
    pixels_per_m: float

    @property
    def height_m(self) -> float:
        """Of the roof."""
        return self.floors * self.floor_m

    def corners(self) -> Floats:
        """World points of the four corners: top left, top right, bottom right, bottom left."""
        x0, x1, y, h = self.left_m, self.left_m + self.width_m, self.distance_m, self.height_m
        return np.array([[x0, y, h], [x1, y, h], [x1, y, 0], [x0, y, 0]], float)

    def window_m(self, floor: int, column: int) -> tuple[float, float, float, float]:
        """Return (x, z of the sill, width, height) of a window, metres; floor from 1."""
        pitch = self.width_m / self.columns
        return (
            self.left_m + (column + 0.22) * pitch,
            (floor - 1) * self.floor_m + 0.9,
            0.56 * pitch,
            0.52 * self.floor_m,
        )


def random_facade(rng: np.random.Generator, view: View) -> Facade:
    """Return a façade that fills a good part of the view."""
    floor_m = float(rng.uniform(2.75, 3.3))
    floors = int(rng.integers(6, 34))
    # The camera's axis should meet the wall somewhere in its upper half.
    aim_m = float(rng.uniform(0.35, 0.95)) * floors * floor_m
    distance = float(max(6.0, (aim_m - view.height_m) / max(0.2, np.tan(view.pitch_rad))))
    width = float(rng.uniform(0.5, 1.6)) * distance * view.width_px / view.focal_px
    width = float(np.clip(width, 10, 90))
    return Facade(
        distance_m=distance,
        left_m=float(-width / 2 + rng.normal(0, 0.15 * width)),
        width_m=width,
        floors=floors,
        floor_m=floor_m,
        columns=max(2, round(width / float(rng.uniform(2.6, 4.5)))),
        wall=float(rng.uniform(70, 215)),
        glass=float(rng.uniform(20, 110)),
        pixels_per_m=float(np.clip(view.focal_px / distance * 1.1, 6, 42)),
    )


def draw(facade: Facade, rng: np.random.Generator) -> tuple[Picture, npt.NDArray[np.uint8]]:
    """Return the front as seen straight on, and a mask of its glass (255) and rails (128)."""
    s = facade.pixels_per_m
    w, h = max(16, int(facade.width_m * s)), max(16, int(facade.height_m * s))
    grain = cv2.resize(
        rng.normal(0, 1, (h // 8 + 2, w // 8 + 2)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC
    )
    front: Picture = (facade.wall + 4 * grain + rng.normal(0, 2, (h, w))).astype(np.float32)
    mask = np.zeros((h, w), np.uint8)
    style = rng.random(6)
    stain = np.linspace(0, 1, h)[:, None] * rng.uniform(-25, 10)
    front += stain.astype(np.float32)
    if style[0] < 0.5:  # bands between the floors
        for floor in range(facade.floors + 1):
            y = h - int(floor * facade.floor_m * s)
            cv2.rectangle(
                front, (0, y - max(1, int(0.25 * s))), (w, y), facade.wall * rng.uniform(0.75, 1.2), -1
            )
    balcony = rng.random(facade.columns) < (0.45 if style[1] < 0.7 else 0.0)
    for floor in range(1, facade.floors + 1):
        for column in range(facade.columns):
            _window(front, mask, facade, floor, column, bool(balcony[column]), rng)
    if style[2] < 0.3:  # tiles
        step = max(3, int(0.6 * s))
        front[::step] *= 0.95
        front[:, ::step] *= 0.95
    return np.clip(front, 2, 250), mask


def _window(
    front: Picture,
    mask: npt.NDArray[np.uint8],
    facade: Facade,
    floor: int,
    column: int,
    is_balcony: bool,
    rng: np.random.Generator,
) -> None:
    s, h = facade.pixels_per_m, front.shape[0]
    x_m, z_m, w_m, h_m = facade.window_m(floor, column)
    x0, x1 = int((x_m - facade.left_m) * s), int((x_m - facade.left_m + w_m) * s)
    y1, y0 = h - int(z_m * s), h - int((z_m + h_m) * s)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    tone = (
        float(facade.glass * rng.uniform(0.6, 1.5)) if rng.random() > 0.06 else float(rng.uniform(170, 240))
    )
    cv2.rectangle(front, (x0, y0), (x1, y1), tone, -1)
    mask[max(0, y0) : y1, max(0, x0) : x1] = 255
    cv2.rectangle(
        front, (x0, y0), (x1, y1), facade.wall * float(rng.uniform(0.5, 1.25)), max(1, int(0.06 * s))
    )
    middle = (x0 + x1) // 2
    cv2.line(front, (middle, y0), (middle, y1), facade.wall * 0.8, max(1, int(0.05 * s)))
    if is_balcony:
        deck = h - int(((floor - 1) * facade.floor_m + 0.05) * s)
        rail = h - int(((floor - 1) * facade.floor_m + 1.1) * s)
        cv2.rectangle(
            front,
            (x0 - int(0.3 * s), deck - max(1, int(0.15 * s))),
            (x1 + int(0.3 * s), deck),
            facade.wall * 0.6,
            -1,
        )
        for bar in range(x0, x1 + 1, max(2, int(0.14 * s))):
            cv2.line(front, (bar, rail), (bar, deck), facade.wall * 0.45, 1)
            mask[max(0, rail) : deck, max(0, bar) : bar + 1] = 128
        cv2.line(front, (x0, rail), (x1, rail), facade.wall * 0.4, max(1, int(0.06 * s)))
    elif rng.random() < 0.35:  # an air conditioner below the window
        ax = x0 + int(rng.uniform(0, 0.4) * (x1 - x0))
        cv2.rectangle(
            front,
            (ax, y1 + int(0.1 * s)),
            (ax + int(0.8 * s), y1 + int(0.65 * s)),
            facade.wall * float(rng.uniform(0.7, 1.2)),
            -1,
        )
        cv2.circle(front, (ax + int(0.3 * s), y1 + int(0.38 * s)), max(1, int(0.2 * s)), facade.wall * 0.5, 1)
