"""A part that fails is named, started again, and no other suffers."""

from __future__ import annotations

import asyncio

from gatehouse_fleet.server.keeper import Keeper


async def test_a_failing_part_is_named_and_started_again() -> None:
    keeper, tries, well = Keeper(first_pause_s=0.01, healthy_s=30), 0, asyncio.Event()

    async def weak() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ConnectionError("the database\nis away")
        well.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.keep("weak", weak), name="weak")
        async with asyncio.timeout(30):
            await keeper.changed()
            assert keeper.failing == {"weak": "ConnectionError: the database is away"}
            await well.wait()
    assert tries == 3
    assert keeper.failing == {}


async def test_a_part_is_stopped_when_it_is_to_end_and_the_others_go_on() -> None:
    keeper, running = Keeper(first_pause_s=0.01), asyncio.Event()

    async def steady() -> None:
        running.set()
        await asyncio.Event().wait()

    async def broken() -> None:
        raise ValueError("示例")

    async with asyncio.TaskGroup() as tasks:
        kept = [
            tasks.create_task(keeper.keep("steady", steady), name="steady"),
            tasks.create_task(keeper.keep("broken", broken), name="broken"),
        ]
        async with asyncio.timeout(30):
            await running.wait()
            await keeper.changed()
        assert keeper.failing == {"broken": "ValueError: 示例"}
        assert not kept[0].done()
        for task in kept:
            task.cancel()
    assert all(task.cancelled() for task in kept)
