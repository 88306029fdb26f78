"""Evidence of alarms at the console: what is kept, looked at with a reason and written down first, held, lifted.

Pictures are seen through a link that only this session can use, for five minutes. Who may not see the original is given the
masked copy, whatever was asked for. Layers and the manifest show no picture and need no reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import FileResponse, Response

from gatehouse_edge.console.commands_api import AlarmId
from gatehouse_edge.console.links import LINK_S
from gatehouse_edge.console.problems import ProblemError
from gatehouse_edge.console.requests import Body, Reason
from gatehouse_edge.console.roles import Right, may
from gatehouse_edge.console.session import Caller, caller, entitled
from gatehouse_edge.console.state import ANSWER_S, NOT_NOW, ConsoleState, console_of
from gatehouse_edge.drivers.clip_masked import MaskError
from gatehouse_edge.evidence import drawer
from gatehouse_edge.evidence_desk import EvidenceDesk, Shown
from gatehouse_edge.ledger import LedgerError
from gatehouse_edge.ports import NoEvidenceError
from gatehouse_events.chain import Entry
from gatehouse_events.evidence import EvidenceError, decode_register
from gatehouse_events.states import Label

router: Final = APIRouter(prefix="/api/v1", tags=["evidence"])

Sha = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
MAX_ROWS: Final = 200
MASK_S: Final = 330.0
"""A little longer than the maker of copies gives up."""
_TYPES: Final = {".mp4": "video/mp4", ".jpg": "image/jpeg"}
_LAYERS: Final = {
    "manifest.json": "application/json",
    "track.json": "application/json",
    "overlay.svg": "image/svg+xml",
}
_NONE: Final = ProblemError(404, "no_evidence", Label("没有此证据", "there is no such evidence"))
_NO_REASON: Final = ProblemError(422, "reason_missing", Label("请填写原因", "a reason is needed"))
_T = TypeVar("_T")


class ViewOrder(Body):
    """What somebody wants to see, and why."""

    file: Literal["clip.mp4", "release.jpg", "landing.jpg", "masked.mp4"]
    reason: Reason


class HoldOrder(Body):
    """Why a hold begins or ends."""

    reason: Reason


@router.get("/alarms/{alarm_id}/evidence")
async def of_alarm(
    request: Request, alarm_id: AlarmId, who: Annotated[Caller, Depends(entitled(Right.SEE_EVIDENCE))]
) -> Response:
    """Return what is kept of an alarm: manifests and what this person may see of them; no picture."""
    desk = _desk(console_of(request))
    return _json({"evidence": [_row(shown, who) for shown in await desk.of_alarm(alarm_id)]})


@router.get("/evidence")
async def newest(
    request: Request,
    who: Annotated[Caller, Depends(entitled(Right.SEE_EVIDENCE))],
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 50,
) -> Response:
    """Return what is kept, newest first."""
    desk, rows = _desk(console_of(request)), []
    for stored in desk.stored()[:limit]:
        try:
            rows.append(_row(await desk.show(stored.manifest_sha256), who))
        except NoEvidenceError:
            continue
    return _json({"evidence": rows})


@router.get("/evidence/{sha}/layers/{name}")
async def layer(
    request: Request,
    sha: Sha,
    name: Literal["manifest.json", "track.json", "overlay.svg"],
    who: Annotated[Caller, Depends(entitled(Right.SEE_EVIDENCE))],  # noqa: ARG001  # must have the right
) -> Response:
    """Return the manifest or a layer: no picture, hence no reason."""
    desk = _desk(console_of(request))
    shown = await _found(desk.show(sha))
    try:
        path = drawer.manifest_path(desk.folder, sha) if name == drawer.MANIFEST else desk.path(shown, name)
        content = await asyncio.to_thread(path.read_bytes)
    except (NoEvidenceError, OSError):
        raise _NONE from None
    return Response(content, media_type=_LAYERS[name], headers={"Cache-Control": "no-store"})


@router.post("/evidence/{sha}/views")
async def view(
    request: Request,
    sha: Sha,
    order: ViewOrder,
    who: Annotated[Caller, Depends(entitled(Right.SEE_EVIDENCE))],
) -> Response:
    """Write down who wants to see what and why; return a link. The first look at a masked copy waits until it is made."""
    state = console_of(request)
    desk = _desk(state)
    if not order.reason:
        raise _NO_REASON
    shown = await _found(desk.show(sha))
    name: str = order.file if may(who.role, Right.SEE_ORIGINAL) else drawer.MASKED
    if name == drawer.MASKED:
        shown = await _masked(desk, sha)
    path = await _done(desk.view(shown, name, actor=who.actor, reason=order.reason))
    token = state.links.make(path, session=who.token, now_s=state.clock.now().service_s)
    return _json(
        {
            "url": f"/api/v1/evidence/links/{token}",
            "file": name,
            "is_masked": name == drawer.MASKED,
            "lasts_s": LINK_S,
        }
    )


@router.get("/evidence/links/{token}", response_class=FileResponse)
async def follow(
    request: Request,
    token: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{32}$")],
    who: Annotated[Caller, Depends(caller)],
) -> Response:
    """Return the file of a link, whole or the `Range` asked for."""
    state = console_of(request)
    path = state.links.get(token, session=who.token, now_s=state.clock.now().service_s)
    if path is None or not path.is_file():
        text = Label("链接已失效，请重新申请查看", "this link is over: ask for another look")
        raise ProblemError(404, "link_over", text)
    return FileResponse(path, media_type=_TYPES[path.suffix], headers={"Cache-Control": "no-store"})


@router.post("/evidence/{sha}/hold")
async def hold(
    request: Request,
    sha: Sha,
    order: HoldOrder,
    who: Annotated[Caller, Depends(entitled(Right.HOLD_EVIDENCE))],
) -> Response:
    """Keep evidence beyond its time (证据保全)."""
    desk = _desk(console_of(request))
    if not order.reason:
        raise _NO_REASON
    await _done(desk.hold(sha, actor=who.actor, reason=order.reason))
    return _json(_row(await _found(desk.show(sha)), who))


@router.post("/evidence/{sha}/lift")
async def lift(
    request: Request,
    sha: Sha,
    order: HoldOrder,
    who: Annotated[Caller, Depends(entitled(Right.HOLD_EVIDENCE))],
) -> Response:
    """End a hold (解除保全)."""
    desk = _desk(console_of(request))
    if not order.reason:
        raise _NO_REASON
    shown = await _found(desk.show(sha))
    if shown.stored.hold is None:
        raise ProblemError(409, "not_held", Label("未保全", "this is not held"))
    await _done(desk.lift(sha, actor=who.actor, reason=order.reason))
    return _json(_row(await _found(desk.show(sha)), who))


@router.get("/evidence-register")
async def register(
    request: Request,
    who: Annotated[Caller, Depends(entitled(Right.READ_REGISTER))],
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 100,
) -> Response:
    """Return the register after a sequence number, oldest first: kept, viewed, held, lifted, masked, deleted. The look is written down."""
    state = console_of(request)
    entries = await state.reader.call(lambda reader: reader.read_evidence(after, limit))
    span = f"register {entries[0].seq}-{entries[-1].seq}" if entries else "register none"
    await state.audit("journal_read", who=who.actor.name, station=who.actor.station, detail=span)
    return _json({"entries": [_entry(entry) for entry in entries]})


def _desk(state: ConsoleState) -> EvidenceDesk:
    if state.evidence is None:
        raise _NONE
    return state.evidence


async def _found(asked: Awaitable[_T]) -> _T:
    try:
        return await asked
    except NoEvidenceError:
        raise _NONE from None


async def _done(asked: Awaitable[_T]) -> _T:
    """Wait for what has to be in the journal first; nobody sees a thing without."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await asked
    except NoEvidenceError:
        raise _NONE from None
    except (TimeoutError, LedgerError):
        raise NOT_NOW from None


