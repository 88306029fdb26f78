"""What people see: alarms, devices, the live stream, the journal, metrics."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response, StreamingResponse

from gatehouse_edge.alarms.annunciation import is_desk
from gatehouse_edge.alarms.commands import LOCAL
from gatehouse_edge.console import views
from gatehouse_edge.console.problems import ProblemError
from gatehouse_edge.console.requests import LaneName
from gatehouse_edge.console.roles import RIGHTS, Right
from gatehouse_edge.console.session import Caller, caller, entitled, station
from gatehouse_edge.console.state import console_of
from gatehouse_edge.console.stream import MAX_CLIENTS, Client
from gatehouse_events.chain import Entry, Lane
from gatehouse_events.codes import CODES
from gatehouse_events.states import STATE_LABELS, Label

router: Final = APIRouter(tags=["reading"])
MAX_ENTRIES: Final = 500


def _json(content: object) -> Response:
    return Response(
        msgspec.json.encode(content), media_type="application/json", headers={"Cache-Control": "no-store"}
    )


@router.get("/api/v1/me")
async def me(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Return who is logged in and what that person may do."""
    state = console_of(request)
    return _json(
        {
            "name": who.actor.name,
            "role": who.role,
            "station": who.actor.station,
            "rights": sorted(right for right, roles in RIGHTS.items() if who.role in roles),
            "gateway_id": state.gateway_id,
            "estate": state.estate,
            "states": {key: {"zh": text.zh, "en": text.en} for key, text in STATE_LABELS.items()},
            "codes": {name: views.label(name) for name in CODES},
        }
    )


@router.get("/api/v1/alarms")
async def alarms(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Return the open alarms: P1 on top, unattended first, newest first."""
    state = console_of(request)
    view = state.stream.viewpoint()
    rows = [view.alarm(alarm, is_clear=who.is_clear) for alarm in state.desk.alarms()]
    return _json({"position": state.stream.position, "alarms": rows, "beat": _beat(request)})


@router.get("/api/v1/devices")
async def devices(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Return every device with its last data and their age."""
    state = console_of(request)
    view = state.stream.viewpoint()
    rows = [view.device(device, is_clear=who.is_clear) for device in state.desk.devices()]
    return _json({"devices": rows, "beat": _beat(request)})


@router.get("/api/v1/devices/cards")
async def cards(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:  # noqa: ARG001  # must be logged in
    """Return what the configuration says of each device."""
    return _json({"cards": list(console_of(request).cards.values())})


@router.get("/api/v1/valves")
async def valves(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:  # noqa: ARG001  # must be logged in
    """Return the gas valves something was ever asked of."""
    return _json(
        {"valves": [views.valve(name, valve) for name, valve in console_of(request).desk.valves().items()]}
    )


@router.get("/api/v1/link")
async def link(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:  # noqa: ARG001  # must be logged in
    """Return how the way to the fleet server is and how much waits for it."""
    state = console_of(request)
    return _json({"fleet": state.link(), "beat": _beat(request)})


@router.get("/api/v1/figures")
async def figures(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:  # noqa: ARG001  # must be logged in
    """Return how loaded the desk is."""
    return _json(console_of(request).desk.figures())


@router.get("/api/v1/events", response_class=StreamingResponse)
async def events(
    request: Request,
    who: Annotated[Caller, Depends(caller)],
    last_event_id: Annotated[str | None, Header(max_length=128)] = None,
    after: Annotated[str | None, Query(max_length=128)] = None,
) -> StreamingResponse:
    """Stream what changes, as server-sent events; see `console/stream.py` for the table of events.

    `Last-Event-ID` is what a browser sends that comes back by itself; `after` says the same for a page that begins anew.
    """
    state = console_of(request)
    if state.stream.clients >= MAX_CLIENTS:
        text = Label("打开的页面过多", "too many pages are open")
        raise ProblemError(503, "too_many_pages", text, retry_after_s=10)
    client = Client(
        is_clear=who.is_clear,
        is_desk=is_desk(who.actor),
        is_live=lambda: state.accounts.session(who.token, now_s=state.clock.now().service_s) is not None,
    )
    return StreamingResponse(
        state.stream.follow(client, last_event_id or after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.get("/api/v1/journal")
async def journal(
    request: Request,
    who: Annotated[Caller, Depends(entitled(Right.READ_JOURNAL))],
    lane: LaneName = "alarm",
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = 100,
) -> Response:
    """Return journal entries after a sequence number, oldest first. The look itself is written down."""
    state = console_of(request)
    entries = await state.reader.call(lambda reader: reader.read(Lane(lane), after, limit))
    span = f"{lane} {entries[0].seq}-{entries[-1].seq}" if entries else f"{lane} none"
    await state.audit("journal_read", who=who.actor.name, station=who.actor.station, detail=span)
    return _json({"entries": [_entry(entry) for entry in entries]})


@router.get("/healthz")
async def healthz(request: Request) -> Response:
    """Say whether the gateway takes entries. No login: a supervisor of machines asks, and learns nothing else."""
    is_failing = console_of(request).desk.is_storage_failing
    return Response(
        msgspec.json.encode({"status": "storage failing" if is_failing else "ok"}),
        503 if is_failing else 200,
        {"Cache-Control": "no-store"},
        "application/json",
    )


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Return Prometheus metrics: to browsers and scrapers on site, to others with a login."""
    state = console_of(request)
    if station(request, state.site_networks) != LOCAL:
        caller(request)
    return Response(generate_latest(state.registry), media_type=CONTENT_TYPE_LATEST)


def _beat(request: Request) -> dict[str, Any]:
    state = console_of(request)
    return views.beat(state.clock.now(), is_storage_failing=state.desk.is_storage_failing, link=state.link())


def _entry(entry: Entry) -> dict[str, Any]:
    try:
        body = None if entry.body is None else msgspec.json.decode(entry.body)
    except msgspec.DecodeError:
        body = None
    return {
        "epoch": entry.epoch,
        "lane": entry.lane,
        "seq": entry.seq,
        "at": entry.at.isoformat(),
        "kind": entry.kind,
        "body_hash": entry.body_hash.hex() if isinstance(entry.body_hash, bytes) else entry.body_hash,
        "body": body,
    }
