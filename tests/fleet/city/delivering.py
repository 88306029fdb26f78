"""Running couriers inside a test."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from city_fleet import Fleet
from sqlalchemy import func, select

from gatehouse_fleet.city.courier import Courier
from gatehouse_fleet.city.envelopes import envelope_for
from gatehouse_fleet.city.target import Target
from gatehouse_fleet.city.transports import transport_for
from gatehouse_fleet.store.schema.city import city_receipt

QUICK = "retry: {first_s: 0.05, most_s: 0.2, tries_per_event: 3, stop_after_refusals: 4}\n"


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


async def until(condition: Callable[[], Awaitable[bool]], *, within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.02)


async def received(fleet: Fleet, target: str, count: int, *, within_s: float = 60) -> None:
    query = select(func.count()).where(city_receipt.c.target == target)

    async def has() -> bool:
        async with fleet.store.read() as db:
            return (await db.execute(query)).scalar_one() >= count

    await until(has, within_s=within_s)
