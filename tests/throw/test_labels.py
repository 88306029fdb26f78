"""What a path is taught as, what the codec has left of a fall, and where falls are lost: told by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gatehouse_edge.vision.classifier import MOVERS, Mover
from gatehouse_edge.vision.detector import ClassicalDetector, Spot
from gatehouse_edge.vision.stack import FrameStack
from gatehouse_edge.vision.strip import strip_of
from gatehouse_edge.vision.tracks import Path as Track
from gatehouse_edge.vision.tracks import Point
from gatehouse_throw.annotations import Annotated, TrueEvent
from gatehouse_throw.clips import is_clear, render
from gatehouse_throw.labels import joined, label, lesson, lessons_of, load
from gatehouse_throw.losses import losses, table
from gatehouse_throw.scenes import Setting, spec_of
from gatehouse_throw.scenes.codec import Shot
from gatehouse_throw.scenes.scene import Change, Truth
from gatehouse_throw.visible import clarity

FRAMES = range(10, 30)


def track(*, x: float = 50.0, shift: float = 0.0) -> tuple[Point, ...]:
    return tuple(Point(n / 25, n, Spot(x, 10.0 * n, 8, 8, 0.9), 0, 0.0, (shift, 0.0)) for n in FRAMES)


def fall(*, x: float = 50.0) -> TrueEvent:
    boxes = {n: (x - 4, 10.0 * n - 4, 8.0, 8.0) for n in FRAMES}
    return TrueEvent(first_frame=10, last_frame=29, uncertainty_frames=0, boxes=boxes)


def clip(**kept: object) -> Annotated:
    return Annotated(path=Path("a.mkv"), **({"events": (), "scene": "facade clear"} | kept))  # type: ignore[arg-type]


def test_a_path_on_a_fall_is_a_throw_also_when_the_camera_sways() -> None:
    assert label(track(), clip(events=(fall(),))) is Mover.THROW
    assert label(track(x=30.0, shift=20.0), clip(events=(fall(),))) is Mover.THROW


def test_what_nobody_could_see_and_what_is_mirrored_teaches_nothing() -> None:
    assert label(track(), clip(ignored=(fall(),))) is None
    mirrored = {n: [(46.0, 10.0 * n - 4, 8.0, 8.0)] for n in FRAMES}
    assert label(track(), clip(mirrored=mirrored)) is None


def test_the_rest_is_what_covers_most_of_it_or_the_weather_or_clutter() -> None:
    birds = {n: [("bird", (40.0, 10.0 * n - 9, 20.0, 18.0))] for n in FRAMES}
    assert label(track(), clip(others=birds)) is Mover.BIRD
    assert label(track(), clip(scene="facade night rain")) is Mover.RAIN
    assert label(track(), clip()) is Mover.CLUTTER


def test_clarity_is_the_renderers_times_what_the_codec_has_left() -> None:
    still = np.full((120, 160), 100, np.uint8)
    drawn = np.full((4, 4), 40.0, np.float32)
    for left, expected in ((40, 1.0), (10, 0.25), (0, 0.0)):
        stack = FrameStack()
        for n, place in enumerate((20, 40, 60)):
            frame = still.copy()
            frame[place : place + 4, 80:84] += left
            frame[0:8, 8 * n : 8 * n + 8] = 200  # something moves in any case, so that no frame is a repeat
            stack.add(frame, n / 25)
        truth = Truth(clarity={0: 20.0}, changes={0: Change((80, 60), drawn)})
        assert clarity(stack, (0.0, 0.0), truth)[0] == pytest.approx(20 * expected, abs=0.5)


@pytest.mark.parametrize(("seen", "expected"), [(5.0, True), (3.0, False)])
def test_a_fall_counts_if_it_can_be_seen_for_long_enough(seen: float, expected: bool) -> None:
    told = [
        Shot(pts_s=n / 25, luma=np.empty((0, 0), np.uint8), truth=Truth(), is_repeat=False) for n in range(30)
    ]
    event = TrueEvent(
        first_frame=10,
        last_frame=29,
        uncertainty_frames=0,
        boxes=fall().boxes,
        clarity=dict.fromkeys(FRAMES, seen),
    )
    assert is_clear(event, told) is expected


def test_losses_only_grow_along_the_chain(tmp_path: Path) -> None:
    seed = next(
        s
        for s in range(20_000_000, 20_000_100)
        if (spec := spec_of(s)).setting is Setting.FACADE and spec.throws and spec.height_px <= 432
    )
    told = render(spec_of(seed, seconds=2.0), tmp_path / "a.mkv")
    sums = losses([told], ClassicalDetector(), None, threshold=0.5)
    if told.events:
        one = sums["all"]
        assert one.frames >= one.in_tile
        assert one.falls == len(told.events)
        assert one.told == 0  # without a classifier nothing is told
        assert table(sums).count("\n") == len(sums) + 1


def test_lessons_come_back_as_they_were_kept_and_join_in_order(tmp_path: Path) -> None:
    mine = strip_of(
        Track(points=track(), looked=tuple((p.frame, p.at_s) for p in track()), merit=1.0), height_px=720
    )
    assert mine is not None
    one, two, none = lesson([(mine, Mover.THROW)]), lesson([(mine, Mover.BIRD)]), lesson([])
    for name, kept in (("a", one), ("b", two), ("c", none)):
        kept.save(tmp_path / f"{name}.npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz", "c.npz"]
    back = joined([load(tmp_path / f"{name}.npz") for name in "abc"])
    assert [MOVERS[kind] for kind in back.kinds] == [Mover.THROW, Mover.BIRD]
    np.testing.assert_array_equal(back.steps[0], mine.steps)
    assert back.patches.shape[1:] == mine.patches.shape


def test_hypotheses_of_one_falling_part_are_one_lesson() -> None:
    stray = Point(31 / 25, 31, Spot(52.0, 280.0, 8, 8, 0.9), 0, 0.0)
    paths = [
        Track(points=points, looked=tuple((p.frame, p.at_s) for p in points), merit=1.0)
        for points in (track(), (*track(), stray), track(x=200.0))
    ]
    taught = lessons_of(paths, clip(events=(fall(),)), height_px=720)
    assert [MOVERS[kind] for kind in taught.kinds] == [Mover.THROW, Mover.CLUTTER]
