"""One camera watched: one fall is one event, whoever else tells of it; two falls are two."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gatehouse_edge.vision import branches
from gatehouse_edge.vision.classifier import MOVERS, Classifier
from gatehouse_edge.vision.detector import ClassicalDetector, Spot
from gatehouse_edge.vision.features import rise_and_fall
from gatehouse_edge.vision.release import released
from gatehouse_edge.vision.stack import Look
from gatehouse_edge.vision.tracks import GAP_S, Path, Point
from gatehouse_edge.vision.verdicts import Judged, Throw, Verdicts, unique
from gatehouse_edge.vision.watch import Watch

HEIGHT_PX = 1000
LIKELY = (0.9, *([0.1 / (len(MOVERS) - 1)] * (len(MOVERS) - 1)))


def throw(
    frames: range, *, x: float = 300.0, drift: float = 0.0, lift: float = 0.0, probability: float = 0.9
) -> Throw:
    points = tuple(
        Point(
            n / 25,
            n,
            Spot(x + drift * (n - frames[0]), 40 + 0.25 * n * n - lift, 6.0, 6.0, 0.8),
            0,
            0.0,
        )
        for n in frames
    )
    return Throw(probability=probability, likely=LIKELY, points=points)


def test_hypotheses_that_share_most_points_are_one_fall_and_the_better_one_is_told() -> None:
    long, short = throw(range(40)), throw(range(8, 40), probability=0.7)
    assert unique([short, long]) == [long]


def test_a_mirror_image_at_the_same_height_is_no_second_fall() -> None:
    true = throw(range(40))
    mirrored = throw(range(2, 40), x=330.0, probability=0.8)
    assert unique([mirrored, true]) == [true]


def test_a_mirror_image_whose_path_begins_on_the_fall_itself_is_none_either() -> None:
    true, image = throw(range(40)), throw(range(40), x=330.0)
    mixed = Throw(probability=0.8, likely=LIKELY, points=(*true.points[:6], *image.points[6:34]))
    assert unique([mixed, true]) == [true]


def test_two_things_thrown_together_that_drift_apart_are_two() -> None:
    assert len(unique([throw(range(40)), throw(range(40), x=312.0, drift=1.2)])) == 2


def test_a_path_that_begins_in_mid_air_beside_a_fall_follows_the_same_thing_though_they_part() -> None:
    strayed = throw(range(40), drift=0.6)
    beside = throw(range(16, 50), x=316.0, drift=-1.2)
    assert len(unique([strayed, beside])) == 1
    assert len(unique([strayed, throw(range(16, 50), x=340.0, drift=-1.2)])) == 2, "too far away"
    assert len(unique([throw(range(12, 40), drift=0.6), beside])) == 2, "thrown at nearly the same time"


def test_two_things_far_apart_are_two() -> None:
    assert len(unique([throw(range(40)), throw(range(40), x=400.0)])) == 2


def test_one_after_the_other_at_the_same_place_is_two_unless_the_second_goes_on_where_the_first_ended() -> (
    None
):
    first, rest, again = throw(range(18)), throw(range(22, 40)), throw(range(18))
    assert len(unique([first, rest])) == 1
    assert len(unique([first, throw(range(16, 40))])) == 1, "both saw two of its frames"
    later = Throw(
        probability=0.9,
        likely=LIKELY,
        points=tuple(Point(p.at_s + 3, p.frame + 75, p.spot, 0, 0.0) for p in again.points),
    )
    assert len(unique([first, later])) == 2


def judged(one: Throw) -> list[Judged]:
    return [Judged(one.points, np.array([one.probability, *one.likely[1:]], np.float32), one.rise)]


def test_a_later_hypothesis_of_what_was_told_is_not_told_again() -> None:
    verdicts = Verdicts(0.5, height_px=HEIGHT_PX)
    verdicts.hear(judged(throw(range(40))), 1.6)
    assert [told.first.frame for told in verdicts.settled(2.0)] == [0]
    verdicts.hear(judged(throw(range(6, 40), probability=0.99)), 2.1)
    assert verdicts.settled(3.0) == []
    assert verdicts.settled(float("inf")) == []
    verdicts.hear(judged(throw(range(40), x=500.0)), 2.1)
    assert len(verdicts.settled(float("inf"))) == 1


def test_a_scrap_that_was_told_does_not_silence_the_fall_whose_mirror_image_it_was() -> None:
    verdicts = Verdicts(0.5, height_px=HEIGHT_PX)
    verdicts.hear(judged(throw(range(20, 26), x=330.0, probability=0.95)), 1.2)
    assert len(verdicts.settled(1.5)) == 1
    verdicts.hear(judged(throw(range(40))), 1.6)
    assert [told.first.frame for told in verdicts.settled(2.0)] == [0]
    verdicts.hear(judged(throw(range(20, 26), x=331.0)), 2.0)
    verdicts.hear(judged(throw(range(2, 40), x=331.0)), 2.0)
    assert verdicts.settled(2.5) == [], "of a fall that was told, scraps and images say nothing new"


def growing(one: Throw) -> Callable[[Point, float], list[Path]]:
    return lambda *_: [
        Path(points=one.points, looked=tuple((p.frame, p.at_s) for p in one.points), merit=1.0)
    ]


def test_an_image_in_glass_that_is_lost_from_sight_first_waits_for_the_fall_itself() -> None:
    verdicts = Verdicts(0.5, height_px=HEIGHT_PX)
    verdicts.hear(judged(throw(range(4, 22), x=330.0)), 1.2)
    assert verdicts.settled(1.5, growing(throw(range(38)))) == []
    verdicts.hear(judged(throw(range(40))), 1.9)
    assert verdicts.settled(2.0) == []
    assert [told.first.spot.x for told in verdicts.settled(2.2)] == [300.0]
    assert verdicts.settled(float("inf")) == []


def test_what_falls_beside_a_longer_path_is_told_when_patience_ends_or_when_that_one_lies() -> None:
    image = throw(range(4, 22), x=330.0)
    verdicts = Verdicts(0.5, height_px=HEIGHT_PX)
    verdicts.hear(judged(image), 1.2)
    assert verdicts.settled(image.last.at_s + 1.4, growing(throw(range(38)))) == []
    assert len(verdicts.settled(image.last.at_s + 1.6, growing(throw(range(38))))) == 1
    fall = throw(range(24))
    still = Point(1.3, 33, fall.last.spot, 0, 0.0)
    lying = Throw(probability=0.9, likely=LIKELY, points=(*fall.points, still))
    verdicts = Verdicts(0.5, height_px=HEIGHT_PX)
    verdicts.hear(judged(image), 1.2)
    assert len(verdicts.settled(1.5, growing(lying))) == 1


@pytest.mark.parametrize(
    "other",
    [throw(range(38), x=420.0), throw(range(38), drift=1.5), throw(range(8, 22))],
    ids=["too far", "drifts", "shorter"],
)
def test_beside_anything_else_a_throw_does_not_wait(other: Throw) -> None:
    verdicts = Verdicts(0.5, height_px=HEIGHT_PX)
    verdicts.hear(judged(throw(range(4, 22), x=330.0)), 1.2)
    assert len(verdicts.settled(1.5, growing(other))) == 1


def test_a_better_hypothesis_within_a_quarter_of_a_second_is_the_one_that_is_told() -> None:
    verdicts = Verdicts(0.5, height_px=HEIGHT_PX)
    verdicts.hear(judged(throw(range(12, 40), probability=0.6)), 1.6)
    assert verdicts.settled(1.7) == []
    verdicts.hear(judged(throw(range(40), probability=0.9)), 1.8)
    assert [told.first.frame for told in verdicts.settled(2.1)] == [0]
    assert verdicts.settled(float("inf")) == []


def test_what_is_not_sure_enough_is_not_told_and_makes_its_place_less_trusted() -> None:
    verdicts = Verdicts(0.5, height_px=HEIGHT_PX)
    for n in range(60):
        verdicts.hear(judged(throw(range(40), probability=0.05)), 1.6 + 0.01 * n)
    assert verdicts.settled(float("inf")) == []
    verdicts.hear(judged(throw(range(40), probability=0.55)), 2.3)
    assert verdicts.settled(float("inf")) == []  # told on a quiet wall, not where twigs keep falling
    verdicts.hear(judged(throw(range(40), probability=0.9)), 2.4)
    assert len(verdicts.settled(float("inf"))) == 1


def test_boxes_fill_the_frames_between_points_along_the_path() -> None:
    points = tuple(
        Point(n / 25, n, Spot(10.0 + n, 20.0 + 2 * n, 4.0, 6.0, 0.9), 0, 0.0) for n in (0, 1, 4, 6)
    )
    looked = tuple((n, n / 25) for n in (0, 1, 3, 4, 6))
    boxes = Throw(probability=0.9, likely=LIKELY, points=points, looked=looked).boxes()
    assert list(boxes) == list(range(7))
    assert boxes[3] == pytest.approx((11.0, 23.0, 4.0, 6.0))
    assert boxes[2] == boxes[1], "a repeat shows what was shown before it"
    assert boxes[5] == boxes[4]


def test_one_spot_beside_the_path_moves_its_box_by_less() -> None:
    frames = (0, 1, 2, 5, 6, 7)
    points = [Point(n / 25, n, Spot(50.0, 20.0 + 2 * n, 4.0, 6.0, 0.9), 0, 0.0) for n in frames]
    straight = Throw(probability=0.9, likely=LIKELY, points=tuple(points)).boxes()
    points[3] = Point(5 / 25, 5, Spot(51.6, 31.6, 4.0, 6.0, 0.9), 0, 0.0)
    boxes = Throw(probability=0.9, likely=LIKELY, points=tuple(points)).boxes()
    aside = {n: (boxes[n][0] - straight[n][0], boxes[n][1] - straight[n][1]) for n in frames}
    assert aside[5] == pytest.approx((1.0, 1.0)), "five eighths of what the spot is off"
    assert aside[2] == pytest.approx((0.15, 0.15)), "three eighths of the chord, a quarter of its way"
    assert aside[6] == pytest.approx((0.3, 0.3))
    assert aside[0] == aside[1] == aside[7] == pytest.approx((0.0, 0.0))


def test_boxes_begin_where_a_thing_was_thrown_upwards_and_one_wrong_size_is_outvoted() -> None:
    points = tuple(
        Point(n / 25, n, Spot(100.0 + n, 90.0 + (n - 8) ** 2, 5.0, 5.0 if n != 12 else 30.0, 0.9), 0, 0.0)
        for n in range(24)
    )
    rise, fall = rise_and_fall(
        Path(points=points, looked=tuple((p.frame, p.at_s) for p in points), merit=1.0)
    )
    assert [p.frame for p in (*rise, *fall)] == list(range(24))
    assert fall[0].spot.y == 90.0
    throw = Throw(probability=0.9, likely=LIKELY, points=fall, rise=rise)
    assert throw.first.frame == 0
    boxes = throw.boxes()
    assert list(boxes) == list(range(24))
    assert {box[3] for box in boxes.values()} == {5.0}
    verdicts = Verdicts(0.5, height_px=HEIGHT_PX)
    verdicts.hear(judged(throw), 1.0)
    assert verdicts.settled(2.0)[0].boxes() == boxes


def test_a_falling_dot_is_a_path_before_a_change_of_size_and_a_new_one_after_it() -> None:
    rng = np.random.default_rng(3)
    watch = Watch(ClassicalDetector(), None, height_px=240)
    watch.keep_paths = []
    for n in range(50):
        height, width = (240, 320) if n < 25 else (360, 480)
        frame = rng.integers(98, 102, (height, width)).astype(np.uint8)
        y = int(10 + 0.35 * (n % 25) ** 2)
        frame[y : y + 5, 150:155] = 230
        watch.see(frame, n / 25)
    watch.end()
    spans = [(p.points[0].frame, p.points[-1].frame) for p in watch.keep_paths if len(p.points) > 15]
    assert any(first < 8 and last >= 23 for first, last in spans)
    assert any(first < 34 and last >= 48 for first, last in spans)
    assert not any(first < 25 <= last for first, last in spans)


def test_spots_of_paths_come_with_their_pictures() -> None:
    rng = np.random.default_rng(4)
    watch = Watch(ClassicalDetector(), None, height_px=240)
    watch.keep_paths = []
    for n in range(25):
        frame = rng.integers(98, 102, (240, 320)).astype(np.uint8)
        frame[(y := int(10 + 0.35 * n * n)) : y + 5, 150:155] = 230
        watch.see(frame, n / 25)
    watch.end()
    longest = max(watch.keep_paths, key=lambda path: len(path.points))
    assert len(longest.points) > 15
    assert min(int(point.spot.patch.max()) for point in longest.points) >= 200  # the dot is in each


def test_what_has_landed_in_clutter_is_judged_once_and_not_for_each_hypothesis_of_what_follows() -> None:
    folder = released()
    assert folder is not None
    rng = np.random.default_rng(5)
    watch = Watch(ClassicalDetector(), Classifier(folder / "fallback.onnx"), height_px=240)
    watch.keep_judged = []
    for n in range(90):
        frame = rng.integers(98, 102, (240, 320)).astype(np.uint8)
        places = [(150, int(10 + 0.35 * n * n))] if n < 24 else rng.integers((80, 150), (220, 230), (12, 2))
        for x, y in places:
            frame[y : y + 5, x : x + 5] = 230
        watch.see(frame, n / 25)
    watch.end()
    parts = [
        tuple((p.frame, p.spot.x) for p in one.points) for _, judged in watch.keep_judged for one in judged
    ]
    assert any(part[0][0] < 6 and part[-1][0] > 18 for part in parts)
    assert len(parts) == len(set(parts))


class Dictated:
    """Spots as a test says: a thing that falls for some frames, and from the 22nd to the 31st a leaf that leaves it sideways."""

    def __init__(self, *, frames: int, speed: float, gain: float) -> None:
        self._frames, self._speed, self._gain = frames, speed, gain

    def find(self, look: Look) -> list[Spot]:
        n, aside = look.number, look.number - 21
        y = 10 + self._speed * n + self._gain * n * n
        spots = [Spot(150.0, y, 6.0, 6.0, 0.9, 60.0)] if n < self._frames else []
        if 0 < aside <= 10:
            spots.append(Spot(150.0 + 4 * aside, y - 0.5 * aside, 6.0, 6.0, 0.8, 60.0))
        return spots


@pytest.mark.parametrize(
    ("frames", "speed", "gain", "judged_s"),
    [(45, 0.5, 0.15, 44 / 25), (180, 2.4, 0.0, 21 / 25 + GAP_S + 3.0)],
    ids=["to the ground", "as long as patience lasts"],
)
def test_a_branch_that_has_ended_waits_for_the_one_that_goes_on_falling(
    frames: int, speed: float, gain: float, judged_s: float
) -> None:
    folder = released()
    assert folder is not None
    detector = Dictated(frames=frames, speed=speed, gain=gain)
    watch = Watch(detector, Classifier(folder / "fallback.onnx"), height_px=480)
    watch.keep_judged = []
    rng = np.random.default_rng(6)
    for n in range(frames + 20):
        watch.see(rng.integers(90, 110, (480, 320)).astype(np.uint8), n / 25)
    watch.end()
    now_s, judged = watch.keep_judged[0]
    assert judged_s < now_s < judged_s + 0.6
    parts = [(one.points[0].frame, one.points[-1].frame) for one in judged]
    assert any(last < 32 for _, last in parts), "a branch that ended early"
    assert any(last >= min(frames - 1, 25 * now_s - 2) for _, last in parts), (
        "and with it the whole fall so far"
    )


def test_no_more_than_so_many_branches_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branches, "_MOST_WAITING", 0)
    folder = released()
    assert folder is not None
    detector = Dictated(frames=60, speed=2.4, gain=0.0)
    watch = Watch(detector, Classifier(folder / "fallback.onnx"), height_px=480)
    watch.keep_judged = []
    rng = np.random.default_rng(6)
    for n in range(60):
        watch.see(rng.integers(90, 110, (480, 320)).astype(np.uint8), n / 25)
    assert watch.keep_judged, "judged while the fall goes on"
    assert watch.keep_judged[0][0] < 31 / 25 + GAP_S + 0.1
