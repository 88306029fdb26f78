"""What the duty screen asks beside the live stream: the buildings, one alarm's log, a trend, the day in figures."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from gatehouse_edge.console import history
from gatehouse_edge.console.roles import Right
from gatehouse_edge.console.session import Caller, caller, entitled
from gatehouse_edge.console.state import console_of

router: Final = APIRouter(prefix="/api/v1", tags=["desk"])
AlarmId = Annotated[str, Path(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]
DeviceId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
_DAY_KEPT_S: Final = 30.0


def _json(content: object) -> Response:
    return Response(
        msgspec.json.encode(content), media_type="application/json", headers={"Cache-Control": "no-store"}
    )


@router.get("/snapshot")
async def snapshot(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Return everything a page shows, as the stream's event of that name does."""
    return _json(console_of(request).stream.snapshot(is_clear=who.is_clear))


@router.get("/site")
async def site(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:  # noqa: ARG001  # must be logged in
    """Return the buildings as the façade draws them, from left to right."""
    state = console_of(request)
    return _json({"estate": state.estate, "buildings": state.buildings})


@router.get("/alarms/{alarm_id}/log")
async def log(
    request: Request,
    alarm_id: AlarmId,
    who: Annotated[Caller, Depends(entitled(Right.READ_JOURNAL))],  # noqa: ARG001  # the right is the point
) -> Response:
    """Return what happened to an alarm and who did it, oldest first."""
    steps = await console_of(request).reader.call(lambda reader: history.log_of(reader, alarm_id))
    return _json({"steps": steps})


@router.get("/devices/{device_id}/trend")
async def trend(
    request: Request,
    device_id: DeviceId,
    who: Annotated[Caller, Depends(caller)],  # noqa: ARG001  # must be logged in
    minutes: Annotated[int, Query(ge=1, le=60)] = 10,
) -> Response:
    """Return what a detector measured in the last minutes."""
    state = console_of(request)
    since = state.clock.now().wall - timedelta(minutes=minutes)
    points = await state.reader.call(lambda reader: history.trend_of(reader, device_id, since))
    return _json({"since": since.isoformat(), "points": history.rows(points)})


@router.get("/day")
async def day(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:  # noqa: ARG001  # must be logged in
    """Return the last 24 hours in figures; counted anew twice a minute at most."""
    state = console_of(request)
    now = state.clock.now()
    if state.day is None or now.service_s - state.day[0] > _DAY_KEPT_S:
        state.day = now.service_s, await state.reader.call(lambda reader: history.day(reader, now.wall))
    found: dict[str, Any] = msgspec.to_builtins(state.day[1])
    return _json(found)
