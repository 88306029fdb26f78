"""Finishing what an ended process has left, in a process of its own: a clip that ended one process must not end the gateway.

    python -m gatehouse_edge.drivers.clip_recover [--no-pictures] MADE_AT FOLDER [DRAFT ...]

Writes one `KeptFiles` a line to standard output. The gateway imports this module for `recover_apart` and none of the libraries the
other process uses. If that process dies of a clip, it is tried once more without taking stills from it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from gatehouse_edge.evidence.drafts import KeepError
from gatehouse_events.evidence import KeptFiles

LIMIT_S: Final = 120.0
_NICE: Final = 5
_REFUSED: Final = 3
"""Exit status: the disk refuses; its words are the last line of standard error."""


async def recover_apart(folder: Path, drafts: Iterable[str], *, made_at: datetime) -> list[KeptFiles]:
    """Finish drafts by name with what there is; return what lies on the disk now.

    Raises:
        KeepError: the disk is full or refuses, or it cannot be done at all; what is left can be recovered later.
    """
    names, why = sorted(drafts), ""
    for more in ((), ("--no-pictures",)) if names else ():
        status, told, why = await _run([*more, made_at.isoformat(), str(folder), *names])
        if status == 0:
            return [msgspec.json.decode(line, type=KeptFiles) for line in told.splitlines()]
        if status == _REFUSED:
            break
    if names:
        raise KeepError(why)
    return []


async def _run(arguments: list[str]) -> tuple[int, bytes, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gatehouse_edge.drivers.clip_recover", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            told, words = await process.communicate()
    except TimeoutError:
        return 1, b"", f"not done within {LIMIT_S:.0f} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = words.decode("utf-8", "replace").strip().splitlines()
    status = process.returncode if process.returncode is not None else 1
    return status, told, lines[-1][:200] if lines else f"ended with {status}"


def main(arguments: list[str]) -> int:
    """Finish drafts; 0 done, 3 the disk refuses."""
    from gatehouse_edge.drivers.clip_keep import recover

    os.nice(_NICE)
    takes_stills = arguments[0] != "--no-pictures"
    made_at, folder, *names = arguments if takes_stills else arguments[1:]
    try:
        found = recover(
            Path(folder),
            made_at=datetime.fromisoformat(made_at),
            among=frozenset(names),
            takes_stills=takes_stills,
        )
    except KeepError as error:
        sys.stderr.write(f"{error}\n")
        return _REFUSED
    for kept in found:
        sys.stdout.write(msgspec.json.encode(kept).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
