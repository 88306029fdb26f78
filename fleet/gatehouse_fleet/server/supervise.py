"""Several workers behind one socket: started, restarted when one dies, stopped together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from gatehouse_fleet.server.worker import stopping_signals
from gatehouse_fleet.settings import FleetSettings

_END_S: Final = 5.0
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
_log = logging.getLogger(__name__)


async def supervise(config: Path | None, settings: FleetSettings, listener: socket.socket) -> None:
    """Keep `settings.server.workers` processes at work until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    os.set_inheritable(listener.fileno(), True)  # the call takes no keyword
    command = [sys.executable, "-m", "gatehouse_fleet", "serve"]
    command += ["--directory", str(settings.directory)]
    command += [] if config is None else ["--config", str(config)]
    command += ["--inherited-socket", str(listener.fileno())]
    with stopping_signals(stop):
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, settings.server.workers + 1):
                tasks.create_task(_keep(number, command, listener, stop), name=f"worker {number}")


async def _keep(number: int, command: list[str], listener: socket.socket, stop: asyncio.Event) -> None:
    pause_s = _FIRST_PAUSE_S
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        began_s = loop.time()
        process = await asyncio.create_subprocess_exec(
            *command, pass_fds=(listener.fileno(),), stdin=subprocess.DEVNULL
        )
        try:
            await _first_of(process, stop)
        finally:
            if process.returncode is None:
                await _end(process)
        if stop.is_set():
            return
        _log.error("worker %d ended with %s and is started again", number, process.returncode)
        pause_s = (
            _FIRST_PAUSE_S if loop.time() - began_s > _LONGEST_PAUSE_S else min(_LONGEST_PAUSE_S, 2 * pause_s)
        )
        try:
            async with asyncio.timeout(pause_s):
                await stop.wait()
        except TimeoutError:
            continue


async def _first_of(process: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
    """Wait until the process has ended or a stop is wanted."""
    async with asyncio.TaskGroup() as tasks:
        over = asyncio.Event()

        async def watch(what: asyncio.Event | asyncio.subprocess.Process) -> None:
            await what.wait()
            over.set()

        watching = [tasks.create_task(watch(one), name="watch") for one in (process, stop)]
        await over.wait()
        for task in watching:
            task.cancel()


async def _end(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
