"""A small estate in one process: private D-Bus, simulated bluetoothd, buttons, beacon, and the driver over stock bleak."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gatehouse_config.buses import BleBus
from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.ble_ladder import Pauses
from gatehouse_edge.drivers.ble_radio import BleRadio
from gatehouse_edge.drivers.ble_roster import Tag, TagKey, TagKind
from gatehouse_edge.reading import AnyObservation, BusReading, ButtonEvent, ButtonReading, Refusal
from gatehouse_hil.radio.beacon import Beacon
from gatehouse_hil.radio.bluetoothd import Bluetoothd
from gatehouse_hil.radio.bus import PrivateBus
from gatehouse_hil.radio.button import Button, Timing
from gatehouse_hil.radio.intruder import Intruder
from gatehouse_hil.radio.medium import Medium

BEACON = "C3:00:00:00:00:01"
BEACON_SECRET = bytes(range(100, 116))
QUICK = Timing(repeats=50, interval_s=0.004, window_s=1.0, window_interval_s=0.02, alive_repeats=10)
LIMIT_S = 30.0


class Ledger:
    """Keeps what it is given and commits button counters, as the real one does before `put` returns."""

    def __init__(self) -> None:
        self.seen: list[AnyObservation] = []
        self.counters: dict[str, int] = {}
        self.is_open = asyncio.Event()
        self.is_open.set()
        self._changed = asyncio.Condition()

    async def put(self, observation: AnyObservation) -> None:
        """Take one observation; while `is_open` is clear the disk is slow."""
        if isinstance(observation, ButtonReading):
            await self.is_open.wait()
            key = f"button/{observation.device_id}/{observation.key_id}"
            self.counters[key] = max(observation.counter, self.counters.get(key, -1))
        async with self._changed:
            self.seen.append(observation)
            self._changed.notify_all()

    def get(self, key: str) -> int | None:
        """The `Counters` port."""
        return self.counters.get(key)

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait until something put makes this true; fails after 30 s."""
        async with asyncio.timeout(LIMIT_S), self._changed:
            await self._changed.wait_for(is_true)

    @property
    def presses(self) -> list[tuple[str, int]]:
        """Device and counter of every press, in order."""
        return [
            (seen.device_id, seen.counter)
            for seen in self.seen
            if isinstance(seen, ButtonReading) and seen.event is ButtonEvent.PRESS
        ]

    @property
    def refusals(self) -> list[Refusal]:
        """Every report of refused messages."""
        return [seen for seen in self.seen if isinstance(seen, Refusal)]

    def bus_states(self, bus_id: str = "ble0") -> list[bool]:
        """Up and down of one bus, in order."""
        return [seen.is_up for seen in self.seen if isinstance(seen, BusReading) and seen.device_id == bus_id]


@dataclass
class Site:
    """Everything of one estate."""

    bus: PrivateBus
    medium: Medium
    bluetoothd: Bluetoothd
    beacon: Beacon
    buttons: list[Button]
    tags: list[Tag]
    ledger: Ledger
    intruder: Intruder
    adapters: tuple[str, ...]
    max_silence_s: float

    @asynccontextmanager
    async def driver(self, *, tags: Sequence[Tag] | None = None) -> AsyncIterator[BleRadio]:
        """Run the driver until the block ends; entered once the beacon is heard on every adapter."""
        buses = [
            BleBus(kind="ble", id=f"ble{number}", adapter=name, max_silence_s=self.max_silence_s)
            for number, name in enumerate(self.adapters)
        ]
        known = self.tags if tags is None else tags
        radio = BleRadio(
            buses,
            known,
            self.ledger,
            SystemClock(),
            self.ledger,
            pauses=Pauses(first_s=self.max_silence_s, longest_s=8.0),
        )
        before = len(self.ledger.seen)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(radio.run(), name="ble-radio")
            await self.ledger.until(
                lambda: sum(isinstance(seen, BusReading) for seen in self.ledger.seen[before:]) == len(buses)
            )
            yield radio
            task.cancel()


async def until(is_true: Callable[[], bool]) -> None:
    """Wait until this is true; fails after 30 s. For what happens outside the ledger."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            if is_true():
                return
            await asyncio.sleep(0.01)


def secret_of(number: int, generation: int = 1) -> bytes:
    """An invented key."""
    return bytes((number, generation)) * 8


@asynccontextmanager
async def site(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    buttons: int = 1,
    adapters: tuple[str, ...] = ("hci0",),
    max_silence_s: float = 1.5,
    timing: Timing = QUICK,
) -> AsyncIterator[Site]:
    """Build the estate; the driver is started by `Site.driver`."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(PrivateBus())
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        medium = Medium(seed=7)
        bluetoothd = await stack.enter_async_context(Bluetoothd(bus.address, medium, adapters=adapters))
        beacon = await stack.enter_async_context(
            Beacon(medium, address=BEACON, secret=BEACON_SECRET, period_s=0.1)
        )
        tags = [
            Tag(
                device_id="beacon-1",
                kind=TagKind.BEACON,
                address=BEACON,
                keys=(TagKey(key_id=1, secret=BEACON_SECRET),),
            )
        ]
        made = []
        for number in range(buttons):
            address = f"C3:28:40:FF:C1:{number:02X}"
            button = Button(
                medium,
                address=address,
                secret=secret_of(number),
                counter_file=tmp_path / f"{number}.counter",
                timing=timing,
            )
            made.append(await stack.enter_async_context(button))
            keys = (TagKey(key_id=1, secret=secret_of(number)),)
            tags.append(Tag(device_id=f"btn-{number}", kind=TagKind.BUTTON, address=address, keys=keys))
        yield Site(
            bus=bus,
            medium=medium,
            bluetoothd=bluetoothd,
            beacon=beacon,
            buttons=made,
            tags=tags,
            ledger=Ledger(),
            intruder=Intruder(medium),
            adapters=adapters,
            max_silence_s=max_silence_s,
        )
