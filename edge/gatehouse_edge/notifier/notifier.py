"""Reads due steps of the ladder from the journal and brings them to people. Cannot lose one to a restart.

The cursor "notifier" stands before the oldest step that is not finished, so after a crash the unfinished ones are
sent again: at least once, with a key by which receivers drop doubles. (A text message has no key: it may come twice.)
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from gatehouse_edge.clock import Clock
from gatehouse_edge.notifier.channel import QUEUE_LIMIT, Channel, Counter, Delivery, Patience
from gatehouse_edge.notifier.contact import Directory, Via
from gatehouse_edge.notifier.message import Notification, compose
from gatehouse_edge.threads import in_thread
from gatehouse_events.chain import Entry, EntryKind, Lane
from gatehouse_events.escalation import Escalation
from gatehouse_journal import JournalError, Reader

CURSOR: Final = "notifier"
STALE_S: Final = 6 * 3600.0
"""An older step is history: it may turn up again when the cursor file was lost. Nobody is woken for yesterday."""
_BATCH: Final = 200
_POLL_S: Final = 5.0
"""Looks by itself this often, in case a wake-up was lost."""
_WINDOW: Final = 3 * QUEUE_LIMIT
"""Steps under way at once. The channels' own queues are full before, so a dead one never stops the reading."""
_CURSOR_STRIDE: Final = 500
"""With nothing due the cursor moves only every so many entries: each move is a write to flash."""
_log = logging.getLogger(__name__)


