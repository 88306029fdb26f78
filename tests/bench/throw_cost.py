"""What throw detection costs beside OpenCV's MOG2: one rendered 1080p25 H.264 clip, one thread, one run; processor time.

A machine that others use too gives ±30 %; the ratio of one run is what counts. `gatehouse-edge vision bench` measures, in a process of its own,
so that its memory is that of one camera and not the renderer's. With THROW_NEGATIVES_MINUTES=10 false alarms over rendered negatives follow
(`python -m gatehouse_throw negatives`): a ledger in var/ is gone on with.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gatehouse_edge.vision_tools import released
from gatehouse_throw.scenes import Scene, Setting, spec_of
from gatehouse_throw.scenes.codec import encode, shots

SECONDS = 4.0
SEED = 20_000_000 + 900_000
"""Of the test split, far from the evaluated scenes."""
LEDGER = Path("var/throw/negatives.jsonl")


def render(path: Path) -> None:
    spec = dataclasses.replace(
        spec_of(SEED, setting=Setting.FACADE, throws=1, seconds=SECONDS),
        width_px=1920,
        height_px=1080,
        zoom=1.0,
        fps=25.0,
        codec="libx264",
        preset="veryfast",
        bitrate=3_000_000,
        weather="clear",
        is_night=False,
        repeats_every=0,
        drop_share=0.0,
        shake_px=0.0,
        sway_px=0.0,
        distractors=("tree", "bird", "laundry"),
    )
    encode(spec, shots(Scene(spec)), path)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mkv"
        render(path)
        command = [sys.executable, "-c", "from gatehouse_edge.cli import main; raise SystemExit(main())"]
        done = subprocess.run(
            [*command, "vision", "bench", str(path), "--json"], check=True, capture_output=True, text=True
        )
    told = json.loads(done.stdout)
    peer = told["mog2_ms"]
    print(f"{told['frames']} frames of 1920x1080, 25 fps, H.264 3 Mbit/s; ms of one core per frame")
    for name, ms in (
        ("OpenCV MOG2 alone, BGR (decoding not counted)", peer),
        ("decoding alone, luma", told["decode_ms"]),
        (f"decode + whole chain ({told['skipped_tiles']} tiles skipped)", told["chain_ms"]),
    ):
        print(f"  {name:58} {ms:6.1f} ms  {ms / peer:5.2f} of MOG2  {40 / ms:4.1f} streams a core")
    print(
        f"  memory of the process that decodes and detects: {told['resident_mib']:.0f} MiB, at most {told['peak_mib']:.0f}"
    )
    minutes = float(os.environ.get("THROW_NEGATIVES_MINUTES", "0"))
    if minutes:
        subprocess.run(
            [sys.executable, "-m", "gatehouse_throw", "negatives", str(LEDGER), "--models", str(released()),
             "--minutes", str(minutes)], check=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
