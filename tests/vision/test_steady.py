"""A camera that sways: the shift is found to a fraction of a pixel, and a tree that sways instead persuades nobody."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse_edge.vision.stack import FrameStack, Luma
from gatehouse_edge.vision.steady import Steady, shrunk


def wall(seed: int = 1, size: tuple[int, int] = (360, 640)) -> Luma:
    rng = np.random.default_rng(seed)
    picture = np.full(size, 130, np.uint8)
    for _ in range(160):
        x, y = int(rng.integers(0, size[1])), int(rng.integers(0, size[0]))
        cv2.rectangle(picture, (x, y), (x + 24, y + 16), int(rng.integers(20, 240)), -1)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.uint8)


def shifted(picture: Luma, dx: float, dy: float) -> Luma:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(
        cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE),
        np.uint8,
    )


@given(st.floats(-7, 7), st.floats(-7, 7))
@settings(max_examples=25, deadline=None)
def test_a_shift_is_found_and_undone(dx: float, dy: float) -> None:
    steady, still = Steady(), wall()
    steady.aim(still)
    for _ in range(3):  # a camera that has stood still is glanced at every third frame
        found = steady.shift_of(shifted(still, dx, dy))
    if max(abs(dx), abs(dy)) > 0.5:
        assert found == pytest.approx((dx, dy), abs=0.15)
        inner = np.s_[20:-20, 20:-20]
        back = Steady.steadied(shifted(still, dx, dy), found)
        assert np.abs(back[inner].astype(int) - still[inner].astype(int)).mean() < 3


def test_a_third_of_the_picture_that_sways_by_itself_is_no_shift() -> None:
    steady, still = Steady(), wall()
    steady.aim(still)
    for step in range(12):
        frame = still.copy()
        frame[:, :210] = shifted(still, 3 * np.sin(step), 2 * np.cos(step))[:, :210]
        assert steady.shift_of(frame) == (0.0, 0.0)


def test_a_picture_without_texture_has_no_shift() -> None:
    steady = Steady()
    steady.aim(np.full((360, 640), 90, np.uint8))
    assert all(steady.shift_of(np.full((360, 640), 90 + n, np.uint8)) == (0.0, 0.0) for n in range(6))


def test_a_swaying_camera_leaves_few_cells_active_and_a_still_one_is_handed_on_untouched() -> None:
    stack, still = FrameStack(), wall()
    rng = np.random.default_rng(2)
    shares = []
    for n in range(30):
        frame = shifted(still, 3 * np.sin(n), 3 * np.cos(1.3 * n)).astype(np.int16) + rng.normal(
            0, 1, still.shape
        )
        look = stack.add(np.clip(frame, 0, 255).astype(np.uint8), n / 25)
        if look is not None:
            shares.append((look.active_share, look.shift))
    assert np.median([share for share, _ in shares[-10:]]) < 0.3
    assert any(max(map(abs, shift)) > 2 for _, shift in shares)
    assert Steady.steadied(still, (0.0, 0.0)) is still


def test_a_camera_that_is_turned_begins_afresh() -> None:
    stack, still = FrameStack(), wall(size=(360, 640))
    for n in range(20):
        stack.add(shifted(still, 0, 4.0 * max(0, n - 5)), n / 25)
    assert stack.moves == 1


def test_halving_averages() -> None:
    assert shrunk(np.full((64, 64), 7, np.uint8), 8).tolist() == [[7] * 8] * 8


def test_the_search_for_a_far_shift_leaves_what_is_aimed_at_as_it_was() -> None:
    # OpenCV 5's phase correlation multiplies its inputs by the window in place: a second search would have missed.
    steady, still = Steady(), wall()
    steady.aim(still)
    for dx in (30.0, -30.0, 30.0):
        for _ in range(3):
            found = steady.shift_of(shifted(still, dx, 0.0))
        assert found == pytest.approx((dx, 0.0), abs=0.3)
    for _ in range(3):
        found = steady.shift_of(shifted(still, 3.0, 1.0))
    assert found == pytest.approx((3.0, 1.0), abs=0.15)
