"""Blocking work on another thread that has ended when its caller goes on, cancelled or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


async def in_thread(work: Callable[..., _Result], *args: object) -> _Result:
    """Return what `work(*args)` returns, computed on another thread.

    `asyncio.to_thread` leaves its thread behind when it is cancelled. Whoever was cancelled then closes what the thread still
    uses, or lets the next one use it as well: a SQLite connection closed in the middle of a read takes the process with it.
    Here a cancellation is passed on only after the thread is done; `work` has to be short.

    Raises:
        asyncio.CancelledError: cancelled meanwhile; what `work` returned or raised is lost.
    """
    thread = asyncio.get_running_loop().run_in_executor(None, work, *args)
    await _ended(thread)
    return thread.result()


async def _ended(thread: asyncio.Future[_Result]) -> None:
    try:
        await asyncio.wait([thread])  # does not cancel what it waits for
    except asyncio.CancelledError:
        if not thread.done():
            await _ended(thread)
        thread.exception()  # looked at, so that nobody reports it as forgotten
        raise
