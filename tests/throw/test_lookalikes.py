"""What comes down as a light fall does: for long, to rest, and only in scenes that teach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse_throw.labels import KINDS
from gatehouse_throw.scenes import Setting, Split, spec_of
from gatehouse_throw.scenes.cast import make
from gatehouse_throw.scenes.distractors import Distractor, Stage
from gatehouse_throw.scenes.spec import seeds
from gatehouse_throw.scenes.view import random_view

NAMES = {"sinker", "descender", "distant_traffic"}
WIDTH_PX, HEIGHT_PX, SECONDS = 320, 240, 6.0


def seen(name: str, seed: int) -> list[tuple[Distractor, list[tuple[float, ...]]]]:
    """Return each thing of that name in one stage and its boxes over the clip, x, y, width, height."""
    rng = np.random.default_rng(seed)
    stage = Stage(
        view=random_view(rng, WIDTH_PX, HEIGHT_PX), facade=None, seconds=SECONDS, exposure_s=0.01,
        is_night=False, still=np.full((HEIGHT_PX, WIDTH_PX), 128, np.float32),
    )  # fmt: skip
    told = []
    for thing in make(name, rng, stage):
        boxes = [
            tuple(box) for t in np.arange(0, SECONDS, 0.1) for box in thing.draw(stage.still.copy(), t)[:1]
        ]
        told.append((thing, boxes))
    return told


def middles(name: str) -> list[np.ndarray]:
    """Return the middles of forty stages' things that are in the picture for two seconds or longer."""
    paths = [
        np.array([(x + w / 2, y + h / 2) for x, y, w, h in boxes])
        for n in range(40)
        for _, boxes in seen(name, n)
    ]
    return [path for path in paths if len(path) >= 20]


@pytest.mark.parametrize("name", ["sinker", "descender"])
def test_a_sinker_comes_down_for_seconds_and_slower_than_a_stone(name: str) -> None:
    paths = middles(name)
    assert len(paths) > 20
    assert all(path[-1, 1] > path[0, 1] for path in paths)
    downwards = [path[-1, 1] - path[0, 1] > abs(path[-1, 0] - path[0, 0]) for path in paths]
    assert sum(downwards) > 0.9 * len(paths)
    assert sum(len(path) >= 40 for path in paths) > 0.3 * len(paths)
    assert all(np.diff(path[:, 1]).max() < 0.1 * HEIGHT_PX for path in paths), "less than a picture a second"


def test_some_brake_before_they_land() -> None:
    paths = [path[:, 1] for path in middles("descender")]
    left = np.array([(y[-1] - y[-6]) / (y[5] - y[0]) for y in paths if y[5] - y[0] > 6])
    assert ((left > 0.15) & (left < 0.5)).mean() > 0.2


def test_distant_traffic_is_small_and_goes_both_ways() -> None:
    boxes = [boxes for n in range(40) for _, boxes in seen("distant_traffic", n)]
    tall = [max(h for _, _, _, h in cars) for cars in boxes if cars]
    assert len(tall) > 30
    assert max(tall) < 0.15 * HEIGHT_PX
    down = [np.median(np.diff([y for _, y, _, _ in cars])) for cars in boxes if len(cars) > 20]
    assert {bool(d > 0) for d in down if abs(d) > 0.1} == {True, False}


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_each_is_of_a_kind_that_the_classifier_knows(seed: int) -> None:
    assert all(thing.kind in KINDS for name in NAMES for thing, _ in seen(name, seed))


def test_they_are_met_in_every_setting_that_teaches_and_in_none_that_is_measured() -> None:
    for setting in Setting:
        met = {
            split: {name for seed in seeds(split, 60) for name in spec_of(seed, setting=setting).distractors}
            for split in Split
        }
        for split in (Split.TRAIN, Split.DENSE):
            assert met[split] & NAMES, f"{split} {setting}"
        for split in (Split.VALIDATION, Split.TEST):
            assert not met[split] & NAMES, f"{split} {setting}"
