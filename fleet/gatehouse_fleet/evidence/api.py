"""Evidence over HTTP: what an alarm has, asking for it, looking with a reason, holding it, the register."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import microseconds
from gatehouse_events.orders import Command, Issuer
from gatehouse_events.states import Label
from gatehouse_fleet.evidence import clips, register
from gatehouse_fleet.evidence.clips import Clip, ClipState
from gatehouse_fleet.evidence.errors import NoHoldError
from gatehouse_fleet.evidence.register import Purpose
from gatehouse_fleet.evidence.service import vault_of
from gatehouse_fleet.orders import issue, orders_topic
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.projection.readers import source_of
from gatehouse_fleet.services import Services, services_of
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.evidence import evidence_hold, evidence_view
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.web.access import entitled, require_reach, within
from gatehouse_fleet.web.fields import Answer, Body, Done, GatewayIdPath, Note, NumberPath, Reason
from gatehouse_fleet.web.pages import After, Limit, Page, key_of, mark, moment_of
from gatehouse_fleet.web.problems import NOT_FOUND, ProblemError

router: Final = APIRouter(tags=["evidence"])
Shared = Annotated[Services, Depends(services_of)]
Viewer = Annotated[Caller, Depends(entitled(Right.READ_CLIPS))]
Holder = Annotated[Caller, Depends(entitled(Right.HOLD_EVIDENCE))]
Auditor = Annotated[Caller, Depends(entitled(Right.READ_AUDIT))]
AlarmIdPath = Annotated[str, Path(pattern="^[0-9A-HJKMNP-TV-Z]{26}$", description="ULID of the alarm")]
HashPath = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the file")]
TokenPath = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{43}$", description="from the answer to a look")]
SEND_WITHIN: Final = timedelta(days=3)
HOLD_WITHIN: Final = timedelta(days=365)
"""A hold is right whenever it arrives: the gateway may have been away for long."""
_NOT_HERE: Final = ProblemError(
    409, "not_here", Label("文件尚未上传", "the file is not here: ask for it and look again later")
)
_NO_MASKED: Final = ProblemError(
    409,
    "no_masked_copy",
    Label("没有打码副本，不能导出", "there is no masked copy: without one nothing leaves but to the police"),
)
_NOT_YOURS: Final = ProblemError(
    403, "link", Label("链接无效或已过期，请重新登记调阅", "not your link, or over: register another look")
)
_HAND_OVER: Final = ProblemError(
    403,
    "role",
    Label("仅区级以上值守可移交公安", "only a district or city operator hands originals to the police"),
)
_TO_WHOM: Final = ProblemError(
    422, "handed_to", Label("请填写接收民警、单位和文书号", "say to whom: officer, unit, document number")
)
_RANGE: Final = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")


class ClipView(Answer):
    """One piece of evidence. How to see it is another question: `POST …/views`."""

    gateway_id: str
    sha256: str
    kind: str
    is_masked: bool
    captured_at: datetime
    keep_until: datetime
    is_held: bool
    state: ClipState
    size_bytes: int | None
    received_at: datetime | None
    deleted_at: datetime | None


class GatewayClipView(ClipView):
    """The same in a gateway's list."""

    alarm_id: str


class LookBody(Body):
    """Why somebody looks, and what becomes of it."""

    reason: Reason
    purpose: Purpose = Purpose.VIEW
    handed_to: Note = ""
    """`police` only: officer, unit, document number."""


class LinkView(Answer):
    """A link of five minutes, for this session only."""

    url: str
    sha256: str
    is_masked: bool
    expires_at: datetime


class WhyBody(Body):
    """Why."""

    reason: Reason


class HoldView(Answer):
    """One hold."""

    id: int
    reason: str
    held_by: str
    held_at: datetime
    released_by: str | None
    released_at: datetime | None
    release_reason: str | None


