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

NAMES = {"sinker", "descender", "distant_traffic", "near_traffic"}
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
    ends = [path[-1] - path[max(0, len(path) - 6)] for path in paths]
    assert sum(down > abs(aside) for aside, down in ends) > 0.8 * len(paths)
    assert sum(len(path) >= 40 for path in paths) > 0.3 * len(paths)
    assert all(np.diff(path[:, 1]).max() < 0.1 * HEIGHT_PX for path in paths), "less than a picture a second"


def test_some_come_out_of_a_turn() -> None:
    paths = middles("sinker")
    starts, ends = (
        [step for path in paths if np.hypot(*(step := path[at] - path[at - 6])) > 3] for at in (6, -1)
    )
    steep = [np.mean([down > abs(aside) for aside, down in steps]) for steps in (starts, ends)]
    assert steep[0] < 0.85 < steep[1]


def test_some_brake_before_they_land() -> None:
    left = [
        late / early
        for path in middles("descender")
        if (early := np.hypot(*(path[5] - path[0]))) > 6 and (late := np.hypot(*(path[-1] - path[-6])))
    ]
    assert np.mean([0.15 < share < 0.5 for share in left]) > 0.15


def test_distant_traffic_is_small_and_goes_both_ways() -> None:
    boxes = [boxes for n in range(40) for _, boxes in seen("distant_traffic", n)]
    tall = [max(h for _, _, _, h in cars) for cars in boxes if cars]
    assert len(tall) > 30
    assert max(tall) < 0.15 * HEIGHT_PX
    down = [np.median(np.diff([y for _, y, _, _ in cars])) for cars in boxes if len(cars) > 20]
    assert {bool(d > 0) for d in down if abs(d) > 0.1} == {True, False}


def test_a_near_car_is_larger_than_what_is_told_and_has_parts_that_are_not() -> None:
    rng = np.random.default_rng(1)
    stage = Stage(
        view=random_view(rng, WIDTH_PX, HEIGHT_PX), facade=None, seconds=SECONDS, exposure_s=0.01,
        is_night=False, still=np.full((HEIGHT_PX, WIDTH_PX), 128, np.float32),
    )  # fmt: skip
    largest, beside = [], 0
    for thing in (one for _ in range(8) for one in make("near_traffic", rng, stage)):
        widths = []
        for t in np.arange(0, SECONDS, 0.5):
            frame = stage.still.copy()
            for x, y, w, h in thing.draw(frame, t):
                frame[int(max(0, y)) : int(y + h), int(max(0, x)) : int(max(0, x + w))] = 128
                widths.append(w * 720 / HEIGHT_PX)
            beside += bool((abs(frame - stage.still) > 20).sum() > 4)
        largest.append(max(widths))
    assert min(largest) > 40
    assert beside > 20, "mirrors and wheels stick out"


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
