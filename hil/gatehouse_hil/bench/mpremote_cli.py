"""The real mpremote, called as a program: its maintainers say that the library behind it will change.

Nothing reads back what was written by itself, so every file is hashed on the node by `fs sha256sum` and compared with the file
here. All of it is one chain of commands: a process for each file would cost more than the writing (`pack` says how that goes).
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from gatehouse_hil.bench import tool_process
from gatehouse_hil.bench.application import Application
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.pack import scripts
from gatehouse_hil.bench.raw_repl import is_gone, open_port
from gatehouse_hil.bench.tool_process import Told

_DIGEST: Final = re.compile(r"^([0-9a-f]{64})\s*$")
_SUM: Final = re.compile(r"^sha256sum :(\S+)")
_WRITTEN: Final = re.compile(r"^gatehouse written (\d+) (\d+)")
_WRITING_SHARE: Final = 0.6
_SLOWEST_BYTES_S: Final = 800.0
"""A board that takes less than this is not being copied to; it hangs."""
_START_S: Final = 30.0


async def copy(port: str, application: Application, *, on_progress: Callable[[float], None]) -> None:
    """Bring the files to the node and compare the hash of each, in order.

    Raises:
        BenchError: HASH_DIFFERS with the file; HALF_WRITTEN; PORT_BUSY; PORT_GONE; NO_ANSWER.
    """
    await asyncio.to_thread(_probe, port)
    watch = _Watch(application, on_progress)
    with tempfile.TemporaryDirectory(prefix="gatehouse-pack-") as folder:
        written = _write(Path(folder), scripts(application))
        told = await tool_process.run(
            [sys.executable, "-m", "mpremote", "connect", port, *_chain(application, written)],
            timeout_s=_START_S + application.size / _SLOWEST_BYTES_S,
            on_line=watch.on_line,
        )
    for file in application.files:
        found = watch.found.get(str(file.name))
        if found is None:
            raise _stopped(port, told, str(file.name))
        if found != file.digest:
            raise BenchError(Fault.HASH_DIFFERS, file=file.name)


class _Watch:
    """Reads what mpremote prints: `sha256sum :NAME`, then the hash; and a line of ours after each script."""

    def __init__(self, application: Application, on_progress: Callable[[float], None]) -> None:
        self.found: dict[str, str] = {}
        self._files = len(application.files)
        self._asked = ""
        self._on_progress = on_progress

    def on_line(self, line: str) -> None:
        if match := _WRITTEN.match(line):
            self._on_progress(_WRITING_SHARE * int(match.group(1)) / int(match.group(2)))
        elif match := _SUM.match(line):
            self._asked = match.group(1)
        elif (match := _DIGEST.match(line)) and self._asked:
            self.found[self._asked] = match.group(1)
            self._on_progress(_WRITING_SHARE + (1 - _WRITING_SHARE) * len(self.found) / self._files)


def _write(folder: Path, made: list[str]) -> list[Path]:
    paths = []
    for number, script in enumerate(made, start=1):
        path = folder / f"{number}.py"
        path.write_text(f"{script}print('gatehouse written {number} {len(made)}')\n", encoding="ascii")
        paths.append(path)
    return paths


def _chain(application: Application, written: list[Path]) -> Iterator[str]:
    yield "resume"
    for path in written:
        yield from ("run", str(path), "+")
    for file in application.files:
        yield from ("fs", "sha256sum", f":{file.name}", "+")
    yield from ("exec", "pass")


def _probe(port: str) -> None:
    with open_port(port):
        return


def _stopped(port: str, told: Told, name: str) -> BenchError:
    if "failed to access" in told.text or "no device found" in told.text or is_gone(port):
        return BenchError(Fault.PORT_GONE, port=port)
    if "could not enter raw repl" in told.text:
        return BenchError(Fault.NO_ANSWER, port=port)
    return BenchError(Fault.HALF_WRITTEN, port=port, said=f"{name}: {told.last}")
