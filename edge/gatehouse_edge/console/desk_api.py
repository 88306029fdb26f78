"""What the duty screen asks beside the live stream: everything at once, the buildings, a detector's trend."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from gatehouse_edge.console.commands_api import ThingId
from gatehouse_edge.console.session import Caller, caller
from gatehouse_edge.console.state import console_of
from gatehouse_edge.console.trend import trend_of

router: Final = APIRouter(prefix="/api/v1", tags=["desk"])


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


@router.get("/devices/{device_id}/trend")
async def trend(
    request: Request,
    device_id: ThingId,
    who: Annotated[Caller, Depends(caller)],  # noqa: ARG001  # must be logged in
    minutes: Annotated[int, Query(ge=1, le=60)] = 10,
) -> Response:
    """Return what a detector measured in the last minutes, as [instant, value], oldest first; the last 10 s may be missing."""
    state = console_of(request)
    since = state.clock.now().wall - timedelta(minutes=minutes)
    points = await state.reader.call(lambda reader: trend_of(reader, device_id, since))
    return _json({"points": points})
