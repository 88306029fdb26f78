"""What a judge is shown of a path: in metres gravity is 9.81, a strip is the path in order, a patch is what was there."""

from __future__ import annotations

from pathlib import Path as FilePath

import numpy as np
import pytest
from drawn_wall import drawn, fall
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_octets import FLOAT, UINT8, field, tensor

from gatehouse_edge.vision.classifier import MOVERS, Classifier
from gatehouse_edge.vision.detector import PATCH_PX, Spot, pictured
from gatehouse_edge.vision.facade import Calibration, fitted, scaled
from gatehouse_edge.vision.features import falling_part
from gatehouse_edge.vision.metres import METRE_NAMES, metres
from gatehouse_edge.vision.release import ModelError, released
from gatehouse_edge.vision.stack import LAYERS, TILE_PX, Look
from gatehouse_edge.vision.strip import NUMBER_NAMES, STEP_NAMES, STEPS, Strip, strip_of
from gatehouse_edge.vision.tracks import Path, Point


def path(points: list[Point]) -> Path:
    return Path(points=tuple(points), looked=tuple((p.frame, p.at_s) for p in points), merit=1.0)


def moved(places: list[tuple[float, float]], *, fps: float = 25.0, size: float = 6.0) -> list[Point]:
    return [Point(n / fps, n, Spot(x, y, size, size, 0.6), 0, 0.0) for n, (x, y) in enumerate(places)]


def told(points: list[Point], calibration: Calibration | None) -> dict[str, float]:
    return dict(zip(METRE_NAMES, metres(points, calibration).tolist(), strict=True))


def test_a_fall_before_the_wall_gains_what_gravity_gives() -> None:
    one = told(fall(40.0, noise_px=0.2), drawn())
    assert one["is_known"] == 1
    assert one["acceleration_g"] == pytest.approx(1.0, abs=0.15)
    assert one["misfit_m"] < np.log1p(3.0)  # 30 cm
    assert one["end_speed"] > one["start_speed"] > 0
    assert one["front_share"] == 1


def test_what_glides_down_the_same_wall_does_not() -> None:
    falling, points = told(fall(40.0), drawn()), fall(40.0)
    ends = points[0].spot, points[-1].spot
    share = np.linspace(0, 1, len(points))
    glide = moved(
        [(ends[0].x + s * (ends[1].x - ends[0].x), ends[0].y + s * (ends[1].y - ends[0].y)) for s in share]
    )
    gliding = told(glide, drawn())
    assert gliding["acceleration_g"] < 0.3 < falling["acceleration_g"]
    assert gliding["gravity_gain"] < falling["gravity_gain"]


def test_nothing_drawn_is_nothing_known() -> None:
    assert not any(told(fall(40.0), None).values())


def test_another_size_of_the_same_view_says_the_same_and_another_view_says_nothing() -> None:
    calibration, points = drawn(), fall(40.0)
    half = [Point(p.at_s, p.frame, Spot(p.spot.x / 2, p.spot.y / 2, 3.0, 3.0, 0.9), 0, 0.0) for p in points]
    fits = fitted(calibration, 640, 360)
    assert fits == scaled(calibration, 640, 360)
    np.testing.assert_allclose(metres(half, fits), metres(points, calibration), atol=0.15)
    assert fitted(calibration, 640, 480) is None


def test_a_strip_is_the_path_in_order_and_empty_beyond_its_end() -> None:
    points = [
        Point(p.at_s, p.frame, Spot(p.spot.x, p.spot.y, 6.0, 6.0, 0.6, patch=np.full((4, PATCH_PX, PATCH_PX), n, np.uint8)), 0, 0.0)
        for n, p in enumerate(moved([(300.0, 60.0 + 0.5 * n * n) for n in range(10)]))
    ]  # fmt: skip
    strip = strip_of(path(points), height_px=432)
    assert strip is not None
    assert [int(patch[0, 0, 0]) for patch in strip.patches[:10]] == list(range(10))
    assert not strip.steps[10:].any()
    assert not strip.patches[10:].any()
    column = STEP_NAMES.index("down_heights")
    assert np.diff(strip.steps[:10, column]).min() > 0
    assert strip.steps[:10, 0].tolist() == [1.0] * 10


def test_a_long_path_is_thinned_from_its_first_to_its_last_point() -> None:
    points = moved([(300.0, 20.0 + 0.2 * n * n) for n in range(45)])
    strip = strip_of(path(points), height_px=432)
    assert strip is not None
    assert strip.steps[:, 0].sum() == STEPS
    assert strip.steps[-1, STEP_NAMES.index("since_s")] == pytest.approx(points[-1].at_s)


