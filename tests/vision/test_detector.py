"""From heat maps to spots, and the released network on pictures in which nothing moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse_edge.vision.detector import SIZE_UNIT_PX, STRIDE, OnnxDetector, Spot, merged, spots_of
from gatehouse_edge.vision.stack import CORE_PX, FRAMES, LAYERS, TILE_PX, Look

CELLS = TILE_PX // STRIDE
RELEASED = Path(__file__).parents[2] / "models" / "throw" / "detector.onnx"


def look_of(tiles: np.ndarray, corners: list[tuple[int, int]]) -> Look:
    return Look(
        capture_s=0.0, number=0, tiles=tiles, corners=np.array(corners, np.int32), skipped=0, active_share=0.0
    )


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.02, 0.3, 0.97]))
@settings(max_examples=60)
def test_spots_are_the_cells_that_no_neighbour_beats_in_the_middles_of_the_tiles(
    seed: int, floor: float
) -> None:
    rng = np.random.default_rng(seed)
    heat = rng.random((3, CELLS, CELLS)).astype(np.float32) ** 8
    corners = [(200 * n, 0) for n in range(3)]  # so far apart that none is merged with another tile's
    look = look_of(np.zeros((3, LAYERS, TILE_PX, TILE_PX), np.uint8), corners)
    boxes = np.zeros((3, 4, CELLS, CELLS), np.float32)
    rim = (TILE_PX - CORE_PX) // 2 // STRIDE
    wanted = []
    for tile, row, column in np.ndindex(3, CELLS, CELLS):
        around = heat[tile, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        is_core = all(rim - 1 <= place <= CELLS - rim for place in (row, column))
        if heat[tile, row, column] >= max(floor, around.max()) and is_core:
            x, y = 200 * tile + 4 * column + 2, 4 * row + 2
            wanted.append(Spot(x, y, SIZE_UNIT_PX, SIZE_UNIT_PX, float(heat[tile, row, column])))
    assert spots_of(heat, boxes, look, floor=floor) == merged(wanted)


@pytest.mark.parametrize("light", [0.1, 0.5, 1.0])
def test_in_a_picture_that_stands_still_there_is_no_spot_and_what_falls_through_it_is_one(
    light: float,
) -> None:
    detector = OnnxDetector(RELEASED)
    facade = np.full((TILE_PX, TILE_PX), 180.0) + np.random.default_rng(3).normal(0, 6, (TILE_PX, TILE_PX))
    facade[12:40, 8:22] = facade[12:40, 42:56] = 60.0
    facade = np.clip(facade * light, 0, 255).astype(np.uint8)
    tiles = np.broadcast_to(facade, (2, LAYERS, TILE_PX, TILE_PX)).copy()
    assert [spot for spot in detector.find(look_of(tiles, [(0, 0), (500, 0)])) if spot.score > 0.2] == []
    for layer in range(FRAMES):
        y = 40 - 6 * layer
        tiles[1, layer, y : y + 4, 30:34] = 200 if light < 0.5 else 5
    (spot,) = [spot for spot in detector.find(look_of(tiles, [(0, 0), (500, 0)])) if spot.score > 0.2]
    assert (spot.x, spot.y) == pytest.approx((532, 42), abs=1.5)
