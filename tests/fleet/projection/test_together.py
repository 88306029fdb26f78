"""Many gateways in one transaction: as cheap as one, each in its order, and nobody's fault is another's."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncConnection

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import Gateway, alarm_change, hand_in, register, services_for, stamp

from gatehouse_events.chain import Lane
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.ingest.identity import GatewayIdentity
from gatehouse_fleet.ingest.writer import Committed
from gatehouse_fleet.projection.feed import FeedItem
from gatehouse_fleet.projection.follower import Follower
from gatehouse_fleet.projection.readers import Portion, claim
from gatehouse_fleet.projection.service import Projector
from gatehouse_fleet.projection.step import AlarmContext
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.alarms import alarm, feed

COUNT = 10


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[list[Gateway]]:
    with contextlib.ExitStack() as stack:
        found = [Gateway(tmp_path / f"gw{n}", f"wh-371002-{n:04d}-gw1") for n in range(1, COUNT + 1)]
        for one in found:
            stack.callback(one.close)
        yield found


@pytest.fixture
async def identities(store: Store, clock: SetClock, gateways: list[Gateway]) -> list[GatewayIdentity]:
    return await register(store, clock, *gateways)


def alarm_id(gateway: int, number: int) -> str:
    return f"01JDEXAMPLE0000000000{gateway:02d}{number:03d}"


async def raise_alarms(
    store: Store,
    clock: SetClock,
    identities: Sequence[GatewayIdentity],
    gateways: Sequence[Gateway],
    number: int,
) -> None:
    for n, (identity, one) in enumerate(zip(identities, gateways, strict=True), start=1):
        one.write(body=alarm_change(alarm_id(n, number), 1))
        await hand_in(store, clock, identity, one)


@contextlib.asynccontextmanager
async def statements(store: Store) -> AsyncIterator[list[str]]:
    seen: list[str] = []

    def note(_db: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(store.engine.sync_engine, "before_cursor_execute", note)
    yield seen
    event.remove(store.engine.sync_engine, "before_cursor_execute", note)


async def test_ten_gateways_cost_as_many_statements_as_one(
    store: Store, clock: SetClock, gateways: list[Gateway], identities: list[GatewayIdentity]
) -> None:
    projector = Projector(services_for(store, clock), steps=())
    await raise_alarms(store, clock, identities, gateways, 1)
    await projector.catch_up()
    await raise_alarms(store, clock, identities, gateways, 2)
    async with statements(store) as seen:
        await projector.catch_up()
    async with store.read() as db:
        assert len((await db.execute(select(alarm))).all()) == 2 * COUNT
    assert len(seen) < 20, f"{len(seen)} statements for {COUNT} alarms"


async def test_each_gateway_is_read_in_its_order_whatever_is_read_together(
    store: Store, clock: SetClock, gateways: list[Gateway], identities: list[GatewayIdentity]
) -> None:
    told: dict[int, list[int]] = {}
    groups: list[int] = []

    async def note(db: AsyncConnection, read: Sequence[Portion], *, is_careful: bool) -> None:
        groups.append(len(read))
        for portion in read:
            told.setdefault(portion.source.no, []).extend(one.entry.seq for one in portion.entries)

    services = services_for(store, clock)
    follower = Follower(store, clock, services.wake, reader="test", lane=Lane.ALARM, work=note)
    for n, (identity, one) in enumerate(zip(identities, gateways, strict=True)):
        one.write(n * 15)
        one.journal.new_epoch("the other life", stamp(one.number + 1))
        one.write(30)
        await hand_in(store, clock, identity, one)
    await follower.catch_up()
    for n, (identity, one) in enumerate(zip(identities, gateways, strict=True)):
        one.write(1 + n * 10)
        await hand_in(store, clock, identity, one)
    await follower.catch_up()
    wanted = {
        identity.no: [entry.seq for entry in one.entries()]
        for identity, one in zip(identities, gateways, strict=True)
    }
    assert told == wanted
    assert max(groups) == COUNT


async def test_one_gateways_failure_undoes_nobody_elses_alarm_and_stops_nobody(
    store: Store, clock: SetClock, gateways: list[Gateway], identities: list[GatewayIdentity]
) -> None:
    bad = alarm_id(3, 2)
    tries: list[str] = []

    class FailsAtOne:
        async def on_alarms(self, db: AsyncConnection, told: Sequence[AlarmContext]) -> Sequence[FeedItem]:
            names = [context.change.alarm.alarm_id for context in told]
            tries.extend(names)
            if bad in names:
                raise ValueError("cannot make a case of this one")
            return ()

    projector = Projector(services_for(store, clock), steps=(FailsAtOne(),))
    for number in (1, 2, 3):
        await raise_alarms(store, clock, identities, gateways, number)
        await projector.catch_up()
    wanted = {alarm_id(n, number) for n in range(1, COUNT + 1) for number in (1, 2, 3)}
    async with store.read() as db:
        assert set((await db.execute(select(alarm.c.alarm_id))).scalars()) == wanted
        subjects = (await db.execute(select(feed.c.subject).where(feed.c.topic == "alarm"))).scalars().all()
    assert sorted(subjects) == sorted(wanted), "each is told once"


async def test_a_lane_that_another_worker_holds_is_looked_at_again_soon(
    store: Store, clock: SetClock, gateways: list[Gateway], identities: list[GatewayIdentity]
) -> None:
    if store.is_sqlite:
        pytest.skip("one worker only")
    services = services_for(store, clock)
    projector = Projector(services, steps=())
    await raise_alarms(store, clock, identities, gateways, 1)
    await projector.catch_up()
    await raise_alarms(store, clock, identities, gateways, 2)
    async with store.begin() as other:
        await claim(other, "projection", identities[0].no, Lane.ALARM)
        projector.committed(
            [Committed(gateway_no=one.no, lane=Lane.ALARM, is_news=True) for one in identities]
        )
        await projector.follower.take_turns()
        assert await count(store) == 2 * COUNT - 1
    await projector.follower.take_turns()
    assert await count(store) == 2 * COUNT


async def count(store: Store) -> int:
    async with store.read() as db:
        return len((await db.execute(select(alarm.c.alarm_id))).all())


async def test_a_step_that_failed_at_an_alarm_is_made_up_for_later(
    store: Store, clock: SetClock, gateways: list[Gateway], identities: list[GatewayIdentity]
) -> None:
    is_broken = True
    done: list[tuple[str, int]] = []

    class FailsForAWhile:
        async def on_alarms(self, db: AsyncConnection, told: Sequence[AlarmContext]) -> Sequence[FeedItem]:
            if is_broken:
                raise ValueError("the rules cannot be read")
            done.extend((context.change.alarm.alarm_id, context.change.alarm.seq) for context in told)
            return ()

    projector = Projector(services_for(store, clock), steps=(FailsForAWhile(),))
    await raise_alarms(store, clock, identities[:1], gateways[:1], 1)
    gateways[0].write(body=alarm_change(alarm_id(1, 1), 2))
    await hand_in(store, clock, identities[0], gateways[0])
    await projector.catch_up()
    assert await count(store) == 1, "shown at once"
    assert await projector.owed.pay() == 0
    is_broken = False
    assert await projector.owed.pay() == 0, "not at once again"
    clock.move_to(clock.now() + timedelta(minutes=1))
    assert await projector.owed.pay() == 2
    assert sorted(done) == [(alarm_id(1, 1), 1), (alarm_id(1, 1), 2)]
    assert await projector.owed.pay() == 0
    assert len(done) == 2


async def test_a_step_that_hangs_keeps_no_alarm_from_its_screen(
    store: Store, clock: SetClock, gateways: list[Gateway], identities: list[GatewayIdentity]
) -> None:
    """What a step is given is on the screens already; and while it hangs, others follow (SQLite has one writer at a time)."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    unseen: list[str] = []

    class Hangs:
        async def on_alarms(self, db: AsyncConnection, told: Sequence[AlarmContext]) -> Sequence[FeedItem]:
            async with store.read() as screen:
                shown = set((await screen.execute(select(feed.c.subject))).scalars())
            unseen.extend({one.change.alarm.alarm_id for one in told} - shown)
            begun.set()
            await go_on.wait()
            return ()

    projector = Projector(services_for(store, clock), steps=(Hangs(),))
    await raise_alarms(store, clock, identities, gateways, 1)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(projector.run())
        async with asyncio.timeout(30):
            await begun.wait()
            if not store.is_sqlite:
                await raise_alarms(store, clock, identities, gateways, 2)
                news = [Committed(gateway_no=one.no, lane=Lane.ALARM, is_news=True) for one in identities]
                projector.committed(news)
                while await count(store) < 2 * COUNT:
                    await asyncio.sleep(0.01)
        assert not go_on.is_set()
        go_on.set()
        running.cancel()
    assert unseen == []
