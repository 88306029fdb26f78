"""Members of the crew come and go one by one; a bug in one ends the whole."""

from __future__ import annotations

import asyncio

import pytest

from gatehouse_edge.crew import Crew


class Worker:
    def __init__(self) -> None:
        self.is_working = asyncio.Event()
        self.has_cleaned_up = False

    async def run(self) -> None:
        try:
            self.is_working.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.has_cleaned_up = True


async def test_a_dismissed_member_has_cleaned_up_and_the_others_work_on() -> None:
    going, staying = Worker(), Worker()
    async with asyncio.TaskGroup() as tasks:
        crew = Crew(tasks)
        crew.hire("going", going.run())
        crew.hire("staying", staying.run())
        await going.is_working.wait()
        await crew.dismiss("going", "never hired")
        assert (going.has_cleaned_up, staying.has_cleaned_up) == (True, False)
        assert crew.names == {"staying"}
        await crew.dismiss_all()
    assert staying.has_cleaned_up


async def test_a_name_is_given_once() -> None:
    async with asyncio.TaskGroup() as tasks:
        crew = Crew(tasks)
        crew.hire("bus", Worker().run())
        with pytest.raises(ValueError, match="bus is at work already"):
            crew.hire("bus", Worker().run())
        await crew.dismiss_all()


async def test_a_bug_in_one_member_ends_the_whole_loudly() -> None:
    async def buggy() -> None:
        raise RuntimeError("bug")

    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            crew = Crew(tasks)
            crew.hire("worker", Worker().run())
            crew.hire("buggy", buggy())

    with pytest.raises(ExceptionGroup):
        await run()
