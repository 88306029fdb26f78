"""What is too old goes, what somebody still has to read stays, and what is gone is no second story when told again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, insert, select

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import Gateway, alarm_change, hand_in, register, services_for, stored

from gatehouse_events.chain import Lane
from gatehouse_events.replication import Accepted
from gatehouse_events.states import AlarmState
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.ingest.identity import GatewayIdentity
from gatehouse_fleet.projection.retention import prune
from gatehouse_fleet.projection.service import Projector
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.alarms import alarm, feed
from gatehouse_fleet.store.schema.journal import reader_cursor

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


async def test_telemetry_goes_after_its_days_and_is_no_news_when_told_again(
    store: Store, clock: SetClock, one: Gateway, identity: GatewayIdentity
) -> None:
    services = services_for(store, clock)
    old = one.measure(40)
    await hand_in(store, clock, identity, one, lane=Lane.TELEMETRY)
    clock.move_to(clock.now() + timedelta(days=services.settings.retention.telemetry_days, seconds=1))
    new = one.measure(5)
    await hand_in(store, clock, identity, one, new, lane=Lane.TELEMETRY)
    one.write(3)
    await hand_in(store, clock, identity, one)
    assert await prune(services) == 40
    assert [row.seq for row in await stored(store, 2)] == [entry.seq for entry in new]
    assert len(await stored(store, 1)) == len(one.entries())
    (answer,) = await hand_in(store, clock, identity, one, old[-10:], lane=Lane.TELEMETRY)
    assert answer == Accepted(epoch=one.journal.epoch, lane=Lane.TELEMETRY, cursor=45)
    assert len(await stored(store, 2)) == 5


async def test_alarms_stay_while_open_or_unread(
    store: Store, clock: SetClock, one: Gateway, identity: GatewayIdentity
) -> None:
    services = services_for(store, clock)
    one.write(body=alarm_change(GAS, 1, state=AlarmState.CLOSED))
    one.write(body=alarm_change(LIFT, 1, code="lift.trapped"))
    await hand_in(store, clock, identity, one)
    await Projector(services, steps=()).follower.catch_up()
    entries = len(one.entries())
    async with store.begin() as db:  # a city target that has been down all the time
        await db.execute(
            insert(reader_cursor).values(
                reader="city:down", gateway_no=identity.no, lane=1, epoch_number=0, seq=0
            )
        )
    clock.move_to(clock.now() + timedelta(days=services.settings.retention.alarm_days + 1))
    assert await prune(services) == 0
    async with store.begin() as db:
        await db.execute(delete(reader_cursor).where(reader_cursor.c.reader == "city:down"))
    assert await prune(services) == entries
    async with store.read() as db:
        assert (await db.execute(select(alarm.c.alarm_id))).scalars().all() == [LIFT]
        assert (await db.execute(select(func.count()).select_from(feed))).scalar_one() == 0
