"""The real mpremote, called as a program: its maintainers say that the library behind it will change.

`fs cp` does not read back what it wrote, so every copy is followed by `fs sha256sum` and compared with the file here.
All of it is one chain of commands: a process for each file would cost more than the copying.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from typing import Final

from gatehouse_hil.bench import tool_process
from gatehouse_hil.bench.application import Application, ApplicationFile
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.raw_repl import open_port
from gatehouse_hil.bench.tool_process import Told

_DIGEST: Final = re.compile(r"^([0-9a-f]{64})\s*$")
_SUM: Final = re.compile(r"^sha256sum :(\S+)")
_SLOWEST_BYTES_S: Final = 800.0
"""A board that takes less than this is not being copied to; it hangs."""
_START_S: Final = 30.0


async def copy(port: str, application: Application, *, on_progress: Callable[[float], None]) -> None:
    """Copy the files and compare the hash of each, in order.

    Raises:
        BenchError: HASH_DIFFERS with the file; HALF_WRITTEN; PORT_BUSY; PORT_GONE; NO_ANSWER.
    """
    await asyncio.to_thread(_probe, port)
    found: dict[str, str] = {}
    asked: list[str] = []
    done = 0

    def on_line(line: str) -> None:
        nonlocal done
        if match := _SUM.match(line):
            asked.append(match.group(1))
        elif (match := _DIGEST.match(line)) and asked:
            found[asked[-1]] = match.group(1)
            done += next((file.size for file in application.files if str(file.name) == asked[-1]), 0)
            on_progress(done / max(1, application.size))

    told = await tool_process.run(
        [sys.executable, "-m", "mpremote", "connect", port, *_chain(application)],
        timeout_s=_START_S + application.size / _SLOWEST_BYTES_S,
        on_line=on_line,
    )
    for file in application.files:
        digest = found.get(str(file.name))
        if digest is None:
            raise _stopped(port, told, file)
        if digest != file.digest:
            raise BenchError(Fault.HASH_DIFFERS, file=file.name)


def _chain(application: Application) -> Iterator[str]:
    yield "resume"
    for folder in application.folders:
        yield from ("exec", f"import os\ntry: os.mkdir({str(folder)!r})\nexcept OSError: pass", "+")
    for file in application.files:
        yield from ("fs", "cp", "--force", str(file.source), f":{file.name}", "+")
        yield from ("fs", "sha256sum", f":{file.name}", "+")
    yield from ("exec", "pass")


def _probe(port: str) -> None:
    with open_port(port):
        return


def _stopped(port: str, told: Told, file: ApplicationFile) -> BenchError:
    if "failed to access" in told.text or "no device found" in told.text:
        return BenchError(Fault.PORT_GONE, port=port)
    if "could not enter raw repl" in told.text:
        return BenchError(Fault.NO_ANSWER, port=port)
    return BenchError(Fault.HALF_WRITTEN, port=port, said=f"{file.name}: {told.last}")
