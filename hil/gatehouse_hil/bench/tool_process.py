"""Other people's programs, run as processes: esptool, mpremote, uhubctl, labgrid-client, lp."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gatehouse_hil.bench.fault import BenchError, Fault

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
    on_line: Callable[[str], None] = _ignore,
    environment: Mapping[str, str] | None = None,
) -> Told:
    """Run `command` to its end. Cancelling ends the program.

    Raises:
        BenchError: TOOL_ABSENT; TOOL_FAILED when it has not ended after `timeout_s`.
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
        raise BenchError(Fault.TOOL_ABSENT, tool=command[0]) from error
    lines: list[str] = []
    try:
        async with asyncio.timeout(timeout_s):
            await _read(process, lines, on_line)
            status = await process.wait()
    except TimeoutError as error:
        raise BenchError(
            Fault.TOOL_FAILED, tool=command[0], said=f"no end after {timeout_s:.0f} s"
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Told(status=status, lines=tuple(lines))


async def _read(
    process: asyncio.subprocess.Process, lines: list[str], on_line: Callable[[str], None]
) -> None:
    if process.stdout is None:
        return
    while True:
        try:
            raw = await process.stdout.readline()
        except ValueError:
            continue  # a line beyond any reason was dropped by the reader
        if not raw:
            return
        for line in raw.decode("utf-8", "replace").replace("\r", "\n").splitlines():
            lines.append(line)
            del lines[:-_LINES_KEPT]
            on_line(line)
