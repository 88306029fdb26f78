"""The real mpremote, called as a program: its maintainers say that the library behind it will change.

`fs cp` does not read back what it wrote, so the copied pack, and then every file unpacked from it, is hashed on the node by
`fs sha256sum` and compared with the file here. All of it is one chain of commands: a process for each file would cost more
than the copying.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from gatehouse_hil.bench import tool_process
from gatehouse_hil.bench.application import Application
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.pack import NAME, UNPACK, pack
from gatehouse_hil.bench.raw_repl import open_port
from gatehouse_hil.bench.tool_process import Told

_DIGEST: Final = re.compile(r"^([0-9a-f]{64})\s*$")
_SUM: Final = re.compile(r"^sha256sum :(\S+)")
_SLOWEST_BYTES_S: Final = 800.0
"""A board that takes less than this is not being copied to; it hangs."""
_START_S: Final = 30.0


async def copy(port: str, application: Application, *, on_progress: Callable[[float], None]) -> None:
    """Bring the files to the node and compare the hash of each, in order.

    Raises:
        BenchError: HASH_DIFFERS with the file; HALF_WRITTEN; PORT_BUSY; PORT_GONE; NO_ANSWER.
    """
    await asyncio.to_thread(_probe, port)
    with tempfile.TemporaryDirectory(prefix="gatehouse-pack-") as folder:
        packed, script = Path(folder) / NAME, Path(folder) / "unpack.py"
        packed.write_bytes(pack(application))
        script.write_text(UNPACK, encoding="ascii")
        watch = _Watch(application, packed, on_progress)
        told = await tool_process.run(
            [sys.executable, "-m", "mpremote", "connect", port, *_chain(application, packed, script)],
            timeout_s=_START_S + application.size / _SLOWEST_BYTES_S,
            on_line=watch.on_line,
        )
    for name, digest in watch.wanted.items():
        found = watch.found.get(name)
        if found is None:
            raise _stopped(port, told, name)
        if found != digest:
            raise BenchError(Fault.HASH_DIFFERS, file=name)


class _Watch:
    """Reads what mpremote prints: `sha256sum :NAME`, then the hash."""

    def __init__(self, application: Application, packed: Path, on_progress: Callable[[float], None]) -> None:
        self.wanted = {NAME: sha256(packed.read_bytes()).hexdigest()}
        self.wanted |= {str(file.name): file.digest for file in application.files}
        self.found: dict[str, str] = {}
        self._asked = ""
        self._on_progress = on_progress

    def on_line(self, line: str) -> None:
        if match := _SUM.match(line):
            self._asked = match.group(1)
        elif (match := _DIGEST.match(line)) and self._asked:
            self.found[self._asked] = match.group(1)
            self._on_progress(0.6 + 0.4 * len(self.found) / len(self.wanted))


def _chain(application: Application, packed: Path, script: Path) -> Iterator[str]:
    yield "resume"
    if folders := [str(folder) for folder in application.folders]:
        made = f"import os\nfor name in {folders}:\n try: os.mkdir(name)\n except OSError: pass"
        yield from ("exec", made, "+")
    yield from ("fs", "cp", "--force", str(packed), f":{NAME}", "+", "fs", "sha256sum", f":{NAME}", "+")
    yield from ("run", str(script), "+")
    for file in application.files:
        yield from ("fs", "sha256sum", f":{file.name}", "+")
    yield from ("exec", "pass")


def _probe(port: str) -> None:
    with open_port(port):
        return


def _stopped(port: str, told: Told, name: str) -> BenchError:
    if "failed to access" in told.text or "no device found" in told.text:
        return BenchError(Fault.PORT_GONE, port=port)
    if "could not enter raw repl" in told.text:
        return BenchError(Fault.NO_ANSWER, port=port)
    return BenchError(Fault.HALF_WRITTEN, port=port, said=f"{name}: {told.last}")
