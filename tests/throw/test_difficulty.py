"""The difficulty gate: on rendered scenes background subtraction must do as badly as on real footage."""

from __future__ import annotations

import pytest

from gatehouse_throw.annotations import Annotated
from gatehouse_throw.clips import render
from gatehouse_throw.difficulty import PRECISION, RECALL, Operating, curve, is_hard
from gatehouse_throw.scenes.spec import Setting, Split, seeds, spec_of


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Annotated]:
    folder = tmp_path_factory.mktemp("scenes")
    chosen = [
        seed
        for seed in seeds(Split.TEST, 60)
        if (spec := spec_of(seed)).setting is Setting.FACADE and spec.throws and spec.height_px <= 432
    ]
    return [render(spec_of(seed, seconds=2.0), folder / f"{seed}.mkv") for seed in chosen[:3]]


def test_raw_proposals_do_badly_on_the_first_test_scenes(clips: list[Annotated]) -> None:
    points = curve(clips)
    assert sum(len(event.boxes) for clip in clips for event in clip.events) > 40
    assert max(point.recall for point in points) > 0.5  # the falls are there to be seen
    assert is_hard(points)


def test_an_easy_set_would_be_refused() -> None:
    easy = Operating(10, boxes=100, found=90, proposals=300, right=90, frames=100)
    assert easy.recall > RECALL
    assert easy.precision > PRECISION
    assert not is_hard([easy])


def test_what_else_moves_is_written_beside_the_falls(clips: list[Annotated]) -> None:
    assert any(clip.others for clip in clips)
