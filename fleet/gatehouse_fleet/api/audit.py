"""The audit log, for auditors: reading, exporting, proving it whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from gatehouse_events.states import Label
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.services import Services, services_of
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.store.schema.people import audit as table
from gatehouse_fleet.web.access import entitled, within
from gatehouse_fleet.web.fields import Answer, Moment, Note
from gatehouse_fleet.web.pages import Page, PageQuery, key_of, mark
from gatehouse_fleet.web.problems import ProblemError

router: Final = APIRouter(tags=["audit"])
Auditor = Annotated[Caller, Depends(entitled(Right.READ_AUDIT))]
_WHOLE_ONLY: Final = ProblemError(
    403,
    "scope",
    Label("仅限全市范围的审计人员", "only for auditors of the whole tree: a part of a chain proves nothing"),
)


class AuditRow(Answer):
    """One line of the log."""

    seq: int
    at: datetime
    actor: str
    role: str
    unit: str
    station: str
    action: str
    subject: str
    node_id: int | None
    detail: str
    is_done: bool
    hash: str


class AuditQuery(PageQuery):
    """Conditions as query parameters; all given must hold."""

    actor: Note | None = None
    action: Note | None = None
    subject: Note | None = None
    since: Moment | None = None
    until: Moment | None = None


class AuditVerdict(Answer):
    """Whether the chain is whole."""

    is_whole: bool
    entries: int
    head_seq: int
    head_hash: str
    broken_at: int | None


@router.get("/audit")
async def entries(request: Request, who: Auditor, asked: Annotated[AuditQuery, Query()]) -> Page[AuditRow]:
    """Return the log newest first: of one's subtree, and what concerns no place only to auditors of the whole tree."""
    limit = asked.limit
    query = select(table).order_by(table.c.seq.desc()).limit(limit + 1)
    if not await _is_whole(services_of(request), who):
        inside = select(org_node.c.id).where(within(org_node.c.path, who))
        query = query.where(table.c.node_id.in_(inside))
    for column, wanted in (
        (table.c.actor, asked.actor),
        (table.c.action, asked.action),
        (table.c.subject, asked.subject),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if asked.since is not None:
        query = query.where(table.c.at >= asked.since)
    if asked.until is not None:
        query = query.where(table.c.at < asked.until)
    behind = key_of(asked.after, tuple[int])
    if behind is not None:
        query = query.where(table.c.seq < behind[0])
    async with services_of(request).store.read() as db:
        rows = [audit.entry_of(row) for row in (await db.execute(query)).all()]
    more = mark(rows[limit - 1].seq) if len(rows) > limit else None
    return Page(items=[_row(entry) for entry in rows[:limit]], next=more)


@router.get("/audit/verdict")
async def verdict(request: Request, who: Auditor) -> AuditVerdict:
    """Follow the whole chain and say whether it is whole."""
    services = services_of(request)
    await _require_whole(services, who)
    async with services.store.read() as db:
        found = await audit.verify(db)
    return AuditVerdict(
        is_whole=found.broken_at is None,
        entries=found.entries,
        head_seq=found.head_seq,
        head_hash=found.head_hash.hex(),
        broken_at=found.broken_at,
    )


@router.get(
    "/audit/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One JSON object per line.",
            "content": {"application/jsonl": {"schema": {"type": "string"}}},
        }
    },
)
async def export(
    request: Request, who: Auditor, after_seq: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> StreamingResponse:
    """Stream the log behind `after_seq` as lines of JSON, oldest first; the reading of it is itself written down."""
    services = services_of(request)
    await _require_whole(services, who)
    async with services.store.begin() as db:
        await audit.append(
            db,
            who.actor,
            "audit.export",
            f"after {after_seq}",
            at=services.clock.now(),
            node_id=who.scope_id,
        )

    async def lines() -> AsyncIterator[bytes]:
        async with services.store.read() as db:
            async for line in audit.export(db, after=after_seq):
                yield line

    return StreamingResponse(lines(), media_type="application/jsonl")


async def _is_whole(services: Services, who: Caller) -> bool:
    query = select(org_node.c.id).where(org_node.c.id == who.scope_id, org_node.c.parent_id.is_(None))
    async with services.store.read() as db:
        return (await db.execute(query)).one_or_none() is not None


async def _require_whole(services: Services, who: Caller) -> None:
    if not await _is_whole(services, who):
        raise _WHOLE_ONLY


def _row(entry: audit.AuditEntry) -> AuditRow:
    return AuditRow(
        seq=entry.seq,
        at=entry.at,
        actor=entry.actor.name,
        role=entry.actor.role,
        unit=entry.actor.unit,
        station=entry.actor.station,
        action=entry.action,
        subject=entry.subject,
        node_id=entry.node_id,
        detail=entry.detail,
        is_done=entry.is_done,
        hash=entry.hash.hex(),
    )
