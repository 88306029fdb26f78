"""Alarms that are taken in together give the same cases as one at a time, line by line, for a handful of statements."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs
from sqlalchemy import event, insert, select, text

from gatehouse_events.alarm import Actor as GatewayActor
from gatehouse_events.alarm import Alarm, Change, DealStatus, Rescue, What, Word
from gatehouse_events.chain import ZERO_HASH, Entry, Lane
from gatehouse_events.codes import CODES
from gatehouse_events.states import AlarmState, Disposition
from gatehouse_fleet.cases.intake import CaseSteps
from gatehouse_fleet.projection.feed import FeedItem
from gatehouse_fleet.projection.step import AlarmContext
from gatehouse_fleet.store.schema.alarms import alarm as alarm_table
from gatehouse_fleet.store.schema.cases import case, case_alarm, deadline, occurrence, timeline
from gatehouse_fleet.store.schema.gateways import device, gateway
from gatehouse_fleet.store.schema.org import org_node

if TYPE_CHECKING:
    from conftest import Scene  # type: ignore[import-not-found]  # pytest loads it

Copy = Callable[[str, Path], Coroutine[Any, Any, "Scene"]]
SOURCES = [
    ("sos-602", "sos.pressed"),
    ("gas-602", "gas.pre_warning"),
    ("gas-602", "gas.high_alarm"),
    ("lift-1", "lift.trapped"),
    ("gas-602", "gas.offline"),
]
PLACES = {"sos-602": ("6", "2"), "gas-602": ("6", "2"), "lift-1": ("6", "")}
WHATS = ["raised", "ack", "repeat", "close", "false", "arrived", "rescue_false", "again", "older", "time"]
GUARD = GatewayActor(name="保安甲示例", role="operator", station="值守台")
COMMUNITIES = 3


class Tale(Struct, frozen=True):
    """What one gateway tells, or (`time`) that time passes before the next does."""

    what: str
    gateway: int
    source: int
    which: int
    incident: str | None
    ends_group: bool


TALES = st.lists(
    st.builds(
        Tale,
        what=st.sampled_from(["raised"] * 6 + WHATS),
        gateway=st.integers(0, COMMUNITIES - 1),
        source=st.integers(0, len(SOURCES) - 1),
        which=st.integers(0, 30),
        incident=st.sampled_from([None, None, "A"]),
        ends_group=st.booleans(),
    ),
    min_size=2,
    max_size=40,
)


class Community(Struct, frozen=True):
    gateway_no: int
    gateway_id: str
    node_id: int
    path: str


async def settle(scene: Scene) -> list[Community]:
    """Give the scene's community two neighbours and all of them devices; once, on PostgreSQL they stay."""
    async with scene.store.begin() as db:
        for n in range(1, COMMUNITIES):
            name = f"wh-371002-000{n}-gw2"
            if (await db.execute(select(gateway.c.no).where(gateway.c.id == name))).first() is None:
                parent = scene.path.strip("/").split("/")
                made = await db.execute(
                    insert(org_node)
                    .values(
                        kind="community", parent_id=int(parent[-2]), path=f"/{parent[0]}/{parent[1]}/x{n}/",
                        code=f"c{n}", name=f"示例小区{n}", created_at=scene.clock.now(),
                    )
                    .returning(org_node.c.id)
                )  # fmt: skip
                node_id = made.scalar_one()
                await db.execute(
                    insert(gateway).values(
                        id=name, node_id=node_id, state="deployed", created_at=scene.clock.now()
                    )
                )
        query = (
            select(gateway.c.no, gateway.c.id, gateway.c.node_id, org_node.c.path)
            .join(org_node, org_node.c.id == gateway.c.node_id)
            .order_by(gateway.c.no)
        )
        found = [Community(*row) for row in (await db.execute(query)).all()]
        await db.execute(
            insert(device),
            [
                {"gateway_no": one.gateway_no, "id": name, "state": "deployed", "kind": "x", "building": building, "unit": unit}
                for one in found
                for name, (building, unit) in PLACES.items()
            ],
        )  # fmt: skip
    return found


