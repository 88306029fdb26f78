"""A captured conversation on a wire, played to a node again: does it still answer as it did?

The file is text, so that a person can read and shorten it:

    # gas node, one read of the whole map
    > 01 03 00 00 00 10 44 06
    < 01 03 20 47 31 ?? ?? ..

`>` is what the gateway said, `<` what the node answered, `??` an octet that may be anything, `..` as many as there are.
A `>` without `<` after it must stay unanswered. The same file runs on simulated and on real nodes.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.raw_repl import open_port

MAX_FRAMES: Final = 10_000
_MAX_FRAME_BYTES: Final = 512
_SILENCE_S: Final = 0.05
"""An answer has ended after this; longer than any pause inside a frame that a PTY or an adapter makes."""
_ANSWER_S: Final = 0.8
_OCTET: Final = re.compile(r"^[0-9a-f]{2}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what must follow; `wanted` is a pattern over hex octets, empty for silence."""

    request: bytes
    wanted: tuple[str, ...]

    def admits(self, answer: bytes) -> bool:
        """Whether `answer` is what the trace holds."""
        wanted = self.wanted
        if wanted and wanted[-1] == "..":
            wanted, answer = wanted[:-1], answer[: len(wanted) - 1]
        return len(answer) == len(wanted) and all(
            want in ("??", f"{got:02x}") for want, got in zip(wanted, answer, strict=True)
        )


def load(path: Path) -> tuple[Exchange, ...]:
    """Return the exchanges of a trace file.

    Raises:
        BenchError: PLAN_UNREADABLE; PLAN_WRONG with the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(Fault.PLAN_UNREADABLE, path=path, why=str(error)) from error
    found: list[Exchange] = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip().lower()
        if not text:
            continue
        octets = tuple(text[1:].split())
        if text[0] == ">" and octets and all(_OCTET.match(octet) for octet in octets):
            found.append(Exchange(request=bytes.fromhex("".join(octets)), wanted=()))
        elif text[0] == "<" and found and not found[-1].wanted and _is_pattern(octets):
            found[-1] = Exchange(request=found[-1].request, wanted=octets)
        else:
            raise BenchError(Fault.PLAN_WRONG, where=f"{path.name}:{number}", why=line)
    if not 0 < len(found) <= MAX_FRAMES:
        raise BenchError(Fault.PLAN_WRONG, where=path.name, why=f"{len(found)} frames")
    return tuple(found)


async def replay(port: str, exchanges: tuple[Exchange, ...], *, baud: int) -> None:
    """Play the exchanges at `port` and compare every answer.

    Raises:
        BenchError: TRACE_DIFFERS at the first that is not so; PORT_BUSY, PORT_GONE.
    """
    await asyncio.to_thread(_replay, port, exchanges, baud)


def _is_pattern(octets: tuple[str, ...]) -> bool:
    body = octets[:-1] if octets and octets[-1] == ".." else octets
    return bool(octets) and all(octet == "??" or _OCTET.match(octet) for octet in body)


def _replay(port: str, exchanges: tuple[Exchange, ...], baud: int) -> None:
    with open_port(port, baud=baud, timeout_s=_SILENCE_S) as device:
        for number, exchange in enumerate(exchanges, start=1):
            device.reset_input_buffer()
            device.write(exchange.request)
            answer = b""
            deadline_s = time.monotonic() + _ANSWER_S
            while time.monotonic() < deadline_s and len(answer) < _MAX_FRAME_BYTES:
                piece = device.read(_MAX_FRAME_BYTES)
                if answer and not piece:
                    break
                answer += piece
            if not exchange.admits(answer):
                wanted = " ".join(exchange.wanted) or "-"
                raise BenchError(
                    Fault.TRACE_DIFFERS, number=number, got=answer.hex(" ") or "-", wanted=wanted
                )
