"""The clockwork of rollouts: looks at each one, gives the orders that are due, writes down where everybody stands.

Nothing is kept in memory: a server that was killed goes on where the database stands. Orders and standing commit together, so no gateway is
given the same thing twice; on PostgreSQL one worker has a rollout at a time.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.orders import ConfigVersion, Issuer
from gatehouse_fleet.configs import rollouts
from gatehouse_fleet.configs.rollout import Give, Phase, advance
from gatehouse_fleet.configs.rollouts import Record, record_of
from gatehouse_fleet.orders import issue, orders_topic
from gatehouse_fleet.orders.service import OUTCOMES_TOPIC
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import SYSTEM
from gatehouse_fleet.projection.feed import FEED_TOPIC, publish
from gatehouse_fleet.services import Services
from gatehouse_fleet.store.schema.configs import config_rollout
from gatehouse_fleet.store.schema.org import org_node

TOPIC: Final = OUTCOMES_TOPIC
"""An answer of a gateway and a word of a person mean the same: look again."""
_log = logging.getLogger(__name__)


async def run(services: Services, *, period_s: float = 2.0) -> None:
    """Look after the rollouts until cancelled; at most `period_s` late."""
    while True:
        seen = services.wake.count(TOPIC)
        if not await tick(services):
            await services.wake.wait(TOPIC, seen, timeout_s=period_s)


async def tick(services: Services) -> int:
    """Look at every rollout once, each in a transaction of its own; return how many orders were given.

    Raises:
        SQLAlchemyError: the database is away.
    """
    async with services.store.read() as db:
        due = await rollouts.due(db)
    given = 0
    for rollout_id in due:
        try:
            given += await _look_at(services, rollout_id)
        except (SQLAlchemyError, OSError):
            raise
        except Exception:  # noqa: BLE001  # whatever is wrong with one rollout, the others go on
            _log.exception("rollout %d cannot be looked at", rollout_id)
    return given


async def _look_at(services: Services, rollout_id: int) -> int:
    now = services.clock.now()
    topics: list[str] = []
    async with services.store.begin() as db:
        record = await _locked(db, rollout_id)
        if record is None:
            return 0
        before = await rollouts.load(db, record)
        after, gives = advance(before, await rollouts.sights(db, record, now=now), now)
        if after == before:
            return 0
        topics = [orders_topic(await _give(db, record, one, now)) for one in gives]
        await rollouts.save(db, record, before, after, now=now)
        if (after.phase, after.stage, after.failures) != (before.phase, before.stage, before.failures):
            if after.phase is not before.phase:
                await audit.append(
                    db,
                    SYSTEM,
                    f"config.{after.phase.value}",
                    f"rollout {record.id}",
                    at=now,
                    node_id=record.node_id,
                    detail={"failures": after.failures, "stage": after.stage},
                )
            await publish(db, [rollouts.line_of(record, after)], at=now)
            topics.append(FEED_TOPIC)
    if after.phase is Phase.STOPPED and before.phase is not Phase.STOPPED:
        _log.warning("rollout %d stopped by itself: %d failed", record.id, after.failures)
    for topic in topics:
        services.wake.notify(topic)
    return len(gives)


async def _locked(db: AsyncConnection, rollout_id: int) -> Record | None:
    """Return the rollout; None: another worker has it."""
    query = (
        select(config_rollout, org_node.c.path)
        .join(org_node, org_node.c.id == config_rollout.c.node_id)
        .where(config_rollout.c.id == rollout_id)
        .with_for_update(of=config_rollout, skip_locked=True)
    )
    row = (await db.execute(query)).one_or_none()
    return None if row is None else record_of(row)


async def _give(db: AsyncConnection, record: Record, one: Give, now: datetime) -> str:
    author = record.author
    action = ConfigVersion(
        version=one.target.name,
        sha256=one.target.sha256,
        size_bytes=one.target.size_bytes,
        confirm_within_s=record.plan.confirm_within_s,
    )
    issuer = Issuer(name=author.name, role=author.role, unit=author.unit or "-")
    given = await issue(db, one.gateway_no, action, issuer=issuer, expires_at=now + one.within, now=now)
    return given.gateway_id
