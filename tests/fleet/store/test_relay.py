"""Wakes between workers over a real PostgreSQL: heard by the others, not echoed, and a broken line is told."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.server.relay import relay_wakes
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake
from gatehouse_hil.postgres import PostgresCluster


@pytest.fixture
async def worker(cluster: PostgresCluster):
    url = cluster.url(cluster.create_database())
    stores = []

    def make() -> Services:
        stores.append(Store.open(url))
        return Services(settings=FleetSettings(), store=stores[-1], clock=SystemClock(), wake=Wake())

    yield make
    for store in stores:
        await store.close()


async def test_what_one_worker_notifies_the_other_hears_and_itself_hears_once(worker) -> None:
    one, other = worker(), worker()
    async with asyncio.TaskGroup() as tasks:
        relays = [tasks.create_task(relay_wakes(each), name="relay") for each in (one, other)]
        topics = [f"orders:wh-gw{n}" for n in range(1000)]  # more than one message holds
        async with asyncio.timeout(60):
            while not all(other.wake.count(topic) for topic in topics):
                seen = other.wake.count(topics[-1])
                # Until both listen a wake may be lost: that is what the waiters' time-outs are for.
                seen = other.wake.count(topics[-1])
                for topic in topics:
                    one.wake.notify(topic)
                await other.wake.wait(topics[-1], seen, timeout_s=0.2)
            heard = one.wake.count("feed")
            one.wake.notify("feed")
            assert await other.wake.wait("feed", 0, timeout_s=60)
        assert one.wake.count("feed") == heard + 1
        for relay in relays:
            relay.cancel()


async def test_a_line_that_breaks_ends_the_part_with_an_error_for_the_keeper(worker) -> None:
    one = worker()
    url = one.store.url.set(drivername="postgresql").render_as_string(hide_password=False)
    killer = await asyncpg.connect(url)
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )

    async def cut() -> None:
        async with asyncio.timeout(60):
            while not await killer.fetch(kill):
                await asyncio.sleep(0.02)
        one.wake.notify("feed")

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(relay_wakes(one), name="relay")
            tasks.create_task(cut(), name="cut")

    with pytest.raises(ExceptionGroup) as failed:
        await both()
    assert failed.group_contains((ConnectionError, OSError))
    await killer.close()
