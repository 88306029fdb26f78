"""Play a captured wire trace to a node again: does it still answer as it did?

The file is a golden trace (`wire_trace`): turns of `host` are said, a turn of anybody else is the awaited answer, `??` in it
any byte. A turn of the host with no answer after it must stay unanswered. The same file runs on simulated and real nodes.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.raw_repl import open_port
from gatehouse_hil.wire_trace import TraceError, Turn, decode

HOST: Final = "host"
_MAX_FRAME_BYTES: Final = 512
_MAX_FILE_BYTES: Final = 4 << 20
_SILENCE_S: Final = 0.05
"""An answer has ended after this; longer than any pause inside a frame that a PTY or an adapter makes."""
_ANSWER_S: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and the turn that must follow; None: silence."""

    request: bytes
    answer: Turn | None

    def admits(self, heard: bytes) -> bool:
        """Whether `heard` is what the trace holds."""
        if self.answer is None:
            return not heard
        return self.answer.fits(Turn(at_s=0.0, talker=self.answer.talker, octets=tuple(heard)))


def load(path: Path) -> tuple[Exchange, ...]:
    """Return the exchanges of a trace file; at least one.

    Raises:
        BenchError: PLAN_UNREADABLE; PLAN_WRONG, no trace, or one in which the host says nothing.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(Fault.PLAN_UNREADABLE, path=path, why=str(error)) from error
    try:
        turns = decode(text)
    except TraceError as error:
        raise BenchError(Fault.PLAN_WRONG, where=path.name, why=str(error)) from error
    found: list[Exchange] = []
    for turn in turns:
        if turn.talker == HOST:
            if None in turn.octets:
                raise BenchError(Fault.PLAN_WRONG, where=path.name, why=f"{turn.at_s:.3f} host ??")
            found.append(Exchange(request=bytes(octet or 0 for octet in turn.octets), answer=None))
        elif found and found[-1].answer is None:
            found[-1] = Exchange(request=found[-1].request, answer=turn)
    if not found:
        raise BenchError(Fault.PLAN_WRONG, where=path.name, why="0 x host")
    return tuple(found)


async def replay(port: str, exchanges: tuple[Exchange, ...], *, baud: int) -> None:
    """Play the exchanges at `port` and compare every answer.

    Raises:
        BenchError: TRACE_DIFFERS at the first that is not so; PORT_BUSY, PORT_GONE.
    """
    await asyncio.to_thread(_replay, port, exchanges, baud)


def _replay(port: str, exchanges: tuple[Exchange, ...], baud: int) -> None:
    with open_port(port, baud=baud, timeout_s=_SILENCE_S) as device:
        for number, exchange in enumerate(exchanges, start=1):
            device.reset_input_buffer()
            device.write(exchange.request)
            heard = b""
            deadline_s = time.monotonic() + _ANSWER_S
            while time.monotonic() < deadline_s and len(heard) < _MAX_FRAME_BYTES:
                piece = device.read(_MAX_FRAME_BYTES)
                if heard and not piece:
                    break
                heard += piece
            if not exchange.admits(heard):
                wanted = exchange.answer.octets if exchange.answer else ()
                shown = " ".join("??" if octet is None else f"{octet:02x}" for octet in wanted)
                raise BenchError(
                    Fault.TRACE_DIFFERS, number=number, got=heard.hex(" ") or "-", wanted=shown or "-"
                )
