"""Delivers every gateway's alarms to one target: in order for each gateway, all gateways beside each other.

    wake -> which gateways have news -> read the next entries -> render -> send -> receipt -> commit with the cursor

- What is committed is what the platform has acknowledged (or what stands aside, parked, where people see it). A crash in
  between sends the same event again under the same id.
- Unreachable: the whole target waits, then one way is opened anew. Answered with a failure: that gateway waits, others go on.
- Refused for good: parked with its reason; later events go on. A later revision may overtake a parked one of the same alarm;
  the parked one is then never sent any more, so the platform never sees an alarm go backwards.
- Everything refused in a row: the target stops itself.
"""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import datetime
from typing import Final, assert_never

import msgspec
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import Lane, canonical
from gatehouse_events.event import EventError
from gatehouse_fleet.city import parking, progress, settling, switch
from gatehouse_fleet.city.envelopes import Envelope
from gatehouse_fleet.city.errors import CityError, LostError, UnsayableError
from gatehouse_fleet.city.exchange import Message, Receipt, Refusal, Scope, Trouble
from gatehouse_fleet.city.lease import Lease, lease
from gatehouse_fleet.city.parking import Resolution
from gatehouse_fleet.city.patience import Patience
from gatehouse_fleet.city.progress import MovedError
from gatehouse_fleet.city.settling import Delivered, Parked, ParkReason, Settled, Subject
from gatehouse_fleet.city.story import Story, Told
from gatehouse_fleet.city.switch import TargetState
from gatehouse_fleet.city.target import Target
from gatehouse_fleet.city.transports import Session, Transport
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.orders import IssuedOrder, orders_topic
from gatehouse_fleet.projection.feed import FEED_TOPIC, FeedItem, FeedTopic, publish
from gatehouse_fleet.projection.readers import (
    JOURNAL_TOPIC,
    Mark,
    StoredEntry,
    entries_after,
    lagging,
    mark_of,
    source_of,
)
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.alarms import alarm

_log = logging.getLogger(__name__)
LOOK_EVERY_S: Final = 5.0
"""A wake that was lost costs this much."""
_SLOW_LOOK_S: Final = 1.0
"""Switches, lease and wanted retries are looked at this often, not at every alarm."""
_READ_AT_ONCE: Final = 200
_COMMIT_AT: Final = 20
"""Receipts of a backlog that are committed together; of live alarms each is committed at once."""
_PAGES: Final = 2000
"""Gateways whose place, card and clock are kept in memory for one target."""
_OVER: Final = frozenset({"cleared", "false_alarm"})


def look_topic(target_id: str) -> str:
    """Return the wake topic for "somebody has switched something at this target"."""
    return f"city look:{target_id}"


class Wait(Struct, frozen=True, kw_only=True):  # its patience counts
    """A gateway whose next event was answered with a failure."""

    event_id: str
    patience: Patience
    due_s: float
    """On the monotonic clock."""
    accepted_before: int
    """What the target had accepted in all when this event failed first."""


class Page(Struct, frozen=True, kw_only=True):
    """Where the reading of one gateway's journal goes on."""

    at: Mark
    story: Story
    node_path: str


