"""`GET /metrics`: from this machine itself, or with the token. Outside the API and its description."""

from __future__ import annotations

import hmac
from ipaddress import ip_address
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from gatehouse_fleet import metrics
from gatehouse_fleet.services import Services, services_of
from gatehouse_fleet.web.problems import NOT_FOUND

router: Final = APIRouter(include_in_schema=False)
_MAX_TOKEN_BYTES: Final = 1024


@router.get("/metrics")
async def read_metrics(request: Request, services: Annotated[Services, Depends(services_of)]) -> Response:
    """Return the numbers; 404 for everybody else, as if there were none."""
    if not _may_read(request, services):
        raise NOT_FOUND
    async with services.store.read() as db:
        readings = await metrics.read(db, services.clock.now())
    return Response(
        metrics.text(readings), media_type=metrics.MEDIA_TYPE, headers={"Cache-Control": "no-store"}
    )


def _may_read(request: Request, services: Services) -> bool:
    settings = services.settings
    if settings.metrics.token_file is not None:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            wanted = (
                (settings.directory / settings.metrics.token_file).read_bytes()[:_MAX_TOKEN_BYTES].strip()
            )
        except OSError:  # a token that cannot be read lets nobody in
            return False
        return kind.lower() == "bearer" and bool(wanted) and hmac.compare_digest(given.encode(), wanted)
    # Behind a proxy everybody seems to come from its address: there a token is needed.
    if settings.server.tls == "proxy" or request.client is None:
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
