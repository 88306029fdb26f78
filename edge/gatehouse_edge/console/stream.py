"""The live stream: one task looks at the desk after each commit and tells every open page what changed.

| event | id | data |
|---|---|---|
| snapshot | position | everything: alarms, devices, valves, beat |
| change | position | alarms that are new or another revision, ids of those that ended, valves |
| devices | - | devices whose last data or state changed, at most once a second |
| beat | - | the gateway's time, each second; a page without one for 4 s calls itself stale |
| bye | - | the session has ended |

The position is `epoch.alarm.telemetry`, heads of the journal's lanes taken *before* the desk was looked at, so what an
event holds is never older than its id. A page that comes back with `Last-Event-ID` gets what it missed if that is still
remembered, else a snapshot; so does one whose queue ran full. While the disk refuses entries events carry no id.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_config.devices import Resident
from gatehouse_edge.clock import Clock
from gatehouse_edge.console import views
from gatehouse_edge.console.port import DeskPort
from gatehouse_edge.console.views import Row, Viewpoint
from gatehouse_edge.ledger import DeviceView
from gatehouse_edge.uplink.link import LinkView
from gatehouse_journal import JournalError

_log = logging.getLogger(__name__)

MAX_CLIENTS: Final = 64
QUEUE: Final = 256
"""Events one page may lag; then it gets a snapshot instead."""
REMEMBERED: Final = 512
"""Changes kept for pages that come back."""
BEAT_S: Final = 1.0
RETRY_MS: Final = 1000
"""How long a browser waits before it connects again."""


class Position(Struct, frozen=True):
    """Where a reader of both lanes stands."""

    epoch: str
    alarm: int
    telemetry: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.alarm}.{self.telemetry}"

    @property
    def place(self) -> tuple[int, int]:
        """Earlier and later within one epoch."""
        return self.alarm, self.telemetry

    @classmethod
    def parse(cls, text: str | None) -> Position | None:
        """Return the position a page names, None if it names none."""
        parts = (text or "").split(".")
        if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts[1:]):  # noqa: PLR2004
            return None
        return cls(parts[0], int(parts[1]), int(parts[2]))


class _Change(Struct, frozen=True):
    """One event in both forms: for those who may read residents' data, and for the others."""

    place: tuple[int, int]
    """Of its position."""
    has_id: bool
    """False: the disk refused entries, so pages that heard it do not stand behind it."""
    clear: bytes
    masked: bytes


class Client:
    """One open page."""

    def __init__(self, *, is_clear: bool, is_live: Callable[[], bool], is_desk: bool = False) -> None:
        self.is_clear: Final = is_clear
        self.is_desk: Final = is_desk
        """It stands at the desk, before a person who may take alarms."""
        self.is_live: Final = is_live
        """False once the session behind it has ended."""
        self.queue: Final[asyncio.Queue[bytes | None]] = asyncio.Queue(QUEUE)

    def offer(self, chunk: bytes) -> bool:
        """Queue a chunk; False: the page lags."""
        try:
            self.queue.put_nowait(chunk)
        except asyncio.QueueFull:
            return False
        return True

    def start_over(self, chunk: bytes | None) -> None:
        """Drop everything queued and send this instead; None ends the stream."""
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(chunk)


