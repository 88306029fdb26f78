"""`gatehouse-edge vision bench`: what a camera's clip costs on this very machine, beside OpenCV's MOG2 on the same frames.

Measured in a process of its own that has loaded no more than a camera's has, or its memory would be that of the whole command line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from gatehouse_edge.vision.release import ModelError, released, watch_maker
from gatehouse_edge.vision.watch import Watch


class CostError(Exception):
    """It could not be measured; the text says why."""


class Cost(Struct, frozen=True, kw_only=True):
    """Figures of one run, one thread; processor time, so neighbours disturb it only through caches."""

    frames: int
    seconds: float
    """Of the clip."""
    decode_ms: float
    """A frame, luma only."""
    chain_ms: float
    """A frame: decoding, tiles, network, tracks, classifier."""
    mog2_ms: float
    """A frame: MOG2 alone on three channels; decoding and conversion not counted."""
    skipped_tiles: int
    resident_mib: float
    """Memory of this process after the chain, before MOG2."""
    peak_mib: float
    """The most it was until then."""

    @property
    def ratio(self) -> float:
        """The whole chain with decoding over MOG2 alone."""
        return self.chain_ms / self.mog2_ms

    @property
    def streams(self) -> float:
        """Cameras of this kind a core can carry."""
        return self.seconds * 1000 / (self.chain_ms * self.frames)


def cost_of(clip: Path, models: Path | None) -> Cost:
    """Measure `clip` with the release in the folder `models` (None: the own one) in a process of its own.

    Raises:
        CostError: the clip cannot be played or the models cannot be used.
    """
    from gatehouse_edge.drivers.camera import MALLOC

    command = [sys.executable, "-m", __spec__.name, str(clip.absolute()), *([str(models)] if models else [])]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **MALLOC})
    if done.returncode:
        raise CostError(done.stderr.strip() or f"the measuring process ended with {done.returncode}")
    return msgspec.json.decode(done.stdout, type=Cost)


def measure(clip: Path, make: Callable[[int], Watch]) -> Cost:
    """Play `clip` three times: the chain (first: a camera's process has decoded nothing else), decoding alone, MOG2.

    Raises:
        ClipError: it cannot be played.
    """
    import cv2

    from gatehouse_edge.drivers.clip import Clip, ClipError

    cv2.setNumThreads(1)
    first = next(Clip(clip).frames(), None)
    if first is None:
        raise ClipError(f"{clip.name} has no frame")
    watch = make(first.luma.shape[0])  # reading the models is no part of what a frame costs
    times: list[float] = []

    def chain() -> None:
        for frame in Clip(clip).frames():
            watch.see(frame.luma, frame.at_s)
            times.append(frame.at_s)
        watch.end()

    chain_ms = _spent(chain)
    resident_mib, peak_mib = _mib("VmRSS"), _mib("VmHWM")
    if len(times) < 2:  # noqa: PLR2004  # one picture has no rate
        raise ClipError(f"{clip.name} has no two frames")
    decode_ms = _spent(lambda: [frame.number for frame in Clip(clip).frames()])
    model, mog2_ms = cv2.createBackgroundSubtractorMOG2(), 0.0
    for frame in Clip(clip).frames():
        picture = cv2.cvtColor(frame.luma, cv2.COLOR_GRAY2BGR)
        mog2_ms += _spent(partial(model.apply, picture))
    count = len(times)
    return Cost(
        frames=count,
        seconds=times[-1] - times[0],
        decode_ms=decode_ms / count,
        chain_ms=chain_ms / count,
        mog2_ms=mog2_ms / count,
        skipped_tiles=watch.stack.skipped_tiles,
        resident_mib=resident_mib,
        peak_mib=peak_mib,
    )


def _mib(name: str) -> float:
    """Return a figure of this program's memory: `getrusage` would tell that of the program which started it, if that was larger."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def _spent(work: Callable[[], object]) -> float:
    """Return the milliseconds of this thread that `work` takes."""
    began_s = time.thread_time()
    work()
    return (time.thread_time() - began_s) * 1000


def _main(arguments: list[str]) -> int:
    from gatehouse_edge.drivers.clip import ClipError

    clip, *models = map(Path, arguments)
    try:
        cost = measure(clip, watch_maker(models[0] if models else released(), is_classical=False))
    except (ModelError, ClipError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(msgspec.json.encode(cost).decode())
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
