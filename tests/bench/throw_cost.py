"""What throw detection costs beside OpenCV's MOG2: one rendered 1080p25 H.264 clip, one thread, one run; thread CPU time.

A machine that others use too gives ±30 %; the ratio of one run is what counts.
"""

from __future__ import annotations

import dataclasses
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2

from gatehouse_edge.drivers.clip import Clip
from gatehouse_edge.vision_tools import released, watch_maker
from gatehouse_throw.scenes import Scene, Setting, spec_of
from gatehouse_throw.scenes.codec import encode, shots

SECONDS = 4.0
SEED = 20_000_000 + 900_000
"""Of the test split, far from the evaluated scenes."""


def cpu_ms(work: Callable[[], int]) -> tuple[float, int]:
    began_s = time.thread_time()
    count = work()
    return (time.thread_time() - began_s) * 1000 / count, count


def decode_only(path: Path) -> int:
    return sum(1 for _ in Clip(path).frames())


def chain(path: Path) -> tuple[int, int]:
    watch, count = watch_maker(released(), is_classical=False)(1080), 0
    for frame in Clip(path).frames():
        watch.see(frame.luma, frame.at_s)
        count += 1
    watch.end()
    return count, watch.stack.skipped_tiles


def mog2(path: Path) -> tuple[float, int]:
    """MOG2 alone on BGR frames: decoding and conversion are not counted."""
    model, spent_s, count = cv2.createBackgroundSubtractorMOG2(), 0.0, 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="bgr24")
            began_s = time.thread_time()
            model.apply(picture)
            spent_s += time.thread_time() - began_s
            count += 1
    return spent_s * 1000 / count, count


def main() -> None:
    cv2.setNumThreads(1)
    spec = dataclasses.replace(
        spec_of(SEED, setting=Setting.FACADE, throws=1, seconds=SECONDS),
        width_px=1920,
        height_px=1080,
        fps=25.0,
        codec="libx264",
        bitrate=3_000_000,
        weather="clear",
        is_night=False,
        repeats_every=0,
        drop_share=0.0,
        shake_px=0.0,
        distractors=("tree", "bird", "laundry"),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mkv"
        encode(spec, shots(Scene(spec)), path)
        peer_ms, frames = mog2(path)
        decode_ms, _ = cpu_ms(lambda: decode_only(path))
        rows = [
            ("OpenCV MOG2 alone, BGR (decoding not counted)", peer_ms),
            ("decoding alone, luma", decode_ms),
        ]
        skipped = 0

        def work() -> int:
            nonlocal skipped
            count, skipped = chain(path)
            return count

        ms, _ = cpu_ms(work)
        rows.append((f"decode + whole chain ({skipped} tiles skipped)", ms))
        print(f"{frames} frames of 1920x1080, 25 fps, H.264 3 Mbit/s; ms of one core per frame")
        for name, ms in rows:
            print(f"  {name:58} {ms:6.1f} ms  {ms / peer_ms:5.2f} of MOG2  {40 / ms:4.1f} streams a core")
        print(
            f"  peak RSS of this process, renderer included: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB"
        )


if __name__ == "__main__":
    main()
