"""The cases that one transaction has open: read once, changed in memory, written together by `settle`.

Ten alarms of ten gateways then cost hardly more statements than one. What is in the book goes before what the database says
until it is settled, so nobody may read or write these tables past it in between; settled, it forgets everything but its locks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from msgspec import Struct, structs
from sqlalchemy import Table, Update, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.cases.merging import Candidate, CaseKind, Seen
from gatehouse_fleet.cases.record import Case, Duty, Link, case_of, columns_of
from gatehouse_fleet.cases.steps import WORKED_ON
from gatehouse_fleet.store.schema.alarms import alarm as alarm_table
from gatehouse_fleet.store.schema.cases import case, case_alarm, deadline, timeline
from gatehouse_fleet.store.schema.org import org_node

MAX_CANDIDATES: Final = 500
"""Alarms of open cases of one community and kind that a new alarm is compared with, newest first."""


class Place(Struct, frozen=True):
    """A community whose cases this transaction holds."""

    path: str
    name: str


class _Standing(Struct, frozen=True, kw_only=True):
    """An alarm that a new one may be joined with, as the database has it."""

    alarm_id: str
    case_id: int
    seen: Seen


class Book:
    """One for each transaction; made by `docket.Work`."""

    def __init__(self, db: AsyncConnection) -> None:
        self._db: Final = db
        self._places: Final[dict[int, Place]] = {}
        self._forget()

    def _forget(self) -> None:
        self._cases: dict[int, Case] = {}
        self._written: dict[int, None] = {}
        self._lines: list[Mapping[str, Any]] = []
        self._links: dict[str, Link | None] = {}
        """None: it has no case."""
        self._kept: dict[str, Link | None] = {}
        """The same as the database has them."""
        self._members: dict[int, dict[str, None]] = {}
        self._duties: dict[int, list[Duty]] = {}
        self._begun: list[Duty] = []
        self._changed: dict[int, Duty] = {}
        self._pools: dict[tuple[int, CaseKind], list[_Standing]] = {}

    async def hold(self, node_ids: Iterable[int]) -> None:
        """Keep everybody else from changing any case of these communities until the commit.

        One lock for all cases of a place, taken before anything else and in one order: merging and joining touch several cases,
        and rows locked one by one in changing order would sooner or later wait for each other in a circle.
        """
        missing = sorted(set(node_ids) - self._places.keys())
        if missing:
            # Not FOR UPDATE: rows that merely refer to the place must still be written meanwhile.
            query = (
                select(org_node.c.id, org_node.c.path, org_node.c.name)
                .where(org_node.c.id.in_(missing))
                .order_by(org_node.c.id)
                .with_for_update(key_share=True)
            )
            for row in (await self._db.execute(query)).all():
                self._places[row.id] = Place(row.path, row.name)

    async def place(self, node_id: int) -> Place:
        """Return a community, held.

        Raises:
            KeyError: there is none.
        """
        await self.hold((node_id,))
        return self._places[node_id]

    async def find(self, alarm_ids: Iterable[str]) -> None:
        """Read which cases these alarms are in, and those cases."""
        missing = set(alarm_ids) - self._links.keys()
        if not missing:
            return
        query = select(case_alarm).where(case_alarm.c.alarm_id.in_(sorted(missing)))
        found = [Link(**row._asdict()) for row in (await self._db.execute(query)).all()]
        for alarm_id in missing:
            self._links[alarm_id] = self._kept[alarm_id] = None
        for link in found:
            self._take_in(link)
        held = len(self._places)
        await self.read(link.case_id for link in found)
        if len(self._places) > held:
            # Cases of a community that was not held yet (their gateway has moved): as they are now that nobody else changes them.
            for link in found:
                del self._links[link.alarm_id]
                self._members.pop(link.case_id, None)
            await self.find(link.alarm_id for link in found)

    async def read(self, case_ids: Iterable[int]) -> None:
        """Read cases with their alarms and running deadlines."""
        wanted = sorted(set(case_ids))
        unknown = [one for one in wanted if one not in self._cases]
        if unknown:
            query = select(case).where(case.c.id.in_(unknown))
            rows = (await self._db.execute(query)).all()
            if not {row.node_id for row in rows} <= self._places.keys():
                await self.hold(row.node_id for row in rows)
                rows = (await self._db.execute(query)).all()
            for row in rows:
                self._cases[row.id] = case_of(row, self._places[row.node_id].path)
        await self._read_links([one for one in wanted if one not in self._members])
        await self._read_duties([one for one in wanted if one not in self._duties])

    async def _read_links(self, case_ids: list[int]) -> None:
        if not case_ids:
            return
        query = select(case_alarm).where(case_alarm.c.case_id.in_(case_ids))
        found = [Link(**row._asdict()) for row in (await self._db.execute(query)).all()]
        members = {one: self._in_memory(one) for one in case_ids}
        for link in found:
            if link.alarm_id not in self._links:
                self._take_in(link)
                members[link.case_id][link.alarm_id] = None
        self._members.update(members)

    def _in_memory(self, case_id: int) -> dict[str, None]:
        return {
            one.alarm_id: None for one in self._links.values() if one is not None and one.case_id == case_id
        }

    async def _read_duties(self, case_ids: list[int]) -> None:
        if not case_ids:
            return
        query = (
            select(deadline)
            .where(
                deadline.c.case_id.in_(case_ids), deadline.c.met_at.is_(None), deadline.c.voided_at.is_(None)
            )
            .order_by(deadline.c.id)
        )
        self._duties.update({one: [] for one in case_ids})
        for row in (await self._db.execute(query)).all():
            self._duties[row.case_id].append(Duty(**row._asdict()))

    def _take_in(self, link: Link) -> None:
        self._links[link.alarm_id] = self._kept[link.alarm_id] = link

    async def case(self, case_id: int) -> Case | None:
        """Return a case as it is now, its community held; None: there is none."""
        if case_id not in self._cases:
            home = select(case.c.node_id).where(case.c.id == case_id)
            node_id = (await self._db.execute(home)).scalar_one_or_none()
            if node_id is None:
                return None
            place = await self.place(node_id)
            row = (await self._db.execute(select(case).where(case.c.id == case_id))).one()
            self._cases[case_id] = case_of(row, place.path)
        return self._cases[case_id]

    async def open(self, draft: Case) -> Case:
        """Enter a new case; it gets its id here, which the first line of its time line needs."""
        values = columns_of(draft)
        del values["id"]
        made = (await self._db.execute(insert(case).values(values).returning(case.c.id))).scalar_one()
        opened = structs.replace(draft, id=made)
        self._cases[made], self._members[made], self._duties[made] = opened, {}, []
        return opened

    def write(self, now_is: Case, line: Mapping[str, Any]) -> None:
        """Note a case as it is now, with the next line of its time line."""
        self._cases[now_is.id] = now_is
        self._written[now_is.id] = None
        self._lines.append(line)

    async def link(self, alarm_id: str) -> Link | None:
        """Return an alarm in its case; None: it has none."""
        await self.find((alarm_id,))
        return self._links[alarm_id]

    def known_link(self, alarm_id: str) -> Link | None:
        """Return the same of an alarm that `find` has read."""
        return self._links[alarm_id]

    async def links(self, case_id: int) -> list[Link]:
        """Return the alarms of a case."""
        if case_id not in self._members:
            await self._read_links([case_id])
        return [link for alarm_id in self._members[case_id] if (link := self._links[alarm_id]) is not None]

    def put(self, link: Link) -> None:
        """Note an alarm in its case as it is now; `find` has read it."""
        self.remove(link.alarm_id)
        self._links[link.alarm_id] = link
        if link.case_id in self._members:
            self._members[link.case_id][link.alarm_id] = None

    def remove(self, alarm_id: str) -> None:
        """Take an alarm out of its case."""
        before = self._links[alarm_id]
        if before is not None and before.case_id in self._members:
            self._members[before.case_id].pop(alarm_id, None)
        self._links[alarm_id] = None

    async def candidates(self, node_id: int, kind: CaseKind) -> list[Candidate]:
        """Return the alarms of a community's cases that a new alarm may join, the newest of them."""
        await self.survey((node_id,))
        found = [
            Candidate(case_id=one.case_id, alarm=one.seen)
            for one in self._pools.get((node_id, kind), ())
            if one.alarm_id not in self._links
            and (one.case_id not in self._cases or self._cases[one.case_id].takes_alarms)
        ]
        for link in filter(None, self._links.values()):
            home = self._cases[link.case_id]
            if home.takes_alarms and (home.node_id, home.kind) == (node_id, kind):
                found.append(Candidate(case_id=home.id, alarm=link.seen))
        if len(found) > MAX_CANDIDATES:
            found.sort(key=lambda one: one.alarm.raised_at, reverse=True)
        return found[:MAX_CANDIDATES]

    async def survey(self, node_ids: Iterable[int]) -> None:
        """Read the alarms of the cases of these communities that somebody works on."""
        missing = sorted({one for one in node_ids if (one, CaseKind.DANGER) not in self._pools})
        if not missing:
            return
        for node_id in missing:
            self._pools[node_id, CaseKind.DANGER] = []
            self._pools[node_id, CaseKind.UPKEEP] = []
        place = func.row_number().over(
            partition_by=(case.c.node_id, case.c.kind), order_by=case_alarm.c.raised_at.desc()
        )
        names = ("alarm_id", "case_id", *Seen.__struct_fields__)
        ranked = (
            select(
                *(case_alarm.c[name] for name in names),
                case.c.node_id,
                case.c.kind.label("case_kind"),
                place.label("place"),
            )
            .join(case, case.c.id == case_alarm.c.case_id)
            .where(
                case.c.node_id.in_(missing),
                case.c.is_open,
                case.c.step.in_([step.value for step in WORKED_ON]),
            )
            .subquery()
        )
        for row in (await self._db.execute(select(ranked).where(ranked.c.place <= MAX_CANDIDATES))).all():
            seen = Seen(**{name: getattr(row, name) for name in Seen.__struct_fields__})
            self._pools[row.node_id, CaseKind(row.case_kind)].append(
                _Standing(alarm_id=row.alarm_id, case_id=row.case_id, seen=seen)
            )

    async def duties(self, case_id: int) -> list[Duty]:
        """Return the running deadlines of a case, oldest first."""
        if case_id not in self._duties:
            await self._read_duties([case_id])
        return [duty for duty in self._duties[case_id] if duty.is_running]

    async def begin(self, duty: Duty) -> None:
        """Enter a new deadline."""
        if duty.case_id not in self._duties:
            await self._read_duties([duty.case_id])
        self._duties[duty.case_id].append(duty)
        self._begun.append(duty)

    def change(self, duty: Duty, **values: Any) -> None:  # noqa: ANN401  # columns of the table
        """Change a deadline that `duties` has given."""
        for name, value in values.items():
            setattr(duty, name, value)
        if duty.id is not None:
            self._changed[duty.id] = duty

    async def hand_over(self, duty: Duty, case_id: int) -> None:
        """Give a deadline to another case."""
        if case_id not in self._duties:
            await self._read_duties([case_id])
        self._duties[duty.case_id].remove(duty)
        self.change(duty, case_id=case_id)
        self._duties[case_id].append(duty)

    async def settle(self) -> None:
        """Write everything down, table by table, in the order of the keys: two transactions must not wait in a circle."""
        await _update(self._db, case, "id", [columns_of(self._cases[one]) for one in sorted(self._written)])
        if self._lines:
            await self._db.execute(insert(timeline), self._lines)
        await self._settle_links()
        if self._begun:
            await self._db.execute(
                insert(deadline),
                [
                    {name: value for name, value in structs.asdict(one).items() if name != "id"}
                    for one in self._begun
                ],
            )
        changed = [structs.asdict(duty) for _, duty in sorted(self._changed.items())]
        await _update(self._db, deadline, "id", changed)
        self._forget()

    async def _settle_links(self) -> None:
        new: list[dict[str, Any]] = []
        changed: list[dict[str, Any]] = []
        gone: list[str] = []
        moved: list[dict[str, Any]] = []
        for alarm_id, link in sorted(self._links.items()):
            before = self._kept[alarm_id]
            if link is None:
                gone += [] if before is None else [alarm_id]
                continue
            if before is None:
                new.append(structs.asdict(link))
            elif link != before:
                changed.append(structs.asdict(link))
            if before is None or before.case_id != link.case_id:
                moved.append({"alarm": alarm_id, "now_in": link.case_id})
        if gone:
            await self._db.execute(delete(case_alarm).where(case_alarm.c.alarm_id.in_(gone)))
        if new:
            await self._db.execute(insert(case_alarm), new)
        await _update(self._db, case_alarm, "alarm_id", changed)
        if moved:
            into = update(alarm_table).where(alarm_table.c.alarm_id == bindparam("alarm"))
            await self._db.execute(into.values(case_id=bindparam("now_in")), moved)


async def _update(db: AsyncConnection, table: Table, key: str, rows: list[dict[str, Any]]) -> None:
    """Write whole rows over those with their keys."""
    if rows:
        await db.execute(
            _overwrite(table, key), [{f"new_{name}": value for name, value in row.items()} for row in rows]
        )


@cache
def _overwrite(table: Table, key: str) -> Update:
    changing: dict[str, Any] = {
        column.name: bindparam(f"new_{column.name}") for column in table.c if column.name != key
    }
    return update(table).where(table.c[key] == bindparam(f"new_{key}")).values(changing)
