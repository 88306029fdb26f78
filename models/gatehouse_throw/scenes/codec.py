"""What a camera makes of its pictures: x264 or x265 at 1 to 4 Mbit/s, repeats, gaps, time stamps that shake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import av
import numpy as np
from av.video.stream import VideoStream

from gatehouse_throw.scenes.scene import Luma, Scene, Truth
from gatehouse_throw.scenes.spec import SceneSpec, random_of

_TICK: Final = Fraction(1, 90_000)
_NO_PICTURE: Final = np.empty((0, 0), np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One frame as the stream carries it."""

    pts_s: float
    luma: Luma
    truth: Truth
    is_repeat: bool


def shots(scene: Scene) -> Iterator[Shot]:
    """Yield the frames of a scene with their time stamps, repeats and gaps."""
    spec, rng = scene.spec, random_of(scene.spec.seed, "stream")
    last_s = -1.0
    for index, (t_s, luma, truth) in enumerate(scene.frames()):
        if rng.random() < spec.drop_share:
            continue
        pts_s = max(
            last_s + 0.001, t_s + float(rng.normal(0, spec.jitter_ms / 1000)) if spec.jitter_ms else t_s
        )
        last_s = pts_s
        yield Shot(pts_s=pts_s, luma=luma, truth=truth, is_repeat=False)
        if spec.repeats_every and index % spec.repeats_every == spec.repeats_every - 1:
            last_s = pts_s + 0.4 / spec.fps
            yield Shot(pts_s=last_s, luma=luma, truth=truth, is_repeat=True)


def encode(spec: SceneSpec, frames: Iterator[Shot], path: Path) -> list[Shot]:
    """Write the clip to `path` and return what went in, with pictures left out."""
    kept: list[Shot] = []
    with av.open(str(path), "w") as out:
        stream = cast(
            "VideoStream", out.add_stream(spec.codec, rate=Fraction(spec.fps).limit_denominator(1000))
        )
        stream.width, stream.height = spec.width_px // 2 * 2, spec.height_px // 2 * 2
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = spec.bitrate
        stream.codec_context.time_base = _TICK
        stream.codec_context.gop_size = int(spec.fps * 2)
        stream.options = dict(_options(spec))
        for shot in frames:
            frame = av.VideoFrame(stream.width, stream.height, "yuv420p")
            _fill(frame, shot.luma)
            frame.pts = round(shot.pts_s / _TICK)
            frame.time_base = _TICK
            out.mux(stream.encode(frame))
            kept.append(replace(shot, luma=_NO_PICTURE))
        out.mux(stream.encode(None))
    return kept


def _fill(frame: av.VideoFrame, luma: Luma) -> None:
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    rows[: frame.height, : frame.width] = luma[: frame.height, : frame.width]
    for chroma in frame.planes[1:]:
        np.frombuffer(memoryview(chroma), np.uint8)[:] = 128


def _options(spec: SceneSpec) -> dict[str, str]:
    # One thread: the same bytes on any machine; cameras' own encoders are about as quick and as coarse as these presets.
    rate = {"maxrate": str(spec.bitrate), "bufsize": str(spec.bitrate)}
    if spec.codec == "libx264":
        return {"preset": spec.preset, "threads": "1", "bf": "0", **rate}
    keep = f"pools=none:frame-threads=1:log-level=error:bframes=0:vbv-maxrate={spec.bitrate // 1000}:vbv-bufsize={spec.bitrate // 1000}"
    return {"preset": spec.preset, "x265-params": keep}