class Notifier:
    """One per gateway. `run` in a task; `wake` after each commit; `send` for a message outside the ladder (a trial)."""

    def __init__(  # noqa: PLR0913  # main wires it, once
        self,
        reader: Reader,
        *,
        clock: Clock,
        directory: Directory,
        channels: Sequence[Channel],
        estate: str,
        place: Callable[[str], str],
        report: Callable[[bool, str], Awaitable[None]],
        patience: Patience = Patience(),  # noqa: B008  # frozen
        is_wanted: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Take the parts.

        Args:
            reader: of the journal; used by this notifier alone.
            clock: tells how old a step is.
            directory: who is who.
            channels: at most one per way.
            estate: name of the estate, first word of every message.
            place: device id -> its place in words (`message.place_text`).
            report: told (True, why) when a notification was given up, (False, "") when every channel that had failed
                has delivered again: the alarm `gateway.notifier_failed`.
            patience: pause and number of tries.
            is_wanted: alarm id -> whether anybody still has to be told; asked before every further try.
        """
        self._reader: Final = reader
        self._clock: Final = clock
        self._directory: Final = directory
        self._estate: Final = estate
        self._place: Final = place
        self._report: Final = report
        self._failing: dict[Via, str] = {}
        self._is_reported: bool | None = None
        """What was said last; None after a start, when an alarm of the last run may still stand."""
        self._wakened = asyncio.Event()
        self._done_steps: dict[int, int] = {}
        """Sequence -> deliveries still out."""
        self._read_to = 0
        self._cursor: int | None = None
        """As on disk; None: not read yet."""
        self._due_to = 0
        """The newest step taken."""
        self.recent: Final[deque[Delivery]] = deque(maxlen=100)
        """How the last notifications ended, newest last: for the console."""
        self._counters: Final[Mapping[Via, Counter]] = {
            channel.via: Counter(
                channel,
                patience=patience,
                is_wanted=lambda notification: is_wanted(notification.alarm_id),
            )
            for channel in channels
        }

    def wake(self) -> None:
        """Something was committed; look at the journal now."""
        self._wakened.set()

    async def send(self, notification: Notification) -> Delivery:
        """Return how one notification ended. Needs a running `run`. Takes as long as the channel's patience."""
        counter = self._counters.get(notification.contact.via)
        delivery = _undeliverable(notification) if counter is None else await counter.submit(notification)
        await self._note(delivery)
        return delivery

    async def run(self) -> None:
        """Read, send and retry until cancelled; one task per channel, so a dead one delays no other."""
        async with asyncio.TaskGroup() as tasks:
            for via, counter in self._counters.items():
                tasks.create_task(counter.run(), name=f"notifier-{via}")
            while True:
                self._wakened.clear()
                try:
                    is_more = await self._read(tasks)
                    await self._move_cursor()
                except (JournalError, sqlite3.Error) as error:  # a full disk refuses even the cursor
                    _log.warning("notifier and journal: %s", error)
                    is_more = False
                if not is_more:
                    await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(_POLL_S):
                await self._wakened.wait()
        except TimeoutError:
            return

    async def _read(self, tasks: asyncio.TaskGroup) -> bool:
        """Take what is new; return whether there may be more."""
        if self._cursor is None:
            self._cursor = self._read_to = await in_thread(self._reader.cursor, CURSOR)
        room = _WINDOW - len(self._done_steps)
        if room <= 0:
            return False
        entries = await in_thread(self._reader.read, Lane.ALARM, self._read_to, _BATCH)
        due = [entry for entry in entries if entry.kind == EntryKind.ESCALATION and entry.body is not None][
            :room
        ]
        if due:
            moments = await in_thread(self._reader.corrected, due)
            for entry, at in zip(due, moments, strict=True):
                self._take(entry, at, tasks)
        if entries:
            is_whole = len(due) < room
            self._read_to = entries[-1].seq if is_whole else due[-1].seq
        return bool(entries)

    def _take(self, entry: Entry, at: datetime, tasks: asyncio.TaskGroup) -> None:
        try:
            escalation = msgspec.json.decode(entry.body or b"", type=Escalation)
        except msgspec.MsgspecError:
            _log.error("journal entry %d is no escalation this version knows", entry.seq)
            return
        if self._age_s(entry, at) > STALE_S:
            _log.warning(
                "step %d of alarm %s is too old to wake anybody", escalation.step, escalation.alarm_id
            )
            return
        people = self._directory.resolve(escalation.notify, escalation.device_id)
        place = self._place(escalation.device_id) if people else ""
        for contact in people:
            notification = compose(
                escalation, contact, at=at, estate=self._estate, place=place, directory=self._directory
            )
            self._done_steps[entry.seq] = self._done_steps.get(entry.seq, 0) + 1
            self._due_to = entry.seq
            tasks.create_task(self._see_through(entry.seq, notification), name=f"notify-{notification.key}")

    async def _see_through(self, seq: int, notification: Notification) -> None:
        await self.send(notification)
        self._done_steps[seq] -= 1
        if not self._done_steps[seq]:
            del self._done_steps[seq]
            self._wakened.set()  # the reading task moves the cursor: one owner of the reader

    async def _move_cursor(self) -> None:
        if self._cursor is None:
            return
        target = min(self._done_steps, default=self._read_to + 1) - 1
        is_quiet = (
            not self._done_steps and target - self._cursor < _CURSOR_STRIDE and self._cursor >= self._due_to
        )
        if target <= self._cursor or is_quiet:
            return
        await in_thread(self._reader.set_cursor, CURSOR, target)
        self._cursor = target

    def _age_s(self, entry: Entry, at: datetime) -> float:
        now = self._clock.now()
        if entry.boot == now.boot:
            return (now.mono_ns - entry.mono_ns) / 1e9
        return (now.wall - at).total_seconds()

    async def _note(self, delivery: Delivery) -> None:
        self.recent.append(delivery)
        via = delivery.notification.contact.via
        if delivery.is_delivered:
            self._failing.pop(via, None)
            if not self._failing and self._is_reported is not False:
                self._is_reported = False
                await self._report(False, "")
        elif not delivery.is_withdrawn:
            self._failing[via] = delivery.reason
            self._is_reported = True
            await self._report(True, f"{via} {delivery.notification.contact.id}: {delivery.reason}")


def _undeliverable(notification: Notification) -> Delivery:
    return Delivery(
        notification=notification,
        is_delivered=False,
        tries=0,
        reason=f"no {notification.contact.via} is configured",
    )
