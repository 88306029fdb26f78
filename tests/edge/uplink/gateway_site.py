"""A gateway without its console and drivers: real journal, ledger and uplink, in this process; or the whole as a process."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import yaml
from fleet_peer import FleetPeer
from msgspec import Struct

from gatehouse_config import load
from gatehouse_edge.blueprint import plan_of
from gatehouse_edge.clock import SystemClock
from gatehouse_edge.desk import restore
from gatehouse_edge.evidence_desk import EvidenceDesk
from gatehouse_edge.ledger import Ledger
from gatehouse_edge.uplink.config_trial import ConfigTrials
from gatehouse_edge.uplink.evidence import EvidenceQueue
from gatehouse_edge.uplink.link import Link
from gatehouse_edge.uplink.status import ConfigOrigin
from gatehouse_edge.uplink.uplink import Home, Uplink
from gatehouse_events.chain import Entry, EntryKind, Lane, Stamp, canonical
from gatehouse_journal import Journal, JournalError, Limits, NewEntry, Reader, Signer

LIMIT_S = 60.0


class Note(Struct, frozen=True):
    what: str


def settings(url: str, **changes: Any) -> dict[str, Any]:
    config = {
        "gateway": {"id": "gw-test"},
        "site": {
            "division_code": "371002002", "division_standard": "stats_gov", "community_id": "wh-1",
            "estate": "示例小区", "position": {"lon": 122.1, "lat": 37.5, "crs": "CGCS2000"},
        },
        "storage": {"directory": "var"},
        "console": {"port": 18_499, "tls": "off"},
        "buses": [{"id": "cabinet", "kind": "modbus_tcp", "host": "127.0.0.1", "port": 9}],
        "devices": [{
            "id": "gas-1", "kind": "gas", "bus": "cabinet", "unit_id": 1, "profile": "cn6in1_unitreg",
            "location": {"building": "3"}, "installed_on": "2026-05-01", "max_silence_s": 2,
        }],
        "fleet": {"url": url},
    }  # fmt: skip
    return config | changes


def write(path: Path, config: dict[str, Any]) -> bytes:
    raw = yaml.safe_dump(config, allow_unicode=True).encode()
    path.write_bytes(raw)
    return raw


def entries(directory: Path, kind: str = "", lane: Lane = Lane.ALARM) -> list[Entry]:
    with contextlib.suppress(JournalError), Reader.open(directory) as reader:
        return [entry for entry in reader.read(lane, 0, 100_000) if kind in {"", entry.kind}]
    return []


async def until(is_true: Callable[[], Any], what: str = "") -> None:
    try:
        async with asyncio.timeout(LIMIT_S):
            while not is_true():
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not true within {LIMIT_S} s: {what}") from None


class Parts:
    """What `running` gives."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)

    async def note(self, text: str) -> None:
        """Write an audit entry."""
        await self.ledger.record(EntryKind.AUDIT, Note(what=text))

    def telemetry(self, count: int) -> None:
        now = self.clock.now()
        stamp = Stamp(at=now.wall, boot=now.boot, mono_ns=now.mono_ns)
        lines = [NewEntry(kind="reading", body=canonical({"n": n}), stamp=stamp) for n in range(count)]
        self.journal.append_telemetry(lines)

    def own(self, lane: Lane = Lane.ALARM) -> list[tuple[str, int]]:
        return [(entry.epoch, entry.seq) for entry in entries(self.directory, lane=lane)]


@contextlib.asynccontextmanager
async def running(
    home: Path,
    peer: FleetPeer,
    *,
    before: Callable[[Journal, Stamp], None] | None = None,
    born: Stamp | None = None,
    **fleet: Any,
) -> AsyncIterator[Parts]:
    """Run ledger and uplink against the peer."""
    write(home / "gateway.yaml", settings(peer.url, fleet={"url": peer.url, **fleet}))
    config = load(home / "gateway.yaml")
    directory = home / "var"
    directory.mkdir(exist_ok=True)
    clock = SystemClock()
    now = clock.now()
    stamp = Stamp(at=now.wall, boot=now.boot, mono_ns=now.mono_ns)
    journal = Journal.open(
        directory,
        limits=Limits(ballast_bytes=0),
        signer=Signer.load_or_create(directory),
        stamp=born or stamp,
    )
    if before is not None:
        before(journal, stamp)
    state = journal.load_state()
    plan = plan_of(config)
    ledger = Ledger(journal, restore(state, plan, now), plan, clock, state=state)
    link = Link(clock, is_configured=True)
    evidence = EvidenceQueue(directory / "evidence", state)
    desk = EvidenceDesk(ledger, directory / "evidence", clock=clock, days=lambda: 30)
    host: Any = None
    trials = ConfigTrials(
        ledger, host, lambda: None, directory=directory / "fleet", link=link, clock=clock, left=None
    )
    assert config.fleet is not None
    uplink = Uplink(
        config,
        config.fleet,
        Home(
            ledger=ledger, clock=clock, link=link, configs=trials, evidence=evidence, holds=desk, journal_directory=directory,
            version="test", origin=ConfigOrigin, reload_config=lambda: None,
        ),
        rng=random.Random(1),
    )  # fmt: skip
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ledger.run(), name="ledger")
            task = tasks.create_task(uplink.run(), name="uplink")
            yield Parts(
                ledger=ledger, journal=journal, link=link, directory=directory, clock=clock, uplink=uplink,
                evidence=evidence, desk=desk,
            )  # fmt: skip
            task.cancel()
            ledger.stop()
    finally:
        journal.close()


class Whole:
    """The gateway as a process."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config_path = home / "gateway.yaml"
        self.directory = home / "var"
        self.log = home / "stderr"
        self.process: Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gatehouse_edge", "run", str(self.config_path), stderr=log
            )

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        async with asyncio.timeout(15):
            return await self.process.wait()

    @contextlib.asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        await self.start()
        try:
            yield
        finally:
            if self.process is not None and self.process.returncode is None:
                await self.end(signal.SIGKILL)
