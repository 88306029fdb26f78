"""`make run`: the estate, its control socket, and a gateway started on it exactly as on real wires."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from gatehouse_hil import control
from gatehouse_hil.estate import Estate
from gatehouse_hil.scenarios import SCENARIOS, player

STOP_LIMIT_S = 5.0


async def run_estate(directory: Path, *, port: int, is_fresh: bool, with_gateway: bool) -> int:
    """Run until Ctrl-C or SIGTERM. Returns the exit status of the gateway if that ended first, else 0."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    estate = Estate(directory, console_port=port)
    if is_fresh:
        estate.forget_gateway()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(estate)
        await stack.enter_async_context(control.serve(directory / "control.sock", player(estate)))
        _say_how(estate)
        if not with_gateway:
            await stop.wait()
            return 0
        gateway = await _start_gateway(estate)
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(gateway.wait(), name="gateway process")
            stopped = tasks.create_task(stop.wait(), name="stop signal")
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
            is_ours = stop.is_set()
            stopped.cancel()
            if is_ours:
                await _end(gateway)
        return 0 if is_ours else (gateway.returncode or 1)


async def _start_gateway(estate: Estate) -> Process:
    # A process group of its own: Ctrl-C reaches us alone, and we end the gateway before its wires.
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gatehouse_edge",
        "run",
        str(estate.config_path),
        env={**os.environ, **estate.environment},
        start_new_session=True,
    )


async def _end(gateway: Process) -> None:
    with suppress(ProcessLookupError):
        gateway.terminate()
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            await gateway.wait()
    except TimeoutError:
        gateway.kill()


def _say_how(estate: Estate) -> None:
    sys.stdout.write(
        f"\n  守望 Gatehouse: simulated estate, real wires, in {estate.directory}\n"
        f"  console    https://127.0.0.1:{estate.console_port}/  (its first-user code is printed below by the gateway)\n"
        "  play       .venv/bin/gatehouse-bench play NAME       in a second terminal\n\n"
    )
    for scenario in SCENARIOS.values():
        sys.stdout.write(f"    {scenario.name:<14} {scenario.zh} · {scenario.en}\n")
    sys.stdout.write("\n")
    sys.stdout.flush()
