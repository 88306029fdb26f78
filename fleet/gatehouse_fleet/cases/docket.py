"""One case as it stands, and its time line: every change is one more line, chained by hashes, and the case's next revision.

A case is changed only through `append`, inside one transaction that holds the cases of its community. So two people cannot both take the
same step, and the time line tells everything that ever happened, in order.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct, structs
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import ZERO_HASH, canonical, microseconds
from gatehouse_events.states import Label, Priority
from gatehouse_fleet.cases.book import Book
from gatehouse_fleet.cases.errors import CaseError, RefusedError
from gatehouse_fleet.cases.policy import Document
from gatehouse_fleet.cases.record import Case
from gatehouse_fleet.cases.shelf import Rules, Shelf, city_of, keep_document
from gatehouse_fleet.cases.steps import CaseStep, Progress
from gatehouse_fleet.cases.tally import Tally
from gatehouse_fleet.life import LifeState
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.projection.feed import FeedItem, FeedTopic
from gatehouse_fleet.store.schema.cases import case, case_alarm, timeline
from gatehouse_fleet.store.schema.gateways import gateway

MAX_DETAIL: Final = 8192
_MAX_HANDLERS: Final = 100
_GONE: Final = (LifeState.LOST.value, LifeState.SCRAPPED.value)
_Detail = dict[str, str | int | float | bool | None]


class Happened(StrEnum):
    """What one line of the time line tells."""

    OPENED = "opened"
    FILED = "filed"
    DISPATCHED = "dispatched"
    TAKEN = "taken"
    FEEDBACK = "feedback"
    VERIFIED = "verified"
    EVALUATED = "evaluated"
    SENT_BACK = "sent_back"
    ALARM_JOINED = "alarm_joined"
    ALARM_LEFT = "alarm_left"
    ALARM_CLOSED = "alarm_closed"
    MERGED = "merged"
    """Took in another case."""
    MERGED_AWAY = "merged_away"
    NOTED = "noted"
    PHOTO = "photo"
    INJURY = "injury"
    ACCIDENT_REPORTED = "accident_reported"
    RESCUE = "rescue"
    LIGHT_CHANGED = "light_changed"
    TOLD = "told"
    """A rung of the ladder was taken."""
    ORDERED = "ordered"
    """An acknowledgement or a disposition went down to the gateway."""
    ANSWERED = "answered"
    RECOUNTED = "recounted"
    """A provisional deadline was settled by the calendar."""


IMMATERIAL: Final = frozenset(
    {Happened.LIGHT_CHANGED, Happened.TOLD, Happened.ANSWERED, Happened.NOTED, Happened.PHOTO}
)
"""Lines that do not change what a person has decided upon; an action that has not seen them is not stale."""


class CaseTold(Struct, frozen=True, kw_only=True):
    """Body of a feed row of topic `case`."""

    case_id: int
    revision: int
    what: Happened
    step: CaseStep
    priority: Priority
    light: str | None = None
    stage: str | None = None


@dataclass(slots=True, kw_only=True)
class Work:
    """One transaction's worth of changes to cases."""

    db: AsyncConnection
    now: datetime
    shelf: Shelf
    feed: list[FeedItem] = field(default_factory=list)
    """Written as the last statement of the transaction."""
    ordered: set[str] = field(default_factory=set)
    """Gateways that were given orders: woken after the commit."""
    book: Book = field(init=False)
    tally: Tally = field(init=False)
    _rules: dict[int | None, Rules] = field(init=False, default_factory=dict)
    _documents: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.book, self.tally = Book(self.db), Tally(self.db)

    async def rules(self, node_path: str) -> Rules:
        """Return what is in force at a place; the same throughout the transaction."""
        city = city_of(node_path)
        if city not in self._rules:
            self._rules[city] = await self.shelf.rules(self.db, city)
        return self._rules[city]

    async def keep(self, document: Document) -> None:
        """Keep the text of a policy that a deadline refers to."""
        if document.sha256 not in self._documents:
            await keep_document(self.db, document)
            self._documents.add(document.sha256)

    async def settle(self) -> None:
        """Write down what has changed: before anything reads these tables past the book, and before the feed's rows."""
        await self.book.settle()
        await self.tally.settle()


def number_of(opened_at: datetime, case_id: int) -> str:
    """Return the number people call a case by: day (UTC) and id."""
    return f"AJ{opened_at:%Y%m%d}-{case_id:06d}"


async def open_case(work: Work, draft: Case, *, actor: Actor, detail: _Detail) -> Case:
    """Write a new case at its first step, with the first line of its time line; `draft.id` is given here."""
    opened = await work.book.open(structs.replace(draft, revision=0, chain=ZERO_HASH))
    return await append(work, opened, Happened.OPENED, actor=actor, detail=detail)


