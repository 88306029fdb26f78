"""A cancelled caller leaves no thread behind: what it closes next is used by nobody."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gatehouse_edge.clock import SystemClock
from gatehouse_edge.console.state import SharedReader
from gatehouse_edge.notifier.channel import Patience
from gatehouse_edge.notifier.contact import Directory
from gatehouse_edge.notifier.notifier import Notifier
from gatehouse_edge.threads import in_thread
from gatehouse_edge.uplink.link import Link
from gatehouse_edge.uplink.replicator import Replicator
from gatehouse_events.chain import EntryKind, Lane, Position, Stamp
from gatehouse_events.fleet_api import Cursor
from gatehouse_events.replication import Accepted, ReplicationBatch
from gatehouse_journal import Batch, Journal, Limits, NewEntry, Reader, Signer

STOPPED_READS = 10


class Slow:
    """Work that lasts until it is let go."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.may_end = threading.Event()
        self.has_ended = False

    def __call__(self, *_: object) -> str:
        self.has_begun.set()
        assert self.may_end.wait(5)
        self.has_ended = True
        return "done"

    async def begun(self) -> None:
        assert await asyncio.to_thread(self.has_begun.wait, 30)


async def test_what_the_work_returns_and_raises_comes_back() -> None:
    def fail() -> None:
        raise ValueError("for this test")

    assert await in_thread(lambda number, text: f"{number} {text}", 3, "doors") == "3 doors"
    with pytest.raises(ValueError, match="for this test"):
        await in_thread(fail)


async def test_a_cancelled_caller_goes_on_when_the_thread_has_ended_however_often_it_is_cancelled() -> None:
    slow = Slow()
    seen: list[bool] = []

    async def caller() -> None:
        try:
            await in_thread(slow)
        finally:
            seen.append(slow.has_ended)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(caller())
        await slow.begun()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.01)
            assert not task.done()
        slow.may_end.set()
    assert task.cancelled()
    assert seen == [True]


async def test_a_cancelled_caller_of_work_that_fails_is_still_just_cancelled() -> None:
    slow = Slow()

    def fail() -> None:
        slow()
        raise ValueError("nobody hears this")

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(in_thread(fail))
        await slow.begun()
        task.cancel()
        slow.may_end.set()
    assert task.cancelled()


async def test_a_page_that_was_closed_while_it_read_the_journal_does_not_let_the_next_one_in_early(
    tmp_path: Path,
) -> None:
    shared, first, second = SharedReader(Reader(tmp_path)), Slow(), Slow()
    second.may_end.set()
    async with asyncio.TaskGroup() as tasks:
        closed = tasks.create_task(shared.call(first))
        await first.begun()
        closed.cancel()
        following = tasks.create_task(shared.call(second))
        await asyncio.sleep(0.05)
        is_early = second.has_begun.is_set()
        first.may_end.set()
    assert not is_early
    assert (following.result(), first.has_ended) == ("done", True)


class Town:
    """A fleet that takes everything, and a ledger in which nothing more happens."""

    version = 0

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def cursor(self, lane: Lane) -> Cursor:
        return Cursor(lane=lane, epoch=self._journal.epoch, seq=0)

    async def post(self, batch: ReplicationBatch) -> Accepted:
        return Accepted(lane=batch.lane, epoch=batch.epoch, cursor=batch.entries[-1].seq)

    def head(self, lane: Lane) -> Position:
        return self._journal.head(lane)

    async def changed(self, seen: int) -> int:
        return await asyncio.Future()

    async def new_epoch(self, reason: str, **_: object) -> None:
        raise AssertionError(reason)


async def replicator(journal: Journal, folder: Path) -> None:
    clock, town = SystemClock(), Town(journal)
    link = Link(clock, is_configured=True)
    await Replicator(town, town, folder, "gw-test", link=link, clock=clock, rng=random.Random(1)).run()


async def notifier(_: Journal, folder: Path) -> None:
    async def report(is_failing: bool, why: str) -> None:
        raise AssertionError(why)

    with Reader.open(folder) as reader:
        await Notifier(
            reader, clock=SystemClock(), directory=Directory(), channels=(), estate="示例小区", place=lambda _: "",
            report=report, patience=Patience(), is_wanted=lambda _: True,
        ).run()  # fmt: skip


class Counting(ThreadPoolExecutor):
    """Threads that say how many of them are at work."""

    busy = 0

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        def counted() -> Any:
            self.busy += 1
            try:
                return work(*args, **kwargs)
            finally:
                self.busy -= 1

        return super().submit(counted)


@pytest.mark.parametrize("begin", [replicator, notifier])
async def test_who_reads_the_journal_can_be_stopped_in_the_middle_of_a_read(
    begin: Callable[[Journal, Path], Coroutine[Any, Any, None]], tmp_path: Path
) -> None:
    asyncio.get_running_loop().set_default_executor(pool := Counting())
    now = SystemClock().now()
    stamp = Stamp(at=now.wall, boot=now.boot, mono_ns=now.mono_ns)
    line = NewEntry(kind=EntryKind.AUDIT, body=b"{" + b" " * 20_000 + b"}", stamp=stamp)
    signer = Signer.load_or_create(tmp_path)
    with contextlib.closing(
        Journal.open(tmp_path, limits=Limits(ballast_bytes=0), signer=signer, stamp=stamp)
    ) as journal:
        journal.commit(Batch(entries=[line] * 200))
        rng, reads = random.Random(1), 0
        while reads < STOPPED_READS:
            for cursors in tmp_path.glob("cursors.db*"):
                cursors.unlink()  # from the beginning each time
            async with asyncio.TaskGroup() as tasks:
                task = tasks.create_task(begin(journal, tmp_path))
                await asyncio.sleep(rng.uniform(0, 0.02))
                reads += pool.busy > 0
                task.cancel()
            assert pool.busy == 0, "what its thread was reading is closed"