class LookView(Answer):
    """One row of the register."""

    id: int
    at: datetime
    gateway_id: str
    sha256: str
    alarm_id: str
    purpose: Purpose
    reason: str
    viewer: str
    role: str
    unit: str
    station: str
    handed_to: str
    first_opened_at: datetime | None


@router.get("/alarms/{alarm_id}/evidence")
async def of_alarm(alarm_id: AlarmIdPath, services: Shared, who: Viewer) -> list[ClipView]:
    """Return what an alarm has: hashes, times, where it is; never a picture."""
    query = (
        select(alarm.c.gateway_no, gateway.c.id, org_node.c.path)
        .join(gateway, gateway.c.no == alarm.c.gateway_no)
        .join(org_node, org_node.c.id == alarm.c.node_id)
        .where(alarm.c.alarm_id == alarm_id)
    )
    async with services.store.read() as db:
        found = (await db.execute(query)).one_or_none()
        require_reach(who, None if found is None else found.path)
        assert found is not None  # noqa: S101  # require_reach has refused
        return [_view(clip, found.id) for clip in await clips.of_alarm(db, alarm_id)]


@router.get("/gateways/{gateway_id}/evidence")
async def of_gateway(
    gateway_id: GatewayIdPath, services: Shared, who: Viewer, after: After = None, limit: Limit = 100
) -> Page[GatewayClipView]:
    """Return what a gateway's alarms have named, newest first; never a picture."""
    key = key_of(after, tuple[int, str])
    behind = None if key is None else (moment_of(key[0]), key[1])
    query = (
        select(gateway.c.no, org_node.c.path)
        .join(org_node, org_node.c.id == gateway.c.node_id)
        .where(gateway.c.id == gateway_id)
    )
    async with services.store.read() as db:
        found = (await db.execute(query)).one_or_none()
        require_reach(who, None if found is None else found.path)
        assert found is not None  # noqa: S101  # require_reach has refused
        rows = await clips.of_gateway(db, found.no, behind=behind, limit=limit + 1)
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(
        items=[
            GatewayClipView(alarm_id=clip.alarm_id, **_view(clip, gateway_id).model_dump())
            for clip in rows[:limit]
        ],
        next=None if last is None else mark(microseconds(last.captured_at), last.sha256),
    )


@router.post("/evidence/{gateway_id}/{sha256}/want", status_code=202)
async def want(gateway_id: GatewayIdPath, sha256: HashPath, services: Shared, who: Viewer) -> ClipView:
    """Ask a gateway for a file. It comes in pieces, never ahead of alarms."""
    now = services.clock.now()
    async with services.store.begin() as db:
        clip = await _reached(db, who, gateway_id, sha256)
        command = await clips.want(db, clip, by=who.actor.name, now=now)
        if command is not None:
            await _order(db, who, clip, command, within=SEND_WITHIN, now=now)
            await _audit(db, services, who, "clip.want", clip, {})
        found = await _reached(db, who, gateway_id, sha256)
    if command is not None:
        services.wake.notify(orders_topic(gateway_id))
    return _view(found, gateway_id)


@router.post("/evidence/{gateway_id}/{sha256}/views", status_code=201)
async def look(
    gateway_id: GatewayIdPath, sha256: HashPath, body: LookBody, services: Shared, who: Viewer
) -> LinkView:
    """Register a look and get its link. `export` gives the masked copy, `police` the original to the police and nobody else."""
    async with services.store.begin() as db:
        asked = await _reached(db, who, gateway_id, sha256)
        clip = await _allowed(db, who, asked, body)
        if clip.state is not ClipState.HERE:
            raise _NOT_HERE
        link = await register.enter(
            db,
            clip,
            who.actor,
            purpose=body.purpose,
            reason=body.reason,
            handed_to=body.handed_to,
            now=services.clock.now(),
        )
        await _audit(db, services, who, f"clip.{body.purpose}", clip, {"reason": body.reason})
    return LinkView(
        url=f"/api/v1/clips/{link.token}",
        sha256=clip.sha256,
        is_masked=clip.is_masked,
        expires_at=link.expires_at,
    )


