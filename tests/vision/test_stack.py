"""The frame stack: repeats are stepped over, real frames are not, and the few tiles lie where something moved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse_edge.vision.stack import BUDGET, FRAMES, TILE_PX, FrameStack


def wall(rng: np.random.Generator, height: int = 180, width: int = 320) -> np.ndarray:
    return rng.integers(90, 110, (height, width)).astype(np.uint8)


def with_dot(frame: np.ndarray, x: int, y: int, *, size: int = 3, luma: int = 220) -> np.ndarray:
    out = frame.copy()
    out[y : y + size, x : x + size] = luma
    return out


def test_a_repeat_is_stepped_over_though_its_time_stamp_is_new() -> None:
    still = wall(np.random.default_rng(1))
    stack = FrameStack()
    frames = [with_dot(still, 40, 10 + 9 * n) for n in range(6)]
    for n, frame in enumerate(frames):
        stack.add(frame, n * 0.04)
        stack.add(frame, n * 0.04 + 0.02)
    assert stack.repeats == 6


def test_a_frame_in_which_only_four_pixels_moved_is_a_frame() -> None:
    still = wall(np.random.default_rng(2))
    stack = FrameStack()
    for n in range(6):
        stack.add(with_dot(still, 40, 10 + 7 * n, size=2), n * 0.04)
    assert stack.repeats == 0


def test_a_tile_lies_on_the_thing_that_moves() -> None:
    still = wall(np.random.default_rng(3))
    stack = FrameStack()
    look = None
    for n in range(5):
        look = stack.add(with_dot(still, 200, 20 + 12 * n), n * 0.04)
    assert look is not None
    x, y = 201, 20 + 12 * 4 + 1
    assert any(cx <= x < cx + TILE_PX and cy <= y < cy + TILE_PX for cx, cy in look.corners)
    assert len(look.tiles) <= 3


def test_whatever_moves_the_budget_holds_and_the_rest_is_counted() -> None:
    rng = np.random.default_rng(4)
    still, stack = wall(rng, 540, 960), FrameStack()
    look = None
    for n in range(4):
        frame = still.copy()
        for x, y in zip(rng.integers(0, 950, 300), rng.integers(0, 530, 300), strict=True):
            frame[y : y + 3, x : x + 3] = 220
        look = stack.add(frame, n * 0.04)
    assert look is not None
    assert len(look.tiles) == BUDGET
    assert look.skipped > 10
    assert stack.skipped_tiles >= look.skipped


def test_among_streaks_of_rain_what_goes_on_falling_is_looked_at() -> None:
    rng = np.random.default_rng(6)
    still, stack, seen = wall(rng, 540, 960), FrameStack(), []
    for n in range(20):
        frame = with_dot(still, 400, 40 + 11 * n, luma=200)
        for x, y in zip(rng.integers(0, 960, 80), rng.integers(0, 500, 80), strict=True):
            frame[y : y + 20, x : x + 2] = 230  # brighter than the dot, and somewhere else in the next frame
        look = stack.add(frame, n * 0.04)
        if look is not None:
            x0, y0 = look.corners.T
            seen.append(bool(((abs(x0 + 32 - 401) <= 24) & (abs(y0 + 32 - 41 - 11 * n) <= 24)).any()))
    assert sum(seen[5:]) >= 10, seen


def test_pure_noise_everywhere_costs_no_more_than_the_budget() -> None:
    rng = np.random.default_rng(8)
    stack = FrameStack()
    looks = [stack.add(rng.integers(0, 255, (540, 960)).astype(np.uint8), n * 0.04) for n in range(4)]
    assert all(len(look.tiles) <= BUDGET for look in looks if look is not None)


def test_what_a_tracker_wants_is_looked_at_though_nothing_moves() -> None:
    still = wall(np.random.default_rng(5))
    stack = FrameStack()
    for n in range(3):
        stack.add(with_dot(still, 10 + n * 5, 20), n * 0.04)
    look = stack.add(with_dot(still, 30, 20), 0.2, wanted=np.array([[250.0, 100.0]]))
    assert look is not None
    assert [250 - TILE_PX // 2, 100 - TILE_PX // 2] in look.corners.tolist()


def test_another_picture_size_starts_afresh() -> None:
    rng = np.random.default_rng(6)
    stack = FrameStack()
    for n in range(3):
        stack.add(wall(rng), n * 0.04)
    assert stack.add(wall(rng, 240, 400), 0.2) is None
    assert stack.add(wall(rng, 240, 400), 0.24) is None
    assert stack.add(wall(rng, 240, 400), 0.28) is not None


@given(st.integers(-100, 400), st.integers(-100, 300))
@settings(max_examples=80)
def test_a_tile_at_the_rim_repeats_the_nearest_pixel_in_every_layer(x: int, y: int) -> None:
    rng = np.random.default_rng(7)
    frames = [rng.integers(0, 255, (200, 300)).astype(np.uint8) for _ in range(FRAMES)]
    stack = FrameStack()
    for n, frame in enumerate(frames):
        stack.add(frame, n * 0.04)
    (tile,) = stack.tiles_at(np.array([[x, y]], np.int32))
    rows = np.clip(np.arange(y, y + TILE_PX), 0, 199)
    columns = np.clip(np.arange(x, x + TILE_PX), 0, 299)
    for layer, frame in zip(tile, reversed(frames), strict=False):
        assert (layer == frame[rows[:, None], columns]).all()


@pytest.mark.parametrize("count", range(3, 2 * FRAMES + 2))
def test_a_tile_shows_the_newest_frames_newest_first_and_the_oldest_for_those_before_it(count: int) -> None:
    rng = np.random.default_rng(9)
    frames = [wall(rng) for _ in range(count)]
    stack = FrameStack()
    room = np.empty_like(frames[0])
    for n, frame in enumerate(frames):
        room[:] = frame  # the decoder's memory is used again
        look = stack.add(room, n * 0.04)
    room[:] = 0
    assert look is not None
    wanted = [frames[max(count - 1 - ago, 0)] for ago in range(FRAMES)]
    assert all((a == b).all() for a, b in zip(stack.pictures(), wanted, strict=False))
    (tile,) = stack.tiles_at(np.array([[40, 50]], np.int32))
    for layer, frame in zip(tile, wanted, strict=False):
        assert (layer == frame[50 : 50 + TILE_PX, 40 : 40 + TILE_PX]).all()


@pytest.mark.parametrize("change", [0, 1, 3, 20, 29, 31, 200])
def test_a_repeat_is_told_by_its_strongest_block_whatever_the_others_do(change: int) -> None:
    """However lively the picture was before: what a codec leaves in a repeat is a few luma."""
    rng = np.random.default_rng(8)
    stack = FrameStack()
    for n in range(8):
        stack.add(rng.integers(0, 255, (400, 320)).astype(np.uint8), n * 0.04)
    before = rng.integers(0, 50, (400, 320)).astype(np.uint8)
    stack.add(before, 0.4)
    after = before.copy()
    after[384:392, 160:168] += np.uint8(change)
    stack.add(after, 0.44)
    assert stack.repeats == (change < 4.5)


def test_a_scene_that_comes_to_rest_is_watched_for_small_changes_again() -> None:
    """A car has passed, then there is but noise: a block's mean change of 2.5 is what something of two pixels makes."""
    rng = np.random.default_rng(8)
    stack = FrameStack()
    for n in range(20):
        stack.add(rng.integers(0, 255, (400, 320)).astype(np.uint8), n * 0.04)
    still = np.full((400, 320), 100, np.uint8)
    for n in range(20, 40):
        stack.add(still, n * 0.04)
    after = still.copy()
    after[200:208, 160:168] += np.uint8(3)
    before = stack.repeats
    stack.add(after, 40 * 0.04)
    assert stack.repeats == before


