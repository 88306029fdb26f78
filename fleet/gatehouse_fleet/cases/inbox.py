"""Who is told of a case: the inbox that people see at their screens. Webhooks follow the feed's `told` rows.

A message goes to one person or to a role at a place; whoever has that role and reaches that place sees it, each with a mark
of their own for having read it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec import Struct
from sqlalchemy import ColumnElement, and_, insert, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.states import Label
from gatehouse_fleet.cases.docket import Work
from gatehouse_fleet.cases.lights import Light
from gatehouse_fleet.cases.policy import Audience, Stage
from gatehouse_fleet.cases.record import Case
from gatehouse_fleet.people.roles import Caller, Role
from gatehouse_fleet.store.schema.cases import inbox, inbox_read

_MAX_LISTED: Final = 200


class Message(Struct, frozen=True, kw_only=True):
    """One message as its reader sees it."""

    id: int
    at: datetime
    case_id: int
    light: Light
    stage: Stage
    text: Label
    is_read: bool


async def tell(
    work: Work, found: Case, audiences: Iterable[Audience], *, light: Light, stage: Stage, text: Label
) -> None:
    """Put a message into the inboxes of everybody named; each role once."""
    told: set[tuple[str, int | None]] = set()
    for audience in audiences:
        told.update(_receivers(found, audience))
    for role, user_id in sorted(told, key=str):
        await work.db.execute(
            insert(inbox).values(
                at=work.now,
                case_id=found.id,
                audience=role,
                user_id=user_id,
                node_path=found.node_path,
                light=light.value,
                stage=stage.value,
                text_zh=text.zh[:256],
                text_en=text.en[:256],
            )
        )


def _receivers(found: Case, audience: Audience) -> list[tuple[str, int | None]]:
    if audience is not Audience.HANDLER:
        return [(audience.value, None)]
    if found.user_id is not None:
        return [("", found.user_id)]
    return [(Role.GUARD.value, None), (Role.PROPERTY_MANAGER.value, None)]


def _addressed(who: Caller) -> ColumnElement[bool]:
    by_role = and_(
        inbox.c.user_id.is_(None),
        inbox.c.audience == who.role.value,
        inbox.c.node_path.startswith(who.scope_path, autoescape=True),
    )
    return or_(inbox.c.user_id == who.user_id, by_role)


async def messages(db: AsyncConnection, who: Caller, *, limit: int = 100) -> list[Message]:
    """Return what was told to somebody, newest first."""
    read = (
        select(literal(1))
        .where(inbox_read.c.inbox_id == inbox.c.id, inbox_read.c.user_id == who.user_id)
        .exists()
    )
    query = select(inbox, read.label("is_read")).where(_addressed(who)).order_by(inbox.c.id.desc())
    return [
        Message(
            id=row.id,
            at=row.at,
            case_id=row.case_id,
            light=Light(row.light),
            stage=Stage(row.stage),
            text=Label(row.text_zh, row.text_en),
            is_read=bool(row.is_read),
        )
        for row in await db.execute(query.limit(min(limit, _MAX_LISTED)))
    ]


async def mark_read(db: AsyncConnection, who: Caller, message_ids: Iterable[int], now: datetime) -> int:
    """Note that somebody has read messages; those of others are left alone. Returns how many were theirs."""
    wanted = list(message_ids)[:_MAX_LISTED]
    mine = (
        (await db.execute(select(inbox.c.id).where(inbox.c.id.in_(wanted), _addressed(who)))).scalars().all()
    )
    make = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    for message_id in mine:
        values = {"inbox_id": message_id, "user_id": who.user_id, "at": now}
        await db.execute(make(inbox_read).values(values).on_conflict_do_nothing())
    return len(mine)
