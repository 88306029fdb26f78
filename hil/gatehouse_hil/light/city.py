"""The simulated city platform beside a simulated district: a process of its own, and the target file that leads to it."""

from __future__ import annotations

import asyncio
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final

import yaml

from gatehouse_hil.light.process import end

_START_LIMIT_S: Final = 30.0
TARGET: Final = "city"


class CityProcess:
    """CloudEvents over HTTP, signed with a shared key made at random; what it took stands in `received`."""

    def __init__(self, directory: Path, *, port: int) -> None:
        self.received: Final = directory / "received"
        self._directory: Final = directory
        self._port: Final = port
        self._process: Process | None = None

    def write_target(self, folder: Path) -> None:
        """Write the target's file and key into the fleet server's folder."""
        self._directory.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        key = self._directory / "key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_text(secrets.token_hex(32), encoding="ascii")
        beside = folder / "city.key"
        beside.touch(mode=0o600)
        beside.write_bytes(key.read_bytes())
        target = {
            "id": TARGET,
            "title": "市运行管理服务平台（示例）",
            "send": {"categories": ["gas", "lift", "sos", "throw"], "kinds": ["alarm"]},
            "start": "beginning",
            "envelope": {"kind": "cloudevents"},
            "transport": {"kind": "http", "url": f"http://127.0.0.1:{self._port}/events"},
            "signature": {"kind": "hmac_sha256", "key_file": beside.name},
        }
        (folder / f"{TARGET}.yaml").write_text(yaml.safe_dump(target, allow_unicode=True), encoding="utf-8")

    async def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gatehouse_hil.city_platform",
            "--store",
            str(self.received),
            "--http",
            str(self._port),
            "--key-file",
            str(self._directory / "key"),
            stdout=PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101  # asked for
        async with asyncio.timeout(_START_LIMIT_S):
            await self._process.stdout.readline()

    async def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None:
            await end(process)
