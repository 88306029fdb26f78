"""One community with a gateway and its devices, people around it, and the life of alarms as its journal would tell them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import Row, insert, select, text
from ulid import ULID

from gatehouse_events.alarm import Actor as GatewayActor
from gatehouse_events.alarm import Alarm, Change, DealStatus, Rescue, What, Word
from gatehouse_events.codes import CODES
from gatehouse_events.states import AlarmState, Disposition, Kind, Priority
from gatehouse_fleet.cases.clockwork import tick
from gatehouse_fleet.cases.desk import Act
from gatehouse_fleet.cases.docket import broken_line
from gatehouse_fleet.cases.intake import AlarmTold, take
from gatehouse_fleet.cases.office import Office
from gatehouse_fleet.cases.record import Case, case_of
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.people.roles import Actor, Caller, Role
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema import METADATA
from gatehouse_fleet.store.schema.alarms import alarm as alarm_table
from gatehouse_fleet.store.schema.cases import case, case_alarm, deadline, timeline
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.store.schema.people import user
from gatehouse_hil.postgres import PostgresCluster

MORNING = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
"""Wednesday, 09:00 in Shanghai."""
GUARD = GatewayActor(name="保安甲示例", role="operator", station="值守台")


@dataclass(kw_only=True)
class Scene:
    """The world of a case test: `raise_alarm`, `close`, … tell the fleet what a gateway's journal would."""

    store: Store
    clock: SetClock
    office: Office
    gateway_no: int
    community_id: int
    path: str
    people: dict[str, Caller]
    alarms: dict[str, Alarm] = field(default_factory=dict)
    places: dict[str, tuple[str, str]] = field(default_factory=dict)

    def act(self, name: str, case_id: int, revision: int) -> Act:
        return Act(case_id=case_id, revision=revision, actor=self.people[name].actor)

    def move(self, **delta: float) -> datetime:
        self.clock.move_to(self.clock.now() + timedelta(**delta))
        return self.clock.now()

    async def tell(self, change: Change, *, is_verified: bool = True) -> Case | None:
        """Give one revision to the fleet, as the projection does: the alarm row first, then the step."""
        alarm = change.alarm
        building, unit = self.places.get(alarm.device_id, ("", ""))
        async with self.office.work() as work:
            known = (
                await work.db.execute(
                    select(alarm_table.c.alarm_id).where(alarm_table.c.alarm_id == alarm.alarm_id)
                )
            ).one_or_none()
            values = self._row(alarm)
            if known is None:
                await work.db.execute(insert(alarm_table).values(values))
            return await take(
                work,
                AlarmTold(
                    gateway_no=self.gateway_no,
                    gateway_id="wh-371002-0007-gw1",
                    node_id=self.community_id,
                    node_path=self.path,
                    change=change,
                    building=building,
                    unit=unit,
                    is_verified=is_verified,
                ),
            )

    async def raise_alarm(
        self, device_id: str = "sos-602", code: str = "sos.pressed", **more: Any
    ) -> tuple[str, Case | None]:
        """Tell a new alarm; returns its id and its case."""
        now = self.clock.now()
        known = CODES.get(code)
        alarm = Alarm(
            alarm_id=str(ULID()),
            seq=1,
            device_id=device_id,
            code=code,
            kind=more.pop("kind", known.kind if known else Kind.ALARM),
            priority=more.pop("priority", known.priority if known else Priority.P2),
            state=AlarmState.UNACK,
            is_active=True,
            raised_at=more.pop("raised_at", now),
            raised_s=0.0,
            changed_at=now,
            changed_s=0.0,
            unack_since_s=0.0,
            rescue=Rescue() if code.startswith("lift.trapped") else None,
            **more,
        )
        self.alarms[alarm.alarm_id] = alarm
        return alarm.alarm_id, await self.tell(Change(alarm=alarm, what=What.RAISED, word=Word.RAISED))

    async def revise(
        self, alarm_id: str, what: What, *, actor: GatewayActor = GUARD, **changes: Any
    ) -> Case | None:
        before = self.alarms[alarm_id]
        after = structs.replace(before, seq=before.seq + 1, changed_at=self.clock.now(), **changes)
        self.alarms[alarm_id] = after
        return await self.tell(Change(alarm=after, what=what, word=Word.UPDATED, actor=actor))

    async def acknowledge(self, alarm_id: str) -> Case | None:
        return await self.revise(
            alarm_id,
            What.ACKNOWLEDGED,
            state=AlarmState.ACKED,
            acked_by=GUARD.name,
            acked_at=self.clock.now(),
        )

    async def repeat(self, alarm_id: str, times: int = 1) -> Case | None:
        return await self.revise(alarm_id, What.REPEATED, repeats=self.alarms[alarm_id].repeats + times)

    async def rescue(self, alarm_id: str, status: DealStatus) -> Case | None:
        now, before = self.clock.now(), self.alarms[alarm_id].rescue or Rescue()
        stamp = {
            DealStatus.RAISED: {},
            DealStatus.RESPONDED: {"responded_at": now},
            DealStatus.ARRIVED: {"arrived_at": now, "responded_at": before.responded_at or now},
            DealStatus.DONE: {"ended_at": now},
            DealStatus.FALSE_ALARM: {"ended_at": now},
        }[status]
        return await self.revise(
            alarm_id, What.RESCUE, rescue=structs.replace(before, deal_status=status, **stamp)
        )

    async def close(self, alarm_id: str, disposition: Disposition = Disposition.HANDLED) -> Case | None:
        return await self.revise(
            alarm_id,
            What.CLOSED,
            state=AlarmState.CLOSED,
            closed_at=self.clock.now(),
            disposition=disposition,
            close_reason="已处理示例",
        )

    async def tick(self, **delta: float) -> int:
        self.move(**delta)
        return await tick(self.office)

    async def case(self, case_id: int) -> Case:
        async with self.store.read() as db:
            row = (await db.execute(select(case).where(case.c.id == case_id))).one()
        return case_of(row, self.path)

    async def cases(self) -> list[Case]:
        async with self.store.read() as db:
            return [case_of(row, self.path) for row in await db.execute(select(case).order_by(case.c.id))]

    async def lines(self, case_id: int) -> list[Row[Any]]:
        async with self.store.read() as db:
            query = select(timeline).where(timeline.c.case_id == case_id).order_by(timeline.c.n)
            return list((await db.execute(query)).all())

    async def whats(self, case_id: int) -> list[str]:
        return [line.what for line in await self.lines(case_id)]

    async def deadlines(self, case_id: int, **where: str) -> list[Row[Any]]:
        query = select(deadline).where(deadline.c.case_id == case_id).order_by(deadline.c.id)
        for name, value in where.items():
            query = query.where(deadline.c[name] == value)
        async with self.store.read() as db:
            return list((await db.execute(query)).all())

    async def running(self, case_id: int) -> dict[str, Row[Any]]:
        return {
            row.stage: row
            for row in await self.deadlines(case_id)
            if row.met_at is None and row.voided_at is None
        }

    async def links(self) -> dict[str, int]:
        async with self.store.read() as db:
            rows = await db.execute(select(case_alarm.c.alarm_id, case_alarm.c.case_id))
            return {row.alarm_id: row.case_id for row in rows}

    async def first_broken_line(self, case_id: int) -> int | None:
        async with self.store.read() as db:
            return await broken_line(db, case_id)

    def _row(self, alarm: Alarm) -> dict[str, Any]:
        return {
            "alarm_id": alarm.alarm_id,
            "gateway_no": self.gateway_no,
            "node_id": self.community_id,
            "device_id": alarm.device_id,
            "seq": alarm.seq,
            "entry_epoch": "0" * 32,
            "entry_seq": 1,
            "code": alarm.code,
            "category": alarm.code.partition(".")[0],
            "kind": alarm.kind,
            "priority": alarm.priority,
            "state": alarm.state,
            "is_open": alarm.is_open,
            "raised_at": alarm.raised_at,
            "changed_at": alarm.changed_at,
            "committed_at": self.clock.now(),
            "is_verified": True,
            "body": "{}",
        }


