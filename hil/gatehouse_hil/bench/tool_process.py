"""Other people's programs, run as processes: esptool, mpremote, uhubctl, labgrid-client, lp."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gatehouse_hil.bench.fault import BenchError, Fault

_log: Final = logging.getLogger(__name__)
"""Every line of every program, at DEBUG. No key passes here: keys go through the raw REPL."""
_LINES_KEPT: Final = 400
_LINE_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How a program ended and the last lines it wrote (both streams, in order)."""

    status: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """Everything kept, in one string."""
        return "\n".join(self.lines)

    @property
    def last(self) -> str:
        """The last line that says something, without what every refusal of esptool begins and ends with."""
        spoken = [line.strip() for line in self.lines if line.strip(" ─╭╮╰╯│")]
        last = spoken[-1] if spoken else ""
        return (
            last.removeprefix("ERROR: ")
            .removeprefix("A fatal error occurred: ")
            .partition(". This can have")[0]
        )


def _ignore(_line: str) -> None:
    return


async def run(
    command: Sequence[str],
    *,
    timeout_s: float,
    silence_s: float | None = None,
    on_line: Callable[[str], None] = _ignore,
    environment: Mapping[str, str] | None = None,
) -> Told:
    """Run `command` to its end. Cancelling ends the program.

    Raises:
        BenchError: TOOL_ABSENT; TOOL_FAILED when it has not ended after `timeout_s`, or has said nothing for `silence_s`.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LINE_BYTES,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **(environment or {})},
        )
    except OSError as error:
        raise BenchError(Fault.TOOL_ABSENT, tool=_name(command)) from error
    lines: list[str] = []
    try:
        async with asyncio.timeout(timeout_s):
            await _read(process, lines, on_line, silence_s, _name(command))
            status = await process.wait()
    except TimeoutError as error:
        raise BenchError(Fault.TOOL_FAILED, tool=_name(command), said=f"> {timeout_s:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Told(status=status, lines=tuple(lines))


def _name(command: Sequence[str]) -> str:
    """What people call the program: `python -m esptool` is esptool."""
    return command[2] if command[1:2] == ["-m"] else Path(command[0]).name


async def _read(
    process: asyncio.subprocess.Process,
    lines: list[str],
    on_line: Callable[[str], None],
    silence_s: float | None,
    name: str,
) -> None:
    if process.stdout is None:
        return
    while True:
        try:
            async with asyncio.timeout(silence_s):
                raw = await process.stdout.readline()
        except ValueError:
            continue  # a line beyond any reason was dropped by the reader
        if not raw:
            return
        for line in raw.decode("utf-8", "replace").replace("\r", "\n").splitlines():
            _log.debug("%s", line, extra={"tool": name})
            lines.append(line)
            del lines[:-_LINES_KEPT]
            on_line(line)
