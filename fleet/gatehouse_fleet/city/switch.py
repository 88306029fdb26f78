"""Whether a target is running, and what keeps it: shown to people, switched by them, and by itself when all is refused."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.city import progress
from gatehouse_fleet.city.target import Target
from gatehouse_fleet.store.schema.city import city_target

BY_ITSELF: Final = "fleet"
_CHARS: Final = 500


class TargetState(StrEnum):
    """Whether events go out."""

    RUNNING = "running"
    PAUSED = "paused"
    """By a person."""
    STOPPED = "stopped"
    """By itself: the platform refused everything, so parking on would only hide the fault."""


class Standing(Struct, frozen=True, kw_only=True):
    """How a target is."""

    state: TargetState
    reason: str
    by: str
    at: datetime
    refusals: int
    """In a row."""
    trouble: str | None
    trouble_since: datetime | None


async def introduce(db: AsyncConnection, target: Target, *, now: datetime) -> Standing:
    """Return how a target stands; at first sight set its cursors as its file says."""
    found = await standing(db, target.id)
    if found is not None:
        renamed = update(city_target).where(
            city_target.c.id == target.id, city_target.c.title != target.title
        )
        await db.execute(renamed.values(title=target.title))
        return found
    await db.execute(
        insert(city_target).values(
            id=target.id,
            title=target.title,
            seen_at=now,
            state=TargetState.RUNNING.value,
            state_by=BY_ITSELF,
            state_at=now,
        )
    )
    if target.start == "now":
        await progress.start_now(db, target.reader)
    fresh = await standing(db, target.id)
    assert fresh is not None  # noqa: S101  # inserted above
    return fresh


async def standing(db: AsyncConnection, target_id: str) -> Standing | None:
    """Return how a target stands; None: it has never been started."""
    row = (await db.execute(select(city_target).where(city_target.c.id == target_id))).one_or_none()
    if row is None:
        return None
    return Standing(
        state=TargetState(row.state),
        reason=row.state_reason,
        by=row.state_by,
        at=row.state_at,
        refusals=row.refusals,
        trouble=row.trouble,
        trouble_since=row.trouble_since,
    )


async def turn(
    db: AsyncConnection, target_id: str, state: TargetState, *, reason: str, by: str, now: datetime
) -> bool:
    """Switch a target; False: it is not known here."""
    done = await db.execute(
        update(city_target)
        .where(city_target.c.id == target_id)
        .values(state=state.value, state_reason=reason[:_CHARS], state_by=by, state_at=now, refusals=0)
    )
    return done.rowcount == 1


async def count_refusals(db: AsyncConnection, target_id: str, refusals: int) -> None:
    """Keep how many events in a row were refused."""
    await db.execute(update(city_target).where(city_target.c.id == target_id).values(refusals=refusals))


async def note_trouble(db: AsyncConnection, target_id: str, trouble: str | None, *, now: datetime) -> None:
    """Say what keeps a target from receiving; None: nothing does. The beginning of a trouble is kept."""
    found = await standing(db, target_id)
    if found is None or (found.trouble is None and trouble is None):
        return
    since = None if trouble is None else (found.trouble_since or now)
    await db.execute(
        update(city_target)
        .where(city_target.c.id == target_id)
        .values(trouble=None if trouble is None else trouble[:_CHARS], trouble_since=since)
    )
