"""The list of evidence: what alarms have named, what is wanted, what is here, what is held longer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, insert, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.orders import Command
from gatehouse_fleet.evidence.errors import NoHoldError
from gatehouse_fleet.evidence.policy import Named
from gatehouse_fleet.store.schema.evidence import evidence, evidence_hold

_REASON: Final = 256
"""Characters of `evidence_hold.reason`."""
MAX_ASKED: Final = 64
"""`StatusAnswer.evidence_wanted` has no more."""


_GATEWAY: Final = "gateway "
"""Begins the name of who holds, where it is a gateway."""


class ClipState(StrEnum):
    """Where a piece of evidence is."""

    NAMED = "named"
    """On the gateway; nobody has asked for it."""
    WANTED = "wanted"
    """Asked for; it comes when no alarm waits."""
    HERE = "here"
    GONE = "gone"
    """Deleted when its time was over."""


class Clip(Struct, frozen=True, kw_only=True):
    """One row of the list."""

    gateway_no: int
    sha256: str
    node_id: int
    alarm_id: str
    kind: str
    is_masked: bool
    captured_at: datetime
    keep_until: datetime
    state: ClipState
    size_bytes: int | None
    received_at: datetime | None
    deleted_at: datetime | None
    is_held: bool


async def name(
    db: AsyncConnection,
    named: Named,
    *,
    gateway_no: int,
    node_id: int,
    alarm_id: str,
    keep_until: datetime,
    is_wanted: bool,
    now: datetime,
) -> None:
    """Note what an alarm names; what is known already stays as it is."""
    state = ClipState.WANTED if is_wanted and keep_until > now else ClipState.NAMED
    values = {
        "gateway_no": gateway_no,
        "sha256": named.sha256,
        "node_id": node_id,
        "alarm_id": alarm_id,
        "kind": named.kind,
        "is_masked": named.is_masked,
        "captured_at": named.captured_at,
        "keep_until": keep_until,
        "named_at": now,
        "state": state.value,
        "wanted_at": now if state is ClipState.WANTED else None,
        "wanted_by": "policy" if state is ClipState.WANTED else None,
        "size_bytes": named.size_bytes,
    }
    dialect = postgresql if db.dialect.name == "postgresql" else sqlite
    await db.execute(dialect.insert(evidence).values(values).on_conflict_do_nothing())


async def get(db: AsyncConnection, gateway_no: int, sha256: str) -> Clip | None:
    """Return one piece of evidence; None: no alarm of that gateway names it."""
    row = (await db.execute(_query().where(*_one(gateway_no, sha256)))).one_or_none()
    return None if row is None else _clip(row)


async def of_alarm(db: AsyncConnection, alarm_id: str) -> list[Clip]:
    """Return everything an alarm names, oldest first."""
    query = (
        _query().where(evidence.c.alarm_id == alarm_id).order_by(evidence.c.captured_at, evidence.c.sha256)
    )
    return [_clip(row) for row in await db.execute(query)]


async def of_gateway(
    db: AsyncConnection, gateway_no: int, *, behind: tuple[datetime, str] | None, limit: int
) -> list[Clip]:
    """Return what a gateway's alarms name, newest first, behind a place in the list."""
    query = _query().where(evidence.c.gateway_no == gateway_no)
    if behind is not None:
        query = query.where(tuple_(evidence.c.captured_at, evidence.c.sha256) < behind)
    order = (evidence.c.captured_at.desc(), evidence.c.sha256.desc())
    return [_clip(row) for row in await db.execute(query.order_by(*order).limit(limit))]


async def masked_copy(db: AsyncConnection, clip: Clip) -> Clip | None:
    """Return the masked copy that belongs to a clip: the same kind of the same alarm; the clip itself when it is one."""
    if clip.is_masked:
        return clip
    others = await of_alarm(db, clip.alarm_id)
    return next(
        (one for one in others if one.is_masked and one.kind == clip.kind and one.state is ClipState.HERE),
        None,
    )


async def asked_of(db: AsyncConnection, gateway_no: int, limit: int) -> tuple[str, ...]:
    """Return the files wanted of a gateway, longest asked for first."""
    query = (
        select(evidence.c.sha256)
        .where(evidence.c.gateway_no == gateway_no, evidence.c.state == ClipState.WANTED.value)
        .order_by(evidence.c.wanted_at, evidence.c.sha256)
        .limit(min(limit, MAX_ASKED))
    )
    return tuple((await db.execute(query)).scalars())


async def want(db: AsyncConnection, clip: Clip, *, by: str, now: datetime) -> Command | None:
    """Ask for a clip; returns the order that makes its gateway send it now, None: it is here, asked for, or gone."""
    if clip.state is not ClipState.NAMED:
        return None
    await db.execute(
        update(evidence)
        .where(*_one(clip.gateway_no, clip.sha256))
        .values(state=ClipState.WANTED.value, wanted_at=now, wanted_by=by)
    )
    return Command(name="send_evidence", arguments={"sha256": clip.sha256})


async def arrived(
    db: AsyncConnection, gateway_no: int, sha256: str, *, size_bytes: int, now: datetime
) -> None:
    """Note that a file is here, whole and right."""
    await db.execute(
        update(evidence)
        .where(*_one(gateway_no, sha256))
        .values(state=ClipState.HERE.value, size_bytes=size_bytes, received_at=now)
    )