def fresh(number: int, tale: Tale, now: datetime) -> Alarm:
    name, code = SOURCES[tale.source]
    row = CODES[code]
    return Alarm(
        alarm_id=f"01JD{number:022d}", seq=1, device_id=name, code=code, kind=row.kind, priority=row.priority,
        state=AlarmState.UNACK, is_active=True, raised_at=now, raised_s=0.0, changed_at=now, changed_s=0.0,
        unack_since_s=0.0, incident_id=tale.incident, rescue=Rescue() if code == "lift.trapped" else None,
    )  # fmt: skip


def revised(before: Alarm, what: str, now: datetime) -> tuple[Alarm, What]:
    rescue = before.rescue or Rescue()
    told, changes = {
        "ack": (What.ACKNOWLEDGED, {"state": AlarmState.ACKED, "acked_by": GUARD.name, "acked_at": now}),
        "repeat": (What.REPEATED, {"repeats": before.repeats + 3}),
        "close": (What.CLOSED, _closing(Disposition.HANDLED, now)),
        "false": (What.CLOSED, _closing(Disposition.FALSE_ALARM, now)),
        "arrived": (
            What.RESCUE,
            {"rescue": structs.replace(rescue, deal_status=DealStatus.ARRIVED, arrived_at=now)},
        ),
        "rescue_false": (
            What.RESCUE,
            {"rescue": structs.replace(rescue, deal_status=DealStatus.FALSE_ALARM, ended_at=now)},
        ),
        "again": (
            What.CHANGED,
            {"state": AlarmState.UNACK, "is_active": True, "closed_at": None, "disposition": None},
        ),
        "older": (What.CHANGED, {}),
    }[what]
    seq = before.seq - 1 if what == "older" else before.seq + 1
    return structs.replace(before, seq=max(1, seq), changed_at=now, **changes), told


def _closing(why: Disposition, now: datetime) -> dict[str, Any]:
    return {
        "state": AlarmState.CLOSED, "is_active": False, "closed_at": now, "disposition": why, "close_reason": "示例",
    }  # fmt: skip


class Teller:
    """Makes the same contexts of the same tales."""

    def __init__(self, communities: Sequence[Community]) -> None:
        self._communities = communities
        self._alarms: list[tuple[Community, Alarm]] = []

    def context(self, tale: Tale, now: datetime) -> AlarmContext:
        if tale.what == "raised" or not self._alarms:
            community = self._communities[tale.gateway]
            alarm, what = fresh(len(self._alarms), tale, now), What.RAISED
            self._alarms.append((community, alarm))
        else:
            index = tale.which % len(self._alarms)
            community, before = self._alarms[index]
            alarm, what = revised(before, tale.what, now)
            self._alarms[index] = (community, alarm)
        entry = Entry(
            epoch="0" * 32, lane=Lane.ALARM, seq=1, at=now, boot="b" * 32, mono_ns=0, kind="alarm", body_hash=ZERO_HASH,
            prev_hash=ZERO_HASH, body=None,
        )  # fmt: skip
        return AlarmContext(
            gateway_no=community.gateway_no, gateway_id=community.gateway_id, node_id=community.node_id,
            node_path=community.path, entry=entry, is_verified=True, committed_at=now,
            change=Change(alarm=alarm, what=what, word=Word.UPDATED, actor=GUARD),
        )  # fmt: skip


async def show(scene: Scene, told: Sequence[AlarmContext]) -> None:
    """Enter the rows that the projection would have made of these revisions."""
    async with scene.store.begin() as db:
        known = set((await db.execute(select(alarm_table.c.alarm_id))).scalars())
        rows = {
            one.change.alarm.alarm_id: {
                **scene._row(one.change.alarm),
                "gateway_no": one.gateway_no,
                "node_id": one.node_id,
            }
            for one in told
            if one.change.alarm.alarm_id not in known
        }
        if rows:
            await db.execute(insert(alarm_table), list(rows.values()))


