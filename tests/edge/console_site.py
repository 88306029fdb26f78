"""A whole site behind a real TLS console: journal, desk, ledger, uvicorn on loopback."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import yaml
from msgspec import structs
from pwdlib.hashers.argon2 import Argon2Hasher

from gatehouse_config import load
from gatehouse_edge.blueprint import plan_of
from gatehouse_edge.calibration import CalibrationStore
from gatehouse_edge.clock import SystemClock
from gatehouse_edge.console import Accounts, ConsoleServer, console_directory, create_app, tls_files
from gatehouse_edge.console.cameras import CameraDesk, NoStillError
from gatehouse_edge.console.roles import Role
from gatehouse_edge.desk import restore
from gatehouse_edge.evidence_desk import EvidenceDesk
from gatehouse_edge.history import HISTORY_FILE, History
from gatehouse_edge.ledger import Ledger
from gatehouse_edge.reading import (
    ButtonEvent,
    ButtonReading,
    GasFlag,
    GasReading,
    Quality,
    Silence,
    SilenceReason,
    Unit,
)  # fmt: skip
from gatehouse_events.chain import Stamp
from gatehouse_events.clock import ClockQuality, ClockSource
from gatehouse_journal import Journal, Limits, Reader, Signer, StorageFullError

CHEAP = Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1)
PASSWORD = "correct-horse-7"
HEADERS = {"X-Gatehouse": "1"}
SETTINGS = {
    "gateway": {"id": "gw-test"},
    "site": {
        "division_code": "371002002", "division_standard": "stats_gov", "community_id": "wh-1", "estate": "示例小区",
        "position": {"lon": 122.1, "lat": 37.5, "crs": "CGCS2000"},
    },
    "storage": {"directory": "var"},
    "console": {"port": 8443},
    "buses": [
        {"id": "line", "kind": "modbus_rtu", "port": "/dev/null"},
        {"id": "ble0", "kind": "ble"},
    ],
    "devices": [
        {
            "id": "gas-1", "kind": "gas", "bus": "line", "unit_id": 1, "profile": "cn6in1_unitreg",
            "location": {"building": "3", "unit": "2", "floor": "5", "room": "501"}, "installed_on": "2026-05-01",
            "max_silence_s": 600,
        },
        {
            "id": "btn-1", "kind": "button", "address": "C3:28:40:FF:C1:94", "location": {"building": "3"},
            "keys": [{"id": 1, "file": "btn.key"}],
            "resident": {"name": "王示例", "phone": "13900000001", "note": "示例"},
        },
        {
            "id": "beacon-1", "kind": "beacon", "address": "C3:28:40:FF:C1:95", "location": {"name": "gate"},
            "keys": [{"id": 1, "file": "beacon.key"}], "max_silence_s": 600,
        },
        {
            "id": "io-1", "kind": "io", "bus": "line", "unit_id": 9, "profile": "relay_8ch", "location": {"name": "gate"},
            "max_silence_s": 600,
        },
    ],
    "outputs": [{"id": "valve-1", "kind": "gas_valve", "io": "io-1", "point": 0, "serves": ["gas-1"]}],
}  # fmt: skip


CAMERA = {
    "id": "cam-1", "kind": "camera", "url": "rtsp://127.0.0.1:9/x", "sign_posted": True,
    "location": {"name": "north"}, "max_silence_s": 600,
}  # fmt: skip


class ShiftedClock:
    """The real clock, which a test may move on."""

    def __init__(self):
        self._real = SystemClock()
        self._real.quality = ClockQuality(synced=True, offset_ms=3.0, source=ClockSource.NTP)
        self.shift_s = 0.0
        self.clock_quality = None
        """None: as the real one says."""

    def now(self):
        now = self._real.now()
        return structs.replace(
            now,
            service_s=now.service_s + self.shift_s,
            wall=now.wall + timedelta(seconds=self.shift_s),
            clock=self.clock_quality or now.clock,
        )


class FullDisk:
    """The real journal on a disk that can be full."""

    def __init__(self, journal):
        self._journal = journal
        self.is_full = False

    def commit(self, batch):
        if self.is_full:
            raise StorageFullError("full")
        return self._journal.commit(batch)

    def __getattr__(self, name):
        return getattr(self._journal, name)


class Site:
    def __init__(self, **parts):
        self.__dict__.update(parts)

    def browser(self, **options):
        context = ssl.create_default_context(cafile=str(self.tls.ca))
        return httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{self.server.port}",
            verify=context,
            headers=HEADERS,
            timeout=10,
            **options,
        )

    @asynccontextmanager
    async def person(self, role, name=None):
        name = name or f"示例{role}"
        if all(user.name != name for user in self.accounts.users()):
            self.accounts.make(name, PASSWORD, Role(role), at=self.clock.now().wall)
        async with self.browser() as browser:
            answer = await browser.post("/api/v1/login", json={"name": name, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            yield browser

    async def gas(self, *flags, value=11.0):
        await self.ledger.put(
            GasReading(
                device_id="gas-1",
                at=self.clock.now(),
                value=value,
                unit=Unit.PCT_LEL,
                quality=Quality.GOOD,
                flags=frozenset(flags),
                low_set=8.0,
                high_set=20.0,
                full_scale=100.0,
            )
        )

    async def leak(self):
        await self.gas(GasFlag.LOW_ALARM, GasFlag.HIGH_ALARM, value=25.0)

    async def press(self, counter=1):
        await self.ledger.put(
            ButtonReading(
                device_id="btn-1", at=self.clock.now(), event=ButtonEvent.PRESS, counter=counter, key_id=1
            )
        )

    async def silence(self):
        await self.ledger.put(Silence(device_id="gas-1", at=self.clock.now(), reason=SilenceReason.NO_ANSWER))

    async def alarm(self, code):
        return await until(lambda: next((a for a in self.ledger.alarms() if a.code == code), None))


async def until(condition):
    async with asyncio.timeout(10):
        while not (found := condition()):  # one waiter for every kind of condition
            await asyncio.sleep(0.005)
    return found


def write_config(folder, **sections):
    for name in ("btn", "beacon"):
        if not (folder / f"{name}.key").exists():
            (folder / f"{name}.key").write_text(secrets.token_hex(16), encoding="ascii")
    (folder / "gateway.yaml").write_text(
        yaml.safe_dump(SETTINGS | sections, allow_unicode=True), encoding="utf-8"
    )
    return load(folder / "gateway.yaml")


@asynccontextmanager
async def running_site(folder, *, port=0, clock=None, link=None, **sections):
    config, clock = write_config(folder, **sections), clock or ShiftedClock()
    now, directory = clock.now(), config.resolve(config.storage.directory)
    stamp = Stamp(at=now.wall, boot=now.boot, mono_ns=now.mono_ns)
    directory.mkdir(exist_ok=True)
    disk = FullDisk(
        Journal.open(
            directory, limits=Limits(ballast_bytes=0), signer=Signer.load_or_create(directory), stamp=stamp
        )
    )
    plan = plan_of(config)
    ledger = Ledger(
        disk,
        restore(disk.load_state(), plan, now),
        plan,
        clock,
        counters=disk.load_counters(),
        state=disk.load_state(),
    )
    accounts = Accounts.open(console_directory(config), argon2=CHEAP)
    try:
        with Reader.open(directory) as reader, Reader.open(directory) as past:
            history = History(console_directory(config) / HISTORY_FILE, past)
            evidence = EvidenceDesk(
                ledger, directory / "evidence", clock=clock, days=lambda: config.storage.evidence_days
            )
            stills = {}
            app = create_app(
                ledger,
                reader,
                config,
                accounts,
                history=history,
                clock=clock,
                link=link,
                evidence=evidence,
                cameras=cameras_of(config, directory, stills),
            )
            tls = tls_files(config, clock)
            server = ConsoleServer(app, host="127.0.0.1", port=port, tls=tls)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(ledger.run(), name="ledger")
                serving = tasks.create_task(server.run(), name="console")
                await server.is_serving.wait()
                await until(lambda: ledger.version > 0)
                yield Site(
                    config=config, clock=clock, disk=disk, ledger=ledger, accounts=accounts, app=app, tls=tls,
                    server=server, stream=app.state.console.stream, reader=reader, history=history, evidence=evidence,
                    stills=stills, directory=directory,
                )  # fmt: skip
                serving.cancel()
                await asyncio.wait([serving])
                disk.is_full = False
                ledger.stop()
            history.close()
    finally:
        accounts.close()
        disk.close()


def cameras_of(config, directory, stills):
    """Cameras whose pictures the test sets in `stills`."""

    async def still(camera_id):
        if camera_id not in stills:
            raise NoStillError("dark")
        return stills[camera_id]

    async def changed(camera_id):
        pass

    return CameraDesk(
        names=lambda: {device.id: "" for device in config.devices if device.kind == "camera"},
        still=still,
        store=CalibrationStore(directory / "calibration"),
        changed=changed,
    )


class Events:
    """Reads one live stream."""

    def __init__(self, response):
        self.response = response
        self._lines = response.aiter_lines()
        self.last_id = None

    async def next(self, *names):
        async with asyncio.timeout(10):
            name, data = None, None
            async for line in self._lines:
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("id: "):
                    self.last_id = line[4:]
                elif line.startswith("data: "):
                    data = json.loads(line[6:])
                elif not line and data is not None:
                    if name in names:
                        return name, data
                    name, data = None, None
        raise EOFError

    async def end(self):
        async with asyncio.timeout(10):
            async for _ in self._lines:
                pass


@asynccontextmanager
async def following(browser, last_id=None):
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    async with browser.stream("GET", "/api/v1/events", headers=headers) as response:
        assert response.status_code == 200
        yield Events(response)
