"""How often each cause came lately, with what this transaction has counted itself.

A cause is one code of one device. The database counts what was there before, for all causes of a transaction at once; the alarms
that the transaction takes in are counted here, because their dispositions change meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct, structs
from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.states import Disposition
from gatehouse_fleet.cases.record import Link
from gatehouse_fleet.store.schema.cases import case_alarm, occurrence

Cause = tuple[int, str, str]
"""gateway_no, device_id, code."""
_NOT_TRUE: Final = frozenset({Disposition.FALSE_ALARM.value, Disposition.TEST.value})


class Occurrence(Struct, frozen=True, kw_only=True):
    """New occurrences that one revision told: a row of `case_occurrence`."""

    alarm_id: str
    seq: int
    gateway_no: int
    device_id: str
    code: str
    at: datetime
    count: int

    @property
    def cause(self) -> Cause:
        """Of what."""
        return self.gateway_no, self.device_id, self.code


class Tally:
    """One for each transaction; made by `docket.Work`."""

    def __init__(self, db: AsyncConnection) -> None:
        self._db: Final = db
        self._forget()

    def _forget(self) -> None:
        self._mine: dict[str, dict[int, Occurrence]] = {}
        """Of the alarms that are taken in here, by revision."""
        self._new: list[Occurrence] = []
        self._before: dict[tuple[Cause, datetime], tuple[int, int]] = {}
        """What the database has of all others: true, false."""

    async def look_up(self, alarm_ids: Iterable[str], causes: Iterable[Cause], since: datetime) -> None:
        """Read what was counted of these causes; once, before the first `count`.

        Args:
            alarm_ids: every alarm that the transaction takes in.
            causes: every cause that `true` and `false` will be asked for.
            since: counted after this instant.
        """
        new = sorted(set(alarm_ids) - self._mine.keys())
        if new:
            self._before.clear()  # it counted some that are counted here from now on
            self._mine.update({one: {} for one in new})
            query = select(occurrence).where(occurrence.c.alarm_id.in_(new))
            for row in (await self._db.execute(query)).all():
                self._mine[row.alarm_id][row.seq] = Occurrence(**row._asdict())
        wanted = sorted({cause for cause in causes if (cause, since) not in self._before})
        if not wanted:
            return
        mine = sorted(self._mine)
        true = await self._sums(_true(wanted, since, mine))
        false = await self._sums(_false(wanted, since, mine))
        for cause in wanted:
            self._before[cause, since] = (true.get(cause, 0), false.get(cause, 0))

    async def _sums(self, query: Select[Any]) -> dict[Cause, int]:
        rows = (await self._db.execute(query)).all()
        return {(gateway_no, device_id, code): int(count) for gateway_no, device_id, code, count in rows}

    def count(self, one: Occurrence) -> None:
        """Count what a revision told; a second time changes nothing."""
        if one.seq not in self._mine[one.alarm_id]:
            self._mine[one.alarm_id][one.seq] = one
            self._new.append(one)

    def true(self, cause: Cause, since: datetime, links: Iterable[Link]) -> int:
        """Return how often a cause came that was neither a false alarm nor a test; `links`: those of the alarms taken in."""
        return self._before[cause, since][0] + sum(
            one.count
            for link in links
            if link.disposition not in _NOT_TRUE
            for one in self._mine[link.alarm_id].values()
            if one.cause == cause and one.at > since
        )

    def false(self, cause: Cause, since: datetime, links: Iterable[Link]) -> int:
        """Return how many false alarms of a cause there were."""
        return self._before[cause, since][1] + sum(
            (link.gateway_no, link.device_id, link.code) == cause
            and link.joined_at > since
            and link.disposition == Disposition.FALSE_ALARM
            for link in links
        )

    @property
    def alarm_ids(self) -> Iterable[str]:
        """The alarms that are taken in."""
        return self._mine.keys()

    async def settle(self) -> None:
        """Write down what is new."""
        if self._new:
            make = postgresql.insert if self._db.dialect.name == "postgresql" else sqlite.insert
            rows = [structs.asdict(one) for one in self._new]
            await self._db.execute(make(occurrence).on_conflict_do_nothing(), rows)
        self._forget()


def among(columns: Sequence[ColumnElement[Any]], rows: Iterable[Sequence[Any]]) -> ColumnElement[bool]:
    """Return the condition that `columns` are one of `rows`; for a few hundred rows.

    Not `tuple_(…).in_(…)`: SQLite scans a whole index for that.
    """
    return or_(
        *(and_(*(column == value for column, value in zip(columns, row, strict=True))) for row in rows)
    )


def _true(causes: Sequence[Cause], since: datetime, mine: Sequence[str]) -> Select[Any]:
    of = (occurrence.c.gateway_no, occurrence.c.device_id, occurrence.c.code)
    return (
        select(*of, func.sum(occurrence.c.count))
        .join(case_alarm, case_alarm.c.alarm_id == occurrence.c.alarm_id)
        .where(
            among(of, causes),
            occurrence.c.at > since,
            occurrence.c.alarm_id.notin_(mine),
            func.coalesce(case_alarm.c.disposition, "").notin_(sorted(_NOT_TRUE)),
        )
        .group_by(*of)
    )


def _false(causes: Sequence[Cause], since: datetime, mine: Sequence[str]) -> Select[Any]:
    of = (case_alarm.c.gateway_no, case_alarm.c.device_id, case_alarm.c.code)
    return (
        select(*of, func.count())
        .where(
            among(of, causes),
            case_alarm.c.alarm_id.notin_(mine),
            case_alarm.c.joined_at > since,
            case_alarm.c.disposition == Disposition.FALSE_ALARM.value,
        )
        .group_by(*of)
    )