class Stream:
    """Owner of the open pages. `run` must be running for them to hear anything."""

    def __init__(
        self,
        desk: DeskPort,
        heads: Callable[[], Awaitable[Position]],
        clock: Clock,
        residents: Mapping[str, Resident],
        link: Callable[[], LinkView],
    ) -> None:
        self.resyncs = 0
        """Pages that lagged and got a snapshot."""
        self.build = ""
        """Names the pages handed out."""
        self.pushes = 0
        """Changes told."""
        self._desk: Final = desk
        self._heads: Final = heads
        self._clock: Final = clock
        self._link: Final = link
        self.residents = residents
        self._clients: Final[set[Client]] = set()
        self._remembered: Final[deque[_Change]] = deque(maxlen=REMEMBERED)
        self._at: Position | None = None
        self._complete_from = (0, 0)
        """A page that stands here or later can be told what it missed."""
        self._alarms: dict[str, int] = {}
        self._valves: dict[str, object] = {}
        self._devices: dict[str, object] = {}
        self._is_closed = False

    @property
    def clients(self) -> int:
        """How many pages are open."""
        return len(self._clients)

    @property
    def screens(self) -> int:
        """How many of them stand at the desk."""
        return sum(client.is_desk for client in self._clients)

    @property
    def position(self) -> str:
        """The latest position told."""
        return "" if self._at is None else str(self._at)

    def viewpoint(self) -> Viewpoint:
        """Return the view under the configuration in force."""
        return Viewpoint(self._desk.plan, self.residents)

    def snapshot(self, *, is_clear: bool) -> Row:
        """Return everything a page shows."""
        view = self.viewpoint()
        return {
            "position": self.position,
            "alarms": [view.alarm(alarm, is_clear=is_clear) for alarm in self._desk.alarms()],
            "devices": [view.device(device, is_clear=is_clear) for device in self._desk.devices()],
            "valves": [views.valve(name, valve) for name, valve in self._desk.valves().items()],
            "beat": self._beat(),
        }

    async def run(self) -> None:
        """Tell changes and beats until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell_changes(), name="console changes")
            tasks.create_task(self._tell_beats(), name="console beats")

    def close(self) -> None:
        """End every stream: the gateway is stopping."""
        self._is_closed = True
        for client in self._clients:
            client.start_over(None)

    async def follow(self, client: Client, last_event_id: str | None) -> AsyncIterator[bytes]:
        """Yield the stream of one page, first what it missed."""
        if self._is_closed:
            return
        self._clients.add(client)
        try:
            yield b"retry: %d\n\n" % RETRY_MS
            for chunk in self._missed(client, last_event_id):
                yield chunk
            while (queued := await client.queue.get()) is not None:
                yield queued
        finally:
            self._clients.discard(client)

    async def _tell_changes(self) -> None:
        seen = -1
        while True:
            seen = await self._desk.changed(seen)
            try:
                position = await self._heads()
            except (JournalError, sqlite3.Error) as error:
                # An alarm is shown without the journal's leave; a page that comes back is told it again.
                _log.warning("the journal's heads cannot be read: %s", error)
                if self._at is None:
                    raise
                position = self._at
            self._tell(position)

    async def _tell_beats(self) -> None:
        while True:
            self._tell_devices()
            chunk = _event("beat", self._beat())
            for client in list(self._clients):
                if not client.is_live():
                    client.start_over(_event("bye", {}))
                    client.queue.put_nowait(None)
                else:
                    self._offer(client, chunk)
            await asyncio.sleep(BEAT_S)

    def _tell(self, position: Position) -> None:
        alarms = self._desk.alarms()
        known = self._alarms
        self._alarms = {alarm.alarm_id: alarm.seq for alarm in alarms}
        changed = [alarm for alarm in alarms if known.get(alarm.alarm_id) != alarm.seq]
        gone = sorted(known.keys() - self._alarms.keys())
        valves = dict(self._desk.valves())
        has_id = position != self._at and not self._desk.is_storage_failing
        if self._at is None or position.epoch != self._at.epoch:
            self._remembered.clear()
            self._complete_from = position.place
        self._at = position
        has_valves = valves != self._valves
        self._valves = dict(valves)
        if not (changed or gone or has_valves):
            return
        view = self.viewpoint()
        forms = [
            _event(
                "change",
                {
                    "alarms": [view.alarm(alarm, is_clear=is_clear) for alarm in changed],
                    "gone": gone,
                    "valves": [views.valve(name, valve) for name, valve in valves.items()],
                },
                str(position) if has_id else None,
            )
            for is_clear in (True, False)
        ]
        change = _Change(position.place, has_id, forms[0], forms[1])
        if len(self._remembered) == REMEMBERED:
            oldest = self._remembered[0]
            self._complete_from = oldest.place if oldest.has_id else (oldest.place[0] + 1, 0)
        self._remembered.append(change)
        self.pushes += 1
        for client in list(self._clients):
            self._offer(client, change.clear if client.is_clear else change.masked)

    def _tell_devices(self) -> None:
        if not self._clients:
            self._devices = {}
            return
        views_ = {view.device_id: view for view in self._desk.devices()}
        marks = {name: _mark(view) for name, view in views_.items()}
        changed = [views_[name] for name, mark in marks.items() if self._devices.get(name) != mark]
        gone = sorted(self._devices.keys() - marks.keys())
        self._devices = dict(marks)
        if not (changed or gone):
            return
        view = self.viewpoint()
        forms = {
            is_clear: _event(
                "devices",
                {"devices": [view.device(device, is_clear=is_clear) for device in changed], "gone": gone},
            )
            for is_clear in {client.is_clear for client in self._clients}
        }
        for client in list(self._clients):
            self._offer(client, forms[client.is_clear])

    def _missed(self, client: Client, last_event_id: str | None) -> list[bytes]:
        """Return what a page that knows `last_event_id` has to hear; a snapshot if that is not known any more."""
        last, now = Position.parse(last_event_id), self._at
        is_known = last is not None and now is not None and last.epoch == now.epoch
        if last is None or not is_known or last.place < self._complete_from:
            return [self._snapshot_event(client)]
        missed = [
            change
            for change in self._remembered
            if change.place > last.place or (change.place == last.place and not change.has_id)
        ]
        view = self.viewpoint()
        devices = [view.device(device, is_clear=client.is_clear) for device in self._desk.devices()]
        chunks = [change.clear if client.is_clear else change.masked for change in missed]
        return [*chunks, _event("devices", {"devices": devices, "gone": []}), _event("beat", self._beat())]

    def _offer(self, client: Client, chunk: bytes) -> None:
        if not client.offer(chunk):
            self.resyncs += 1
            client.start_over(self._snapshot_event(client))

    def _snapshot_event(self, client: Client) -> bytes:
        position = None if self._desk.is_storage_failing else self.position
        return _event("snapshot", self.snapshot(is_clear=client.is_clear), position)

    def _beat(self) -> Row:
        now = self._clock.now()
        beat = views.beat(now, is_storage_failing=self._desk.is_storage_failing, link=self._link())
        return {**beat, "build": self.build}


def _event(name: str, data: Row, event_id: str | None = None) -> bytes:
    head = f"event: {name}\n" + (f"id: {event_id}\n" if event_id else "")
    return head.encode("ascii") + b"data: " + msgspec.json.encode(data) + b"\n\n"


def _mark(view: DeviceView) -> object:
    last_s = None if view.last is None else view.last.at.service_s
    return last_s, view.codes, view.silence is not None, view.inhibition, view.place
