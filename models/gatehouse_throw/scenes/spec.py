"""What one scene is made of, drawn from its seed. Splits are by scene: a seed belongs to one split for ever."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np


class Split(StrEnum):
    """Train, dense and validation steer training; test is looked at for the report only."""

    TRAIN = "train"
    DENSE = "dense"
    """Training only: small pictures in which many things fall at once, for a second of rendering to teach ten times as much."""
    VALIDATION = "validation"
    TEST = "test"


class Setting(StrEnum):
    """Where the camera stands."""

    FACADE = "facade"
    """Looks up a façade: where throws happen."""
    SKY = "sky"
    """Sky over a tree line: birds, drones, helicopters."""
    ROAD = "road"
    """Vehicles that come down the picture."""
    YARD = "yard"
    """People, trees, things close to the lens."""


_FIRST_SEED: Final[dict[Split, int]] = {
    Split.TRAIN: 0, Split.DENSE: 5_000_000, Split.VALIDATION: 10_000_000, Split.TEST: 20_000_000,
}  # fmt: skip
_SIZES: Final = ((640, 360), (640, 512), (768, 432), (960, 540), (1280, 720), (1920, 1080))
_SIZE_SHARES: Final = (0.16, 0.14, 0.2, 0.2, 0.24, 0.06)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """The choices that other choices hang on; the rest is drawn where it is used, from the same seed."""

    seed: int
    setting: Setting
    width_px: int
    height_px: int
    zoom: float
    """Focal length over that of a plain lens: a telephoto sees fewer floors, larger."""
    fps: float
    """Frames a second that differ; repeats come on top."""
    seconds: float
    throws: int
    """Falling things in the scene; 0 makes it a negative."""
    weather: str
    """clear | rain | snow"""
    is_night: bool
    """Infrared: grey, noisy, lamps."""
    codec: str
    """libx264 | libx265"""
    preset: str
    """How much care the encoder takes."""
    bitrate: int
    """Bits a second."""
    repeats_every: int
    """Each so many-th frame is sent twice, as cameras do that promise a rate they do not have; 0: never."""
    drop_share: float
    """Share of frames that never arrive."""
    jitter_ms: float
    """Standard deviation of the time stamps."""
    shake_px: float
    """Amplitude of the camera's own quick movement; 0 on a wall."""
    sway_px: float
    """Amplitude of slow movement: a hand, a mast in the wind, a pan; mostly 0."""
    distractors: tuple[str, ...]


def seeds(split: Split, count: int) -> range:
    """Return the seeds of the first `count` scenes of a split."""
    first = _FIRST_SEED[split]
    return range(first, first + count)


def random_of(seed: int, part: str) -> np.random.Generator:
    """Return the random numbers of one part of a scene: adding a part changes no other."""
    return np.random.default_rng([seed, *part.encode()])


def spec_of(
    seed: int, *, setting: Setting | None = None, throws: int | None = None, seconds: float | None = None
) -> SceneSpec:
    """Return the scene of `seed`; what is given here is taken as given instead of drawn."""
    if not _FIRST_SEED[Split.DENSE] <= seed < _FIRST_SEED[Split.VALIDATION]:
        return _drawn(seed, setting=setting, throws=throws, seconds=seconds)
    rng = random_of(seed, "hardship")
    hardship = rng.random()
    if hardship < _ELSEWHERE_SHARE:
        setting = setting or Setting(rng.choice(list(_ELSEWHERE), p=list(_ELSEWHERE.values())))
    spec = _drawn(seed, setting=setting, throws=throws, seconds=seconds)
    if _ELSEWHERE_SHARE <= hardship < _ELSEWHERE_SHARE + _BAD_SHARE:
        is_night, weather = _BAD[int(rng.integers(len(_BAD)))]
        spec = replace(spec, is_night=is_night, weather=weather)
    return _dense(spec)


def _drawn(seed: int, *, setting: Setting | None, throws: int | None, seconds: float | None) -> SceneSpec:
    rng = random_of(seed, "spec")
    drawn = Setting(rng.choice([s.value for s in Setting], p=[0.66, 0.16, 0.08, 0.10]))
    where = setting or drawn
    width, height = _SIZES[int(rng.choice(len(_SIZES), p=_SIZE_SHARES))]
    count = int(rng.choice([0, 1, 1, 1, 2], p=[0.3, 0.3, 0.2, 0.1, 0.1]))
    if throws is not None:
        count = throws
    elif where is not Setting.FACADE and seed >= _FIRST_SEED[Split.VALIDATION]:
        count = 0
    lens = random_of(seed, "lens")
    is_night = bool(rng.random() < 0.2)
    weather = str(rng.choice(["clear", "rain", "snow"], p=[0.76, 0.14, 0.1]))
    return SceneSpec(
        seed=seed,
        setting=where,
        width_px=width,
        height_px=height,
        zoom=float(lens.uniform(1.0, 3.0)) if lens.random() < 0.5 else 1.0,
        fps=float(rng.choice([10, 12.5, 15, 20, 25, 25, 30])),
        seconds=seconds if seconds is not None else float(rng.uniform(4.0, 7.0)),
        throws=count,
        weather=weather,
        is_night=is_night,
        codec=(codec := str(rng.choice(["libx264", "libx265"], p=[0.75, 0.25]))),
        preset="veryfast" if codec == "libx264" else "ultrafast",
        bitrate=int(rng.uniform(1.0, 4.0) * 1e6 * min(1.0, width * height / (1280 * 720) + 0.15)),
        repeats_every=int(rng.choice([0, 2, 3, 4], p=[0.7, 0.1, 0.14, 0.06])),
        drop_share=float(rng.choice([0.0, 0.02, 0.08], p=[0.6, 0.25, 0.15])),
        jitter_ms=float(rng.choice([0.0, 3.0, 10.0], p=[0.5, 0.3, 0.2])),
        shake_px=float(rng.choice([0.0, 0.4, 1.5, 4.0], p=[0.6, 0.2, 0.13, 0.07])),
        sway_px=float(lens.uniform(3, 30)) if lens.random() < _SWAY_SHARE else 0.0,
        distractors=_distractors(rng, where) + _lookalikes(seed, where),
    )


