"""Sends what lies after the fleet's cursor: the alarm lane first, telemetry only while no alarm waits.

Where to go on is the older of two memories, the fleet's and our own: entries sent twice cost a little, and the fleet sees at
once when it was told otherwise before (a disk put back from a copy). Where history and fleet cannot agree any more the journal
begins a new epoch, and everything is still sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from msgspec import structs

from gatehouse_edge.clock import Clock
from gatehouse_edge.ledger import LedgerError
from gatehouse_edge.threads import in_thread
from gatehouse_edge.uplink.backoff import Backoff
from gatehouse_edge.uplink.errors import AnswerError, RefusedError, UplinkError
from gatehouse_edge.uplink.link import Link
from gatehouse_events.chain import Lane, Position
from gatehouse_events.fleet_api import Cursor
from gatehouse_events.replication import Accepted, Answer, Doubt, Gap, ReplicationBatch, Unverified
from gatehouse_journal import JournalError, Reader
from gatehouse_journal.outgoing import BATCH_ENTRIES, Outgoing

CURSOR_NAME: Final = "fleet"
"""Our own memory of what the fleet has, in the journal's side table."""
EPOCH_PAUSE_S: Final = 600.0
"""Least time between two new epochs that the fleet's doubts lead to: a fault over there must not shred our history."""
TELEMETRY_BYTES: Final = 256 * 1024
"""Small batches, so that an alarm that comes meanwhile shares a thin line for moments only."""
_QUIET_S: Final = 10.0
"""Look again after this even if nobody rang."""
_AGREE_EVERY_S: Final = 300.0
"""A fleet that was put back from a backup without an outage that we saw is found out within this."""
_LONGEST_PAUSE_S: Final = {Lane.ALARM: 20.0, Lane.TELEMETRY: 60.0}
_REFUSED_FOR_GOOD: Final = 3
_STUCK_AFTER: Final = 5
"""Answers in a row that bring nothing forward until something is done about it."""

_log = logging.getLogger(__name__)


class JournalPort(Protocol):
    """What the replicator needs of the ledger."""

    @property
    def version(self) -> int:
        """Count publications."""
        ...

    async def changed(self, seen: int) -> int:
        """Return the version once it is no longer `seen`."""
        ...

    def head(self, lane: Lane) -> Position:
        """Return the last entry of a lane, as committed."""
        ...

    async def new_epoch(self, reason: str, *, floor: Mapping[Lane, int]) -> None:
        """Begin a new life of the journal."""
        ...


class FleetPort(Protocol):
    """What the replicator needs of the fleet."""

    async def cursor(self, lane: Lane) -> Cursor:
        """Return where the fleet stands."""
        ...

    async def post(self, batch: ReplicationBatch) -> Answer:
        """Send a batch."""
        ...


class _LaneWork:
    """Where one lane stands."""

    def __init__(self, reader: Reader, gateway_id: str) -> None:
        self.reader: Final = reader
        self.outgoing: Final = Outgoing(reader, gateway_id)
        self.position = 0
        """Everything up to here is at the fleet."""
        self.limit = BATCH_ENTRIES
        self.refusals = 0
        self.standstills = 0
        self.cannot_fill = False
        """The fleet wants what follows `position`, and what we have sent is all there is."""