async def _masked(desk: EvidenceDesk, sha: str) -> Shown:
    try:
        async with asyncio.timeout(MASK_S):
            return await desk.masked(sha)
    except NoEvidenceError:
        raise _NONE from None
    except MaskError as error:
        text = Label("无法生成打码副本", f"no masked copy can be made: {error}")
        raise ProblemError(409, "not_maskable", text) from error
    except (TimeoutError, LedgerError):
        raise NOT_NOW from None


def _row(shown: Shown, who: Caller) -> dict[str, Any]:
    stored, manifest = shown.stored, shown.manifest
    is_original = may(who.role, Right.SEE_ORIGINAL)
    names = [file.name for file in manifest.files]
    pictures = [name for name in names if name.endswith((".mp4", ".jpg"))] if is_original else []
    if "clip.mp4" in names:
        pictures.append(drawer.MASKED)
    return {
        "sha256": stored.manifest_sha256,
        "alarm_id": stored.alarm_id,
        "manifest": manifest,
        "hold": next(iter(stored.holds), None),
        "may_view": pictures,
        "has_masked": bool(stored.masked_sha256),
    }


def _entry(entry: Entry) -> dict[str, Any]:
    try:
        body = None if entry.body is None else decode_register(entry.body)
    except EvidenceError:
        body = None
    return {"seq": entry.seq, "at": entry.at.isoformat(), "body": body}


def _json(content: object) -> Response:
    return Response(
        msgspec.json.encode(content), media_type="application/json", headers={"Cache-Control": "no-store"}
    )
