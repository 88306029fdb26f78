"""The one writer of a process: takes what waits, commits it together, then lets everybody go on.

News of the alarm lane goes first, then what alarm lanes tell of the past (three days without a network), then telemetry.
The queue is bounded in batches and bytes; telemetry may fill only half of it, so alarms find room when everything else
has to wait.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final

import msgspec

from gatehouse_events.chain import Lane
from gatehouse_events.replication import Answer
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.ingest.sealed import Sealed
from gatehouse_fleet.ingest.vault import Submission, Vault, VaultFullError, VaultLostError
from gatehouse_fleet.ingest.verdict import GapTold, Verdict

MAX_QUEUED_BATCHES: Final = 4000
MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024
GROUP_ENTRIES: Final = 2000
"""One commit; more gains little (measured) and keeps the next alarm waiting."""
LIVE_WITHIN_S: Final = 60.0
"""An entry younger than this (by its gateway's clock) is news."""
FEW_ENTRIES: Final = 8
"""A batch this small is news whatever its clock says."""
_RETRY_AFTER_S: Final = 2.0
_log = logging.getLogger(__name__)


class BusyError(FleetError):
    """More is waiting than may wait; try again a little later."""

    retry_after_s: Final = _RETRY_AFTER_S


class RejectedError(FleetError):
    """This one batch cannot be stored; a fault of this program. It is logged."""


class _Rank(IntEnum):
    """What goes first."""

    NEWS = 0
    BACKLOG = 1
    TELEMETRY = 2


class _Waiting(msgspec.Struct, frozen=True, kw_only=True):
    sealed: Sealed
    rank: _Rank
    done: asyncio.Future[Answer]


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit brought into one lane: a hint for readers, never the truth."""

    gateway_no: int
    lane: Lane
    is_news: bool
    """It tells of now, not of the past."""


class Writer:
    """Everything that is committed goes through `submit`; `run` is its one task."""

    def __init__(
        self, vault: Vault, clock: Clock, *, on_committed: Callable[[Sequence[Committed]], None]
    ) -> None:
        self._vault: Final = vault
        self._clock: Final = clock
        self._on_committed: Final = on_committed
        self._queues: Final[dict[_Rank, deque[_Waiting]]] = {rank: deque() for rank in _Rank}
        self._queued_bytes = 0
        self._arrived: Final = asyncio.Event()
        self._told: Final[dict[tuple[int, int], GapTold]] = {}

    async def submit(self, sealed: Sealed) -> Answer:
        """Return the answer to a batch once it is committed.

        Raises:
            BusyError: the queue is full.
            VaultFullError: no space on the database's disk.
            VaultLostError: the database is away, or the server is going down.
            RejectedError: only this batch failed.
        """
        rank = self._rank(sealed)
        share = 2 if rank is _Rank.TELEMETRY else 1
        batches = sum(len(queue) for queue in self._queues.values())
        if batches >= MAX_QUEUED_BATCHES // share or self._queued_bytes >= MAX_QUEUED_BYTES // share:
            raise BusyError("too many batches are waiting")
        waiting = _Waiting(sealed=sealed, rank=rank, done=asyncio.get_running_loop().create_future())
        self._queues[rank].append(waiting)
        self._queued_bytes += sealed.size_bytes
        self._arrived.set()
        return await waiting.done

    async def run(self) -> None:
        """Commit until cancelled; whoever still waits then is told to come again."""
        group: list[_Waiting] = []
        try:
            while True:
                group = self._take()
                if group:
                    await self._commit(group)
                else:
                    self._arrived.clear()
                    await self._arrived.wait()
        finally:
            for waiting in itertools.chain(group, *self._queues.values()):
                _fail(waiting, VaultLostError("the server is going down"))

    def _rank(self, sealed: Sealed) -> _Rank:
        entries = sealed.batch.entries
        if sealed.batch.lane is Lane.TELEMETRY:
            return _Rank.TELEMETRY
        age_s = self._clock.now().timestamp() - entries[-1].at_us / 1e6
        return _Rank.NEWS if len(entries) <= FEW_ENTRIES or age_s <= LIVE_WITHIN_S else _Rank.BACKLOG

    def _take(self) -> list[_Waiting]:
        """Take a group off the queues: news first, one batch of each lane of a gateway."""
        group: list[_Waiting] = []
        lanes: set[tuple[int, int]] = set()
        entries = 0
        for queue in self._queues.values():
            held: list[_Waiting] = []
            while queue and entries < GROUP_ENTRIES:
                waiting = queue.popleft()
                lane = (waiting.sealed.gateway_no, waiting.sealed.lane_no)
                if waiting.done.cancelled():
                    self._queued_bytes -= waiting.sealed.size_bytes
                elif lane in lanes:
                    held.append(waiting)
                else:
                    lanes.add(lane)
                    group.append(waiting)
                    entries += len(waiting.sealed.hashes)
                    self._queued_bytes -= waiting.sealed.size_bytes
            queue.extendleft(reversed(held))
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        try:
            await self._together(group)
        except VaultFullError as error:
            alarms = [waiting for waiting in group if waiting.sealed.batch.lane is Lane.ALARM]
            rest = [waiting for waiting in group if waiting.sealed.batch.lane is not Lane.ALARM]
            for waiting in rest:
                _fail(waiting, error)
            for waiting in alarms:
                # What little room there is belongs to alarms, one by one.
                await self._alone(waiting)
        except VaultLostError as error:
            _log.warning("batches are not stored: %s", error)
            for waiting in group:
                _fail(waiting, error)
        except Exception:  # noqa: BLE001  # one batch must not keep the others' alarms out
            _log.exception("a group of %d batches failed; each goes alone", len(group))
            for waiting in group:
                await self._alone(waiting)

    async def _alone(self, waiting: _Waiting) -> None:
        try:
            await self._together([waiting])
        except (VaultFullError, VaultLostError) as error:
            _fail(waiting, error)
        except Exception:  # noqa: BLE001  # see above
            _log.exception("a batch of gateway %d cannot be stored", waiting.sealed.gateway_no)
            _fail(waiting, RejectedError("this batch cannot be stored"))

    async def _together(self, group: list[_Waiting]) -> None:
        submissions = [
            Submission(
                sealed=waiting.sealed,
                told=self._told.get((waiting.sealed.gateway_no, waiting.sealed.lane_no)),
            )
            for waiting in group
        ]
        at_us = round(self._clock.now().timestamp() * 1e6)
        verdicts = await self._vault.commit(submissions, at_us=at_us)
        for waiting, submission, verdict in zip(group, submissions, verdicts, strict=True):
            self._remember(submission, verdict)
            if not waiting.done.done():
                waiting.done.set_result(verdict.answer)
        self._on_committed(
            [_hint(waiting) for waiting, verdict in zip(group, verdicts, strict=True) if verdict.spans]
        )

    def _remember(self, submission: Submission, verdict: Verdict) -> None:
        """Keep the gap a gateway was told of; one for each lane of a registered gateway, so bounded."""
        if verdict.told is not None:
            self._told[submission.lane] = verdict.told
        else:
            self._told.pop(submission.lane, None)
        if verdict.integrity is not None:
            _log.error(
                "history of gateway %d is in doubt: %s", submission.sealed.gateway_no, verdict.integrity.value
            )


def _hint(waiting: _Waiting) -> Committed:
    sealed = waiting.sealed
    return Committed(gateway_no=sealed.gateway_no, lane=sealed.batch.lane, is_news=waiting.rank is _Rank.NEWS)


def _fail(waiting: _Waiting, error: FleetError) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(error)
