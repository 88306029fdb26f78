"""Rendered scenes: the same seed is the same scene, the truth is where the picture changes, and nothing is too easy."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse_throw.scenes import Scene, Setting, Split, spec_of
from gatehouse_throw.scenes.bodies import G_M_S2, KINDS, random_body
from gatehouse_throw.scenes.codec import encode, shots
from gatehouse_throw.scenes.spec import random_of, seeds
from gatehouse_throw.scenes.view import View, random_view

SMALL = {"setting": Setting.FACADE, "throws": 1, "seconds": 2.0}


def facade_with_throw(start: int = 0) -> Scene:
    for seed in range(start, start + 60):
        spec = spec_of(seed, **SMALL)
        if spec.height_px <= 540 and not spec.is_night and (scene := Scene(spec)).throws:
            return scene
    raise AssertionError("no scene with a throw among sixty")


def test_the_same_seed_is_the_same_scene_to_the_pixel() -> None:
    first, second = (list(Scene(spec_of(5, seconds=0.4)).frames()) for _ in range(2))
    assert all(
        (a[1] == b[1]).all() and a[2].throws == b[2].throws for a, b in zip(first, second, strict=True)
    )


def test_no_seed_belongs_to_two_splits() -> None:
    found = [set(seeds(split, 100_000)) for split in Split]
    assert not any(a & b for a, b in itertools.combinations(found, 2))


def test_the_picture_changes_where_the_truth_says_a_thing_is() -> None:
    scene = facade_with_throw()
    with_throw = [luma.astype(int) for _, luma, _ in scene.frames()]
    truths = [truth for _, _, truth in scene.frames()]
    bare = Scene(spec_of(scene.spec.seed, **(SMALL | {"throws": 0})))
    without = [luma.astype(int) for _, luma, _ in bare.frames()]
    seen = 0
    for a, b, truth in zip(with_throw, without, truths, strict=True):
        for x, y, w, h in truth.throws.values():
            box = np.s_[int(max(0, y)) : int(y + h), int(max(0, x)) : int(x + w)]
            seen += bool(abs(a[box] - b[box]).max(initial=0) > 8)
    total = sum(len(truth.throws) for truth in truths)
    assert total > 8
    assert seen > 0.8 * total


def test_a_dense_thing_falls_as_galileo_says_and_a_light_one_reaches_its_terminal_speed() -> None:
    rng = np.random.default_rng(1)
    pot = random_body(rng, [0, 10, 30], background=120, kind=next(k for k in KINDS if k.name == "pot"))
    fallen = 30 - np.interp(1.0, pot.times_s, pot.path_m[:, 2])
    assert fallen == pytest.approx(G_M_S2 / 2, abs=3.2)  # thrown up or dropped, and a little drag
    bag = random_body(
        rng, [0, 10, 60], background=120, kind=next(k for k in KINDS if k.name == "plastic_bag")
    )
    late = np.diff(np.interp([6.0, 7.0], bag.times_s, bag.path_m[:, 2]))[0]
    assert 2.5 < -late < 6.5


@given(st.integers(0, 10_000))
@settings(max_examples=60)
def test_what_is_higher_is_higher_in_the_picture_and_what_is_nearer_larger(seed: int) -> None:
    view: View = random_view(np.random.default_rng(seed), 1280, 720)
    low, high, near = view.project([[0, 20, 5], [0, 20, 9], [0, 12, 5]])
    assert high[1] < low[1]
    assert near[2] < low[2]


def test_a_clip_goes_through_a_real_codec_with_its_time_stamps(tmp_path: Path) -> None:
    scene = facade_with_throw(100)
    told = encode(scene.spec, shots(scene), tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == len(told)
    first = told[0].pts_s
    times = [float(f.time) - float(frames[0].time) for f in frames]
    assert times == pytest.approx([shot.pts_s - first for shot in told], abs=0.002)


def test_adding_a_part_changes_no_other() -> None:
    assert random_of(3, "sensor").random() == random_of(3, "sensor").random()
    assert random_of(3, "sensor").random() != random_of(3, "weather").random()


@pytest.mark.parametrize("setting", list(Setting))
def test_what_is_taught_falls_before_anything_and_what_is_measured_before_facades_only(
    setting: Setting,
) -> None:
    for split in (Split.TRAIN, Split.DENSE):
        taught = (spec_of(seed, setting=setting) for seed in seeds(split, 20))
        assert any(Scene(spec).throws for spec in taught if spec.throws and spec.width_px <= 768), split
    measured = [
        spec_of(seed, setting=setting)
        for split in (Split.VALIDATION, Split.TEST)
        for seed in seeds(split, 30)
    ]
    assert any(spec.throws for spec in measured) == (setting is Setting.FACADE)


def test_dense_scenes_see_more_of_skies_roads_nights_and_weather() -> None:
    dense, plain = ([spec_of(seed) for seed in seeds(split, 400)] for split in (Split.DENSE, Split.TRAIN))
    for what in (
        lambda spec: spec.setting is not Setting.FACADE,
        lambda spec: spec.is_night,
        lambda spec: spec.weather != "clear",
    ):
        assert sum(map(what, dense)) > 1.2 * sum(map(what, plain))
    assert {spec.setting for spec in dense} == set(Setting)
    assert all(spec_of(seed, setting=Setting.YARD).setting is Setting.YARD for seed in seeds(Split.DENSE, 20))
