"""What gateways tell becomes alarms, devices and a feed: once, in order, and never stopped by what cannot be read."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import Gateway, a_card, alarm_change, hand_in, register, services_for

from gatehouse_events.chain import EntryKind
from gatehouse_events.states import AlarmState
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.ingest.identity import GatewayIdentity
from gatehouse_fleet.projection.feed import FeedItem
from gatehouse_fleet.projection.service import Projector
from gatehouse_fleet.projection.step import AlarmContext, Step
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.alarms import alarm, feed
from gatehouse_fleet.store.schema.gateways import device, gateway

GAS = "01JDEXAMPLE0000000000000G1"
LIFT = "01JDEXAMPLE0000000000000F2"


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Gateway]:
    found = Gateway(tmp_path / "gw1")
    yield found
    found.close()


@pytest.fixture
async def identity(store: Store, clock: SetClock, one: Gateway) -> GatewayIdentity:
    return (await register(store, clock, one))[0]


class Recorder:
    """A step that notes what it is given."""

    def __init__(self) -> None:
        self.seen: list[AlarmContext] = []

    async def on_alarms(self, db: AsyncConnection, told: Sequence[AlarmContext]) -> Sequence[FeedItem]:
        self.seen += told
        return ()


async def project(store: Store, clock: SetClock, *steps: Step) -> None:
    await Projector(services_for(store, clock), steps=steps).catch_up()


async def alarms(store: Store) -> dict[str, object]:
    async with store.read() as db:
        return {row.alarm_id: row for row in (await db.execute(select(alarm))).all()}


async def test_revisions_become_the_alarm_as_it_stands(
    store: Store, clock: SetClock, one: Gateway, identity: GatewayIdentity
) -> None:
    one.write(kind=EntryKind.CONFIG, body={"is_accepted": True, "card": a_card(one.id)})
    one.write(body=alarm_change(GAS, 1))
    one.write(body=alarm_change(GAS, 2, state=AlarmState.ACKED))
    one.write(body=alarm_change(LIFT, 1, code="lift.trapped", device_id="lift-1"))
    await hand_in(store, clock, identity, one)
    steps = Recorder()
    await project(store, clock, steps)
    rows = await alarms(store)
    assert (rows[GAS].seq, rows[GAS].state, rows[GAS].category) == (2, "acked", "gas")
    assert (rows[LIFT].priority, rows[LIFT].is_open, rows[LIFT].is_verified) == ("P1", True, True)
    assert [(c.change.alarm.alarm_id, c.change.alarm.seq) for c in steps.seen] == [
        (GAS, 1),
        (GAS, 2),
        (LIFT, 1),
    ]
    async with store.read() as db:
        lines = (await db.execute(select(feed).order_by(feed.c.position))).all()
        devices = {row.id: row for row in (await db.execute(select(device))).all()}
        card = (await db.execute(select(gateway.c.site_card))).scalar_one()
    assert [(line.position, line.topic, line.node_path) for line in lines] == [
        (1, "alarm", identity.node_path),
        (2, "alarm", identity.node_path),
        (3, "alarm", identity.node_path),
        (4, "gateway", identity.node_path),
    ]
    assert (devices["gas-1"].building, devices["gas-1"].online) == ("3", True)
    assert msgspec.json.decode(card)["gateway_id"] == one.id
    await project(store, clock, steps)
    assert len(steps.seen) == 3


async def test_an_entry_that_cannot_be_read_becomes_an_alarm_that_says_so(
    store: Store, clock: SetClock, one: Gateway, identity: GatewayIdentity
) -> None:
    one.write(body={"alarm": "nonsense"})
    one.write(body={"alarm": {"alarm_id": LIFT, "seq": 4, "priority": "P2", "state": "from_the_future"}})
    one.write(kind="of-a-later-version", body={"x": 1})
    one.write(body=alarm_change(GAS, 1))
    await hand_in(store, clock, identity, one)
    await project(store, clock)
    rows = await alarms(store)
    assert len(rows) == 3
    assert (rows[GAS].code, rows[GAS].is_verified) == ("gas.high_alarm", True)
    assert (rows[LIFT].code, rows[LIFT].seq, rows[LIFT].priority) == ("gateway.integrity", 4, "P2")
    (other,) = set(rows) - {GAS, LIFT}
    assert (rows[other].priority, rows[other].is_open, rows[other].is_verified) == ("P1", True, False)


async def test_a_body_taken_out_of_a_young_alarm_is_noticed_and_of_an_old_one_is_retention(
    store: Store, clock: SetClock, one: Gateway, identity: GatewayIdentity
) -> None:
    one.write(body=alarm_change(GAS, 1))
    taken = [msgspec.structs.replace(e, body=None) for e in one.entries()]
    await hand_in(store, clock, identity, one, taken)
    await project(store, clock)
    assert [row.code for row in (await alarms(store)).values()] == ["gateway.integrity"]


async def test_an_alarm_erased_long_ago_raises_nothing(
    store: Store, clock: SetClock, one: Gateway, identity: GatewayIdentity
) -> None:
    clock.move_to(clock.now() + timedelta(days=200))
    one.write(body=alarm_change(GAS, 1))
    taken = [msgspec.structs.replace(e, body=None) for e in one.entries()]
    await hand_in(store, clock, identity, one, taken)
    await project(store, clock)
    assert await alarms(store) == {}


async def test_a_step_that_fails_keeps_no_alarm_from_being_shown(
    store: Store, clock: SetClock, one: Gateway, identity: GatewayIdentity
) -> None:
    class FailsAtGas:
        async def on_alarms(self, db: AsyncConnection, told: Sequence[AlarmContext]) -> Sequence[FeedItem]:
            if any(context.change.alarm.alarm_id == GAS for context in told):
                raise ValueError("cannot make a case of gas")
            return ()

    one.write(body=alarm_change(GAS, 1))
    one.write(body=alarm_change(LIFT, 1, code="lift.trapped"))
    await hand_in(store, clock, identity, one)
    await project(store, clock, FailsAtGas())
    assert {GAS, LIFT} <= set(await alarms(store))
    async with store.read() as db:
        bodies = (await db.execute(select(feed.c.body).where(feed.c.topic == "gateway"))).scalars().all()
    assert [msgspec.json.decode(body)["alarm_id"] for body in bodies] == [GAS]


async def test_an_alarm_of_another_gateways_name_takes_nothing_from_it(
    store: Store, clock: SetClock, one: Gateway, identity: GatewayIdentity, tmp_path: Path
) -> None:
    other = Gateway(tmp_path / "gw2", "wh-371002-0008-gw1")
    (second,) = await register(store, clock, other)
    one.write(body=alarm_change(GAS, 1))
    other.write(body=alarm_change(GAS, 7, state=AlarmState.CLOSED))
    await hand_in(store, clock, identity, one)
    await hand_in(store, clock, second, other)
    await project(store, clock)
    rows = await alarms(store)
    assert (rows[GAS].gateway_no, rows[GAS].is_open) == (identity.no, True)
    (copy,) = set(rows) - {GAS}
    assert (rows[copy].gateway_no, rows[copy].is_verified) == (second.no, False)
    other.close()
