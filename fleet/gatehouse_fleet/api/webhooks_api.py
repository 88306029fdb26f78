"""How the webhooks stand, and letting a parked one try again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path
from sqlalchemy import select

from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.projection.feed import FEED_TOPIC
from gatehouse_fleet.services import Services, services_of
from gatehouse_fleet.store.schema.webhooks import webhook
from gatehouse_fleet.web.access import entitled
from gatehouse_fleet.web.fields import Answer, Done
from gatehouse_fleet.web.problems import NOT_FOUND
from gatehouse_fleet.webhooks.courier import resume

router: Final = APIRouter(tags=["webhooks"])
Shared = Annotated[Services, Depends(services_of)]
Operator = Annotated[Caller, Depends(entitled(Right.MANAGE_CITY))]


class WebhookState(Answer):
    """Where one webhook stands."""

    name: str
    position: int
    """Last line of the feed that its receiver has taken."""
    delivered_at: datetime | None
    failures: int
    failing_since: datetime | None
    next_at: datetime | None
    last_error: str | None
    parked_at: datetime | None


@router.get("/webhooks")
async def list_webhooks(services: Shared, _who: Operator) -> list[WebhookState]:
    """Return every webhook that has ever been served."""
    async with services.store.read() as db:
        rows = await db.execute(select(webhook).order_by(webhook.c.name))
        return [
            WebhookState.model_validate(
                {name: value for name, value in row._asdict().items() if name in WebhookState.model_fields}
            )
            for row in rows
        ]


@router.post("/webhooks/{name}/resume")
async def resume_webhook(name: Annotated[str, Path(max_length=64)], services: Shared, who: Operator) -> Done:
    """Let a parked webhook try again at once, from where it stands."""
    if not await resume(services.store, name):
        raise NOT_FOUND
    async with services.store.begin() as db:
        await audit.append(db, who.actor, "webhook.resume", f"webhook:{name}", at=services.clock.now())
    services.wake.notify(FEED_TOPIC)
    return Done()
