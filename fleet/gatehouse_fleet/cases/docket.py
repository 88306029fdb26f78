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
from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import ZERO_HASH, canonical, microseconds
from gatehouse_events.states import Disposition, Label, Priority
from gatehouse_fleet.cases.errors import CaseError, RefusedError
from gatehouse_fleet.cases.merging import CaseKind
from gatehouse_fleet.cases.shelf import Shelf
from gatehouse_fleet.cases.steps import CaseStep, Progress
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.projection.feed import FeedItem, FeedTopic
from gatehouse_fleet.store.schema.cases import case, case_alarm, timeline
from gatehouse_fleet.store.schema.org import org_node

MAX_DETAIL: Final = 8192
_MAX_HANDLERS: Final = 100
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


class Case(Struct, frozen=True, kw_only=True):
    """One case, at one revision."""

    id: int
    node_id: int
    node_path: str
    kind: CaseKind
    code: str
    priority: Priority
    step: CaseStep
    revision: int
    is_open: bool
    opened_at: datetime
    step_at: datetime
    chain: bytes
    closed_at: datetime | None = None
    merged_into: int | None = None
    unit: str = ""
    user_id: int | None = None
    handlers: tuple[str, ...] = ()
    photos: int = 0
    rounds: int = 1
    outcome: Disposition | None = None
    is_injury: bool = False
    score: int | None = None
    gateway_no: int | None = None
    device_id: str | None = None
    cause_code: str | None = None


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


def number_of(opened_at: datetime, case_id: int) -> str:
    """Return the number people call a case by: day (UTC) and id."""
    return f"AJ{opened_at:%Y%m%d}-{case_id:06d}"


async def open_case(work: Work, draft: Case, *, actor: Actor, detail: _Detail) -> Case:
    """Write a new case at its first step, with the first line of its time line; `draft.id` is given here."""
    values = _columns(draft)
    del values["id"]
    made = await work.db.execute(insert(case).values(values).returning(case.c.id))
    opened = structs.replace(draft, id=made.scalar_one(), revision=0, chain=ZERO_HASH)
    return await append(work, opened, Happened.OPENED, actor=actor, detail=detail)


async def load(work: Work, case_id: int) -> Case:
    """Return a case and keep everybody else from changing any case of its community until the commit.

    Raises:
        CaseError: there is no such case.
    """
    node_id = (await work.db.execute(select(case.c.node_id).where(case.c.id == case_id))).scalar_one_or_none()
    if node_id is None:
        raise CaseError(f"there is no case {case_id}")
    path = await hold_community(work, node_id)
    row = (await work.db.execute(select(case).where(case.c.id == case_id))).one()
    return case_of(row, path)


async def hold_community(work: Work, node_id: int) -> str:
    """Lock a community's cases and return its path.

    One lock for all of them, taken before anything else: merging and joining touch several cases, and rows locked one by one
    in changing order would sooner or later wait for each other in a circle.
    """
    # Not FOR UPDATE: rows that merely refer to the place must still be written meanwhile.
    query = select(org_node.c.path).where(org_node.c.id == node_id).with_for_update(key_share=True)
    return str((await work.db.execute(query)).scalar_one())


def case_of(row: Row[Any], node_path: str) -> Case:
    """Return a row of the table as a value."""
    values = {name: value for name, value in row._asdict().items() if name in Case.__struct_fields__}
    values["handlers"] = tuple(msgspec.json.decode(row.handlers, type=list[str]))
    values["kind"], values["priority"] = CaseKind(row.kind), Priority(row.priority)
    values["step"] = CaseStep(row.step)
    values["outcome"] = None if row.outcome is None else Disposition(row.outcome)
    return Case(**(values | {"node_path": node_path}))


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
    await work.db.execute(insert(timeline).values(line))
    await work.db.execute(update(case).where(case.c.id == after.id).values(_columns(after)))
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


async def progress_of(work: Work, found: Case, *, needs_photo: bool = True) -> Progress:
    """Return what the rules of the steps need to know."""
    count = select(func.count()).where(case_alarm.c.case_id == found.id, case_alarm.c.is_open)
    return Progress(
        step=found.step,
        handlers=found.handlers,
        photos=found.photos,
        needs_photo=needs_photo,
        open_alarms=(await work.db.execute(count)).scalar_one(),
    )


def printable(words: str, length: int) -> str:
    """Return a peer's or a person's text fit to be kept and shown."""
    return "".join(c if c.isprintable() else " " for c in words)[:length]


def _columns(value: Case) -> dict[str, Any]:
    values = {name: getattr(value, name) for name in Case.__struct_fields__ if name != "node_path"}
    values["handlers"] = msgspec.json.encode(value.handlers).decode()
    return values
