"""The simulated platform as a process of its own, and a broker."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from gatehouse_hil import city_shelf


class CityProcess:
    """Started, killed and started again on the same ports; `fresh` forgets what it has kept so far."""

    def __init__(self, store: Path, *arguments: str) -> None:
        self.store = store
        self.ports: dict[str, int] = {}
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._forgotten = 0

    def start(self) -> None:
        ports = [f"--{name}={port}" for name, port in self.ports.items()]
        command = [sys.executable, "-m", "gatehouse_hil.city_platform", f"--store={self.store}"]
        self._process = subprocess.Popen([*command, *ports, *self._arguments], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.ports = json.loads(self._process.stdout.readline())

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self.end()

    def end(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        code = self._process.wait(60)
        self._process.stdout.close()
        return code

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def fresh(self) -> None:
        await self.behave()
        self._forgotten = len(city_shelf.read(self.store))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['http']}"

    async def behave(self, **how: Any) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.post(f"{self.url}/control", json=how)).raise_for_status()

    def kept(self) -> list[dict[str, Any]]:
        return city_shelf.read(self.store)[self._forgotten :]

    def stored(self) -> list[str]:
        """Ids of what it has, in the order of arrival; a repeat is not stored again."""
        return [line["id"] for line in self.kept() if line["verdict"] != "repeat"]


@contextmanager
def city(folder: Path, *arguments: str) -> Iterator[CityProcess]:
    process = CityProcess(folder / "city.jsonl", *arguments)
    try:
        process.start()
        yield process
    finally:
        process.kill()


class Broker:
    """A real mosquitto that can be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._launch()
        await reachable(self.port)

    def _launch(self) -> None:
        command = ["/usr/sbin/mosquitto", "-c", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)


@asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[Broker]:
    made = Broker(folder)
    try:
        await made.start()
        yield made
    finally:
        made.kill()


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
