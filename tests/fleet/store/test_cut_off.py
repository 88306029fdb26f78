"""Whoever is cut off in the middle of a read leaves nothing behind: no task that never ends, no connection that is stuck."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from sqlalchemy import insert, select, text

from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.alarms import feed_head

ROUNDS = 40


async def cut_off(task: asyncio.Task[None]) -> None:
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


async def test_reads_that_are_cut_off_leave_no_task_behind(store: Store) -> None:
    """A screen that leaves: its server cancels what it runs again and again until it has ended, as anyio does."""
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    before = asyncio.all_tasks()

    async def read() -> None:
        async with store.read() as db:
            while True:
                await db.execute(select(feed_head))

    for number in range(ROUNDS):
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read(), name="screen")
            for _ in range(20 + 3 * number):
                await asyncio.sleep(0)
            await cut_off(reading)
    async with asyncio.timeout(30):
        while asyncio.all_tasks() - before and not complaints:  # the last connections are being closed
            await asyncio.sleep(0.01)
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []
    async with store.read() as db:
        assert (await db.execute(text("SELECT 1"))).scalar_one() == 1


async def test_a_write_that_is_cut_off_is_undone_and_holds_nobody_up(store: Store) -> None:
    for number in range(ROUNDS // 4):
        is_written = asyncio.Event()

        async def write(told: asyncio.Event, position: int) -> None:
            async with store.begin() as db:
                await db.execute(insert(feed_head).values(one=1, position=position))
                told.set()
                while True:
                    await db.execute(select(feed_head))

        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(write(is_written, number), name="writer")
            await is_written.wait()
            await cut_off(writing)
    async with asyncio.timeout(30), store.begin() as db:
        assert (await db.execute(select(feed_head))).all() == []
