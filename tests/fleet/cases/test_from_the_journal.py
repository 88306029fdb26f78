"""From a gateway's real journal to a case with a running deadline, and from an order's outcome into its time line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs
from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import Gateway, a_card, alarm_change, hand_in, register, services_for

from gatehouse_events.chain import EntryKind
from gatehouse_events.orders import OrderOutcome, OrderResult
from gatehouse_events.states import AlarmState, Disposition
from gatehouse_fleet.cases import desk
from gatehouse_fleet.cases.desk import Act
from gatehouse_fleet.cases.intake import CaseSteps
from gatehouse_fleet.cases.office import Office
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.orders.service import Orders
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.projection.service import Projector
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.alarms import alarm, feed
from gatehouse_fleet.store.schema.cases import case, deadline, timeline
from gatehouse_fleet.store.schema.orders import order

LIFT = "01JDEXAMPLE0000000000000F2"
DISTRICT = Actor(name="district", role="district_operator", unit="示例区", station="test")


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Gateway]:
    found = Gateway(tmp_path / "gw1")
    yield found
    found.close()


async def nobody(scope: object, gateway_id: str) -> object:
    raise AssertionError("no gateway calls in this test")


async def test_an_alarm_in_a_journal_becomes_a_case_and_its_closing_moves_it(
    store: Store, clock: SetClock, one: Gateway
) -> None:
    identity = (await register(store, clock, one))[0]
    services = services_for(store, clock)
    office = Office(store=store, clock=clock, wake=services.wake)
    cases = CaseSteps(office.shelf, clock)
    projector = Projector(services, steps=(cases,))
    orders = Orders(services, nobody, on_outcome=cases.on_outcome)  # type: ignore[arg-type]

    one.write(kind=EntryKind.CONFIG, body={"is_accepted": True, "card": a_card(one.id)})
    one.write(body=alarm_change(LIFT, 1, code="lift.trapped", device_id="lift-1"))
    await hand_in(store, clock, identity, one)
    await projector.catch_up()
    async with store.read() as db:
        found = (await db.execute(select(case))).one()
        running = {
            row.stage: row for row in await db.execute(select(deadline).where(deadline.c.met_at.is_(None)))
        }
        linked = (await db.execute(select(alarm.c.case_id))).scalar_one()
        topics = (await db.execute(select(feed.c.topic).order_by(feed.c.position))).scalars().all()
    assert (found.step, found.code, linked) == ("dispatched", "lift.trapped", found.id)
    assert set(running) == {"taking", "handling", "rescue"}
    assert topics.count("case") == 3

    async with office.work() as work:
        await desk.dispose(
            work,
            Act(case_id=found.id, revision=found.revision, actor=DISTRICT),
            LIFT,
            alarm_seq=1,
            disposition=Disposition.FALSE_ALARM,
            reason="误报示例",
        )
        sent = work.ordered
    assert sent == {one.id}
    async with store.read() as db:
        given = (await db.execute(select(order))).one()
    outcome = OrderOutcome(epoch=given.epoch, seq=given.seq, result=OrderResult.DONE, at=clock.now())
    before = one.number
    one.write(kind=EntryKind.OUTCOME, body=outcome)
    closing = alarm_change(LIFT, 2, code="lift.trapped", device_id="lift-1", state=AlarmState.CLOSED)
    ended = structs.replace(closing.alarm, disposition=Disposition.FALSE_ALARM)
    one.write(body=structs.replace(closing, alarm=ended))
    assert one.number == before + 2
    clock.move_to(clock.now() + timedelta(minutes=1))
    await hand_in(store, clock, identity, one)
    await orders.catch_up()
    await projector.catch_up()
    async with store.read() as db:
        after = (await db.execute(select(case))).one()
        told = (await db.execute(select(timeline.c.what).order_by(timeline.c.n))).scalars().all()
    assert (after.step, after.outcome) == ("feedback", "false_alarm")
    assert told == [
        "opened",
        "filed",
        "dispatched",
        "ordered",
        "answered",
        "alarm_closed",
        "taken",
        "feedback",
    ]