@router.get(
    "/clips/{token}",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The file.", "content": {"application/octet-stream": {}}},
        206: {"description": "A part of it.", "content": {"application/octet-stream": {}}},
    },
)
async def clip_bytes(token: TokenPath, request: Request, services: Shared, who: Viewer) -> StreamingResponse:
    """Return the file behind a link: only within its five minutes, only to the person who registered the look."""
    async with services.store.begin() as db:
        opened = await register.open_link(db, token, who.actor, now=services.clock.now())
    if opened is None:
        raise _NOT_YOURS
    vault = vault_of(services)
    size = await asyncio.to_thread(vault.size, opened.sha256)
    if size is None:
        raise _NOT_HERE
    start, end = _asked(request.headers.get("range"), size)
    headers = {
        "Content-Length": str(end - start + 1),
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-store",
        "ETag": f'"{opened.sha256}"',
    }
    if opened.purpose is not Purpose.VIEW:
        headers["Content-Disposition"] = f'attachment; filename="{opened.sha256}"'
    is_part = (start, end) != (0, size - 1)
    if is_part:
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    chunks = _threaded(vault.read(opened.sha256, start, end - start + 1))
    return StreamingResponse(chunks, 206 if is_part else 200, headers, media_type="application/octet-stream")


@router.get("/evidence/{gateway_id}/{sha256}/holds")
async def holds(gateway_id: GatewayIdPath, sha256: HashPath, services: Shared, who: Viewer) -> list[HoldView]:
    """Return who holds a file and why."""
    async with services.store.read() as db:
        clip = await _reached(db, who, gateway_id, sha256)
        rows = await db.execute(
            select(evidence_hold)
            .where(evidence_hold.c.gateway_no == clip.gateway_no, evidence_hold.c.sha256 == sha256)
            .order_by(evidence_hold.c.id)
        )
        return [HoldView.model_validate(row, from_attributes=True) for row in rows]


@router.post("/evidence/{gateway_id}/{sha256}/holds", status_code=201)
async def hold(
    gateway_id: GatewayIdPath, sha256: HashPath, body: WhyBody, services: Shared, who: Holder
) -> ClipView:
    """Keep a file beyond its 30 days, here and at its gateway, and fetch it if it is not here yet.

    Whether the gateway has still had it says the outcome in its order history.
    """
    now = services.clock.now()
    async with services.store.begin() as db:
        clip = await _reached(db, who, gateway_id, sha256)
        if clip.state is ClipState.GONE:
            raise _NOT_HERE
        holding = await clips.hold(db, clip, reason=body.reason, by=who.actor.name, now=now)
        await _order(db, who, clip, holding, within=HOLD_WITHIN, now=now)
        command = await clips.want(db, clip, by=who.actor.name, now=now)
        if command is not None:
            await _order(db, who, clip, command, within=SEND_WITHIN, now=now)
        found = await _reached(db, who, gateway_id, sha256)
        await _audit(db, services, who, "clip.hold", clip, {"reason": body.reason})
    services.wake.notify(orders_topic(gateway_id))
    return _view(found, gateway_id)


@router.post("/evidence/{gateway_id}/{sha256}/holds/{hold_id}/release")
async def release(
    gateway_id: GatewayIdPath,
    sha256: HashPath,
    hold_id: NumberPath,
    body: WhyBody,
    services: Shared,
    who: Holder,
) -> Done:
    """End a hold, at the gateway too unless another stands; what is over its time is then deleted within minutes."""
    now = services.clock.now()
    async with services.store.begin() as db:
        clip = await _reached(db, who, gateway_id, sha256)
        try:
            lifting = await clips.release(db, clip, hold_id, reason=body.reason, by=who.actor.name, now=now)
        except NoHoldError:
            raise NOT_FOUND from None
        if lifting is not None:
            await _order(db, who, clip, lifting, within=HOLD_WITHIN, now=now)
        await _audit(db, services, who, "clip.release", clip, {"reason": body.reason, "hold": hold_id})
    services.wake.notify(orders_topic(gateway_id))
    return Done()


