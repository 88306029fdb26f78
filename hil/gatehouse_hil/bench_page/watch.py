"""One instrument that looks on: a command that prints lines of JSON until it is stopped. It ends with the page; what it has said is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

LINES_KEPT: Final = 5000
LINES_AT_ONCE: Final = 1000
_LINE_BYTES: Final = 64 * 1024
_CHUNK: Final = 64 * 1024
_GRACE_S: Final = 3.0
MAX_LOG_BYTES: Final = 8 * 1024 * 1024
"""Of a file of what a console said; then it is full, and says so."""


class WatchView(Struct, frozen=True, kw_only=True):
    """What the page shows of an instrument."""

    id: str
    verb: str
    board: str
    command: str
    began_at: datetime
    is_running: bool
    file: str
    """Where its lines are kept; empty where they are not."""
    fault: dict[str, Any] | None
    """What it ended with."""


class Batch(Struct, frozen=True, kw_only=True):
    """Lines after a number."""

    first: int
    """Number of the first line given."""
    dropped: int
    """Lines between the one asked for and the first one given that are not kept any more."""
    lines: list[msgspec.Raw]
    is_running: bool


class Watch:
    """One instrument; `run` it in a task."""

    def __init__(  # what the view shows
        self,
        name: str,
        argv: list[str],
        *,
        verb: str,
        board: str,
        command: str,
        began_at: datetime,
        log: Path,
    ) -> None:
        self.id: Final = name
        self.verb: Final = verb
        self.board: Final = board
        self.is_running = True
        self._argv: Final = argv
        self._command: Final = command
        self._began_at: Final = began_at
        self._log: Final = log
        self._logged = 0
        self._lines: Final[deque[bytes]] = deque(maxlen=LINES_KEPT)
        self._next = 0
        self._fault: dict[str, Any] | None = None
        self._news = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def view(self) -> WatchView:
        """Return what there is to show."""
        return WatchView(
            id=self.id,
            verb=self.verb,
            board=self.board,
            command=self._command,
            began_at=self._began_at,
            is_running=self.is_running,
            file=str(self._log) if self._logged else "",
            fault=self._fault,
        )

    async def run(self) -> None:
        """Start the command and read it to its end."""
        self._process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        )
        try:
            await self._read(self._process)
        finally:
            await self._end(self._process)
            self.is_running = False
            self._tell()

    @property
    def still(self) -> Path | None:
        """The file of the last picture, where this instrument is a camera."""
        for line in reversed(self._lines):
            found = msgspec.json.decode(line)
            if "file" in found:
                return Path(str(found["file"]))
        return None

    def stop(self) -> None:
        """Ask it to stop, as Ctrl-C does, and make it after a while. Call it in the loop that runs it.

        It need not hear the first: what a shell script starts in the background ignores SIGINT, and so does all that it starts.
        """
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)
            asyncio.get_running_loop().call_later(_GRACE_S, self._kill, self._process)

    @staticmethod
    def _kill(process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    async def after(self, number: int, *, wait_s: float) -> Batch:
        """Return the lines from `number` on; waits for the first one at most `wait_s`."""
        if number >= self._next and self.is_running:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
        oldest = self._next - len(self._lines)
        first = min(max(number, oldest, 0), self._next)
        first = max(first, self._next - LINES_AT_ONCE)
        return Batch(
            first=first,
            dropped=max(0, first - number) if number >= 0 else 0,
            lines=[msgspec.Raw(line) for line in list(self._lines)[first - oldest :]],
            is_running=self.is_running,
        )

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        rest, is_too_long = b"", False
        while process.stdout is not None and (chunk := await process.stdout.read(_CHUNK)):
            *lines, rest = (rest + chunk).split(b"\n")
            if is_too_long and lines:
                lines, is_too_long = lines[1:], False
            if len(rest) > _LINE_BYTES:
                rest, is_too_long = b"", True
            for line in lines:
                self._take(line)
            await asyncio.sleep(0)  # a flood must not keep others from being served

    def _take(self, line: bytes) -> None:
        try:
            found = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError):
            return
        if not isinstance(found, dict) or len(line) > _LINE_BYTES:
            return
        if found.get("ok") is False and "sentence" in found:
            self._fault = found
        self._keep(found)
        self._lines.append(line)
        self._next += 1
        self._tell()

    def _keep(self, found: dict[str, Any]) -> None:
        """Write what a console said to its file."""
        if self.verb != "console" or "line" not in found or self._logged > MAX_LOG_BYTES:
            return
        text = f"{found.get('at', '')} {found['line']}\n".encode()
        if self._logged + len(text) > MAX_LOG_BYTES:
            text = "… 8 MiB\n".encode()
            self._logged = MAX_LOG_BYTES + 1
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as file:
            file.write(text)
        self._logged += len(text)

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE_S):
                    await process.wait()
        self._kill(process)
        await process.wait()
