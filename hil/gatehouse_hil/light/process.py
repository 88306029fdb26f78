"""Ending a process we started: asked first, made to when it does not listen."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from contextlib import suppress
from typing import Final

STOP_LIMIT_S: Final = 8.0


async def end(process: Process, *, limit_s: float = STOP_LIMIT_S) -> None:
    """Ask a process to end, and end it if it has not after `limit_s`."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(limit_s):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
