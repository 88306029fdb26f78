"""Keeps the background parts at work: one that fails is started again and named, and no other suffers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
"""A database that is back is noticed within this."""
HEALTHY_S: Final = 30.0
"""A part that has worked for so long is well again."""
_MAX_WHY: Final = 120

_log = logging.getLogger(__name__)


class Keeper:
    """`failing` says which parts do not work and why; the health page shows it."""

    def __init__(self, *, first_pause_s: float = FIRST_PAUSE_S, healthy_s: float = HEALTHY_S) -> None:
        self._first_pause_s: Final = first_pause_s
        self._healthy_s: Final = healthy_s
        self._failing: dict[str, str] = {}
        self._changed: Final = asyncio.Event()

    @property
    def failing(self) -> dict[str, str]:
        """Return the parts that do not work and why."""
        return dict(self._failing)

    async def changed(self) -> None:
        """Wait until `failing` has changed after the last call."""
        await self._changed.wait()
        self._changed.clear()

    async def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` until it ends by itself or this is cancelled; after an error start it anew, after a pause.

        Args:
            name: of the part, as people read it.
            work: runs the part; called afresh each time.
        """
        loop = asyncio.get_running_loop()
        pause_s = self._first_pause_s
        while True:
            began_s = loop.time()
            well = loop.call_later(self._healthy_s, self._set, name, None)
            try:
                await work()
            except Exception as error:  # whatever it is, it stays with this part
                task = asyncio.current_task()
                if (
                    task is not None and task.cancelling()
                ):  # it failed while cleaning up: it was to end anyhow
                    _log.exception("%s failed while it was stopped", name)
                    raise asyncio.CancelledError from error
                why = _words(error)
                if self._failing.get(name) != why:
                    _log.exception("%s failed and is started again", name)
                self._set(name, why)
            else:
                self._set(name, None)
                return
            finally:
                well.cancel()
            if loop.time() - began_s >= self._healthy_s:
                pause_s = self._first_pause_s
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)

    def _set(self, name: str, why: str | None) -> None:
        if why is None:
            self._failing.pop(name, None)
        else:
            self._failing[name] = why
        self._changed.set()


def _words(error: BaseException) -> str:
    """Return what went wrong in one printable line; of a group the first member, which is what happened."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = f"{type(error).__name__}: {error}"
    return "".join(c if c.isprintable() else " " for c in text)[:_MAX_WHY]
