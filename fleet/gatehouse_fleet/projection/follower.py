"""The loop of a reader whose work is in the database: read, work, move the cursor, commit; gateway after gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import Lane
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.ingest.writer import Committed
from gatehouse_fleet.projection.readers import (
    Source,
    StoredEntry,
    claim,
    entries_after,
    lagging,
    move,
    source_of,
)
from gatehouse_fleet.projection.turns import Turns
from gatehouse_fleet.store import Store, Wake

SCAN_EVERY_S: Final = 5.0
"""Without any hint: what another worker committed and left behind is found within this."""
BATCH: Final = 100
_RETRY_AFTER_S: Final = 1.0
_log = logging.getLogger(__name__)


class Work(Protocol):
    """What a reader does with entries of one gateway, inside the transaction that moves its cursor."""

    async def __call__(
        self, db: AsyncConnection, source: Source, entries: Sequence[StoredEntry], *, is_careful: bool
    ) -> None:
        """Do it.

        Args:
            db: the transaction.
            source: the gateway.
            entries: in their order; one, when careful.
            is_careful: the same entries have failed before: leave out what fails, and say so visibly.
        """
        ...


class Follower:
    """One reader over all gateways."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        wake: Wake,
        *,
        reader: str,
        lane: Lane,
        work: Work,
        tells: Sequence[str] = (),
    ) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._wake: Final = wake
        self._reader: Final = reader
        self._lane: Final = lane
        self._work: Final = work
        self._tells: Final = tuple(tells)
        """Wake topics to notify after each commit."""
        self._turns: Final = Turns()
        self._topic: Final = f"follower:{reader}"

    def arrived(self, commits: Sequence[Committed]) -> None:
        """Take hints of what was committed."""
        for commit in commits:
            if commit.lane is self._lane:
                self._turns.arrived(commit.gateway_no, is_news=commit.is_news)
        if self._turns:
            self._wake.notify(self._topic)

    async def run(self) -> None:
        """Read until cancelled. A database that is away is tried again; nothing else ends this either."""
        scanned_s: float | None = None
        while True:
            seen = self._wake.count(self._topic)
            try:
                if scanned_s is None or self._clock.elapsed_s() - scanned_s >= SCAN_EVERY_S:
                    await self._scan()
                    scanned_s = self._clock.elapsed_s()
                await self._turn_all()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("%s waits for the database: %s", self._reader, type(error).__name__)
                await asyncio.sleep(_RETRY_AFTER_S)
                scanned_s = None
                continue
            if not await self._wake.wait(self._topic, seen, timeout_s=SCAN_EVERY_S):
                scanned_s = None

    async def catch_up(self) -> None:
        """Read everything that is there.

        Raises:
            SQLAlchemyError: the database is away.
        """
        await self._scan()
        await self._turn_all()

    async def _scan(self) -> None:
        async with self._store.read() as db:
            self._turns.later(await lagging(db, self._reader, self._lane))

    async def _turn_all(self) -> None:
        while (gateway_no := self._turns.take()) is not None:
            await self._turn(gateway_no)

    async def _turn(self, gateway_no: int) -> None:
        try:
            count, limit = await self._step(gateway_no, limit=BATCH, is_careful=False), BATCH
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            count, limit = await self._carefully(gateway_no, error), 1
        except (SQLAlchemyError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # whatever one entry does to us, the next alarm must be seen
            count, limit = await self._carefully(gateway_no, error), 1
        if count >= limit:
            self._turns.later((gateway_no,))
        if count:
            for topic in self._tells:
                self._wake.notify(topic)

    async def _carefully(self, gateway_no: int, error: Exception) -> int:
        _log.error("%s fails at gateway %d; entry by entry", self._reader, gateway_no, exc_info=error)
        try:
            return await self._step(gateway_no, limit=1, is_careful=True)
        except (SQLAlchemyError, OSError):
            raise
        except Exception:  # noqa: BLE001  # this gateway waits for the next scan; the others go on
            _log.exception("%s cannot go on at gateway %d", self._reader, gateway_no)
            return 0

    async def _step(self, gateway_no: int, *, limit: int, is_careful: bool) -> int:
        """Do one transaction; return how many entries it read."""
        async with self._store.begin() as db:
            mark = await claim(db, self._reader, gateway_no, self._lane)
            if mark is None:
                return 0
            source = await source_of(db, gateway_no)
            entries = await entries_after(db, gateway_no, self._lane, mark, limit=limit)
            if source is None or not entries:
                return 0
            await move(db, self._reader, gateway_no, self._lane, entries[-1].mark)
            await self._work(db, source, entries, is_careful=is_careful)
        return len(entries)