_LIKELY: Final[dict[Setting, dict[str, float]]] = {
    Setting.FACADE: {
        "bird": 0.3, "flock": 0.08, "insect": 0.2, "leaf": 0.22, "tree": 0.55, "laundry": 0.4, "curtain": 0.25, "window": 0.3,
        "lamp": 0.25, "headlight": 0.12, "person": 0.35, "drone": 0.12, "roof_person": 0.1, "lift_outside": 0.06,
        "traffic": 0.05, "helicopter": 0.04,
    },
    Setting.SKY: {"bird": 0.55, "flock": 0.3, "drone": 0.6, "helicopter": 0.2, "tree": 0.5, "insect": 0.25, "leaf": 0.2},
    Setting.ROAD: {"vehicle": 0.6, "traffic": 0.75, "tree": 0.6, "person": 0.3, "bird": 0.15, "headlight": 0.2},
    Setting.YARD: {"person": 0.8, "tree": 0.8, "hand": 0.15, "bird": 0.3, "leaf": 0.35, "insect": 0.3, "vehicle": 0.2, "traffic": 0.15},
}  # fmt: skip
"""How likely each distractor is; several come together."""


def _distractors(rng: np.random.Generator, where: Setting) -> tuple[str, ...]:
    return tuple(name for name, share in _LIKELY[where].items() if rng.random() < share)


_LOOKALIKES: Final[dict[Setting, dict[str, float]]] = {
    Setting.FACADE: {"sinker": 0.2, "descender": 0.15, "distant_traffic": 0.08, "near_traffic": 0.05},
    Setting.SKY: {"sinker": 0.5, "descender": 0.5},
    Setting.ROAD: {"sinker": 0.1, "distant_traffic": 0.5, "near_traffic": 0.5},
    Setting.YARD: {"sinker": 0.3, "descender": 0.2, "distant_traffic": 0.2, "near_traffic": 0.25},
}


def _lookalikes(seed: int, where: Setting) -> tuple[str, ...]:
    """Return what comes down as a light fall does, in scenes that teach: the others are what releases are compared by, and stay what they are."""
    if seed >= _FIRST_SEED[Split.VALIDATION]:
        return ()
    rng = random_of(seed, "lookalikes")
    return tuple(name for name, share in _LOOKALIKES[where].items() if rng.random() < share)


def _dense(spec: SceneSpec) -> SceneSpec:
    """Return a training scene of the same kind: a small picture, a quick encoder, many falls and much else at once."""
    rng = random_of(spec.seed, "dense")
    width, height = _DENSE_SIZES[int(rng.integers(len(_DENSE_SIZES)))]
    is_quick = (
        rng.random() < 0.96
    )  # the slow encoders keep a small share: their artefacts differ, their cost more so
    area = width * height / (1280 * 720)
    more = tuple(
        name for name, share in _LIKELY[spec.setting].items() if rng.random() < min(0.9, _DENSE_SHARE * share)
    )
    return replace(
        spec,
        width_px=width,
        height_px=height,
        zoom=float(np.exp(rng.uniform(0, np.log(4.0)))),
        seconds=float(rng.uniform(3.5, 5.0)),
        throws=int(rng.integers(6, 13)) if spec.throws or rng.random() < 0.5 else 0,
        codec="libx264" if is_quick else spec.codec,
        preset=str(rng.choice(["ultrafast", "superfast", "veryfast"])) if is_quick else spec.preset,
        bitrate=int(rng.uniform(1.0, 4.0) * 1e6 * min(1.0, area + 0.15)),
        sway_px=spec.sway_px or (float(rng.uniform(2, 20)) if rng.random() < _DENSE_SWAY_SHARE else 0.0),
        distractors=more + _lookalikes(spec.seed, spec.setting),
    )


_ELSEWHERE_SHARE: Final = 0.35
_ELSEWHERE: Final = {Setting.SKY: 0.45, Setting.ROAD: 0.25, Setting.YARD: 0.3}
"""Where so large a share of the dense scenes is put, beside those that stand there anyway: real cameras see more than fronts."""
_BAD_SHARE: Final = 0.2
_BAD: Final = ((True, "clear"), (False, "rain"), (False, "snow"), (True, "rain"), (True, "snow"))
"""Night and weather that so large a share of them has: half of what is missed is missed there."""
_SWAY_SHARE: Final = 0.07
_DENSE_SWAY_SHARE: Final = 0.1
_DENSE_SIZES: Final = ((640, 360), (640, 480), (768, 432), (480, 640))
_DENSE_SHARE: Final = 1.5
