"""Paths out of spots: through gaps, in capture time, several hypotheses at once, bounded whatever comes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse_edge.vision.detector import MAX_SPOTS, Spot
from gatehouse_edge.vision.features import falling_part
from gatehouse_edge.vision.strip import strip_of
from gatehouse_edge.vision.tracks import MAX_PATHS, MOST_WANTED, Path, Point, Tracker

HEIGHT_PX = 720
G_PX_S2 = 320.0


def spot(x: float, y: float, *, size: float = 6.0, score: float = 0.8) -> Spot:
    return Spot(x, y, size, size, score, 60.0)


def fall(at_s: float, *, x: float = 300.0, top: float = 40.0) -> Spot:
    return spot(x + 12 * at_s, top + 0.5 * G_PX_S2 * at_s**2)


def run(frames: list[tuple[float, int, list[Spot]]]) -> list[Path]:
    tracker = Tracker(HEIGHT_PX)
    found: list[Path] = []
    for at_s, number, spots in frames:
        found += tracker.add(at_s, number, spots, active_share=0.001)
    return found + tracker.end()


def longest(paths: list[Path]) -> Path:
    return max(paths, key=lambda path: len(path.points))


def test_a_fall_is_one_path_from_its_first_spot_to_its_last() -> None:
    paths = run([(n / 25, n, [fall(n / 25)]) for n in range(40)])
    assert [p.frame for p in longest(paths).points] == list(range(40))


@pytest.mark.parametrize("gap", [range(15, 22), range(20, 27)])
def test_three_tenths_of_a_second_behind_rails_do_not_break_a_fall(gap: range) -> None:
    paths = run([(n / 25, n, [] if n in gap else [fall(n / 25)]) for n in range(45)])
    points = longest(paths).points
    assert points[0].frame == 0
    assert points[-1].frame == 44
    assert len(points) == 45 - len(gap)


@pytest.mark.parametrize("off_px", [7.0, -7.0, 11.0])
def test_one_spot_a_little_off_does_not_tear_a_slow_fall_in_two(off_px: float) -> None:
    slow = [spot(300.0, 100 + 40 * n / 25 + 20 * (n / 25) ** 2, size=3.0) for n in range(60)]
    frames = [
        (n / 25, n, [spot(300.0, one.y + off_px, size=3.0) if n == 30 else one]) for n, one in enumerate(slow)
    ]
    points = longest(run(frames)).points
    assert points[0].frame == 0
    assert points[-1].frame == 59


def test_a_swaying_tree_does_not_crowd_out_a_short_fall() -> None:
    rng = np.random.default_rng(4)
    frames = []
    for n in range(100):
        leaves = [spot(*place, score=0.3) for place in rng.uniform((0, 300), (200, 700), (23, 2))]
        frames.append((n / 25, n, [*leaves, fall((n - 70) / 25, x=800.0)] if n >= 70 else leaves))
    assert any([p.frame for p in path.points] == list(range(70, 100)) for path in run(frames))


@pytest.mark.parametrize("merged", [1, 2, 3])
def test_a_fall_that_crosses_a_bird_keeps_what_was_before(merged: int) -> None:
    middle = fall(20 / 25)
    frames = []
    for n in range(130):
        falling = [fall((n - 60) / 25)] if 60 <= n < 100 else []
        bird = spot(middle.x + 8 * (n - 80), middle.y, score=0.9)
        frames.append((n / 25, n, falling if 80 <= n < 80 + merged else [*falling, bird]))
    assert any(path.points[0].frame == 60 and path.points[-1].frame >= 98 for path in run(frames))


@pytest.mark.parametrize("aside", [6, 12, 20, 30])
def test_a_fall_that_lands_beside_what_moves_all_the_time_is_told(aside: int) -> None:
    landing = fall(30 / 25)
    frames = []
    for n in range(140):
        falling = [fall((n - 60) / 25)] if 60 <= n <= 90 else []
        twig = spot(
            landing.x + aside + 3 * (n % 4 - 1.5), landing.y + 0.6 * aside + 2 * (n % 3 - 1), score=0.9
        )
        frames.append((n / 25, n, [*falling, twig]))
    assert any(
        path.points[0].frame == 60 and {p.frame for p in falling_part(path)} >= set(range(61, 90))
        for path in run(frames)
    )


def test_paths_that_expect_their_things_side_by_side_want_one_tile() -> None:
    tracker = Tracker(HEIGHT_PX)
    for n in range(6):
        tracker.add(
            n / 25, n, [fall(n / 25), fall(n / 25, x=305.0), fall(n / 25, x=600.0)], active_share=0.001
        )
    wanted = tracker.wanted(6 / 25)
    assert len(wanted) == 2
    assert sorted(round(float(x), -2) for x in wanted[:, 0]) == [300.0, 600.0]


def test_a_longer_gap_ends_a_path() -> None:
    paths = run([(n / 25, n, [] if 15 <= n < 30 else [fall(n / 25)]) for n in range(45)])
    assert longest(paths).points[-1].frame - longest(paths).points[0].frame <= 15


def test_the_rate_may_change_in_mid_fall_for_only_time_counts() -> None:
    times = [n / 30 for n in range(20)] + [20 / 30 + n / 12 for n in range(12)]
    paths = run([(at_s, n, [fall(at_s)]) for n, at_s in enumerate(times)])
    assert len(longest(paths).points) == len(times)


def test_numbers_that_repeats_have_used_up_change_nothing() -> None:
    plain = longest(run([(n / 20, n, [fall(n / 20)]) for n in range(30)]))
    with_repeats = longest(run([(n / 20, n + n // 2, [fall(n / 20)]) for n in range(30)]))
    assert [p.spot for p in plain.points] == [p.spot for p in with_repeats.points]


def test_at_eight_frames_a_second_a_missing_one_does_not_break_a_fall() -> None:
    paths = run([(n / 8, n, [] if n == 6 else [fall(n / 8)]) for n in range(14)])
    assert len(longest(paths).points) == 13


def test_where_two_spots_fit_both_are_followed_and_the_true_one_wins() -> None:
    frames = []
    for n in range(40):
        spots = [fall(n / 25)]
        if 12 <= n < 16:  # a leaf crosses: nearer to what was foretold, for a while
            true = spots[0]
            spots.append(spot(true.x + 3 + 2 * (n - 12), true.y - 2 * (n - 12), score=0.7))
        frames.append((n / 25, n, spots))
    points = longest(run(frames)).points
    on_fall = [abs(p.spot.y - fall(p.at_s).y) < 0.5 for p in points]
    assert len(points) >= 38
    assert sum(on_fall) >= len(points) - 3
    assert all(on_fall[-20:])


def test_of_a_branch_that_has_ended_the_other_can_be_asked_for() -> None:
    tracker, ended = Tracker(HEIGHT_PX), []
    for n in range(34):
        spots = [fall(n / 25)]
        if 16 <= n < 22:  # a leaf goes its own way and is gone
            spots.append(spot(spots[0].x + 6 * (n - 15), spots[0].y - 3 * (n - 15), score=0.7))
        ended += tracker.add(n / 25, n, spots, active_share=0.001)
    (branch,) = [path for path in ended if path.points[-1].spot.x > 335 and path.points[0].frame == 0]
    other = tracker.branch_of(branch, branch.points[4])
    assert other is not None
    assert [p.frame for p in other.points] == list(range(34))
    assert tracker.branch_of(branch, branch.points[-1]) is None, "there they have parted"
    for path in tracker.end():
        assert tracker.branch_of(path, path.points[2]) is None, "nothing grows any more"


def test_two_falls_side_by_side_are_two_paths() -> None:
    frames = [(n / 25, n, [fall(n / 25), fall(n / 25, x=420.0)]) for n in range(40)]
    whole = [path for path in run(frames) if len(path.points) >= 38]
    assert {round(path.points[0].spot.x) for path in whole} == {300, 420}


def test_what_moves_a_little_every_frame_is_followed_too_for_the_classifier_decides() -> None:
    paths = run([(n / 25, n, [spot(100 + 2 * n, 200)]) for n in range(30)])
    assert len(longest(paths).points) == 30


@given(
    st.lists(
        st.lists(
            st.tuples(st.floats(0, 1280), st.floats(0, 720), st.floats(1, 60), st.floats(0.05, 1.0)),
            max_size=MAX_SPOTS,
        ),
        min_size=1,
        max_size=25,
    ),
    st.floats(0.001, 0.5),
)
@settings(max_examples=30)
def test_whatever_spots_come_the_paths_are_bounded_and_their_features_finite(
    frames: list[list[tuple[float, float, float, float]]], step_s: float
) -> None:
    tracker = Tracker(HEIGHT_PX)
    found: list[Path] = []
    for n, rows in enumerate(frames):
        spots = [spot(x, y, size=size, score=score) for x, y, size, score in rows]
        found += tracker.add(n * step_s, n, spots, active_share=0.1)
        assert len(tracker._paths) <= MAX_PATHS
        assert len(tracker.wanted((n + 1) * step_s)) <= MOST_WANTED
    for path in [*found, *tracker.end()]:
        assert [p.at_s for p in path.points] == sorted({p.at_s for p in path.points})
        strip = strip_of(path, height_px=HEIGHT_PX)
        assert strip is None or bool(np.isfinite(strip.numbers).all())


def test_of_many_things_that_fall_at_once_only_so_many_ask_for_tiles() -> None:
    tracker = Tracker(HEIGHT_PX)
    for n in range(5):
        spots = [spot(80.0 * k, 100.0 + 9 * n) for k in range(1, MOST_WANTED + 5)]
        tracker.add(n / 25, n, spots, active_share=0.1)
    assert len(tracker.wanted(5 / 25)) == MOST_WANTED


def test_the_falling_part_leaves_out_the_curtain_before_it() -> None:
    ys = [200, 198, 203, 199, 201, 196, 199, 204, 211, 220, 231, 244, 259, 276, 275]
    points = tuple(Point(n / 25, n, spot(100, float(y)), 0, 0.0) for n, y in enumerate(ys))
    part = falling_part(Path(points=points, looked=tuple((p.frame, p.at_s) for p in points), merit=1.0))
    assert [p.spot.y for p in part] == [196, 199, 204, 211, 220, 231, 244, 259, 276]


def test_a_path_that_only_rises_is_shown_to_no_judge() -> None:
    points = tuple(Point(n / 25, n, spot(100, 300.0 - 9 * n), 0, 0.0) for n in range(12))
    path = Path(points=points, looked=tuple((p.frame, p.at_s) for p in points), merit=1.0)
    assert strip_of(path, height_px=HEIGHT_PX) is None


def test_what_has_landed_and_stays_in_sight_is_told_within_a_second_of_landing() -> None:
    tracker, ended = Tracker(540), []
    landed_s = 1.2
    for frame in range(60):
        at_s = frame / 20
        y = 60 + 0.5 * 340 * min(at_s, landed_s) ** 2 + (frame % 2) * 0.8
        paths = tracker.add(at_s, frame, [spot(300.0, y)], active_share=0.01)
        ended += [(at_s, path) for path in paths if path.points[0].at_s < 0.3]
    assert ended
    assert landed_s < ended[0][0] < landed_s + 0.8


def test_what_goes_on_falling_slowly_is_followed_to_its_end() -> None:
    tracker = Tracker(540)
    ended = [tracker.add(n / 20, n, [spot(300.0, 60 + 2.5 * n)], active_share=0.01) for n in range(120)]
    assert not any(ended)


def test_a_path_ends_in_a_scene_that_stands_still() -> None:
    tracker = Tracker(HEIGHT_PX)
    for n in range(8):
        tracker.add(n / 20, n, [spot(300.0, 60 + 12.0 * n)], active_share=0.01)
    assert tracker.wait(0.5) == []
    (path,) = tracker.wait(1.0)
    assert len(path.points) == 8
    assert tracker.end() == []
