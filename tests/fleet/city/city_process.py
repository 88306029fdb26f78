"""The simulated platform as a process of its own, and a broker."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from gatehouse_hil import city_shelf


class CityProcess:
    """Started, killed and started again on the same ports."""

    def __init__(self, store: Path, *arguments: str) -> None:
        self.store = store
        self.ports: dict[str, int] = {}
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        ports = [f"--{name}={port}" for name, port in self.ports.items()]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gatehouse_hil.city_platform",
            f"--store={self.store}",
            *ports,
            *self._arguments,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            self.ports = json.loads(await self._process.stdout.readline())

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def ended(self) -> int:
        assert self._process is not None
        async with asyncio.timeout(60):
            return await self._process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['http']}"

    async def behave(self, **how: Any) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.post(f"{self.url}/control", json=how)).raise_for_status()

    def kept(self) -> list[dict[str, Any]]:
        return city_shelf.read(self.store)

    def stored(self) -> list[str]:
        """Ids of what it has, in the order of arrival; a repeat is not stored again."""
        return [line["id"] for line in self.kept() if line["verdict"] != "repeat"]


@asynccontextmanager
async def city(folder: Path, *arguments: str) -> AsyncIterator[CityProcess]:
    process = CityProcess(folder / "city.jsonl", *arguments)
    try:
        await process.start()
        yield process
    finally:
        await process.kill()


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = await asyncio.create_subprocess_exec(
        "/usr/sbin/mosquitto", "-c", str(config), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await reachable(port)
        yield port
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def reachable(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return