class Replicator:
    """One task per lane; both agree with the fleet on where to begin, and again after each failure."""

    def __init__(
        self,
        fleet: FleetPort,
        journal: JournalPort,
        directory: Path,
        gateway_id: str,
        *,
        link: Link,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.is_key_doubted = asyncio.Event()
        """The fleet does not know a key that signed our journal: it has to be told of it."""
        self._fleet: Final = fleet
        self._journal: Final = journal
        self._directory: Final = directory
        self._gateway_id: Final = gateway_id
        self._link: Final = link
        self._clock: Final = clock
        self._rng: Final = rng
        self._works: Final[dict[Lane, _LaneWork]] = {}
        self._agreeing: Final = asyncio.Lock()
        self._is_agreed = False
        self._agreed_s = float("-inf")
        self._outages = 0
        self._epoch_s = float("-inf")
        self._has_quiet_alarms: Final = asyncio.Event()

    def position(self, lane: Lane) -> int:
        """Return the last entry of `lane` that the fleet has, as far as we know."""
        work = self._works.get(lane)
        return 0 if work is None else work.position

    @property
    def is_quiet(self) -> bool:
        """No alarm entry waits."""
        return self._has_quiet_alarms.is_set()

    async def wait_quiet(self) -> None:
        """Return when no alarm entry waits: whatever is less urgent goes then."""
        await self._has_quiet_alarms.wait()

    async def run(self) -> None:
        """Send until cancelled."""
        with contextlib.ExitStack() as stack:
            for lane in Lane:
                reader = stack.enter_context(Reader.open(self._directory))
                self._works[lane] = _LaneWork(reader, self._gateway_id)
            async with asyncio.TaskGroup() as tasks:
                for lane in Lane:
                    tasks.create_task(self._run_lane(lane), name=f"uplink {lane}")

    async def _run_lane(self, lane: Lane) -> None:
        backoff = Backoff(rng=self._rng, most_s=_LONGEST_PAUSE_S[lane])
        while True:
            try:
                await self._agree()
                while self._is_agreed:
                    await self._step(lane)
                    backoff.reset()
            except UplinkError as error:
                if not isinstance(error, RefusedError) or not error.is_of_content:
                    self._is_agreed = False
                self._link.failed(error)
                retry_s = error.retry_after_s if isinstance(error, RefusedError) else None
                await self._link.rest(backoff.next_s(at_least_s=retry_s or 0.0))
            except (JournalError, LedgerError) as error:
                _log.warning("uplink waits for the journal: %s", error)
                await asyncio.sleep(backoff.next_s(at_least_s=1.0))

    async def _step(self, lane: Lane) -> None:
        """Send one batch, or wait for something to send."""
        work = self._works[lane]
        if lane is Lane.TELEMETRY:
            await self._has_quiet_alarms.wait()
        version = self._journal.version
        batch = await self._next(lane)
        if batch is None:
            await self._idle(lane, version)
            return
        if lane is Lane.ALARM:
            self._has_quiet_alarms.clear()
            self._link.alarms_wait()
        try:
            answer = await self._fleet.post(batch)
        except RefusedError as error:
            if error.is_of_content and self._yields(work, batch, error):
                return
            raise
        self._link.answered()
        before = work.position
        await self._take(lane, batch, answer)
        await in_thread(work.reader.set_cursor, CURSOR_NAME, work.position, lane)
        work.limit, work.refusals = min(BATCH_ENTRIES, work.limit * 2), 0
        self._judge_progress(work, before, answer)

    async def _next(self, lane: Lane) -> ReplicationBatch | None:
        work = self._works[lane]
        size = {"max_bytes": TELEMETRY_BYTES} if lane is Lane.TELEMETRY else {}
        batch = await in_thread(
            lambda: work.outgoing.batch(lane, work.position, max_entries=work.limit, **size)
        )
        if batch is None or not work.cannot_fill:
            return batch
        return structs.replace(batch, cannot_fill=True)

    async def _idle(self, lane: Lane, version: int) -> None:
        """Wait for the next commit. Numbers that were left out on purpose (a new epoch) are no backlog."""
        if lane is Lane.ALARM:
            self._has_quiet_alarms.set()
            self._link.alarms_moved()
            self._link.queued_alarm = 0
        else:
            self._link.queued_telemetry = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_QUIET_S):
                await self._journal.changed(version)
        is_old = self._clock.now().service_s - self._agreed_s > _AGREE_EVERY_S
        if self._link.outages != self._outages or is_old:
            self._is_agreed = False

    async def count(self) -> None:
        """Note how much waits, for the console."""
        for lane, work in self._works.items():
            queued = await asyncio.to_thread(self._count, lane, work.position)
            if lane is Lane.ALARM:
                self._link.queued_alarm = queued
            else:
                self._link.queued_telemetry = queued

    def _count(self, lane: Lane, after: int) -> int:
        with Reader.open(self._directory) as reader:
            return Outgoing(reader, self._gateway_id).count_after(lane, after)

    # --- where to begin

    async def _agree(self) -> None:
        """Ask the fleet where it stands, once after each failure, for both lanes together."""
        async with self._agreeing:
            if self._is_agreed:
                return
            self._outages, self._agreed_s = self._link.outages, self._clock.now().service_s
            cursors = {lane: await self._fleet.cursor(lane) for lane in Lane}
            self._link.answered()
            own = {lane: await self._own(lane) for lane in Lane}
            is_known = {lane: await self._knows(cursors[lane].epoch) for lane in Lane}
            ahead = [
                lane
                for lane, cursor in cursors.items()
                if is_known[lane] and cursor.epoch and cursor.seq > self._journal.head(lane).seq
            ]
            foreign = [lane for lane in Lane if not is_known[lane] and own[lane] > 0]
            if ahead or foreign:
                floor = {lane: cursor.seq for lane, cursor in cursors.items() if cursor.epoch}
                await self._begin_epoch(
                    "the fleet has more than this disk: it was put back from a copy", floor
                )
            for lane, cursor in cursors.items():
                self._works[lane].position = _start(cursor, own[lane], is_known=is_known[lane])
                self._works[lane].cannot_fill = False
            self._is_agreed = True

    async def _own(self, lane: Lane) -> int:
        return await in_thread(self._works[lane].reader.cursor, CURSOR_NAME, lane)

    async def _knows(self, epoch: str) -> bool:
        if not epoch:
            return True
        return await in_thread(self._works[Lane.ALARM].outgoing.knows, epoch)

    # --- answers

    async def _take(self, lane: Lane, batch: ReplicationBatch, answer: Answer) -> None:
        work = self._works[lane]
        if answer.lane is not lane:
            raise AnswerError("the answer is about another lane")
        is_asked_again = False
        last = batch.entries[-1].seq
        match answer:
            case Accepted():
                work.position = _advanced(batch, answer.epoch, answer.cursor)
            case Gap():
                if work.standstills >= _STUCK_AFTER:
                    await self._doubted("the fleet wants entries that are gone", batch.epoch)
                wanted = min(answer.wanted, last)
                is_asked_again, work.position = wanted == work.position, wanted
            case Unverified():
                work.position = _advanced(batch, answer.epoch, answer.cursor)
                if answer.doubt is Doubt.SIGNATURE:
                    self.is_key_doubted.set()
                await self._doubted(f"the fleet does not believe this history: {answer.doubt}", batch.epoch)
        work.cannot_fill = is_asked_again

    async def _doubted(self, why: str, epoch: str) -> None:
        """Begin a new epoch, unless the doubt is about one that is over, or one has just begun."""
        now_s = self._clock.now().service_s
        if epoch != self._journal.head(Lane.ALARM).epoch or now_s - self._epoch_s < EPOCH_PAUSE_S:
            return
        await self._begin_epoch(why, {})

    async def _begin_epoch(self, why: str, floor: Mapping[Lane, int]) -> None:
        self._epoch_s = self._clock.now().service_s
        await self._journal.new_epoch(why, floor=floor)

    def _judge_progress(self, work: _LaneWork, before: int, answer: Answer) -> None:
        """Answers that bring nothing forward become a failure with its pause, never a busy loop.

        Raises:
            AnswerError: it stood still again.
        """
        if work.position > before:
            work.standstills = 0
            if answer.lane is Lane.ALARM:
                self._link.alarms_moved()
            return
        work.standstills += 1
        # The first repeat is meant: it says that we cannot fill the gap.
        if work.standstills > 1:
            raise AnswerError(f"{type(answer).__name__} at {work.position}: nothing goes forward")

    def _yields(self, work: _LaneWork, batch: ReplicationBatch, error: RefusedError) -> bool:
        """A batch that is refused for what it holds is sent in smaller pieces; one entry alone is stepped over at last.

        The fleet sees the gap and stores what follows, unverified: one entry nobody can take must not stop all others.

        Returns:
            Whether to go on at once.
        """
        if len(batch.entries) > 1:
            work.limit = max(1, len(batch.entries) // 2)
            return True
        work.refusals += 1
        if work.refusals < _REFUSED_FOR_GOOD:
            return False
        _log.error("entry %d is refused for good and left out: %s", batch.entries[0].seq, error)
        work.position, work.refusals = batch.entries[0].seq, 0
        return True


def _start(cursor: Cursor, own: int, *, is_known: bool) -> int:
    """Return after which entry to go on.

    The fleet has nothing: from the beginning. It stands in a life we remember: the older of both memories. It stands in
    one we do not (a wiped disk): our own memory, for its numbers mean other entries.
    """
    if not cursor.epoch:
        return 0
    return min(own, cursor.seq) if is_known else own


def _advanced(batch: ReplicationBatch, epoch: str, cursor: int) -> int:
    """Return where we stand after an answer; never beyond what was sent, whatever it says."""
    last = batch.entries[-1].seq
    if epoch != batch.epoch:  # the fleet is in a later life: all of this one's batch is stored
        return last
    return min(cursor, last)
