"""The end of the feed, read once for all screens: whoever follows closely costs no query of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import func, select

from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.alarms import feed, feed_head

KEPT_LINES: Final = 2000
PAGE: Final = 500


class FeedLine(Struct, frozen=True, kw_only=True):
    """One line of the feed with its position."""

    position: int
    at: datetime
    topic: str
    subject: str
    node_path: str
    body: str


class FeedTail:
    """Shared by the streams of one process."""

    def __init__(self, store: Store) -> None:
        self._store: Final = store
        self._lines: Final[deque[FeedLine]] = deque(maxlen=KEPT_LINES)
        self._reading: Final = asyncio.Lock()

    async def head(self) -> int:
        """Return the position of the last line."""
        async with self._store.read() as db:
            return int((await db.execute(select(func.max(feed_head.c.position)))).scalar_one() or 0)

    async def first(self) -> int:
        """Return the position of the oldest line that is still kept; 0: there is none."""
        async with self._store.read() as db:
            return int((await db.execute(select(func.min(feed.c.position)))).scalar_one() or 0)

    async def after(self, position: int) -> list[FeedLine]:
        """Return the lines behind `position`, oldest first, at most a page of them; empty: there are none yet."""
        kept = self._kept(position)
        if kept:
            return kept
        async with self._reading:
            # Whoever waited here finds what the one before has read.
            kept = self._kept(position)
            if kept:
                return kept
            lines = await self._read(position)
            if not self._lines or position == self._lines[-1].position:
                self._lines.extend(lines)
            return lines

    def _kept(self, position: int) -> list[FeedLine]:
        if not self._lines or not self._lines[0].position - 1 <= position < self._lines[-1].position:
            return []
        skipped = position + 1 - self._lines[0].position
        return [self._lines[index] for index in range(skipped, min(skipped + PAGE, len(self._lines)))]

    async def _read(self, position: int) -> list[FeedLine]:
        query = select(feed).where(feed.c.position > position).order_by(feed.c.position).limit(PAGE)
        async with self._store.read() as db:
            return [_line(row) for row in (await db.execute(query)).all()]


def _line(row: Any) -> FeedLine:  # noqa: ANN401  # a row of `feed`
    return FeedLine(
        position=row.position,
        at=row.at,
        topic=row.topic,
        subject=row.subject,
        node_path=row.node_path,
        body=row.body,
    )
