"""Our lift node as it behaves on the wire: live status, an event ring in flash, repeats until acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from gatehouse_hil.pty_pair import PtyPair
from gatehouse_wire import lift_link
from gatehouse_wire.cobs import Deframer
from gatehouse_wire.errors import WireError

RING_SIZE: Final = 32


class LiftNode:
    """One node at the device's end of a cable. An async context manager; entering is powering on.

    `state` is what its sensors say now: change it with `set`. What must survive a power cut lies in `ring_file`: boot count, next
    ring sequence, events not yet acknowledged.
    """

    def __init__(
        self,
        wire: PtyPair,
        *,
        node_id: int,
        key: bytes,
        ring_file: Path,
        key_id: int = 1,
        status_every_s: float = 0.5,
        repeat_every_s: float = 0.25,
    ) -> None:
        self.state = lift_link.State(
            car=lift_link.CAR_STOPPED, door_zone=True, door_closed=True, passenger=False, alarm_button=False,
            mode=lift_link.MODE_NORMAL, speed_mm_s=0, floor="1",
        )  # fmt: skip
        self.flags = 0
        self.sent: deque[bytes] = deque(maxlen=256)
        """The latest frames as they went out: what somebody on the wire could have recorded."""
        self.acknowledged: list[int] = []
        """Every ring sequence the gateway acknowledged, in order."""
        self.challenges = 0
        self._wire: Final = wire
        self._node_id: Final = node_id
        self._key_id, self._key = key_id, key
        self._former: tuple[int, bytes] | None = None
        self._ring_file: Final = ring_file
        self._status_every_s: Final = status_every_s
        self._repeat_every_s: Final = repeat_every_s
        self._boot = 0
        self._seq = 0
        self._flash: dict[str, Any] = {"boot": 0, "next": 1, "events": []}
        self._running: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._wake = asyncio.Event()

    async def __aenter__(self) -> LiftNode:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self.power_on()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.power_off()
        if self._tasks is not None:
            # A task group wraps what it is told of; a test's own failure should come out as it is.
            is_ours = kind is asyncio.CancelledError
            await self._tasks.__aexit__(*((kind, error, trace) if is_ours else (None, None, None)))

    @property
    def unacknowledged(self) -> list[int]:
        """Ring sequences still in flash."""
        return [event["seq"] for event in self._flash["events"]]

    def power_on(self) -> None:
        """Boot: count it in flash, say HELLO. Twice does nothing."""
        if self._running is not None or self._tasks is None:
            return
        if self._ring_file.exists():
            self._flash = json.loads(self._ring_file.read_text(encoding="ascii"))
        self._flash["boot"] += 1
        self._save()
        self._boot, self._seq = self._flash["boot"], 0
        self._running = self._tasks.create_task(self._live(), name=f"lift node {self._node_id}")

    def power_off(self) -> None:
        """Cut the power at this instant; only the flash remains."""
        if self._running is not None:
            self._running.cancel()
            self._running = None

    def set(self, **changes: object) -> None:
        """Change what the sensors say (fields of `lift_link.State`); a change is an event."""
        self.state = lift_link.State(**(self.state.__dict__ | changes))
        self._record(lift_link.CAUSE_STATE)

    def press_alarm_button(self) -> None:
        """The passenger presses and lets go between two status frames."""
        self._record(lift_link.CAUSE_ALARM_BUTTON, alarm_button=True)

    def tamper(self) -> None:
        """Somebody opens the node's lid."""
        self._record(lift_link.CAUSE_TAMPER)

    async def trap(self, *, floor: int = 7, off_level: bool = True) -> None:
        """Let the car run with a passenger and then stand with its door shut, between floors unless `off_level` is False."""
        self.set(car=lift_link.CAR_RUNNING, direction=lift_link.DIRECTION_UP, passenger=True, door_closed=True,
                 door_zone=False, speed_mm_s=1500, floor=str(floor - 1))  # fmt: skip
        await asyncio.sleep(self._status_every_s)
        self.set(car=lift_link.CAR_STOPPED, direction=lift_link.DIRECTION_NONE, speed_mm_s=0, door_zone=not off_level,
                 floor=str(floor))  # fmt: skip

    async def release(self, door_open_s: float = 8.0) -> None:
        """Bring the car to a landing, open the door, let the passenger out, close it.

        Rescuers hold the door: less than 5 s of an open door at a landing frees nobody (docs/rules.md, `lift.trapped`).
        """
        self.set(door_zone=True, door_closed=False)
        await asyncio.sleep(self._status_every_s)
        self.set(passenger=False)
        await asyncio.sleep(door_open_s)
        self.set(door_closed=True)

    def use_key(self, key_id: int, key: bytes) -> None:
        """Change over to another key; what the gateway seals with the former one is still understood."""
        self._former = (self._key_id, self._key)
        self._key_id, self._key = key_id, key

    def _record(self, cause: int, **changes: object) -> None:
        state = lift_link.State(**(self.state.__dict__ | changes))
        event = {"seq": self._flash["next"], "boot": self._boot, "cause": cause, "state": state.__dict__}
        self._flash["next"] += 1
        self._flash["events"].append(event)
        if len(self._flash["events"]) > RING_SIZE:
            del self._flash["events"][0]
            self.flags |= lift_link.EVENTS_LOST
        self._save()
        self._wake.set()

    def _save(self) -> None:
        """Write the flash so that a cut at any instant leaves the old or the new content."""
        fresh = self._ring_file.with_suffix(".new")
        with fresh.open("w", encoding="ascii") as sink:
            json.dump(self._flash, sink)
            sink.flush()
            os.fsync(sink.fileno())
        fresh.replace(self._ring_file)

    async def _live(self) -> None:
        self._hello(lift_link.NO_NONCE)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="listen")
            tasks.create_task(self._repeat(), name="repeat events")
            while True:
                self._send(lift_link.Status(self._header(), self.state))
                await asyncio.sleep(self._status_every_s)

    async def _repeat(self) -> None:
        """Send the oldest events, at once when there is a new one, else at the repeat rate."""
        while True:
            self._wake.clear()
            for event in self._flash["events"][:4]:
                self._send(
                    lift_link.Event(
                        self._header(), lift_link.State(**event["state"]), ring_seq=event["seq"],
                        cause=event["cause"], event_boot=event["boot"], uptime_ms=self._seq * 100,
                    )
                )  # fmt: skip
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._repeat_every_s):
                    await self._wake.wait()

    async def _listen(self) -> None:
        deframer = Deframer(lift_link.MAX_STUFFED)
        while True:
            for frame in deframer.feed(await self._wire.receive()):
                with contextlib.suppress(WireError):
                    self._obey(lift_link.decode(frame, self._mac_for))

    def _obey(self, message: object) -> None:
        if isinstance(message, lift_link.Challenge):
            self.challenges += 1
            self._hello(message.nonce)
            self._wake.set()
        elif isinstance(message, lift_link.Ack):
            oldest, newest = self._ends()
            if lift_link.is_answer(
                message, boot=self._boot, seq=self._seq, ring_oldest=oldest, ring_newest=newest
            ):
                self.acknowledged.append(message.ring_seq)
                left = [event for event in self._flash["events"] if event["seq"] > message.ring_seq]
                self._flash["events"] = left
                self._save()

    def _ends(self) -> tuple[int, int]:
        newest = self._flash["next"] - 1
        events = self._flash["events"]
        return (events[0]["seq"] if events else newest + 1), newest

    def _hello(self, nonce: bytes) -> None:
        oldest, newest = self._ends()
        self._send(
            lift_link.Hello(
                self._header(), ring_oldest=oldest, ring_newest=newest, firmware=(1, 0, 0), nonce=nonce
            )
        )

    def _header(self) -> lift_link.Header:
        self._seq += 1
        return lift_link.Header(
            node_id=self._node_id, key_id=self._key_id, boot=self._boot, seq=self._seq, flags=self.flags
        )

    def _send(self, message: lift_link.Hello | lift_link.Status | lift_link.Event) -> None:
        octets = lift_link.encode(message, lambda body: hmac.digest(self._key, body, "sha256"))
        self.sent.append(octets)
        self._wire.send(octets)

    def _mac_for(self, node_id: int, key_id: int) -> Any:  # noqa: ANN401  # a function or nothing, as the wire wants it
        for known_id, key in ((self._key_id, self._key), self._former or (-1, b"")):
            if node_id == self._node_id and key_id == known_id:
                return lambda body, key=key: hmac.digest(key, body, "sha256")
        return None