async def make_scene(store: Store, clock: SetClock) -> Scene:
    """Fill an empty store; every name is invented."""
    async with store.begin() as db:
        ids: dict[str, int] = {}
        path = "/"
        for kind, name in (("city", "示例市"), ("district", "示例区"), ("community", "示例小区")):
            made = await db.execute(
                insert(org_node)
                .values(
                    kind=kind,
                    parent_id=ids.get("last"),
                    path=f"{path}?/",
                    code=kind,
                    name=name,
                    created_at=clock.now(),
                )
                .returning(org_node.c.id)
            )
            ids[kind] = ids["last"] = made.scalar_one()
            path = f"{path}{ids[kind]}/"
            await db.execute(org_node.update().where(org_node.c.id == ids[kind]).values(path=path))
        made = await db.execute(
            insert(gateway)
            .values(
                id="wh-371002-0007-gw1",
                node_id=ids["community"],
                state="deployed",
                created_at=clock.now(),
            )
            .returning(gateway.c.no)
        )
        gateway_no = made.scalar_one()
        people: dict[str, Caller] = {}
        for name, role, scope in (
            ("city", Role.CITY_OPERATOR, "city"),
            ("district", Role.DISTRICT_OPERATOR, "district"),
            ("judge", Role.DISTRICT_OPERATOR, "district"),
            ("manager", Role.PROPERTY_MANAGER, "community"),
            ("guard", Role.GUARD, "community"),
            ("technician", Role.TECHNICIAN, "community"),
            ("auditor", Role.AUDITOR, "city"),
        ):
            made = await db.execute(
                insert(user)
                .values(
                    name=name,
                    full_name=f"{name}示例",
                    unit="示例单位",
                    role=role.value,
                    scope_id=ids[scope],
                    is_contractor=False,
                    is_active=True,
                    created_at=clock.now(),
                )
                .returning(user.c.id)
            )
            where = {
                "city": f"/{ids['city']}/",
                "district": f"/{ids['city']}/{ids['district']}/",
                "community": path,
            }
            people[name] = Caller(
                user_id=made.scalar_one(),
                actor=Actor(name=name, role=role.value, unit="示例单位", station="test"),
                role=role,
                scope_id=ids[scope],
                scope_path=where[scope],
            )
    return Scene(
        store=store,
        clock=clock,
        office=Office(store=store, clock=clock, wake=Wake()),
        gateway_no=gateway_no,
        community_id=ids["community"],
        path=path,
        people=people,
    )


