"""The figures: by hand where that can be done, and the published script's carry-over not repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_throw.annotations import Annotated, AnnotationError, TrueEvent, read, write
from gatehouse_throw.metrics import FoundEvent, Score, iou, score, upper_bound

FALL = TrueEvent(
    first_frame=10,
    last_frame=19,
    uncertainty_frames=0,
    boxes={n: (50.0, 10.0 * n, 8.0, 8.0) for n in range(10, 20)},
)


def found(first: int, last: int, *, dx: float = 0.0, probability: float = 0.9) -> FoundEvent:
    boxes = {n: (50.0 + dx, 10.0 * n, 8.0, 8.0) for n in range(first, last + 1)}
    return FoundEvent(first_frame=first, last_frame=last, probability=probability, boxes=boxes)


def test_a_perfect_answer_scores_one_everywhere() -> None:
    one = score((FALL,), [found(10, 19)], seconds=2.0)
    assert (one.recall, one.precision, one.f_measure, one.overlap) == (1.0, 1.0, 1.0, 1.0)


def test_half_of_a_fall_counts_half_by_frames_and_by_time() -> None:
    one = score((FALL,), [found(10, 14)], seconds=2.0)
    assert one.f_measure == pytest.approx(2 / 3)  # precision 1, recall 1/2
    assert one.overlap == 0.5


def test_a_double_is_neither_a_hit_nor_free() -> None:
    one = score((FALL,), [found(10, 19), found(10, 15, probability=0.6)], seconds=2.0)
    assert (one.hits, one.duplicates, one.precision) == (1, 1, 0.5)


def test_an_alarm_beside_the_fall_is_false() -> None:
    one = score((FALL,), [found(10, 19, dx=60)], seconds=43_200.0)
    assert (one.hits, one.false_alarms, one.false_per_day) == (0, 1, 2.0)


def test_a_clip_without_detections_has_no_overlap_whatever_came_before_it() -> None:
    total = score((FALL,), [found(10, 19)], seconds=2.0)
    total.add(score((FALL,), [], seconds=2.0))
    assert total.overlap == 0.5


def test_the_upper_bound_is_the_rule_of_three_for_nothing_seen_and_poisson_for_more() -> None:
    assert upper_bound(0) == pytest.approx(2.9957, abs=1e-3)
    assert upper_bound(3) == pytest.approx(
        7.7537, abs=1e-3
    )  # chi-square table, 0.95, 8 degrees of freedom, halved


@given(
    st.tuples(*[st.floats(0, 100)] * 2, *[st.floats(0.5, 50)] * 2),
    st.tuples(*[st.floats(0, 100)] * 2, *[st.floats(0.5, 50)] * 2),
)
def test_iou_is_symmetric_and_between_nothing_and_one(
    a: tuple[float, float, float, float], b: tuple[float, float, float, float]
) -> None:
    assert iou(a, b) == pytest.approx(iou(b, a))
    assert 0 <= iou(a, b) <= 1 + 1e-9
    assert iou(a, a) == pytest.approx(1)


def test_annotations_come_back_as_written_and_a_clip_without_is_a_negative(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    told = Annotated(path=clip, events=(FALL,), scene="facade", others={3: [("bird", (1.0, 2.0, 3.0, 4.0))]})
    write(told, size=(640, 360), fps=25.0, frames=60, repeats=[3])
    assert read(clip) == told
    assert read(tmp_path / "b.mp4").events == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"events": [{}]}',
        json.dumps({"events": [{"first_frame": 1, "last_frame": 2, "boxes": []}]}),
    ],
)
def test_a_broken_annotation_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(AnnotationError, match=r"a\.json"):
        read(tmp_path / "a.mp4")


def test_scores_add_up() -> None:
    total = Score()
    for _ in range(3):
        total.add(score((FALL,), [found(10, 19)], seconds=10.0))
    assert (total.true_events, total.hits, total.seconds) == (3, 3, 30.0)
