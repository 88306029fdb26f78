"""The processor of a simulated node: one Node.js process with the MicroPython VM in it, from a start to its end.

Orders and events are JSON lines over a socket. The process ends itself by SIGKILL after a last word that says why; one that
ends without a last word has crashed, or was killed by us.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gatehouse_hil.simnode import vm

_EVENT_BYTES: Final = 1 << 20
"""Longest event the process may tell: a GATT table is some hundred bytes."""

Event = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWord:
    """Why a processor ended. `reason`: "reset", "deepsleep", "watchdog", "power_cut", or "crash" (also without a word)."""

    reason: str = "crash"
    cut_left: int = 0
    """Flash writes left until an ordered power cut; 0: none is ordered any more."""
    sleep_ms: int = 0
    """Deep sleep's timer; 0: none."""
    wake_levels: Mapping[str, int] = field(default_factory=dict)
    """Pins ("pin9") whose level ends the deep sleep."""


class Processor:
    """Runs one process at a time."""

    def __init__(self, take: Callable[[Event], Awaitable[None]]) -> None:
        """`take` gets every event, in order, while the process runs."""
        self._take = take
        self._process: Process | None = None
        self._control: socket.socket | None = None

    async def run(self, config: Mapping[str, Any], *, console_fd: int, uart_fd: int) -> LastWord:
        """Start the VM and return once it has ended. `config` is what `vm/board.mjs` reads; the sockets become its ports."""
        ours, theirs = socket.socketpair()
        # Orders given while the process is being made wait in the socket.
        self._control = ours
        said = dict(config) | {"console": console_fd, "uart": uart_fd, "control": theirs.fileno()}
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    "node", str(vm.HOME / "main.mjs"), json.dumps(said),
                    stdin=DEVNULL, stdout=DEVNULL, pass_fds=(console_fd, uart_fd, theirs.fileno()),
                    start_new_session=True,  # Ctrl-C in a terminal is for the program, not for its nodes
                )  # fmt: skip
            return await self._follow(ours)
        finally:
            self._control = None
            self.kill()
            if self._process is not None:
                await self._process.wait()
            self._process = None
            ours.close()

    def order(self, order: Event) -> None:
        """Tell the process something; nobody hears it when none runs."""
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(json.dumps(order).encode() + b"\n")

    def kill(self) -> None:
        """End the process at this instant. Twice does nothing."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                # Not Process.kill: it may reap the process behind the back of asyncio's child watcher.
                os.kill(self._process.pid, signal.SIGKILL)

    async def _follow(self, control: socket.socket) -> LastWord:
        """Pass on what the process tells until it ends; return its last word."""
        reader, writer = await asyncio.open_connection(sock=control.dup(), limit=_EVENT_BYTES)
        last = LastWord()
        try:
            while line := await reader.readline():
                event: Event = json.loads(line)
                if event["kind"] == "ended":
                    last = _last_word(event)
                else:
                    await self._take(event)
        except (ConnectionError, ValueError):  # killed in the middle of a word
            pass
        finally:
            writer.close()
        return last


def _last_word(event: Event) -> LastWord:
    levels = json.loads(event.get("pins") or "[]")
    return LastWord(
        reason=event["reason"],
        cut_left=event["cut_left"],
        sleep_ms=event.get("ms") or 0,
        wake_levels={f"pin{number}": level for number, level in levels},
    )
