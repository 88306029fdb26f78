"""The masked viewing copy of a clip, made by a process of its own: a clip that trips FFmpeg costs that process, not the gateway.

    python -m gatehouse_edge.drivers.clip_masked [--gently] CLIP TRACK OUTPUT

The gateway imports this module for `mask_apart` and none of the libraries the other process uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from functools import partial
from pathlib import Path
from typing import Final

LIMIT_S: Final = 300.0
"""A clip of half a minute in 4K on a slow box takes about two minutes."""
_NICE: Final = 10
_GENTLY_NICE: Final = 19
_GENTLY_OOM_SCORE: Final = 900
"""Before any camera (`camera_worker.py`: 600): such a copy can be made again."""


class MaskError(Exception):
    """The copy could not be made; the text says why."""


async def mask_apart(clip: Path, track: Path, output: Path, *, is_awaited: bool) -> None:
    """Make the copy in another process; if nobody waits for it, with what processor and disk nobody else wants.

    Raises:
        MaskError: it could not be made.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gatehouse_edge.drivers.clip_masked", *([] if is_awaited else ["--gently"]),
        str(clip), str(track), str(output),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            _, told = await process.communicate()
    except TimeoutError:
        raise MaskError(f"not done within {LIMIT_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        words = told.decode("utf-8", "replace").strip().splitlines()
        raise MaskError(words[-1][:200] if words else f"ended with {process.returncode}")


def mask(clip: Path, track: Path, output: Path) -> int:
    """Write the copy; returns its pictures. Blocks for as long as decoding and encoding takes.

    Raises:
        MaskError: clip, output or track are not usable.
    """
    from gatehouse_edge.drivers.clip import ClipError
    from gatehouse_edge.drivers.clip_file import ClipFileError
    from gatehouse_edge.drivers.clip_recode import changed
    from gatehouse_edge.evidence.masking import coarse, corridor
    from gatehouse_edge.evidence.overlay import TrackError, decode_track

    try:
        clear = corridor(decode_track(track.read_bytes()))
        return changed(clip, partial(coarse, clear=clear), output)
    except (ClipError, ClipFileError, TrackError) as error:
        raise MaskError(str(error)) from error
    except OSError as error:
        raise MaskError(f"the disk refuses: {error.strerror}") from error


def main(arguments: list[str]) -> int:
    """Make one copy; 0 done, 1 not."""
    is_gentle = arguments[0] == "--gently"
    clip, track, output = map(Path, arguments[is_gentle:])
    os.nice(_GENTLY_NICE if is_gentle else _NICE)
    if is_gentle:
        _stand_back()
    try:
        mask(clip, track, output)
    except MaskError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _stand_back() -> None:
    """Leave disk and memory to others."""
    import psutil

    with contextlib.suppress(OSError, psutil.Error):  # a kernel or container that forbids it: still nice
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)
        Path("/proc/self/oom_score_adj").write_text(str(_GENTLY_OOM_SCORE), encoding="ascii")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