class Courier:
    """One target's delivery. `run` goes on until it is cancelled."""

    def __init__(
        self,
        target: Target,
        *,
        envelope: Envelope,
        transport: Transport,
        store: Store,
        wake: Wake,
        clock: Clock,
        dice: random.Random,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self.target: Final = target
        self.accepted = 0
        """Receipts since this courier was made."""
        self._envelope: Final = envelope
        self._transport: Final = transport
        self._store: Final = store
        self._wake: Final = wake
        self._clock: Final = clock
        self._dice: Final = dice
        self._look_every_s: Final = look_every_s
        self._topic: Final = f"city:{target.id}"
        self._reach: Final = Patience(target.retry, dice)
        self._waits: Final[dict[int, Wait]] = {}
        self._pages: Final[dict[int, Page]] = {}
        self._refusals = 0
        self._trouble: str | None = None
        self._is_lost = False
        self._is_stopped = False
        self._asked_s: float | None = None

    async def run(self) -> None:
        """Deliver until cancelled; what a platform or the database may do ends in another try."""
        while True:
            pause_s = self._look_every_s
            try:
                async with lease(self._store, self._topic) as held:
                    if held is not None:
                        pause_s = await self._deliver(held)
            except* (SQLAlchemyError, OSError, MovedError) as faults:
                _log.warning(
                    "city delivery interrupted",
                    extra={"target": self.target.id, "fault": str(faults.exceptions[0])[:200]},
                )
                pause_s = self._reach.next_s()
                self._pages.clear()
            await asyncio.sleep(pause_s)

    async def _deliver(self, held: Lease) -> float:
        """Deliver while the way is open; returns the seconds to wait before it is opened again."""
        await self._introduce()
        await self._until_running(held)
        try:
            async with self._transport.open() as session:
                self._is_lost = False
                await self._serve(session, held)
        except LostError as error:
            await self._note_unreachable(str(error))
        return self._reach.next_s(asked_s=self._asked_s) if self._is_lost else 0.0

    async def _introduce(self) -> None:
        async with self._store.begin() as db:
            standing = await switch.introduce(db, self.target, now=self._clock.now())
        self._refusals = standing.refusals
        self._trouble = standing.trouble

    async def _until_running(self, held: Lease) -> None:
        topic = look_topic(self.target.id)
        seen = self._wake.count(topic)
        while not await self._is_running():
            await held.check()
            await self._wake.wait(topic, seen, timeout_s=self._look_every_s)
            seen = self._wake.count(topic)

    async def _is_running(self) -> bool:
        async with self._store.read() as db:
            standing = await switch.standing(db, self.target.id)
        self._is_stopped = standing is not None and standing.state is not TargetState.RUNNING
        return not self._is_stopped

    async def _serve(self, session: Session, held: Lease) -> None:
        queue: asyncio.Queue[int | None] = asyncio.Queue()
        busy: set[int] = set()
        async with asyncio.TaskGroup() as tasks:
            for n in range(self.target.parallel):
                tasks.create_task(self._work(session, queue, busy), name=f"{self._topic} {n}")
            nudges = [
                tasks.create_task(self._forward_wakes(), name=f"{self._topic} wakes"),
                tasks.create_task(self._look_around(session, busy, held), name=f"{self._topic} looks"),
            ]
            try:
                await self._dispatch(queue, busy)
            finally:
                for nudge in nudges:
                    nudge.cancel()
                for _ in range(self.target.parallel):
                    queue.put_nowait(None)

    async def _dispatch(self, queue: asyncio.Queue[int | None], busy: set[int]) -> None:
        while not self._is_lost and not self._is_stopped:
            seen = self._wake.count(self._topic)
            for gateway_no in await self._news():
                if gateway_no not in busy:
                    busy.add(gateway_no)
                    queue.put_nowait(gateway_no)
            await self._wake.wait(self._topic, seen, timeout_s=self._pause_s())

    async def _forward_wakes(self) -> None:
        while True:
            seen = self._wake.count(JOURNAL_TOPIC)
            if await self._wake.wait(JOURNAL_TOPIC, seen, timeout_s=self._look_every_s):
                self._wake.notify(self._topic)

    async def _look_around(self, session: Session, busy: set[int], held: Lease) -> None:
        """Look at switches, lease and wanted retries: beside the alarms, which do not wait for it."""
        pause_s = min(_SLOW_LOOK_S, self._look_every_s)
        topic = look_topic(self.target.id)
        while not self._is_lost:
            seen = self._wake.count(topic)
            if not await self._is_running():
                break
            await held.check()
            await self._retry_parked(session, busy)
            await self._wake.wait(topic, seen, timeout_s=pause_s)
        self._wake.notify(self._topic)

    def _pause_s(self) -> float:
        now_s = self._clock.elapsed_s()
        dues = [wait.due_s - now_s for wait in self._waits.values()]
        return max(0.01, min([self._look_every_s, *dues]))

    async def _news(self) -> list[int]:
        async with self._store.read() as db:
            behind = await lagging(db, self.target.reader, Lane.ALARM)
        now_s = self._clock.elapsed_s()
        return [no for no in behind if no not in self._waits or self._waits[no].due_s <= now_s]

    async def _work(self, session: Session, queue: asyncio.Queue[int | None], busy: set[int]) -> None:
        while (gateway_no := await queue.get()) is not None:
            try:
                if not self._is_lost:
                    await self._gateway(session, gateway_no)
            finally:
                busy.discard(gateway_no)
            self._wake.notify(self._topic)

    async def _gateway(self, session: Session, gateway_no: int) -> None:
        """Tell what one gateway has to tell: what was read at once, then the next in the queue has its turn."""
        async with self._store.read() as db:
            page = self._pages.pop(gateway_no, None) or await self._open_page(db, gateway_no)
            entries = await entries_after(db, gateway_no, Lane.ALARM, page.at, limit=_READ_AT_ONCE)
        round_ = _Round(page.at)
        for stored in entries:
            if self._is_stopped or self._is_lost:
                break
            told = page.story.next(stored)
            if told is not None and not await self._tell(session, gateway_no, told, round_):
                break
            round_.step(stored)
            if len(round_.delivered) >= _COMMIT_AT:
                await self._commit(gateway_no, round_, page.node_path)
                round_ = _Round(round_.at)
        else:
            await self._commit(gateway_no, round_, page.node_path)
            self._keep_page(gateway_no, msgspec.structs.replace(page, at=round_.at))
            return
        await self._commit(gateway_no, round_, page.node_path)

    async def _open_page(self, db: AsyncConnection, gateway_no: int) -> Page:
        at = await mark_of(db, self.target.reader, gateway_no, Lane.ALARM)
        source = await source_of(db, gateway_no)
        return Page(
            at=at,
            story=await Story.begin(db, gateway_no, at),
            node_path="" if source is None else source.node_path,
        )

    def _keep_page(self, gateway_no: int, page: Page) -> None:
        while len(self._pages) >= _PAGES:
            del self._pages[next(iter(self._pages))]
        self._pages[gateway_no] = page

    async def _tell(self, session: Session, gateway_no: int, told: Told, round_: _Round) -> bool:
        """Tell one event and note what became of it; False: not now, nor anything behind it."""
        if await self._was_set_aside(gateway_no, told):
            return True
        rendered = await self._rendered(gateway_no, told)
        match rendered:
            case None:
                return True
            case Parked():
                round_.parked.append(rendered)
                return True
            case Message():
                pass
            case _:
                assert_never(rendered)
        sent_at = self._clock.now()
        outcome = await session.send(rendered)
        tries = self._tries(gateway_no, told.event_id)
        match outcome:
            case Receipt():
                round_.delivered.append(
                    self._received(told, sent_at=sent_at, receipt=outcome, tries=tries + 1)
                )
                await self._note_accepted(gateway_no)
                return True
            case Refusal():
                detail = f"{outcome.reason} {outcome.detail}".strip()
                round_.parked.append(
                    Parked(
                        subject=subject_of(told), reason=ParkReason.REFUSED, detail=detail, tries=tries + 1
                    )
                )
                await self._note_refusal(gateway_no, detail)
                return True
            case Trouble():
                return await self._note_trouble(gateway_no, told, outcome, round_)
            case _:
                assert_never(outcome)

    async def _was_set_aside(self, gateway_no: int, told: Told) -> bool:
        """Return whether somebody has parked by hand what keeps failing."""
        wait = self._waits.get(gateway_no)
        if wait is None or wait.event_id != told.event_id:
            return False
        async with self._store.read() as db:
            is_aside = await parking.is_set_aside(db, self.target.id, gateway_no, told.event_id)
        if is_aside:
            self._waits.pop(gateway_no, None)
        return is_aside

    async def _rendered(self, gateway_no: int, told: Told) -> Message | Parked | None:
        subject = subject_of(told)
        event = told.event
        if event is None:
            return Parked(subject=subject, reason=ParkReason.UNREADABLE, detail=told.fault, tries=0)
        send = self.target.send
        if event.data.category not in send.categories or event.data.kind not in send.kinds:
            return None
        if send.communities and event.data.site.community_id not in send.communities:
            return None
        try:
            return self._envelope.render(event, await self._standing(gateway_no, told))
        except UnsayableError as error:
            return Parked(subject=subject, reason=ParkReason.UNSAYABLE, detail=str(error), tries=0)
        except (EventError, CityError, ValueError) as error:
            return Parked(subject=subject, reason=ParkReason.INVALID, detail=str(error), tries=0)

    async def _standing(self, gateway_no: int, told: Told) -> tuple[str, ...]:
        """Return what stands on the same device: from the alarms as this server shows them, and this revision."""
        event = told.event
        if event is None or not self._envelope.tells_states:
            return ()
        query = select(alarm.c.code).where(
            alarm.c.gateway_no == gateway_no,
            alarm.c.device_id == event.subject,
            alarm.c.is_open.is_(True),
            alarm.c.alarm_id != event.data.alarm_id,
            alarm.c.kind.in_([kind.value for kind in self.target.send.kinds]),
        )
        async with self._store.read() as db:
            others = set((await db.execute(query)).scalars())
        if event.data.state.value not in _OVER:
            others.add(event.data.code)
        return tuple(sorted(others))

    async def _commit(self, gateway_no: int, round_: _Round, node_path: str) -> None:
        if round_.at == round_.seen:
            return
        now = self._clock.now()
        settled = Settled(
            target=self.target.id,
            title=self.target.title,
            gateway_no=gateway_no,
            through=round_.through,
            delivered=round_.delivered,
            parked=round_.parked,
        )
        async with self._store.begin() as db:
            issued = await settling.write(db, settled, now=now)
            await progress.move(db, self.target.reader, gateway_no, seen=round_.seen, to=round_.at)
            await self._publish(db, node_path, round_)
        if round_.delivered or round_.parked:
            self._wake.notify(FEED_TOPIC)
        self._wake_gateways(issued)
        for parked in round_.parked:
            _log.warning(
                "city event parked",
                extra={
                    "target": self.target.id,
                    "event": parked.subject.event_id,
                    "reason": parked.reason.value,
                },
            )

    async def _publish(self, db: AsyncConnection, node_path: str, round_: _Round) -> None:
        told = [(one.subject, "received") for one in round_.delivered]
        told += [(one.subject, "parked") for one in round_.parked]
        items = [
            FeedItem(
                topic=FeedTopic.CITY,
                subject=subject.alarm_id or subject.event_id,
                node_path=node_path,
                body=canonical({"target": self.target.id, "event_id": subject.event_id, "leg": leg}).decode(),
            )
            for subject, leg in told
        ]
        await publish(db, items, at=self._clock.now())

    def _wake_gateways(self, issued: list[IssuedOrder]) -> None:
        for order in issued:
            self._wake.notify(orders_topic(order.gateway_id))

    async def _retry_parked(self, session: Session, busy: set[int]) -> None:
        """Send again what people want tried again, unless the platform knows something newer of that alarm."""
        async with self._store.read() as db:
            wanted = await parking.wanted(db, self.target.id)
        for one in wanted:
            if one.gateway_no in busy or self._is_lost:
                continue
            busy.add(one.gateway_no)
            try:
                await self._retry(session, one)
            finally:
                busy.discard(one.gateway_no)
            self._wake.notify(self._topic)

    async def _retry(self, session: Session, one: parking.Wanted) -> None:
        round_ = _Round(one.mark)
        async with self._store.read() as db:
            told = await parking.told_again(db, one)
            is_overtaken = await parking.is_overtaken(db, self.target.id, one)
        if told is None or is_overtaken:
            how = Resolution.SUPERSEDED if is_overtaken else Resolution.GIVEN_UP
            async with self._store.begin() as db:
                await parking.resolve(db, self.target.id, one, how, by=one.wanted_by, now=self._clock.now())
            return
        is_answered = await self._tell(session, one.gateway_no, told, round_)
        settled = Settled(
            target=self.target.id,
            title=self.target.title,
            gateway_no=one.gateway_no,
            through={},
            delivered=round_.delivered,
        )
        async with self._store.begin() as db:
            if round_.delivered:
                await parking.resolve(
                    db, self.target.id, one, Resolution.RECEIVED, by=one.wanted_by, now=self._clock.now()
                )
                self._wake_gateways(await settling.write(db, settled, now=self._clock.now()))
            elif is_answered:
                detail = (
                    round_.parked[0].detail if round_.parked else "this target is not told of it any more"
                )
                await parking.still(db, self.target.id, one, detail=detail)

    def _received(self, told: Told, *, sent_at: datetime, receipt: Receipt, tries: int) -> Delivered:
        return Delivered(
            subject=subject_of(told),
            sent_at=sent_at,
            receipt_at=self._clock.now(),
            receipt=receipt.raw,
            tries=tries,
        )

    def _tries(self, gateway_no: int, event_id: str) -> int:
        wait = self._waits.get(gateway_no)
        return wait.patience.failures if wait is not None and wait.event_id == event_id else 0

    async def _note_accepted(self, gateway_no: int) -> None:
        self.accepted += 1
        self._waits.pop(gateway_no, None)
        self._reach.reset()
        if self._refusals == 0 and self._trouble is None:
            return
        _log.info("city target receives again", extra={"target": self.target.id})
        self._refusals, self._trouble = 0, None
        async with self._store.begin() as db:
            await switch.count_refusals(db, self.target.id, 0)
            await switch.note_trouble(db, self.target.id, None, now=self._clock.now())

    async def _note_refusal(self, gateway_no: int, detail: str) -> None:
        self._waits.pop(gateway_no, None)
        self._refusals += 1
        now = self._clock.now()
        async with self._store.begin() as db:
            await switch.count_refusals(db, self.target.id, self._refusals)
            if self._refusals < self.target.retry.stop_after_refusals or self._is_stopped:
                return
            self._is_stopped = True
            reason = f"{self._refusals} events in a row were refused; the last: {detail}"
            await switch.turn(
                db, self.target.id, TargetState.STOPPED, reason=reason, by=switch.BY_ITSELF, now=now
            )
        _log.error("city target stopped itself", extra={"target": self.target.id, "refusals": self._refusals})

    async def _note_trouble(self, gateway_no: int, told: Told, trouble: Trouble, round_: _Round) -> bool:
        if trouble.scope is Scope.TARGET:
            self._asked_s = trouble.retry_after_s
            await self._note_unreachable(trouble.reason)
            return False
        wait = self._waits.get(gateway_no)
        if wait is None or wait.event_id != told.event_id:
            patience = Patience(self.target.retry, self._dice)
            wait = Wait(event_id=told.event_id, patience=patience, due_s=0.0, accepted_before=self.accepted)
        pause_s = wait.patience.next_s(asked_s=trouble.retry_after_s)
        others_got_through = self.accepted > wait.accepted_before
        if wait.patience.failures >= self.target.retry.tries_per_event and others_got_through:
            round_.parked.append(
                Parked(
                    subject=subject_of(told),
                    reason=ParkReason.FAILS,
                    detail=trouble.reason,
                    tries=wait.patience.failures,
                )
            )
            self._waits.pop(gateway_no, None)
            return True
        self._waits[gateway_no] = msgspec.structs.replace(wait, due_s=self._clock.elapsed_s() + pause_s)
        return False

    async def _note_unreachable(self, reason: str) -> None:
        self._is_lost = True
        if self._trouble == reason:
            return
        if self._trouble is None:
            _log.warning("city target cannot be reached", extra={"target": self.target.id, "fault": reason})
        self._trouble = reason
        async with self._store.begin() as db:
            await switch.note_trouble(db, self.target.id, reason, now=self._clock.now())


class _Round:
    """What became of one gateway's entries since the last commit."""

    def __init__(self, seen: Mark) -> None:
        self.seen: Final = seen
        self.at = seen
        self.through: Final[dict[str, int]] = {}
        self.delivered: Final[list[Delivered]] = []
        self.parked: Final[list[Parked]] = []

    def step(self, stored: StoredEntry) -> None:
        """Go behind one entry."""
        self.at = stored.mark
        self.through[stored.entry.epoch] = stored.entry.seq


def subject_of(told: Told) -> Subject:
    """Return what is written down of an event, whatever becomes of it."""
    event = told.event
    return Subject(
        event_id=told.event_id,
        alarm_id="" if event is None else event.data.alarm_id,
        alarm_seq=0 if event is None else event.data.seq,
        epoch=told.stored.entry.epoch,
        mark=told.stored.mark,
        is_verified=told.stored.doubt is None,
    )
