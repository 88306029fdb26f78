"""Steps that have failed at a revision and are still owed: tried again until they succeed, so that no alarm stays without a case.

The alarm itself was shown at once; the debt is written down in the same transaction, so it survives whatever happens next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.chain import Lane
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.projection.feed import FEED_TOPIC, publish
from gatehouse_fleet.projection.readers import Mark, Portion, entries_after, source_of
from gatehouse_fleet.projection.revision import context_of, told_by
from gatehouse_fleet.projection.step import AlarmContext, Step
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.alarms import step_owed

LOOK_EVERY_S: Final = 2.0
_AT_ONCE: Final = 50
_FIRST_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 600.0
_log = logging.getLogger(__name__)


class Owed:
    """Pays what the projection owes."""

    def __init__(self, store: Store, clock: Clock, wake: Wake, steps: Sequence[Step]) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._wake: Final = wake
        self._steps: Final = {name_of(step): step for step in steps}

    async def run(self) -> None:
        """Try again what is due, until cancelled."""
        while True:
            try:
                await self.pay()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("owed steps wait for the database: %s", type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)

    async def pay(self) -> int:
        """Try once what is due; return how many steps succeeded.

        Raises:
            SQLAlchemyError: the database is away.
        """
        query = (
            select(step_owed)
            .where(step_owed.c.due_at <= self._clock.now())
            .order_by(step_owed.c.due_at)
            .limit(_AT_ONCE)
        )
        async with self._store.read() as db:
            due = (await db.execute(query)).all()
        paid = 0
        for row in due:
            paid += await self._try(row)
        return paid

    async def _try(self, row: Any) -> bool:  # noqa: ANN401  # a row of `step_owed`
        try:
            async with self._store.begin() as db:
                query = select(step_owed.c.tries).where(_this(row)).with_for_update(skip_locked=True)
                if (await db.execute(query)).first() is None:
                    return False
                await db.execute(delete(step_owed).where(_this(row)))
                step, context = self._steps.get(row.step), await _context(db, row)
                if (
                    step is None or context is None
                ):  # gone by retention, or with an older version of this program
                    return False
                await publish(db, await step.on_alarms(db, (context,)), at=self._clock.now())
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            await self._put_off(row, error)
        except (SQLAlchemyError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is: it is tried again
            await self._put_off(row, error)
        else:
            _log.warning("step %s made up for alarm %s", row.step, row.alarm_id)
            self._wake.notify(FEED_TOPIC)
            return True
        return False

    async def _put_off(self, row: Any, error: Exception) -> None:  # noqa: ANN401  # a row of `step_owed`
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(row.tries, 20))
        _log.error("step %s fails again at alarm %s: %s", row.step, row.alarm_id, type(error).__name__)
        async with self._store.begin() as db:
            await db.execute(
                update(step_owed)
                .where(_this(row))
                .values(tries=row.tries + 1, due_at=self._clock.now() + timedelta(seconds=pause_s))
            )


def name_of(step: Step) -> str:
    """Return the name a step is remembered by."""
    return type(step).__name__


def _this(row: Any) -> Any:  # noqa: ANN401  # a row of `step_owed` and a condition
    return (
        (step_owed.c.gateway_no == row.gateway_no)
        & (step_owed.c.epoch_number == row.epoch_number)
        & (step_owed.c.entry_seq == row.entry_seq)
        & (step_owed.c.step == row.step)
    )


async def _context(db: AsyncConnection, row: Any) -> AlarmContext | None:  # noqa: ANN401  # a row of `step_owed`
    source = await source_of(db, row.gateway_no)
    before = Mark(row.epoch_number, row.entry_seq - 1)
    entries = await entries_after(db, row.gateway_no, Lane.ALARM, before, limit=1)
    if source is None or not entries or entries[0].mark != Mark(row.epoch_number, row.entry_seq):
        return None
    for one in told_by(Portion(source=source, entries=entries)):
        one.rename(row.alarm_id)
        return context_of(one)
    return None
