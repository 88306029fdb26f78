"""Delivery against a platform that is a process of its own: once each, in order, through everything that goes wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import targets
from city_fleet import Fleet
from city_process import CityProcess, city

from gatehouse_fleet.city.courier import Courier
from gatehouse_fleet.city.envelopes import envelope_for
from gatehouse_fleet.city.target import Target, parse
from gatehouse_fleet.city.transports import transport_for
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.store import Store, Wake

QUICK = "retry: {first_s: 0.05, most_s: 0.2, tries_per_event: 3, stop_after_refusals: 4}\n"


@pytest.fixture
async def fleet(store: Store) -> Fleet:
    return Fleet(store, SystemClock(), Wake())


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[CityProcess]:
    async with city(tmp_path) as process:
        yield process


def http_target(platform: CityProcess, text: str = targets.CLOUDEVENTS + QUICK) -> Target:
    return parse(text.replace("http://127.0.0.1:9", platform.url), name="t.yaml")


def courier_for(fleet: Fleet, target: Target, *, beside: Path = Path()) -> Courier:
    return Courier(
        target,
        envelope=envelope_for(target, beside=beside),
        transport=transport_for(target, beside=beside, clock=fleet.clock),
        store=fleet.store,
        wake=fleet.wake,
        clock=fleet.clock,
        dice=random.Random(1),
        look_every_s=0.2,
    )


@asynccontextmanager
async def delivering(*couriers: Courier) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one.run(), name=one.target.id) for one in couriers]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)


async def received(fleet: Fleet, target: str, count: int) -> None:
    async def has() -> bool:
        return len(await fleet.receipts(target)) >= count

    await until(has)


async def test_an_alarm_is_at_the_city_with_its_receipt_stored(fleet: Fleet, platform: CityProcess) -> None:
    no = await fleet.gateway("gw-1")
    seq = await fleet.tell(no, fleet.change())
    async with delivering(courier_for(fleet, http_target(platform))):
        await received(fleet, "weihai", 1)
    (receipt,) = await fleet.receipts("weihai")
    assert platform.stored() == [receipt.event_id]
    assert (receipt.seq, receipt.tries, receipt.is_verified) == (seq, 1, True)
    assert b"R-" in receipt.receipt
    assert receipt.sent_at <= receipt.receipt_at