@given(
    st.lists(st.tuples(st.floats(0, 1279), st.floats(0, 719)), min_size=1, max_size=40),
    st.floats(1, 60),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_path_has_a_finite_strip_or_none(
    places: list[tuple[float, float]], size: float, is_drawn: bool
) -> None:
    one = path(moved(places, size=size))
    strip = strip_of(one, height_px=720, calibration=drawn() if is_drawn else None)
    part = falling_part(one)
    assert (strip is None) == (len(part) < 4 or part[-1].spot.y - part[0].spot.y < 0.02 * 720)
    if strip is not None:
        assert strip.numbers.shape == (len(NUMBER_NAMES),)
        assert strip.steps.shape == (STEPS, len(STEP_NAMES))
        assert bool(np.isfinite(strip.numbers).all() and np.isfinite(strip.steps).all())


def look(tile: np.ndarray, corner: tuple[int, int]) -> Look:  # type: ignore[type-arg]
    return Look(
        capture_s=0.0, number=3, tiles=tile[None].astype(np.uint8), corners=np.array([corner], np.int32), skipped=0, active_share=0.0
    )  # fmt: skip


@given(st.floats(8, 55), st.floats(8, 55), st.floats(2, 40))
@settings(max_examples=60)
def test_a_patch_shows_what_was_there_two_sizes_wide(x: float, y: float, size: float) -> None:
    columns = np.tile(np.arange(TILE_PX), (LAYERS, TILE_PX, 1))
    spot = pictured([Spot(100 + x, 200 + y, size, size, 0.5)], look(columns, (100, 200)))[0]
    row = spot.patch[0, 8].astype(float)
    assert row.mean() == pytest.approx(np.clip(x - 0.5, row.min(), row.max()), abs=max(1.5, 0.8 * size))
    width = np.clip(2 * size, PATCH_PX, 3 * PATCH_PX)
    assert np.ptp(row) <= width + 1
    if width / 2 < x < TILE_PX - width / 2:  # not cut off by the tile's rim
        assert np.ptp(row) == pytest.approx(width, rel=0.15)
        assert row.mean() == pytest.approx(x - 0.5, abs=1.0)


def test_spots_without_tiles_have_no_patch_and_nothing_breaks() -> None:
    empty = Look(
        capture_s=0.0, number=3, tiles=np.empty((0, LAYERS, TILE_PX, TILE_PX), np.uint8), corners=np.empty((0, 2), np.int32),
        skipped=0, active_share=0.0,
    )  # fmt: skip
    assert pictured([], empty) == []
    assert pictured([Spot(5.0, 5.0, 3.0, 3.0, 0.5)], empty) == [Spot(5.0, 5.0, 3.0, 3.0, 0.5)]


def onnx_of(steps: int) -> bytes:
    """A network that takes strips of so many steps and answers with the first numbers (onnx.proto3: Slice of opset 9)."""

    def numbers(name: str, value: int) -> bytes:
        return field(5, field(1, name) + field(8, value) + field(20, 7))  # AttributeProto of type INTS

    node = field(1, "numbers") + field(2, "likely") + field(4, "Slice")
    node += numbers("axes", 1) + numbers("starts", 0) + numbers("ends", len(MOVERS))
    graph = (
        field(1, node)
        + field(2, "plain")
        + field(11, tensor("numbers", FLOAT, "n", len(NUMBER_NAMES)))
        + field(11, tensor("steps", FLOAT, "n", steps, len(STEP_NAMES)))
        + field(11, tensor("patches", UINT8, "n", steps, 4, PATCH_PX, PATCH_PX))
        + field(12, tensor("likely", FLOAT, "n", len(MOVERS)))
    )
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 9))


def strips() -> list[Strip]:
    found = [strip_of(path(fall(40.0, seed=n)), height_px=720, calibration=drawn()) for n in range(3)]
    return [strip for strip in found if strip is not None]


def test_a_judge_is_given_its_strips(tmp_path: FilePath) -> None:
    (tmp_path / "judge.onnx").write_bytes(onnx_of(STEPS))
    likely = Classifier(tmp_path / "judge.onnx").judge(strips())
    expected = np.stack([strip.numbers[: len(MOVERS)] for strip in strips()])
    np.testing.assert_array_equal(likely, expected)
    (tmp_path / "other.onnx").write_bytes(onnx_of(STEPS + 1))
    with pytest.raises(ModelError, match="not a path classifier"):
        Classifier(tmp_path / "other.onnx")


def test_the_released_judge_answers_and_a_detector_is_no_judge() -> None:
    folder = released()
    assert folder is not None
    likely = Classifier(folder / "classifier.onnx").judge(strips())
    assert likely.shape == (3, len(MOVERS))
    np.testing.assert_allclose(likely.sum(1), 1.0, atol=1e-4)
    with pytest.raises(ModelError, match=r"detector\.onnx is not a path classifier"):
        Classifier(folder / "detector.onnx")