@router.get("/evidence-views")
async def looks(services: Shared, who: Auditor, after: After = None, limit: Limit = 100) -> Page[LookView]:
    """Return the register of one's subtree, newest first."""
    behind = key_of(after, tuple[int])
    query = (
        select(evidence_view, gateway.c.id.label("gateway_id"))
        .join(gateway, gateway.c.no == evidence_view.c.gateway_no)
        .join(org_node, org_node.c.id == evidence_view.c.node_id)
        .where(within(org_node.c.path, who))
        .order_by(evidence_view.c.id.desc())
        .limit(limit + 1)
    )
    if behind is not None:
        query = query.where(evidence_view.c.id < behind[0])
    async with services.store.read() as db:
        rows = (await db.execute(query)).all()
    more = mark(rows[limit - 1].id) if len(rows) > limit else None
    return Page(items=[LookView.model_validate(row, from_attributes=True) for row in rows[:limit]], next=more)


async def _reached(db: AsyncConnection, who: Caller, gateway_id: str, sha256: str) -> Clip:
    number = (await db.execute(select(gateway.c.no).where(gateway.c.id == gateway_id))).scalar_one_or_none()
    source = None if number is None else await source_of(db, number)
    require_reach(who, None if source is None else source.node_path)
    assert source is not None  # noqa: S101  # require_reach has refused
    clip = await clips.get(db, source.no, sha256)
    if clip is None:
        raise NOT_FOUND
    return clip


async def _order(
    db: AsyncConnection, who: Caller, clip: Clip, command: Command, *, within: timedelta, now: datetime
) -> None:
    issuer = Issuer(name=who.actor.name, role=who.actor.role, unit=who.actor.unit or "-")
    await issue(db, clip.gateway_no, command, issuer=issuer, expires_at=now + within, now=now)


async def _allowed(db: AsyncConnection, who: Caller, asked: Clip, body: LookBody) -> Clip:
    """Return the file a purpose gives: the clip itself on the screen and to the police, else the masked copy."""
    if body.purpose is Purpose.VIEW:
        return asked
    if body.purpose is Purpose.POLICE:
        if not who.may(Right.HOLD_EVIDENCE):
            raise _HAND_OVER
        if not body.handed_to.strip():
            raise _TO_WHOM
        return asked
    masked = await clips.masked_copy(db, asked)
    if masked is None:
        raise _NO_MASKED
    return masked


async def _audit(
    db: AsyncConnection,
    services: Services,
    who: Caller,
    action: str,
    clip: Clip,
    detail: dict[str, str | int],
) -> None:
    await audit.append(
        db,
        who.actor,
        action,
        clip.sha256,
        at=services.clock.now(),
        node_id=clip.node_id,
        detail={**detail, "alarm": clip.alarm_id},
    )


def _asked(header: str | None, size: int) -> tuple[int, int]:
    """Return first and last byte asked for; the whole file where nothing sensible is asked."""
    found = _RANGE.fullmatch(header or "")
    if found is None:
        return 0, size - 1
    start = int(found[1])
    end = min(int(found[2]) if found[2] else size - 1, size - 1)
    return (start, end) if start <= end else (0, size - 1)


async def _threaded(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        yield chunk


def _view(clip: Clip, gateway_id: str) -> ClipView:
    return ClipView(
        gateway_id=gateway_id,
        sha256=clip.sha256,
        kind=clip.kind,
        is_masked=clip.is_masked,
        captured_at=clip.captured_at,
        keep_until=clip.keep_until,
        is_held=clip.is_held,
        state=clip.state,
        size_bytes=clip.size_bytes,
        received_at=clip.received_at,
        deleted_at=clip.deleted_at,
    )
