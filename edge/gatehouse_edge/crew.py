"""Named tasks of one task group that can be replaced one by one: how a reload restarts only what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


class Crew:
    """Every member is a task of the given group: an unexpected error of one still ends the whole, loudly."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._members: dict[str, asyncio.Task[None]] = {}

    @property
    def names(self) -> frozenset[str]:
        """Who is at work."""
        return frozenset(self._members)

    def hire(self, name: str, work: Coroutine[object, object, None]) -> None:
        """Start `work` under `name`.

        Raises:
            ValueError: somebody works under that name.
        """
        if name in self._members:
            work.close()
            raise ValueError(f"{name} is at work already")
        self._members[name] = self._tasks.create_task(work, name=name)

    async def dismiss(self, *names: str) -> None:
        """Cancel these members and return once they have cleaned up. Unknown names are ignored."""
        leaving = {self._members.pop(name) for name in names if name in self._members}
        for task in leaving:
            task.cancel()
        if leaving:
            await asyncio.wait(leaving)

    async def dismiss_all(self, limit_s: float | None = None) -> None:
        """Cancel everybody and return once they have cleaned up, or after `limit_s`: one slow library delays no stop."""
        leaving = set(self._members.values())
        self._members.clear()
        for task in leaving:
            task.cancel()
        if leaving:
            await asyncio.wait(leaving, timeout=limit_s)
