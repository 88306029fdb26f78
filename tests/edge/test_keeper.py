"""A part that fails is started again and named; no other part and no stop suffers."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from gatehouse_edge.crew import Crew
from gatehouse_edge.keeper import Keeper


class Told:
    """What the gateway is told about its parts; `changed` after each."""

    def __init__(self):
        self.said = []
        self.changed = asyncio.Event()

    async def report(self, text, is_failing):
        self.said.append((is_failing, text))
        self.changed.set()

    async def until(self, is_so):
        async with asyncio.timeout(10):
            while not is_so(self.said):
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def keeping(told, *parts, healthy_s=30.0):
    keeper = Keeper(told.report, first_pause_s=0.001, healthy_s=healthy_s)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        crew = Crew(tasks)
        for name, work in parts:
            crew.hire(name, keeper.keep(name, work))
        crew.hire("keeper", keeper.run())
        yield keeper
        await crew.dismiss_all()


async def test_a_failing_part_is_named_started_again_and_called_well_once_it_works():
    told, tries, works = Told(), [], asyncio.Event()

    async def console():
        tries.append(1)
        if len(tries) < 4:
            raise ExceptionGroup("tasks", [OSError("port\ntaken")])
        works.set()
        await asyncio.Event().wait()

    async with keeping(told, ("console", console), healthy_s=0.05):
        await works.wait()
        await told.until(lambda said: said[-1] == (False, "") and len(said) > 1)
    assert (True, "console: OSError: port taken") in told.said
    assert len(tries) == 4


async def test_the_others_work_on_while_one_fails_again_and_again():
    told, beats, enough = Told(), [], asyncio.Event()

    async def broken():
        beats.append("broken")
        raise RuntimeError("bug")

    async def siren():
        while True:
            beats.append("siren")
            if beats.count("broken") > 3:
                enough.set()
            await asyncio.sleep(0)

    async with keeping(told, ("broken", broken), ("siren", siren)) as keeper:
        await enough.wait()
        await told.until(lambda said: said[-1][0])
        assert keeper.failing == {"broken": "RuntimeError: bug"}
        keeper.forget("broken")
        assert not keeper.failing


async def test_a_part_that_has_done_its_work_is_not_started_again():
    told, runs = Told(), []

    async def once():
        runs.append(1)

    keeper = Keeper(told.report)
    await keeper.keep("once", once)
    assert runs == [1]


async def test_who_does_not_clean_up_does_not_hold_up_the_end():
    let_go, started = asyncio.Event(), asyncio.Event()

    async def slow():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await let_go.wait()

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        crew = Crew(tasks)
        crew.hire("slow", slow())
        await started.wait()
        await crew.dismiss_all(0.01)
        let_go.set()


async def test_a_part_that_fails_while_it_is_stopped_has_stopped():
    told, started = Told(), asyncio.Event()

    async def untidy():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("cannot hang up")

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        crew = Crew(tasks)
        crew.hire("untidy", Keeper(told.report).keep("untidy", untidy))
        await started.wait()
        await crew.dismiss("untidy")
