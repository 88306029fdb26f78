"""Writing to the feed: positions are taken from the locked row `feed_head` as the last statement of a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.cases.docket import FeedRow
from gatehouse_fleet.store.schema.alarms import feed, feed_head


async def publish(db: AsyncConnection, rows: Sequence[FeedRow], now: datetime) -> None:
    """Append rows to the feed; nothing may follow in this transaction but the commit."""
    if not rows:
        return
    make = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    taking = (
        update(feed_head).values(position=feed_head.c.position + len(rows)).returning(feed_head.c.position)
    )
    head = (await db.execute(taking)).scalar_one_or_none()
    if head is None:
        await db.execute(make(feed_head).values(one=1, position=0).on_conflict_do_nothing())
        head = (await db.execute(taking)).scalar_one()
    first = head - len(rows) + 1
    await db.execute(
        insert(feed),
        [
            {
                "position": first + n,
                "at": now,
                "topic": row.topic,
                "subject": row.subject,
                "node_path": row.node_path,
                "body": row.body.decode(),
            }
            for n, row in enumerate(rows)
        ],
    )
