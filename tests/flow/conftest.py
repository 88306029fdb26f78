"""A whole site: the simulated estate and a real gateway process on it, watched through its journal."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from gatehouse_events.chain import Entry, Lane
from gatehouse_hil.control import Request
from gatehouse_hil.estate import Estate
from gatehouse_hil.scenarios import player
from gatehouse_journal import JournalError, Reader

LIMIT_S = 40.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _quiet(_: str) -> None:
    return


class Site:
    """Estate and gateway of one test module."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.process: Process | None = None
        self.log = estate.directory / "gateway.stderr"

    @property
    def storage(self) -> Path:
        return self.estate.directory / "gateway"

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gatehouse_edge",
                "run",
                str(self.estate.config_path),
                env={**os.environ, **self.estate.environment},
                stdout=DEVNULL,
                stderr=log,
            )

    async def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def end(self, number: signal.Signals) -> int:
        """Send a signal that ends it and return the exit status; fails after 5 s."""
        await self.signal(number)
        assert self.process is not None
        async with asyncio.timeout(5.0):
            return await self.process.wait()

    async def play(self, scenario: str, target: str = "") -> None:
        await player(self.estate)(Request(play=scenario, target=target), _quiet)

    def entries(self, kind: str = "") -> list[Entry]:
        with Reader.open(self.storage) as reader:
            return [e for e in reader.read(Lane.ALARM, 0, 100_000) if kind in {"", e.kind}]

    def alarms(self) -> dict[tuple[str, str], dict[str, object]]:
        """Newest revision of every alarm, by device and code."""
        found = {}
        for entry in self.entries("alarm"):
            alarm = msgspec.json.decode(entry.body or b"")["alarm"]
            found[alarm["device_id"], alarm["code"]] = alarm
        return found

    def state(self, device_id: str, code: str) -> str:
        alarm = self.alarms().get((device_id, code))
        return "" if alarm is None else str(alarm["state"])

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Return once it is true; fails after 40 s with the open alarms and the end of the gateway's log."""
        try:
            async with asyncio.timeout(LIMIT_S):
                while not (self._has_journal() and is_true()):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            tail = self.log.read_text(encoding="utf-8")[-3000:]
            states = {key: alarm["state"] for key, alarm in self.alarms().items()}
            pytest.fail(f"not true within {LIMIT_S} s; alarms: {states}\n{tail}")

    def _has_journal(self) -> bool:
        """Whether the gateway has made it whole: the file is there a moment before its tables are."""
        try:
            return (self.storage / "alarm.db").exists() and self.entries() is not None
        except JournalError:
            return False

    async def has_raised(self, device_id: str, code: str) -> None:
        await self.until(lambda: (device_id, code) in self.alarms())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    directory = tmp_path_factory.mktemp("estate")
    async with Estate(directory, console_port=free_port()) as estate:
        site = Site(estate)
        await site.start()
        await site.until(lambda: any(entry.kind == "start" for entry in site.entries()))
        yield site
        if site.process is not None and site.process.returncode is None:
            await site.end(signal.SIGTERM)
