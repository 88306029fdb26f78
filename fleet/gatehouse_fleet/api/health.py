"""How this worker is: which parts fail, and which keys need a person soon."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request

from gatehouse_fleet.api.access import entitled
from gatehouse_fleet.api.desk import desk_of
from gatehouse_fleet.api.fields import Answer
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.services import services_of

router: Final = APIRouter(tags=["health"])


class FailingPart(Answer):
    """A background part that does not work; it is started again by itself."""

    name: str
    why: str


class Health(Answer):
    """One worker; behind a proxy each call may meet another one."""

    is_well: bool
    failing: list[FailingPart]
    database: str
    intermediate_expires_at: datetime
    """A year before this the root's key is needed."""
    root_key_is_here: bool
    """It should not be: `gatehouse-fleet ca export-root`."""


@router.get("/health")
async def health(
    request: Request, _who: Annotated[Caller, Depends(entitled(Right.MANAGE_GATEWAYS))]
) -> Health:
    """Return how the worker that answers is."""
    authority = desk_of(request).authority
    failing: dict[str, str] = request.app.state.keeper.failing
    return Health(
        is_well=not failing,
        failing=[FailingPart(name=name, why=why) for name, why in sorted(failing.items())],
        database="sqlite" if services_of(request).store.is_sqlite else "postgresql",
        intermediate_expires_at=authority.intermediate_expires_at,
        root_key_is_here=authority.has_root_key,
    )
