"""Rendered falls planted into footage of a real camera: half real clips, with their truth.

What moves, flickers and shakes in them is real, what falls is not: nothing hides it, and it is no part of the shaking. It falls before a façade that
is imagined, seen by a camera as they are mounted, whatever the footage shows. An installer asks with it, before anything is dropped, what would be found on his own view.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from gatehouse_edge.drivers.clip import Clip, ClipFrame
from gatehouse_edge.vision.steady import shrunk
from gatehouse_throw.annotations import Annotated
from gatehouse_throw.clips import annotated_of
from gatehouse_throw.scenes.bodies import stamp
from gatehouse_throw.scenes.codec import Shot, encode
from gatehouse_throw.scenes.facade import random_facade
from gatehouse_throw.scenes.falls import Fall, random_falls
from gatehouse_throw.scenes.scene import Luma, Truth
from gatehouse_throw.scenes.spec import Setting, random_of, spec_of
from gatehouse_throw.scenes.view import View, random_view

_FEWEST_FRAMES: Final = 10
"""A fall that can be seen takes longer."""
_TRIES: Final = 30
"""Cameras that are imagined until one sees a fall."""
_AROUND: Final = 4
_BLOCK_PX: Final = 8
_LIVELY: Final = 6.0
"""Where blocks usually change by less, in luma, a repeat cannot be told from a scene at rest."""
_REPEAT_SHARE: Final = 0.2
"""A repeat changes by less than that share of what is usual around it (measured on a 20 fps camera that sends 30: 0.05)."""
_LEAST_NOISE: Final = 0.8
"""What the quietest rendered sensor has: footage smoothed by its codec shows none at all."""
_FALLBACK_FPS: Final = 25.0
_BRIGHT_S: Final = 0.012
_DARK_S: Final = 0.03
"""Longest exposures."""
_DARK_LUMA: Final = 60.0


class FootageError(Exception):
    """Nothing can be planted into a file; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scenery:
    """Footage, and how what falls in it is seen."""

    frames: list[ClipFrame]
    repeated: frozenset[int]
    """Places in `frames` of pictures that show the one before once more."""
    view: View
    falls: list[Fall]
    exposure_s: float
    noise: float
    """Standard deviation of a pixel, luma."""


def plant(footage: Path, out: Path, *, seed: int, seconds: float = 6.0, falls: int = 1) -> Annotated:
    """Write a part of `footage`, drawn by `seed`, with rendered falls in it to `out`, and the annotation beside it; return the annotation.

    Args:
        footage: any clip; what falls in it already is not annotated.
        out: a `.mkv` file.
        seed: what falls, where and how it is seen, which part of the footage; another footage has other falls at the same seed.
        seconds: how long the part is at most.
        falls: how many things fall; fewer where no fall can be seen well enough.

    Raises:
        ClipError: `footage` cannot be read.
        FootageError: the part has fewer than ten frames, or no camera could be imagined that sees a fall in it.
    """
    scenery = _scenery(footage, seed=seed, seconds=seconds, falls=falls)
    height, width = scenery.frames[0].luma.shape
    spec = replace(
        spec_of(seed, setting=Setting.FACADE),
        width_px=width,
        height_px=height,
        fps=_rate(scenery.frames),
        is_night=False,
    )
    told = encode(spec, _shots(scenery), out)
    return annotated_of(out, spec, told, scenery.falls, scene=f"planted {footage.stem}")