async def hold(db: AsyncConnection, clip: Clip, *, reason: str, by: str, now: datetime) -> Command:
    """Keep a clip beyond its time; returns the order that makes its gateway keep its own. Several holds stand beside each other."""
    await _lock(db, clip)
    query = insert(evidence_hold).values(
        gateway_no=clip.gateway_no, sha256=clip.sha256, reason=reason, held_by=by, held_at=now
    )
    await db.execute(query)
    return Command(name="hold_evidence", arguments={"sha256": clip.sha256, "reason": reason})


async def release(
    db: AsyncConnection, clip: Clip, hold_id: int, *, reason: str, by: str, now: datetime
) -> Command | None:
    """End a hold of this clip; returns the order that ends it at the gateway too, None while others of the fleet's holds stand.

    Raises:
        NoHoldError: this clip has no such hold that stands.
    """
    await _lock(db, clip)
    query = (
        update(evidence_hold)
        .where(*_standing(clip), evidence_hold.c.id == hold_id)
        .values(released_by=by, released_at=now, release_reason=reason)
        .returning(evidence_hold.c.held_by)
    )
    ended = (await db.execute(query)).scalar_one_or_none()
    if ended is None:
        raise NoHoldError(clip.sha256)
    others = select(func.count()).where(
        *_standing(clip), ~evidence_hold.c.held_by.startswith(_GATEWAY, autoescape=True)
    )
    if ended.startswith(_GATEWAY) or (await db.execute(others)).scalar_one():
        return None
    return Command(name="release_evidence", arguments={"sha256": clip.sha256, "reason": reason})


async def _lock(db: AsyncConnection, clip: Clip) -> None:
    """Let nobody else change the holds of a clip until the commit: two who end one each must not both see the other's."""
    row = select(evidence.c.sha256).where(*_one(clip.gateway_no, clip.sha256)).with_for_update()
    await db.execute(row)


def _standing(clip: Clip) -> tuple[ColumnElement[bool], ...]:
    return (
        evidence_hold.c.gateway_no == clip.gateway_no,
        evidence_hold.c.sha256 == clip.sha256,
        evidence_hold.c.released_at.is_(None),
    )


async def hold_from_gateway(
    db: AsyncConnection, gateway_no: int, hashes: Sequence[str], *, hold: str, reason: str, now: datetime
) -> None:
    """Keep files beyond their time because their gateway does; `hold` (a manifest's hash) names the hold. Also before they come."""
    rows = [
        {
            "gateway_no": gateway_no,
            "sha256": sha256,
            "reason": reason[:_REASON],
            "held_by": _by_gateway(hold),
            "held_at": now,
        }
        for sha256 in dict.fromkeys(hashes)
    ]
    if rows:
        await db.execute(insert(evidence_hold), rows)


async def release_from_gateway(
    db: AsyncConnection, gateway_no: int, *, hold: str, reason: str, now: datetime
) -> None:
    """End a hold that its gateway had set; holds of people at the fleet stand."""
    query = (
        update(evidence_hold)
        .where(
            evidence_hold.c.gateway_no == gateway_no,
            evidence_hold.c.held_by == _by_gateway(hold),
            evidence_hold.c.released_at.is_(None),
        )
        .values(released_by=_by_gateway(hold), released_at=now, release_reason=reason[:_REASON])
    )
    await db.execute(query)


def _by_gateway(hold: str) -> str:
    return f"{_GATEWAY}{hold[:48]}"


async def overdue(db: AsyncConnection, now: datetime, limit: int) -> Sequence[tuple[int, str]]:
    """Return what must be gone: time over, no hold."""
    query = (
        select(evidence.c.gateway_no, evidence.c.sha256)
        .where(evidence.c.keep_until <= now, evidence.c.state != ClipState.GONE.value, ~_is_held())
        .order_by(evidence.c.keep_until)
        .limit(limit)
    )
    return [(row.gateway_no, row.sha256) for row in await db.execute(query)]


async def gone(db: AsyncConnection, gateway_no: int, sha256: str, *, now: datetime) -> None:
    """Note that a file has been deleted."""
    await db.execute(
        update(evidence).where(*_one(gateway_no, sha256)).values(state=ClipState.GONE.value, deleted_at=now)
    )


async def is_kept_elsewhere(db: AsyncConnection, gateway_no: int, sha256: str) -> bool:
    """Return whether another gateway's alarm still needs the same bytes."""
    query = select(func.count()).where(
        evidence.c.sha256 == sha256,
        evidence.c.gateway_no != gateway_no,
        evidence.c.state == ClipState.HERE.value,
    )
    return bool((await db.execute(query)).scalar_one())


def _is_held() -> ColumnElement[bool]:
    return exists().where(
        and_(
            evidence_hold.c.gateway_no == evidence.c.gateway_no,
            evidence_hold.c.sha256 == evidence.c.sha256,
            evidence_hold.c.released_at.is_(None),
        )
    )


def _query() -> Select[Any]:
    return select(evidence, _is_held().label("is_held"))


def _one(gateway_no: int, sha256: str) -> tuple[ColumnElement[bool], ...]:
    return (evidence.c.gateway_no == gateway_no, evidence.c.sha256 == sha256)


def _clip(row: Row[Any]) -> Clip:
    return Clip(
        gateway_no=row.gateway_no,
        sha256=row.sha256,
        node_id=row.node_id,
        alarm_id=row.alarm_id,
        kind=row.kind,
        is_masked=row.is_masked,
        captured_at=row.captured_at,
        keep_until=row.keep_until,
        state=ClipState(row.state),
        size_bytes=row.size_bytes,
        received_at=row.received_at,
        deleted_at=row.deleted_at,
        is_held=row.is_held,
    )
