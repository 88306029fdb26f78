"""A whole community behind a real console: journal, desk, ledger and server in a thread of its own, its readings put in by hand.

Names, numbers and people in it are invented.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
import threading
from contextlib import AsyncExitStack
from datetime import date, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "edge"))
from console_site import PASSWORD, ShiftedClock, running_site

from gatehouse_edge.console.roles import Role
from gatehouse_edge.reading import (
    BeaconReading,
    ButtonEvent,
    ButtonReading,
    CameraReading,
    Car,
    Direction,
    GasFlag,
    GasReading,
    LiftReading,
    PictureState,
    Quality,
    ServiceMode,
    Silence,
    SilenceReason,
    ThrowReading,
    Unit,
)
from gatehouse_events.chain import Lane

BUILDINGS = [
    {"id": "1", "floors": 18, "units": ["1", "2"]},
    {"id": "2", "floors": 24, "units": ["1", "2"]},
    {"id": "3", "floors": 18, "units": ["1", "2", "3"]},
]
LIFTS = [(b["id"], unit) for b in BUILDINGS for unit in b["units"]]
GAS_ROOMS = [
    (b["id"], unit, floor, flat)
    for b in BUILDINGS
    for unit in b["units"]
    for floor in range(3, b["floors"], 6)
    for flat in (1, 2)
]
BUTTON_ROOMS = [("1", "1", 6, 2), ("1", "2", 12, 1), ("2", "1", 9, 1), ("3", "3", 4, 2)]
RESIDENTS = {
    "btn-1-1-602": {"name": "张示例", "phone": "13900000602", "lives_alone": True, "note": "82 岁，高血压；女儿同城（示例）"},
    "btn-1-2-1201": {"name": "李示例", "phone": "13900001201", "note": "听力弱（示例）"},
}  # fmt: skip
MARKUP = "<b>甲</b> עברית 示例"
"""Markup and a script that runs the other way. (Characters that turn the direction round are refused with the configuration.)"""


def room_of(floor, flat):
    return f"{floor}{flat:02d}"


def first_rooms(count):
    """Return so many flats, floor by floor."""
    rooms = [
        (b["id"], unit, floor, flat)
        for b in BUILDINGS
        for unit in b["units"]
        for floor in range(1, b["floors"] + 1)
        for flat in (1, 2)
    ]
    return rooms[:count]


def device_rows(today, rooms):
    rows = []
    for at, (building, unit, floor, flat) in enumerate(rooms):
        room = room_of(floor, flat)
        place = {"building": building, "unit": unit, "floor": str(floor), "room": room, "name": "厨房"}
        rows.append(
            {
                "id": f"gas-{building}-{unit}-{room}", "kind": "gas", "bus": f"line-{at // 100}", "unit_id": at % 100 + 1,
                "profile": "cn6in1_unitreg", "location": place, "max_silence_s": 7200,
                "installed_on": str(today - timedelta(days=200)),
            }
        )  # fmt: skip
    for at, (building, unit, floor, flat) in enumerate(BUTTON_ROOMS):
        room = room_of(floor, flat)
        name = f"btn-{building}-{unit}-{room}"
        rows.append(
            {
                "id": name, "kind": "button", "address": f"C3:28:40:FF:C1:{at:02X}", "keys": [{"id": 1, "file": f"{name}.key"}],
                "location": {"building": building, "unit": unit, "floor": str(floor), "room": room},
                "resident": RESIDENTS.get(name, {"name": "王示例", "phone": "13900000001"}),
            }
        )  # fmt: skip
    for building, unit in LIFTS:
        name = f"lift-{building}-{unit}"
        rows.append(
            {
                "id": name, "kind": "lift", "bus": f"line-{name}", "profile": "elevatorcloud_ws", "max_silence_s": 7200,
                "location": {"building": building, "unit": unit, "name": "客梯"}, "rescue_code": "371205",
            }
        )  # fmt: skip
    rows += [
        {
            "id": f"cam-{b['id']}-n", "kind": "camera", "url": "rtsp://192.0.2.1/1", "sign_posted": True,
            "location": {"building": b["id"], "name": "北立面"}, "max_silence_s": 7200,
        }
        for b in BUILDINGS
    ]  # fmt: skip
    rows.append(
        {
            "id": "beacon-1", "kind": "beacon", "address": "C3:28:40:FF:C1:F0", "keys": [{"id": 1, "file": "beacon-1.key"}],
            "location": {"name": "门岗"}, "max_silence_s": 7200,
        }
    )  # fmt: skip
    return rows


def sections(port, rooms):
    rows = device_rows(date(2026, 11, 1), rooms)
    buses = [
        {"id": f"line-{n}", "kind": "modbus_rtu", "port": f"/dev/null{n}"}
        for n in range(len(rooms) // 100 + 1)
    ]
    buses += [
        {"id": row["bus"], "kind": "serial", "port": f"/dev/null-{row['id']}"}
        for row in rows
        if row["kind"] == "lift"
    ]
    return {
        "gateway": {"id": "wh-371002-0007-gw1"},
        "site": {
            "division_code": "371002002", "division_standard": "stats_gov", "community_id": "wh-1", "estate": "望海花园",
            "position": {"lon": 122.1, "lat": 37.5, "crs": "CGCS2000"}, "buildings": BUILDINGS,
        },
        "console": {"port": port, "tls": "off"},
        "buses": [*buses, {"id": "ble0", "kind": "ble", "max_silence_s": 7200}],
        "devices": rows,
        "outputs": [],
    }  # fmt: skip


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class EstateSite:
    """Started and stopped as often as a test likes; journal and port stay."""

    def __init__(self, folder, *, fleet=None, shift_s=0.0, gas_rooms=None):
        """`fleet`: a `LinkView` if the way to a fleet is to be shown; `shift_s`: how far its clock is from this computer's."""
        self.folder = folder
        self.clock = ShiftedClock()
        self.clock.shift_s = shift_s
        self._fleet = fleet
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.sections = sections(self.port, GAS_ROOMS if gas_rooms is None else first_rooms(gas_rooms))
        self._loop = None
        self._thread = None
        self._stop = None
        self.site = None
        for row in self.sections["devices"]:
            for key in row.get("keys", ()):
                (folder / key["file"]).write_text(secrets.token_hex(16), encoding="ascii")

    def start(self):
        ready = threading.Event()
        failed = []

        async def serve():
            self._stop = asyncio.Event()
            async with AsyncExitStack() as stack:
                try:
                    self.site = await stack.enter_async_context(
                        running_site(
                            self.folder,
                            port=self.port,
                            clock=self.clock,
                            link=self._fleet and (lambda: self._fleet),
                            **self.sections,
                        )
                    )
                    if not self.site.accounts.has_users:
                        for role in ("admin", "operator", "supervisor", "viewer"):
                            self.site.accounts.make(f"示例{role}", PASSWORD, Role(role), at=self.now().wall)
                    await self._hear_everything()
                except BaseException as error:
                    failed.append(error)
                    raise
                finally:
                    ready.set()
                await self._stop.wait()

        def run():
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                runner.run(serve())

        self._thread = threading.Thread(target=run, name="estate", daemon=True)
        self._thread.start()
        assert ready.wait(30)
        if failed:
            raise failed[0]
        return self

    def stop(self):
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._thread = None

    def call(self, work, limit_s=30):
        """Run a coroutine in the site's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(limit_s)

    def put(self, *readings):
        async def all_of_them():
            for reading in readings:
                await self.site.ledger.put(reading)

        self.call(all_of_them())

    def put_at_once(self, readings):
        """As a burst: in as few commits as the ledger needs."""

        async def all_of_them():
            async with asyncio.TaskGroup() as tasks:
                for reading in readings:
                    tasks.create_task(self.site.ledger.put(reading))

        self.call(all_of_them())

    def cut_streams(self):
        """End every live stream; browsers come back by themselves."""

        async def cut():
            for client in self.site.stream._clients:
                client.start_over(None)

        self.call(cut())

    def entries(self):
        """Return the alarm lane."""
        return self.call(
            self.site.app.state.console.reader.call(lambda reader: reader.read(Lane.ALARM, 0, 10_000))
        )

    def now(self):
        return self.clock.now()

    async def _hear_everything(self):
        async with asyncio.TaskGroup() as tasks:  # in one commit, not in ninety
            for row in self.sections["devices"]:
                tasks.create_task(self.site.ledger.put(self.normal(row)))

    def normal(self, row):
        match row["kind"]:
            case "gas":
                return self.gas(row["id"], 0.4)
            case "lift":
                return self.lift(row["id"], floor="1", passenger=False)
            case "button":
                return self.button(row["id"], ButtonEvent.ALIVE, counter=1)
            case "beacon":
                return BeaconReading(device_id=row["id"], at=self.now(), adapter="hci0", counter=1, key_id=1)
            case _:
                return CameraReading(
                    device_id=row["id"], at=self.now(), picture=PictureState.OK, frames_per_s=12.0
                )

    def gas(self, name, value, *more):
        flags = set(more)
        if value >= 10:
            flags.add(GasFlag.LOW_ALARM)
        if value >= 20:
            flags.add(GasFlag.HIGH_ALARM)
        return GasReading(
            device_id=name, at=self.now(), value=value, unit=Unit.PCT_LEL, quality=Quality.GOOD, flags=frozenset(flags),
            low_set=10.0, high_set=20.0, full_scale=100.0,
        )  # fmt: skip

    def lift(self, name, *, floor, passenger, alarm=False, door_closed=True, door_zone=True):
        return LiftReading(
            device_id=name, at=self.now(), quality=Quality.GOOD, car=Car.STOPPED, direction=Direction.NONE, door_zone=door_zone,
            door_closed=door_closed, passenger=passenger, floor=floor, speed_mps=0.0, service_mode=ServiceMode.NORMAL,
            is_alarm_button=alarm,
        )  # fmt: skip

    def button(self, name, event, *, counter, battery_pct=87):
        return ButtonReading(
            device_id=name, at=self.now(), event=event, counter=counter, key_id=1, battery_pct=battery_pct
        )

    def throw(self, name, low, high):
        return ThrowReading(
            device_id=name, at=self.now(), floor_low=low, floor_high=high, confidence=0.93, track_points=23
        )

    def keep_film(self, name, alarm):
        """Keep the recording of a throw, as a camera's process does."""
        from footage import keep_film

        folder = self.site.directory / "evidence"
        folder.mkdir(exist_ok=True)
        kept = keep_film(folder, name, alarm.alarm_id, self.now().wall)
        self.call(self.site.evidence.adopt(kept))

    def silence(self, name):
        return Silence(device_id=name, at=self.now(), reason=SilenceReason.NO_ANSWER)

    def alarms(self):
        return list(self.site.ledger.alarms())

    def alarm(self, code):
        """Return the open alarm of that code, once it is there."""

        async def wait():
            async with asyncio.timeout(10):
                while True:
                    for alarm in self.site.ledger.alarms():
                        if alarm.code == code:
                            return alarm
                    await asyncio.sleep(0.01)

        return self.call(wait())