def _scenery(footage: Path, *, seed: int, seconds: float, falls: int) -> _Scenery:
    rng = random_of(seed, f"plant {footage.stem}")
    frames = _part(footage, rng, seconds)
    still = np.median([one.luma for one in frames[:: max(1, len(frames) // 7)]], axis=0).astype(np.float32)
    height, width = still.shape
    lasts_s = frames[-1].at_s - frames[0].at_s
    for _ in range(_TRIES):
        view = random_view(rng, width, height, zoom=float(rng.uniform(1.0, 2.0)))
        found = random_falls(
            rng, view=view, facade=random_facade(rng, view), still=still, seconds=lasts_s, count=falls
        )
        if found:
            break
    else:
        raise FootageError(f"no fall found that {footage.name} would show")
    return _Scenery(
        frames=frames,
        repeated=_repeated(frames),
        view=view,
        falls=found,
        exposure_s=float(rng.uniform(0.001, _DARK_S if float(still.mean()) < _DARK_LUMA else _BRIGHT_S)),
        noise=_noise(frames),
    )


def _part(footage: Path, rng: np.random.Generator, seconds: float) -> list[ClipFrame]:
    """Return so many seconds of a clip; it is decoded twice, for an hour of it has no room in memory."""
    times = [(frame.at_s, frame.luma.shape) for frame in Clip(footage).frames()]
    if not times:
        raise FootageError(f"{footage.name} has no frames")
    first_s, size = times[0]
    latest_s = max(at_s for at_s, shape in times if shape == size) - seconds
    from_s = float(rng.uniform(first_s, max(first_s, latest_s)))
    frames = [
        frame
        for frame in Clip(footage).frames()
        if from_s <= frame.at_s < from_s + seconds and frame.luma.shape == size
    ]
    if len(frames) < _FEWEST_FRAMES:
        raise FootageError(
            f"{footage.name} has {len(frames)} frames to plant in: no fall would be seen in them"
        )
    return frames


def _shots(scenery: _Scenery) -> Iterator[Shot]:
    first_s = scenery.frames[0].at_s
    t_s = 0.0
    for place, frame in enumerate(scenery.frames):
        if place not in scenery.repeated:
            t_s = frame.at_s - first_s
        luma, truth = _drawn(frame.luma, t_s, scenery)
        yield Shot(pts_s=frame.at_s - first_s, luma=luma, truth=truth, is_repeat=place in scenery.repeated)


def _drawn(luma: Luma, t_s: float, scenery: _Scenery) -> tuple[Luma, Truth]:
    picture, truth = luma.astype(np.float32), Truth()
    for number, fall in enumerate(scenery.falls):
        outlines = fall.outlines(scenery.view, t_s, scenery.exposure_s)
        if outlines is None:
            continue
        mark = stamp(picture, outlines, fall.body.luma, alpha=None, shade=fall.body.shade)
        truth.see(number, mark, shape=picture.shape, noise=scenery.noise)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8), truth


def _repeated(frames: list[ClipFrame]) -> frozenset[int]:
    """Return which pictures show the one before once more: they change far less than those around them.

    In footage in which nothing stirs nothing is a repeat: a thing planted there would else stand still in the air.
    """
    changes = [_change(b.luma, a.luma) for a, b in pairwise(frames)]
    repeated = set()
    for place, change in enumerate(changes):
        usual = float(np.median(changes[max(0, place - _AROUND) : place + _AROUND + 1]))
        if usual > _LIVELY and change < _REPEAT_SHARE * usual:
            repeated.add(place + 1)
    return frozenset(repeated)


def _change(luma: Luma, before: Luma) -> float:
    """Return the mean change of the block that has changed most."""
    return float(shrunk(np.asarray(cv2.absdiff(luma, before), np.uint8), _BLOCK_PX).max(initial=0))


def _noise(frames: list[ClipFrame]) -> float:
    """Return what a pixel that shows the same thing differs by from frame to frame, over the root of two."""
    some = [
        float(np.median(np.abs(b.luma[::2, ::2].astype(np.int16) - a.luma[::2, ::2])))
        for a, b in pairwise(frames)
    ]
    return max(_LEAST_NOISE, 1.4826 * float(np.median(some)) / 2**0.5)


def _rate(frames: list[ClipFrame]) -> float:
    lasts_s = frames[-1].at_s - frames[0].at_s
    return (len(frames) - 1) / lasts_s if lasts_s > 0 else _FALLBACK_FPS
