"""One gateway process and one fleet server process over real mTLS: up, down, away, restored, and orders back."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import httpx
import msgspec
import pytest
import pytest_asyncio
import yaml
from sqlalchemy import insert, select

from gatehouse_events.chain import Entry, Lane
from gatehouse_events.orders import (
    Acknowledgement,
    Action,
    AlarmSeen,
    CityReceipt,
    Command,
    ConfigVersion,
    Issuer,
    OrderOutcome,
    decode_outcome,
)
from gatehouse_events.replication import MessageError
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.orders import IssuedOrder, issue, orders_topic
from gatehouse_fleet.pki.enrolment import issue_code, revoke_all
from gatehouse_fleet.server.listen import bind
from gatehouse_fleet.server.worker import open_services, run_worker
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings, ServerSettings
from gatehouse_fleet.store.migrate import ensure_current
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.orders import order
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_journal import JournalError, Reader

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with asyncio.TaskGroup() as tasks:
        pair = Pair(tmp_path_factory.mktemp("pair"), tasks)
        await pair.start_fleet()
        yield pair
        if pair.gateway is not None and pair.gateway.returncode is None:
            await pair.end_gateway(signal.SIGTERM)
        await pair.stop_fleet()


async def test_a_code_becomes_a_certificate_only_at_the_server_that_was_meant(pair: Pair) -> None:
    pair.write(pair.configure())
    code = await pair.register()
    wrong = "00" * 32
    status, said = await pair.edge("enrol", str(pair.config_path), "--fingerprint", wrong, typed=f"{code}\n")
    assert status == 1
    assert "another fingerprint" in said
    command = ("enrol", str(pair.config_path), "--fingerprint", pair.fingerprint)
    status, said = await pair.edge(*command, typed=f"{code}\n")
    assert status == 0, said
    assert (pair.storage / "fleet" / "identity.pem").stat().st_mode & 0o777 == 0o600
    status, said = await pair.edge(*command, typed=f"{code}\n")
    assert status == 1, "a code is good once"
    assert "403 code" in said
    assert code not in said


async def test_the_journal_is_at_the_fleet_as_it_is_written(pair: Pair) -> None:
    await pair.start_gateway()
    await pair.until(lambda: "gas.offline" in pair.alarms())
    await pair.until(pair.is_replicated)
    assert all(doubt is None for _, _, doubt in pair.at_fleet())


async def test_an_order_from_the_fleet_is_carried_out_and_its_outcome_comes_back(pair: Pair) -> None:
    assert (await pair.result(await pair.test_alarm()))[0] == "done"
    assert pair.alarms()["gas.low_alarm"]["kind"] == "test"
    alarm = pair.alarms()["gas.offline"]
    seen = AlarmSeen(alarm_id=str(alarm["alarm_id"]), seq=int(str(alarm["seq"])))
    first = await pair.order(Acknowledgement(alarm=seen, note="已派人（示例）"))
    second = await pair.order(Acknowledgement(alarm=seen))
    assert (await pair.result(first))[0] == "done"
    assert (await pair.result(second))[0] == "recorded"
    taken = pair.alarms()["gas.offline"]
    assert (taken["state"], taken["acked_by"]) == ("acked", "示例甲（示例区）")
    assert "已派人（示例）" in str(taken["notes"])


async def test_what_is_not_understood_or_too_late_is_said(pair: Pair) -> None:
    unknown = await pair.order(Command(name="open_valve", arguments={"output_id": "valve-1"}))
    late = await pair.order(Command(name="report_status"), lasts_s=-1)
    assert (await pair.result(unknown))[0] == "not_understood"
    assert (await pair.result(late))[0] == "expired"


async def test_the_certificate_is_renewed_in_time_and_nothing_is_restarted(pair: Pair) -> None:
    directory = pair.storage / "fleet"
    before, starts = (directory / "identity.pem").read_bytes(), len(pair.entries("start"))
    (directory / "enrolment.json").write_text('{"renew_at":"2026-01-01T00:00:00Z"}')
    await pair.order(Command(name="report_status"))
    await pair.until(lambda: (directory / "identity.pem").read_bytes() != before, "the next certificate")
    assert (directory / "identity.pem").stat().st_mode & 0o777 == 0o600
    assert (await pair.result(await pair.order(Command(name="report_status"))))[0] == "done"
    assert len(pair.entries("start")) == starts


async def test_everything_goes_through_a_proxy_that_a_reload_names(pair: Pair) -> None:
    tunnels = 0

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tunnels
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"CONNECT 127.0.0.1:%d " % pair.port)
        tunnels += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", pair.port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while piece := await source.read(65536):
                    sink.write(piece)
                    await sink.drain()
            sink.close()

        async with asyncio.TaskGroup() as both:
            both.create_task(carry(reader, far_writer), name="up")
            both.create_task(carry(far_reader, writer), name="down")

    async with await asyncio.start_server(connect, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        direct = pair.config_path.read_bytes()
        config = yaml.safe_load(direct)
        config["fleet"]["proxy"] = f"http://127.0.0.1:{port}"
        pair.write(config)
        assert pair.gateway is not None
        pair.gateway.send_signal(signal.SIGHUP)
        await pair.until(lambda: tunnels >= 2, "it goes through the proxy")
        assert (await pair.result(await pair.order(Command(name="report_status"))))[0] == "done"
        await pair.until(pair.is_replicated)
        pair.config_path.write_bytes(direct)
        pair.gateway.send_signal(signal.SIGHUP)
        await pair.until(lambda: len(pair.entries("config")) == 3)


async def test_alarms_of_a_long_outage_arrive_in_order_afterwards(pair: Pair) -> None:
    await pair.stop_fleet()
    before = len(pair.entries())
    await pair.end_gateway(signal.SIGKILL)
    await pair.start_gateway()
    await pair.until(lambda: len(pair.entries("start")) == 2)
    await pair.until(lambda: len(pair.entries()) > before + 1)
    await pair.start_fleet()
    await pair.until(pair.is_replicated, "everything is at the fleet")
    assert all(doubt is None for _, _, doubt in pair.at_fleet())


async def test_a_server_that_lost_what_it_acknowledged_is_told_again(pair: Pair) -> None:
    copy = pair.directory / "backup"
    await pair.stop_fleet()
    shutil.copytree(pair.fleet_directory, copy)
    await pair.start_fleet()
    given = await pair.test_alarm("gas.high_alarm")
    assert (await pair.result(given))[0] == "done"
    await pair.until(pair.is_replicated)
    await pair.stop_fleet()
    shutil.rmtree(pair.fleet_directory)
    shutil.copytree(copy, pair.fleet_directory)
    await pair.start_fleet()
    await pair.until(pair.is_replicated, "sent again from the older cursor")
    assert all(doubt is None for _, _, doubt in pair.at_fleet())
    # The backup has no order of that number: the lane begins anew and goes on.
    places = len(pair.outcomes())
    await pair.order(Command(name="report_status"))
    await pair.until(lambda: len(pair.outcomes()) > places, "the lane goes on")
    assert len({outcome.epoch for outcome in pair.outcomes()}) == 2


async def test_a_disk_put_back_from_a_copy_begins_a_new_epoch_and_loses_nothing(pair: Pair) -> None:
    await pair.end_gateway(signal.SIGTERM)
    copy = pair.directory / "old-disk"
    shutil.copytree(pair.storage, copy)
    await pair.start_gateway()
    await pair.until(lambda: len(pair.entries("start")) >= 3)
    assert (await pair.result(await pair.order(Command(name="report_status"))))[0] == "done"
    await pair.until(pair.is_replicated)
    await pair.end_gateway(signal.SIGKILL)
    shutil.rmtree(pair.storage)
    shutil.copytree(copy, pair.storage)
    epochs = {entry.epoch for entry in pair.entries()}
    await pair.start_gateway()
    await pair.until(lambda: {entry.epoch for entry in pair.entries()} > epochs, "a new epoch")
    await pair.until(pair.is_replicated, "both lives are at the fleet")
    await pair.until(lambda: "gateway.integrity" in pair.alarms())


async def test_a_wiped_disk_is_a_new_gateway_with_the_same_name(pair: Pair) -> None:
    await pair.end_gateway(signal.SIGTERM)
    identity = (pair.storage / "fleet").rename(pair.directory / "kept-identity")
    shutil.rmtree(pair.storage)
    pair.storage.mkdir()
    identity.rename(pair.storage / "fleet")
    await pair.start_gateway()
    await pair.until(lambda: "gas.offline" in pair.alarms())
    await pair.until(pair.is_replicated, "the new life is at the fleet from its first entry")


async def test_a_receipt_of_the_city_is_kept(pair: Pair) -> None:
    alarm = pair.alarms()["gas.offline"]
    head = pair.entries()[-1]
    receipt = CityReceipt(
        alarm=AlarmSeen(alarm_id=str(alarm["alarm_id"]), seq=1), target="weihai", receipt="R-1 示例",
        epoch=head.epoch, through_seq=head.seq,
    )  # fmt: skip
    assert (await pair.result(await pair.order(receipt)))[0] == "done"


def version_of(name: str, raw: bytes, confirm_within_s: float = 3.0) -> ConfigVersion:
    return ConfigVersion(
        version=name, sha256=sha256(raw).hexdigest(), size_bytes=len(raw), confirm_within_s=confirm_within_s
    )


async def test_a_configuration_that_cannot_be_had_is_answered_and_the_old_one_goes_on(pair: Pair) -> None:
    result, detail = await pair.result(await pair.order(version_of("v-none", b"not there")))
    assert result == "failed"
    assert "fetched" in detail


async def test_a_revoked_gateway_is_shut_out_at_once_and_says_so_at_its_own_console(pair: Pair) -> None:
    async with pair.services.store.begin() as db:
        await revoke_all(db, 1, "示例", at=CLOCK.now(), with_keys=True)
    port = yaml.safe_load(pair.config_path.read_bytes())["console"]["port"]
    await pair.order(Command(name="report_status"))

    async def shown() -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as web:
            return (await web.get(f"http://127.0.0.1:{port}/metrics")).text

    async with asyncio.timeout(LIMIT_S):
        while 'gatehouse_fleet_link{state="refused"} 1.0' not in await shown():
            await asyncio.sleep(0.2)


async def test_an_orderly_end_leaves_everything_at_the_fleet(pair: Pair) -> None:
    await pair.end_gateway(signal.SIGTERM)
    assert pair.entries("stop")