async def load(work: Work, case_id: int) -> Case:
    """Return a case and keep everybody else from changing any case of its community until the commit.

    Raises:
        CaseError: there is no such case.
    """
    found = await work.book.case(case_id)
    if found is None:
        raise CaseError(f"there is no case {case_id}")
    return found


async def append(
    work: Work,
    now_is: Case,
    what: Happened,
    *,
    actor: Actor,
    detail: _Detail | None = None,
    light: str | None = None,
    stage: str | None = None,
) -> Case:
    """Write a case as it is now with the line that tells why; return it at its next revision.

    Args:
        work: the transaction; it holds the community.
        now_is: the case with what has changed already in it.
        what: what happened.
        actor: who did it.
        detail: more; at most 8 KiB as JSON.
        light: for the feed: the light it has now.
        stage: for the feed: of which deadline.
    """
    n = now_is.revision + 1
    said = canonical(detail or {}).decode()
    if len(said) > MAX_DETAIL:
        said = canonical({"cut": len(said)}).decode()
    line = {
        "case_id": now_is.id,
        "n": n,
        "at": work.now,
        "what": what.value,
        "actor": printable(actor.name, 64),
        "role": actor.role[:32],
        "unit": printable(actor.unit, 128),
        "station": printable(actor.station, 64),
        "detail": said,
    }
    line["hash"] = line_hash(line, now_is.chain)
    after = structs.replace(now_is, revision=n, chain=line["hash"], handlers=now_is.handlers[:_MAX_HANDLERS])
    work.book.write(after, line)
    told = CaseTold(
        case_id=after.id,
        revision=n,
        what=what,
        step=after.step,
        priority=after.priority,
        light=light,
        stage=stage,
    )
    work.feed.append(
        FeedItem(
            topic=FeedTopic.CASE,
            subject=str(after.id),
            node_path=after.node_path,
            body=msgspec.json.encode(told).decode(),
        )
    )
    return after


def line_hash(line: dict[str, Any], before: bytes) -> bytes:
    """Return the hash of one line: SHA-256 over the canonical array of its fields and the hash before it, in hex."""
    names = ("case_id", "n", "what", "actor", "role", "unit", "station", "detail")
    fields = [microseconds(line["at"]), *(line[name] for name in names), before.hex()]
    return hashlib.sha256(canonical(fields)).digest()


async def broken_line(db: AsyncConnection, case_id: int) -> int | None:
    """Return the first line that does not fit its chain; None: the time line is whole."""
    before, expected = ZERO_HASH, 1
    rows = await db.execute(select(timeline).where(timeline.c.case_id == case_id).order_by(timeline.c.n))
    for row in rows:
        if row.n != expected or row.hash != line_hash(row._asdict(), before):
            return expected
        before, expected = row.hash, expected + 1
    head = select(case.c.chain, case.c.revision).where(case.c.id == case_id)
    last = (await db.execute(head)).one_or_none()
    return None if last is not None and (last.chain, last.revision) == (before, expected - 1) else expected


async def refuse_stale(work: Work, found: Case, seen: int) -> None:
    """Refuse an action by somebody who has not seen what has changed since.

    Raises:
        RefusedError: `stale`, naming what happened.
    """
    lines = await work.db.execute(
        select(timeline.c.what, timeline.c.actor)
        .where(timeline.c.case_id == found.id, timeline.c.n > seen)
        .order_by(timeline.c.n)
    )
    missed = [f"{row.what} ({row.actor})" for row in lines if row.what not in IMMATERIAL]
    if missed:
        raise RefusedError(
            "stale",
            Label(f"案件已变化：{'、'.join(missed[-5:])}", f"the case has changed: {', '.join(missed[-5:])}"),
        )


async def progress_of(work: Work, found: Case, *, is_closing: bool) -> Progress:
    """Return what the rules of the steps need to know; only whoever closes a case asks for its open alarms."""
    return Progress(
        step=found.step,
        handlers=found.handlers,
        photos=found.photos,
        open_alarms=await _open_alarms(work, found) if is_closing else 0,
    )


async def _open_alarms(work: Work, found: Case) -> int:
    # A gateway that is gone for good will never tell that its alarm ended; its last word must not keep the case open for ever.
    count = (
        select(func.count())
        .select_from(case_alarm)
        .join(gateway, gateway.c.no == case_alarm.c.gateway_no)
        .where(case_alarm.c.case_id == found.id, case_alarm.c.is_open, gateway.c.state.notin_(_GONE))
    )
    return int((await work.db.execute(count)).scalar_one())


def printable(words: str, length: int) -> str:
    """Return a peer's or a person's text fit to be kept and shown."""
    return "".join(c if c.isprintable() else " " for c in words)[:length]
