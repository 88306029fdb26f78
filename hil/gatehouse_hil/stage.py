"""`make run`: the estate, its control socket, and a gateway started on it exactly as on real wires.

Above it the fleet server of its district, beside it twenty light communities, and a city platform that gives receipts.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gatehouse_hil import control
from gatehouse_hil.estate import Estate
from gatehouse_hil.light.community import Community
from gatehouse_hil.light.district import District
from gatehouse_hil.light.process import end
from gatehouse_hil.scenarios import SCENARIOS, player

STOP_LIMIT_S: Final = 5.0
LIGHT_GATEWAYS: Final = 20
FLEET_PORT: Final = 8460
_ALARM_EVERY_S: Final = 120.0
"""Something happens in each light community about this often."""


class StageError(Exception):
    """The gateway cannot join its fleet server."""


async def run_estate(
    directory: Path,
    *,
    port: int,
    is_fresh: bool,
    with_gateway: bool,
    fleet_port: int | None = FLEET_PORT,
    light_gateways: int = LIGHT_GATEWAYS,
) -> int:
    """Run until Ctrl-C or SIGTERM. Returns the exit status of the gateway if that ended first, else 0.

    Args:
        directory: where everything is kept.
        port: of the gateway's console.
        is_fresh: forget what an earlier gateway has stored.
        with_gateway: start the gateway too.
        fleet_port: of the fleet server; None: the community stands alone. The city platform listens on the next port.
        light_gateways: how many communities live beside the estate.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    fleet_url = None if fleet_port is None else f"https://127.0.0.1:{fleet_port}"
    estate = Estate(directory, console_port=port, fleet_url=fleet_url)
    if is_fresh:
        estate.forget_gateway()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(estate)
        await stack.enter_async_context(control.serve(directory / "control.sock", player(estate)))
        district = None
        if fleet_port is not None:
            _say("  starting the fleet server and enrolling its gateways …")
            communities = [Community(number) for number in range(1, light_gateways + 1)]
            district = await stack.enter_async_context(
                District(estate.directory / "district", port=fleet_port, communities=communities, now=_now)
            )
        _say_how(estate, district)
        if not with_gateway:
            await stop.wait()
            return 0
        if district is not None and not estate.is_enrolled:
            await _enrol(estate, district)
        gateway = await _start_gateway(estate)
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(gateway.wait(), name="gateway process")
            stopped: asyncio.Task[object] = tasks.create_task(stop.wait(), name="stop signal")
            others: list[asyncio.Task[object]] = [stopped]
            if district is not None:
                life = district.run(alarm_every_s=_ALARM_EVERY_S)
                others.append(tasks.create_task(life, name="light gateways"))
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
            is_ours = stop.is_set()
            for task in others:
                task.cancel()
            if is_ours:
                await end(gateway, limit_s=STOP_LIMIT_S)
        return 0 if is_ours else (gateway.returncode or 1)


async def _enrol(estate: Estate, district: District) -> None:
    """Enrol the estate's gateway as a technician would: with a one-time code on standard input."""
    community = await district.place("community", await district.street(), "wh-371002-0007", "示例小区")
    code = await district.register(estate.gateway_id, community)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gatehouse_edge",
        "enrol",
        str(estate.config_path),
        "--ca",
        str(district.fleet.root_file),
        stdin=PIPE,
        stdout=PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(code.encode() + b"\n")
    if process.returncode != 0:
        raise StageError(said.decode("utf-8", "replace")[-500:])


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


def _say_how(estate: Estate, district: District | None) -> None:
    _say(
        f"\n  守望 Gatehouse: simulated estate, real wires, in {estate.directory}\n"
        f"  console    https://127.0.0.1:{estate.console_port}/  (its first-user code is printed below by the gateway)"
    )
    if district is not None:
        _say(
            f"  fleet      {district.fleet.url}/  {len(district.lights.gateways)} light gateways beside the estate's own\n"
            f"             trust {district.fleet.root_file}; name and password in {district.fleet.login_file}\n"
            f"  city       what the simulated city platform received: {district.city.received}"
        )
    _say("  play       .venv/bin/gatehouse-bench play NAME       in a second terminal\n")
    for scenario in SCENARIOS.values():
        _say(f"    {scenario.name:<14} {scenario.zh} · {scenario.en}")
    _say("")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  # the simulated communities' own clock
