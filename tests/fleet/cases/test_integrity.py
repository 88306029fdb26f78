"""A fault of a gateway's history ends when a person has looked, with what stood for its unreadable entries and their cases."""

from __future__ import annotations

import sys
from pathlib import Path

from sqlalchemy import select, update

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import Gateway, alarm_change, hand_in, register, services_for

from gatehouse_fleet.cases import integrity
from gatehouse_fleet.cases.intake import CaseSteps
from gatehouse_fleet.cases.office import Office
from gatehouse_fleet.cases.shelf import Shelf
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.projection.service import Projector
from gatehouse_fleet.registry import gateways
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.cases import case
from gatehouse_fleet.store.schema.gateways import gateway

LIFT = "01JDEXAMPLE0000000000000F2"
WHO = Actor(name="zhou", role="city_operator", unit="示例", station="127.0.0.1")


async def test_whoever_has_looked_ends_the_fault_and_a_readable_revision_shows_the_alarm_again(
    store: Store, clock: SetClock, tmp_path: Path
) -> None:
    one = Gateway(tmp_path / "gw1")
    (identity,) = await register(store, clock, one)
    services, shelf = services_for(store, clock), Shelf()
    projector = Projector(services, steps=(CaseSteps(shelf, clock),))
    one.write(body={"alarm": "nonsense"})
    one.write(body={"alarm": {"alarm_id": LIFT, "seq": 4, "priority": "P2", "state": "from_the_future"}})
    await hand_in(store, clock, identity, one)
    await projector.catch_up()
    async with store.begin() as db:
        await db.execute(update(gateway).values(integrity_fault="history"))
    assert await open_alarms(store) == 2

    async with Office.of(services, shelf).work() as work:
        found = await gateways.find(work.db, one.id)
        assert found is not None
        assert await integrity.checked(work, found, by=WHO, reason="换过存储卡 (示例)") == 2
    assert await open_alarms(store) == 0
    async with store.read() as db:
        assert (await db.execute(select(gateway.c.integrity_fault))).scalar_one() is None
        steps = set((await db.execute(select(case.c.step))).scalars())
    assert steps == {"feedback"}, "the cases wait for what was found, as after any alarm that ended"

    one.write(body=alarm_change(LIFT, 6, code="lift.trapped", device_id="lift-1"))
    await hand_in(store, clock, identity, one)
    await projector.catch_up()
    async with store.read() as db:
        row = (await db.execute(select(alarm).where(alarm.c.alarm_id == LIFT))).one()
    assert (row.code, row.is_open) == ("lift.trapped", True)
    one.close()


async def open_alarms(store: Store) -> int:
    async with store.read() as db:
        return len((await db.execute(select(alarm.c.alarm_id).where(alarm.c.is_open))).all())