async def live(
    copy: Copy, kind: str, tales: Sequence[Tale], *, are_grouped: bool
) -> tuple[dict[str, list[Any]], list[FeedItem]]:
    """Tell the tales to a fresh scene; return every row that came of them, and what screens heard."""
    with tempfile.TemporaryDirectory() as folder:
        scene = await copy(kind, Path(folder))
        teller = Teller(await settle(scene))
        step = CaseSteps(scene.office.shelf, scene.clock)
        heard: list[FeedItem] = []

        async def take(group: Sequence[AlarmContext]) -> None:
            if group:
                await show(scene, group)
                async with scene.store.begin() as db:
                    heard.extend(await step.on_alarms(db, group))

        group: list[AlarmContext] = []
        for tale in tales:
            if tale.what == "time":
                await take(group)
                group = []
                scene.clock.move_to(scene.clock.now() + timedelta(minutes=1 + tale.which * 20))
                continue
            group.append(teller.context(tale, scene.clock.now()))
            if tale.ends_group or not are_grouped:
                await take(group)
                group = []
        await take(group)
        try:
            return await rows_of(scene), heard
        finally:
            await scene.store.close()


async def rows_of(scene: Scene) -> dict[str, list[Any]]:
    async with scene.store.read() as db:
        found = {
            table.name: sorted(
                (tuple(row) for row in (await db.execute(select(table))).all()), key=lambda row: str(row[:3])
            )
            for table in (case, case_alarm, deadline, occurrence, timeline)
        }
        query = select(alarm_table.c.alarm_id, alarm_table.c.case_id).order_by(alarm_table.c.alarm_id)
        return found | {"alarm": list((await db.execute(query)).all())}


@pytest.mark.parametrize(("kind", "part"), [("sqlite", 4), ("postgresql", 20)])
def test_alarms_taken_together_give_the_same_cases_as_one_at_a_time(
    kind: str, part: int, copy_of_scene: Copy
) -> None:
    @settings(max_examples=settings().max_examples // part, phases=(Phase.explicit, Phase.generate))
    @given(TALES)
    def check(tales: list[Tale]) -> None:
        together = asyncio.run(live(copy_of_scene, kind, tales, are_grouped=True))
        one_by_one = asyncio.run(live(copy_of_scene, kind, tales, are_grouped=False))
        for name, rows in one_by_one[0].items():
            assert together[0][name] == rows, name
        assert together[1] == one_by_one[1]

    check()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_ten_cases_cost_hardly_more_statements_than_one(
    kind: str, copy_of_scene: Copy, tmp_path: Path
) -> None:
    scene = await copy_of_scene(kind, tmp_path)
    teller = Teller(await settle(scene))
    step = CaseSteps(scene.office.shelf, scene.clock)
    seen: list[str] = []

    def note(_db: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    async def cost(count: int) -> int:
        told = [
            teller.context(Tale("raised", n % COMMUNITIES, n % 2, 0, f"{n}", False), scene.clock.now())
            for n in range(count)
        ]
        scene.clock.move_to(scene.clock.now() + timedelta(hours=3))
        await show(scene, told)
        async with scene.store.begin() as db:
            seen.clear()
            event.listen(scene.store.engine.sync_engine, "before_cursor_execute", note)
            await step.on_alarms(db, told)
            event.remove(scene.store.engine.sync_engine, "before_cursor_execute", note)
        return len(seen)

    one, ten = await cost(1), await cost(10)
    async with scene.store.read() as db:
        links = (await db.execute(select(case_alarm))).all()
        integrity = (
            None if kind == "postgresql" else (await db.execute(text("PRAGMA foreign_key_check"))).all()
        )
    await scene.store.close()
    assert len(links) == 11
    assert not integrity
    assert one <= 20, "\n".join(seen)
    assert ten <= 35, "\n".join(seen)
