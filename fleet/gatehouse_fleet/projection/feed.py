"""The feed: the one global order, in which screens and webhooks follow everything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct
from sqlalchemy import insert, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.store.schema.alarms import feed, feed_head

FEED_TOPIC: Final = "feed"
"""Wake topic; notify it once the transaction is committed."""


class FeedTopic(StrEnum):
    """What a line of the feed is about."""

    ALARM = "alarm"
    CASE = "case"
    GATEWAY = "gateway"
    ROLLOUT = "rollout"
    CITY = "city"


class FeedItem(Struct, frozen=True, kw_only=True):
    """One line: what changed, where, and a small JSON body without personal data."""

    topic: FeedTopic
    subject: str
    """Id of the alarm, case, gateway, …"""
    node_path: str
    """Who may see it: whoever reaches this place."""
    body: str


async def publish(db: AsyncConnection, items: Sequence[FeedItem], *, at: datetime) -> None:
    """Append `items`. Must be the last statements of the transaction: the head is locked from here to the commit.

    That lock makes positions visible in order; after the commit, notify `FEED_TOPIC`.
    """
    if not items:
        return
    taken = update(feed_head).where(feed_head.c.one == 1).values(position=feed_head.c.position + len(items))
    last = (await db.execute(taken.returning(feed_head.c.position))).scalar_one_or_none()
    if last is None:
        make = sqlite_insert if db.dialect.name == "sqlite" else postgres_insert
        await db.execute(make(feed_head).values(one=1, position=0).on_conflict_do_nothing())
        last = (await db.execute(taken.returning(feed_head.c.position))).scalar_one()
    first = last - len(items) + 1
    await db.execute(
        insert(feed),
        [
            {
                "position": first + index,
                "at": at,
                "topic": item.topic.value,
                "subject": item.subject,
                "node_path": item.node_path,
                "body": item.body,
            }
            for index, item in enumerate(items)
        ],
    )
