"""The gateway as a process of its own, on a configuration a test has written, watched through its journal."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import yaml

from gatehouse_events.chain import Entry, Lane
from gatehouse_journal import JournalError, Reader

STOP_LIMIT_S: Final = 10.0
_ENTRIES_MAX: Final = 100_000


class GatewayProcess:
    """One gateway. An async context manager; `directory` gets gateway.yaml, the journal and the log."""

    def __init__(self, directory: Path, config: Mapping[str, Any]) -> None:
        """`config`: gateway.yaml as data; `gateway`, `site`, `storage` and `console` are filled in when they are missing."""
        self.directory: Final = directory
        self.config: Final = _filled(config)
        self.log: Final = directory / "gateway.stderr"
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "gateway.yaml"
        path.write_text(
            yaml.safe_dump(dict(self.config), allow_unicode=True, sort_keys=False), encoding="utf-8"
        )
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gatehouse_edge", "run", str(path),
                env=dict(os.environ), stdout=DEVNULL, stderr=log, start_new_session=True,
            )  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    def entries(self, kind: str = "") -> list[Entry]:
        """Return the alarm lane of the journal, or those of one kind in it."""
        storage = self.directory / "gateway"
        if not (storage / "alarm.db").exists():
            return []
        try:
            with Reader.open(storage) as reader:
                return [
                    entry for entry in reader.read(Lane.ALARM, 0, _ENTRIES_MAX) if kind in {"", entry.kind}
                ]
        except JournalError:
            return []  # the gateway is just making it

    def alarms(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the newest revision of every alarm, by device and code."""
        found = {}
        for entry in self.entries("alarm"):
            alarm = msgspec.json.decode(entry.body or b"")["alarm"]
            found[alarm["device_id"], alarm["code"]] = alarm
        return found

    async def until(self, is_true: Callable[[Self], bool], *, timeout_s: float) -> None:
        """Wait until this is true of the journal.

        Raises:
            TimeoutError: not within `timeout_s`; the message has the alarms and the end of the gateway's log.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not is_true(self):  # noqa: ASYNC110  # the journal is another process' file
                    await asyncio.sleep(0.1)  # the journal is another process' file
        except TimeoutError as error:
            states = {key: alarm["state"] for key, alarm in self.alarms().items()}
            tail = self.log.read_text(encoding="utf-8")[-2000:]
            raise TimeoutError(f"not within {timeout_s:g} s; alarms: {states}\n{tail}") from error

    async def raises(self, device_id: str, code: str, *, timeout_s: float) -> None:
        """Wait until this alarm is in the journal.

        Raises:
            TimeoutError: as `until`.
        """
        await self.until(lambda gateway: (device_id, code) in gateway.alarms(), timeout_s=timeout_s)


def _filled(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "gateway": {"id": "wh-371002-0007-gw1", "language": "zh"},
        "site": {
            "division_code": "371002002",
            "division_standard": "stats_gov",
            "community_id": "wh-371002-0007",
            "estate": "示例小区",
            "position": {"lon": 122.1205, "lat": 37.5131, "crs": "CGCS2000", "accuracy_m": 10},
        },
        "storage": {"directory": "gateway"},
        "console": {"host": "127.0.0.1", "port": _free_port()},
        **config,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
