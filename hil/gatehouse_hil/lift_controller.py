"""A lift controller that pushes its state over a serial link and must never hear a byte."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Final

from gatehouse_hil.pty_pair import PtyPair
from gatehouse_wire import lift_push

TRAPPED_OFF_LEVEL: Final = "1"
TRAPPED_LEVEL: Final = "2"
"""Codes of the dialect `elevatorcloud_ws` (domain notes, lift_fault_codes.json)."""


class LiftController:
    """One controller. An async context manager; change `info` through `set`."""

    def __init__(self, wire: PtyPair, *, push_every_s: float = 1.0) -> None:
        self.info: dict[str, object] = {
            "direction": 0, "inposition": 1, "floor": 1, "door": 1, "haspeople": 0, "reparing": 0, "inmaintenance": 0,
            "fault": [],
        }  # fmt: skip
        self._wire: Final = wire
        self._push_every_s: Final = push_every_s
        self._running: list[asyncio.Task[None]] = []
        self._tasks: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> LiftController:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._running = [
            self._tasks.create_task(self._push_on(), name="push"),
            self._tasks.create_task(self._listen(), name="listen for what must not come"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._running:
            task.cancel()
        if self._tasks is not None:
            # A task group wraps what it is told of; a test's own failure should come out as it is.
            is_ours = kind is asyncio.CancelledError
            await self._tasks.__aexit__(*((kind, error, trace) if is_ours else (None, None, None)))

    @property
    def received_bytes(self) -> int:
        """Bytes that ever came back on the link; anything but 0 is a breach."""
        return self._wire.received_bytes

    def set(self, **changes: object) -> None:
        """Change fields of the state and push it at once."""
        self.info |= changes
        self.push()

    def trap(self, *, floor: int = 5, off_level: bool = False) -> None:
        """Report a trapped passenger at `floor`."""
        code = TRAPPED_OFF_LEVEL if off_level else TRAPPED_LEVEL
        self.set(direction=0, inposition=int(not off_level), floor=floor, door=1, haspeople=1, fault=[code])

    def release(self) -> None:
        """The door opens at a landing and the passenger leaves."""
        self.set(inposition=1, door=0, haspeople=0, fault=[])

    def push(self) -> None:
        """Send the state once."""
        self.say({"type": "info", **self.info})

    def say(self, message: object) -> None:
        """Send any message (`{"type": "need_login"}`), with the line end controllers add."""
        self._wire.send(lift_push.encode(json.dumps(message).encode()) + b"\r\n")

    async def _push_on(self) -> None:
        while True:
            self.push()
            await asyncio.sleep(self._push_every_s)

    async def _listen(self) -> None:
        while True:
            await self._wire.receive()  # the wire counts