@pytest.mark.parametrize(
    ("every", "phase"), [(every, phase) for every in (2, 3, 4, 5, 8) for phase in range(every)]
)
def test_what_frames_usually_change_is_learned_whichever_of_them_are_repeats(every: int, phase: int) -> None:
    """A lively picture in which each so many-th frame is a repeat whose blocks differ by four luma."""
    rng = np.random.default_rng(9)
    stack, frame = FrameStack(), np.zeros((400, 320), np.uint8)
    for n in range(120):
        if (n + phase) % every:
            frame = rng.integers(0, 250, (400, 320)).astype(np.uint8)
        else:
            frame[384:392, 160:168] += np.uint8(4)
        stack.add(frame.copy(), n * 0.04)
    assert stack.repeats >= 120 // every - 6


def test_the_background_forgets_what_passes_and_takes_up_even_a_small_lasting_change() -> None:
    rng = np.random.default_rng(8)
    stack, wide = FrameStack(), wall(rng, 270, 480)
    first = wide.copy()
    stack.add(first, -0.2)
    for n in range(200):
        frame = wall(rng, 270, 480)
        if n == 30:
            frame[100:110, 100:110] = 255
        if n >= 50:
            frame[200:210, 200:210] += 3
        stack.add(frame, n * 0.2)
    assert (first == wide).all(), "pictures are the decoder's: nobody writes into them"
    still = stack.pictures()[-1].astype(float)
    around = float(still.mean())
    assert abs(around - float(wide.mean())) < 1.0
    assert abs(float(still[100:110, 100:110].mean()) - around) < 1.0
    assert 2.0 < float(still[200:210, 200:210].mean()) - around < 4.0