@pytest.fixture(scope="session")
def filled(
    tmp_path_factory: pytest.TempPathFactory, cluster: PostgresCluster
) -> dict[str, tuple[str, Scene]]:
    """One database of each kind with every table and the scene in it; each test gets a copy."""
    folder = tmp_path_factory.mktemp("scene")
    urls = {
        "sqlite": f"sqlite:///{folder}/scene.db",
        "postgresql": cluster.url(cluster.create_database()),
    }

    async def fill(url: str) -> Scene:
        store = Store.open(url)
        try:
            await store.create_all()
            return await make_scene(store, SetClock(MORNING))
        finally:
            await store.close()

    made = {kind: (url, asyncio.run(fill(url))) for kind, url in urls.items()}
    checkpoint(folder / "scene.db")
    return made


async def empty(store: Store) -> None:
    """Take everything but places, people and gateways out again: a database of its own for each test takes far longer."""
    kept = {org_node, user, gateway}
    names = ", ".join(table.name for table in METADATA.sorted_tables if table not in kept)
    async with store.begin() as db:
        await db.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))


def checkpoint(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture(scope="session")
def copy_of_scene(
    filled: dict[str, tuple[str, Scene]],
) -> Callable[[str, Path], Coroutine[Any, Any, Scene]]:
    """Makes a scene of its own in a folder, on the kind of database named; of PostgreSQL one at a time."""

    async def copy(kind: str, folder: Path) -> Scene:
        template, made = filled[kind]
        if kind == "sqlite":
            shutil.copyfile(template.removeprefix("sqlite:///"), folder / "fleet.db")
            url = f"sqlite:///{folder}/fleet.db"
        else:
            url = template
        store, clock = Store.open(url), SetClock(MORNING)
        if not store.is_sqlite:
            await empty(store)
        office = Office(store=store, clock=clock, wake=Wake(), shelf=made.office.shelf)
        return replace(made, store=store, clock=clock, office=office, alarms={}, places={})

    return copy


@pytest.fixture(params=["sqlite", "postgresql"])
async def scene(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    copy_of_scene: Callable[[str, Path], Coroutine[Any, Any, Scene]],
) -> AsyncIterator[Scene]:
    made = await copy_of_scene(request.param, tmp_path)
    yield made
    await made.store.close()
