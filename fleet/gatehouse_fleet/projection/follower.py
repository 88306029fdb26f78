"""The loop of a reader whose work is in the database: read, work, move the cursors, commit.

Many gateways share a transaction: ten alarms of ten gateways cost hardly more than one. If it fails, each gateway goes by
itself, and the one that fails again entry by entry, so nobody's fault holds up the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import Lane
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.ingest.writer import Committed
from gatehouse_fleet.projection.readers import (
    Portion,
    claim,
    claim_all,
    entries_after,
    lagging,
    mark_of,
    move,
    move_all,
    portions,
    source_of,
)
from gatehouse_fleet.projection.turns import Pace, Turns
from gatehouse_fleet.store import Store, Wake

SCAN_EVERY_S: Final = 5.0
"""Without any hint: what another worker committed and left behind is found within this."""
BATCH: Final = 100
"""Entries of a gateway that is read by itself."""
GROUP: Final = 64
"""Gateways that share a transaction."""
GATHER_S: Final = 0.1
"""Who goes behind another reader is in no hurry: what comes within this is read together, for a fraction of the statements."""
_RETRY_AFTER_S: Final = 1.0
_HELD_RETRY_S: Final = 0.05
"""Another worker holds the lane: it may have looked before the news was there."""
_log = logging.getLogger(__name__)


OnRead = Callable[[Sequence[int], bool], None]
"""Called after each commit with the gateways that were read, and whether it was their turn for news."""


class Work(Protocol):
    """What a reader does with entries, inside the transaction that moves its cursors."""

    async def __call__(self, db: AsyncConnection, read: Sequence[Portion], *, is_careful: bool) -> None:
        """Do it.

        Args:
            db: the transaction.
            read: gateways in the order of their communities, the entries of each in their order; one entry, when careful.
            is_careful: the same entry has failed before: leave out what fails, and say so visibly.
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
        behind: str | None = None,
        on_read: OnRead = lambda _gateway_nos, _is_news: None,
    ) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._wake: Final = wake
        self._reader: Final = reader
        self._lane: Final = lane
        self._work: Final = work
        self._behind: Final = behind
        """Another reader, which goes before this one."""
        self._on_read: Final = on_read
        self._turns: Final = Turns()
        self._pace: Final = Pace()
        self._alone: Final[set[int]] = set()
        """Gateways that have failed, or begin another run: by themselves until they succeed."""
        self._held: Final[set[int]] = set()
        self._topic: Final = f"follower:{reader}"

    def arrived(self, commits: Sequence[Committed]) -> None:
        """Take hints of what was committed."""
        for commit in commits:
            if commit.lane is self._lane:
                self._turns.arrived(commit.gateway_no, is_news=commit.is_news)
        if self._turns:
            self._wake.notify(self._topic)

    def may_read(self, gateway_nos: Sequence[int], is_news: bool) -> None:
        """Take a hint that the reader before this one has read these gateways."""
        self._put_back(gateway_nos, is_news=is_news)
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
                await self.take_turns()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("%s waits for the database: %s", self._reader, type(error).__name__)
                await asyncio.sleep(_RETRY_AFTER_S)
                scanned_s = None
                continue
            pause_s = _HELD_RETRY_S if self._held else SCAN_EVERY_S
            is_woken = await self._wake.wait(self._topic, seen, timeout_s=pause_s)
            if is_woken and self._behind is not None:
                await asyncio.sleep(GATHER_S)
            if not is_woken and not self._held:
                scanned_s = None

    async def catch_up(self) -> None:
        """Read everything that is there.

        Raises:
            SQLAlchemyError: the database is away.
        """
        await self._scan()
        await self.take_turns()

    async def _scan(self) -> None:
        async with self._store.read() as db:
            self._turns.later(await lagging(db, self._reader, self._lane, behind=self._behind))

    def _take_up_held(self) -> None:
        for gateway_no in self._held:
            self._turns.arrived(gateway_no, is_news=True)
        self._held.clear()

    async def take_turns(self) -> None:
        """Read where something has arrived; what another worker holds is left for the next call.

        Raises:
            SQLAlchemyError: the database is away.
        """
        self._take_up_held()
        while (turn := self._turns.take(GROUP)) is not None:
            alone = [no for no in turn.gateway_nos if no in self._alone]
            together = [no for no in turn.gateway_nos if no not in self._alone]
            if together:
                await self._turn_together(together, is_news=turn.is_news)
            if alone:
                await self._turn(alone.pop(0), is_news=turn.is_news)
            # The others' turns come later: news goes in between.
            self._put_back(alone, is_news=turn.is_news)

    def _put_back(self, gateway_nos: Iterable[int], *, is_news: bool) -> None:
        for gateway_no in gateway_nos:
            self._turns.arrived(gateway_no, is_news=is_news)

    async def _turn_together(self, gateway_nos: Sequence[int], *, is_news: bool) -> None:
        """Read several gateways in one transaction; those that must be read by themselves get another turn."""
        share = max(1, self._pace.entries // len(gateway_nos))
        try:
            async with self._store.begin() as db:
                began_s = self._clock.elapsed_s()
                claims = await claim_all(db, self._reader, gateway_nos, self._lane, behind=self._behind)
                read = await portions(db, self._reader, claims, self._lane, share=share)
                if read:
                    await move_all(db, self._reader, self._lane, read)
                    await self._work(db, read, is_careful=False)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            self._go_alone(gateway_nos, error, is_news=is_news)
            return
        except (SQLAlchemyError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # one gateway's entry must not undo the others'
            self._go_alone(gateway_nos, error, is_news=is_news)
            return
        self._pace.took(sum(len(portion.entries) for portion in read), self._clock.elapsed_s() - began_s)
        if read:
            self._tell([portion.source.no for portion in read], is_news=is_news)
        through = {portion.source.no: portion.entries[-1].mark for portion in read}
        behind = {one.source.no for one in claims if through.get(one.source.no, one.mark) < one.head}
        self._turns.later(no for no in gateway_nos if no in behind and no in through)
        unclaimed = set(gateway_nos) - {one.source.no for one in claims}
        single = (behind - through.keys()) | unclaimed
        self._alone.update(single)
        self._put_back((no for no in gateway_nos if no in single), is_news=is_news)

    def _go_alone(self, gateway_nos: Sequence[int], error: Exception, *, is_news: bool) -> None:
        _log.warning(
            "%s: %d gateways go one by one: %s", self._reader, len(gateway_nos), type(error).__name__
        )
        self._alone.update(gateway_nos)
        self._put_back(gateway_nos, is_news=is_news)

    def _tell(self, gateway_nos: Sequence[int], *, is_news: bool) -> None:
        self._on_read(gateway_nos, is_news)

    async def _turn(self, gateway_no: int, *, is_news: bool) -> None:
        try:
            limit = min(BATCH, self._pace.entries)
            count = await self._step(gateway_no, limit=limit, is_careful=False)
            self._alone.discard(gateway_no)
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
            self._tell((gateway_no,), is_news=is_news)

    async def _carefully(self, gateway_no: int, error: Exception) -> int:
        _log.error("%s fails at gateway %d; entry by entry", self._reader, gateway_no, exc_info=error)
        self._alone.add(gateway_no)
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
            began_s = self._clock.elapsed_s()
            mark = await claim(db, self._reader, gateway_no, self._lane)
            if mark is None:
                self._held.add(gateway_no)
                return 0
            source = await source_of(db, gateway_no)
            entries = await entries_after(db, gateway_no, self._lane, mark, limit=limit)
            if self._behind is not None:
                head = await mark_of(db, self._behind, gateway_no, self._lane)
                entries = [read for read in entries if read.mark <= head]
            if source is None or not entries:
                return 0
            await move(db, self._reader, gateway_no, self._lane, entries[-1].mark)
            await self._work(db, [Portion(source=source, entries=entries)], is_careful=is_careful)
        self._pace.took(len(entries), self._clock.elapsed_s() - began_s)
        return len(entries)
