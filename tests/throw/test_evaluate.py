"""The report: thresholds, the one that is chosen, falls nobody could see, images in glass, floors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gatehouse_edge.vision.facade import Calibration, FloorLine
from gatehouse_throw.annotations import Annotated, TrueEvent, read, write
from gatehouse_throw.evaluate import CURVE, ClipReport, Floors, Report, chosen, rows
from gatehouse_throw.metrics import FoundEvent, score


def event(x: float = 50.0) -> TrueEvent:
    boxes = {n: (x, 10.0 * n, 8.0, 8.0) for n in range(10, 20)}
    return TrueEvent(first_frame=10, last_frame=19, uncertainty_frames=0, boxes=boxes, floor=5, column=2)


def found(x: float = 50.0, probability: float = 0.9) -> FoundEvent:
    boxes = {n: (x, 10.0 * n, 8.0, 8.0) for n in range(10, 20)}
    return FoundEvent(first_frame=10, last_frame=19, probability=probability, boxes=boxes)


def report(*told: FoundEvent, events: tuple[TrueEvent, ...] = (), **more: object) -> ClipReport:
    clip = Annotated(path=Path("a.mkv"), events=events, scene="facade clear", **more)  # type: ignore[arg-type]
    return ClipReport(
        clip=clip, seconds=10.0, found=[one for one in told if one.probability >= 0.5], ms_per_frame=1.0, repeats=0,
        trials={threshold: [one for one in told if one.probability >= threshold] for threshold in CURVE},
    )  # fmt: skip


def test_a_fall_nobody_could_see_is_neither_missed_nor_false_when_told() -> None:
    one = score((), [found()], seconds=10.0, ignored=(event(),))
    assert (one.true_events, one.false_alarms, one.hits) == (0, 0, 0)
    assert score((event(),), [found()], seconds=10.0, ignored=(event(),)).hits == 1


def test_an_image_in_glass_is_a_double_of_its_fall() -> None:
    mirrored = {n: [(80.0, 10.0 * n, 8.0, 8.0)] for n in range(10, 20)}
    one = score((event(),), [found(), found(80.0)], seconds=10.0, mirrored=mirrored)
    assert (one.hits, one.duplicates, one.false_alarms) == (1, 1, 0)


def test_the_lowest_threshold_that_is_precise_enough_is_chosen() -> None:
    false = [report(found(300.0, probability=p)) for p in (0.15, 0.35, 0.62)]
    true = [report(found(probability=p), events=(event(),)) for p in (0.55, 0.75, 0.95)]
    assert chosen(Report(threshold=0.5, clips=false + true)) == 0.7


def test_where_none_is_precise_enough_the_most_precise_is_chosen() -> None:
    false = [report(found(300.0, probability=p)) for p in (0.35, 0.995)]
    true = [report(found(probability=p), events=(event(),)) for p in (0.55, 0.75, 0.95)]
    assert chosen(Report(threshold=0.5, clips=false + true)) == 0.4
    assert chosen(Report(threshold=0.5, clips=false)) == 0.99  # nothing is ever right: as silent as can be


def test_the_report_tells_every_figure_and_is_json() -> None:
    whole = Report(
        threshold=0.5, clips=[report(found(), events=(event(),)), report(found(300.0, probability=0.2))]
    )
    whole.clips[0].delays_s.append(0.7)
    whole.clips[0].floors = Floors(falls=1, covered=1, narrow=1, widths=[2], promised=[0.95], columns=1)
    told = json.loads(whole.to_json())
    assert told["total"]["recall"] == told["total"]["precision"] == 1.0
    assert told["curve"]["0.1"] == [1.0, 0.5, 1]
    assert told["floors"]["covered"] == 1.0
    assert told["delay_s"]["max"] == 0.7
    assert told["by_size"]["5-8 px"] == {"falls": 1, "found": 1}
    assert "| ours | 1 | 1: 1.00 |" in rows([("ours", whole)])


def test_calibration_and_clarity_come_back_as_written(tmp_path: Path) -> None:
    lines = tuple(
        FloorLine(floor=n, left=(0.0, 300.0 - 20 * n), right=(300.0, 300.0 - 20 * n)) for n in (1, 5)
    )
    drawn = Calibration(
        width_px=640, height_px=360, facade=((0, 0), (300, 0), (300, 300), (0, 300)), floors=lines, columns=3
    )
    seen = TrueEvent(
        first_frame=1, last_frame=1, uncertainty_frames=0, boxes={1: (1.0, 2.0, 3.0, 4.0)}, floor=3, column=1,
        clarity={1: 7.5},
    )  # fmt: skip
    told = Annotated(
        path=tmp_path / "a.mkv", events=(seen,), scene="facade clear", ignored=(seen,), calibration=drawn,
        mirrored={1: [(9.0, 2.0, 3.0, 4.0)]},
    )  # fmt: skip
    write(told, size=(640, 360), fps=25.0, frames=2, repeats=[])
    assert read(told.path) == told


@pytest.mark.parametrize(
    "text", ['{"events": [], "calibration": {"width_px": 1}}', '{"events": [], "ignore": [3]}']
)
def test_a_calibration_or_an_ignored_event_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    from gatehouse_throw.annotations import AnnotationError

    (tmp_path / "a.json").write_text(text)
    with pytest.raises(AnnotationError, match=r"a\.json"):
        read(tmp_path / "a.mp4")
