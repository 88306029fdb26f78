"""One gateway and one fleet server over real mTLS; the test looks into database and journal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import yaml
from sqlalchemy import insert, select

from gatehouse_events.chain import Entry, Lane
from gatehouse_events.orders import (
    Action,
    Command,
    Issuer,
    OrderOutcome,
    decode_outcome,
)
from gatehouse_events.replication import MessageError
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.orders import IssuedOrder, issue, orders_topic
from gatehouse_fleet.pki.enrolment import issue_code
from gatehouse_fleet.server.listen import bind
from gatehouse_fleet.server.worker import open_services, run_worker
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings, ServerSettings
from gatehouse_fleet.store.migrate import ensure_current
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.orders import order
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_journal import JournalError, Reader

LIMIT_S = 60.0
GATEWAY = "wh-371002-0007-gw1"
CLOCK = SystemClock()
ISSUER = Issuer(name="示例甲", role="district_operator", unit="示例区")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Pair:
    """A fleet server and a gateway, each a process of its own; the test looks into database and journal."""

    def __init__(self, directory: Path, tasks: asyncio.TaskGroup) -> None:
        self.tasks = tasks
        self.directory = directory
        self.fleet_directory = directory / "server"
        self.storage = directory / "gateway"
        self.config_path = directory / "gateway.yaml"
        self.port = free_port()
        self.fleet: asyncio.Task[None]
        self.stop: asyncio.Event
        self.services: Services
        self.gateway: Process | None = None
        self.fingerprint = ""
        self.log = directory / "gateway.stderr"

    # --- processes

    async def start_fleet(self) -> None:
        """Start the server in this process: real sockets and TLS, and orders wake its streams as they do in the product."""
        self.stop = asyncio.Event()
        started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.fleet = self.tasks.create_task(self._serve(started, self.stop), name="fleet")
        self.fingerprint = await started

    async def _serve(self, started: asyncio.Future[str], stop: asyncio.Event) -> None:
        settings = FleetSettings(
            directory=self.fleet_directory, server=ServerSettings(port=self.port, host="127.0.0.1")
        )
        with bind("127.0.0.1", self.port) as listener:
            async with open_services(settings, CLOCK) as (services, desk):
                await ensure_current(services.store)
                self.services = services
                started.set_result(desk.authority.root_fingerprint)
                await run_worker(services, desk, listener, stop)

    async def stop_fleet(self) -> None:
        self.stop.set()
        await asyncio.wait({self.fleet})

    def configure(self, **changes: object) -> dict[str, object]:
        config: dict[str, object] = {
            "gateway": {"id": GATEWAY},
            "site": {
                "division_code": "371002002", "division_standard": "stats_gov", "community_id": "wh-0007",
                "estate": "示例小区", "position": {"lon": 122.1, "lat": 37.5, "crs": "CGCS2000"},
            },
            "storage": {"directory": "gateway"},
            "console": {"port": free_port(), "tls": "off"},
            "buses": [{"id": "cabinet", "kind": "modbus_tcp", "host": "127.0.0.1", "port": free_port()}],
            "devices": [{
                "id": "gas-1", "kind": "gas", "bus": "cabinet", "unit_id": 1, "profile": "cn6in1_unitreg",
                "location": {"building": "3"}, "installed_on": "2026-05-01", "max_silence_s": 2,
            }],
            "fleet": {"url": f"https://127.0.0.1:{self.port}"},
        }  # fmt: skip
        return config | changes

    def write(self, config: dict[str, object]) -> bytes:
        raw = yaml.safe_dump(config, allow_unicode=True).encode()
        self.config_path.write_bytes(raw)
        return raw

    async def start_gateway(self) -> None:
        with self.log.open("ab") as log:
            self.gateway = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gatehouse_edge", "run", str(self.config_path), stderr=log
            )

    async def end_gateway(self, number: signal.Signals) -> None:
        assert self.gateway is not None
        self.gateway.send_signal(number)
        async with asyncio.timeout(10):
            await self.gateway.wait()

    async def edge(self, *arguments: str, typed: str = "") -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gatehouse_edge", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        out, err = await process.communicate(typed.encode())
        assert process.returncode is not None
        return process.returncode, (out + err).decode()

    # --- the fleet's database

    async def register(self) -> str:
        """Enter the gateway and return its one-time code."""
        now = CLOCK.now()
        async with self.services.store.begin() as db:
            place = {"kind": "community", "path": "/1/", "code": "c", "name": "示例小区", "created_at": now}
            await db.execute(insert(org_node).values(place))
            node_id = (await db.execute(select(org_node.c.id))).scalar_one()
            values = {"id": GATEWAY, "node_id": node_id, "state": "deployed", "created_at": now}
            await db.execute(insert(gateway).values(values))
            return await issue_code(db, 1, by="test", at=now)

    async def order(self, action: Action, *, lasts_s: float = 600) -> IssuedOrder:
        now = CLOCK.now()
        async with self.services.store.begin() as db:
            given = await issue(
                db, 1, action, issuer=ISSUER, expires_at=now + timedelta(seconds=lasts_s), now=now
            )
        self.services.wake.notify(orders_topic(GATEWAY))
        return given

    async def result(self, given: IssuedOrder) -> tuple[str, str]:
        """The result of an order as the fleet has it in the end."""
        query = select(order.c.result, order.c.result_detail).where(
            order.c.epoch == given.epoch, order.c.seq == given.seq
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                while True:
                    async with self.services.store.read() as db:
                        row = (await db.execute(query)).one()
                    if row.result is not None:
                        return row.result, row.result_detail
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(f"order {given.seq} is not answered; {self.tail()}")

    def at_fleet(self, kind: str = "") -> list[tuple[str, int, str | None]]:
        """What the fleet holds of the alarm lane: epoch, seq, doubt."""
        path = self.fleet_directory / "fleet.db"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            rows = db.execute(
                "SELECT hex(p.epoch), e.seq, e.doubt, e.kind FROM entry e JOIN epoch p"
                " ON p.gateway_no = e.gateway_no AND p.lane = e.lane AND p.number = e.epoch_number"
                " WHERE e.lane = 1 ORDER BY e.epoch_number, e.seq"
            ).fetchall()
        return [(epoch.lower(), seq, doubt) for epoch, seq, doubt, found in rows if kind in {"", found}]

    # --- the gateway's journal

    def entries(self, kind: str = "") -> list[Entry]:
        with contextlib.suppress(JournalError), Reader.open(self.storage) as reader:
            return [e for e in reader.read(Lane.ALARM, 0, 100_000) if kind in {"", e.kind}]
        return []  # the gateway is just making it

    def alarms(self) -> dict[str, dict[str, object]]:
        found = {}
        for entry in self.entries("alarm"):
            alarm = msgspec.json.decode(entry.body or b"")["alarm"]
            found[alarm["code"]] = alarm
        return found

    def outcomes(self) -> list[OrderOutcome]:
        found = []
        for entry in self.entries("outcome"):
            try:
                found.append(decode_outcome(entry.body or b""))
            except MessageError:
                continue
        return found

    def tail(self) -> str:
        return self.log.read_text(encoding="utf-8")[-3000:] if self.log.exists() else ""

    async def until(self, is_true: Callable[[], bool], what: str = "") -> None:
        try:
            async with asyncio.timeout(LIMIT_S):
                while not is_true():
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(f"not true within {LIMIT_S} s: {what}\n{self.tail()}")

    def is_replicated(self) -> bool:
        """Every entry of the alarm lane is at the fleet."""
        there = {(epoch, seq) for epoch, seq, _ in self.at_fleet()}
        own = [(entry.epoch, entry.seq) for entry in self.entries()]
        return bool(own) and set(own) <= there

    async def test_alarm(self, name: str = "gas.low_alarm") -> IssuedOrder:
        return await self.order(
            Command(name="test_alarm", arguments={"device_id": "gas-1", "code": name, "duration_s": 600})
        )
