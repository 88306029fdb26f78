"""One adapter that must never be deaf: scan, listen for the beacon, and climb the ladder when it is not heard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Final, Protocol

from bleak import BleakScanner
from bleak.args.bluez import BlueZDiscoveryFilters, BlueZScannerArgs
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from gatehouse_config.buses import BleBus
from gatehouse_edge.drivers.ble_ladder import Pauses, Rung, measure
from gatehouse_edge.drivers.ble_stack import BLEAK_FAULTS, CALL_LIMIT_S, power_cycle

_log = logging.getLogger(__name__)

STOP_LIMIT_S: Final = 1.0
"""The gateway must stop within 2 s; a scan that will not stop ends with our D-Bus connection."""
START_PAUSE_S: Final = 1.0
"""bluetoothd takes its name on the bus before it has found its adapters."""
DETAIL_MAX: Final = 120


class OnAdvert(Protocol):
    """What is done with each advert; called from the event loop, must not block."""

    def __call__(self, bus: BleBus, device: BLEDevice, advert: AdvertisementData) -> None:
        """Take one advert."""


class _Heard(Enum):
    BEACON = auto()
    NOTHING = auto()
    DISTURBANCE = auto()


class AdapterScan:
    """The scanner of one adapter, supervised by `feed`.

    ``report(is_up, detail)`` is awaited when the state changes, first when the beacon was heard or missed for the first
    time. ``renew(why)`` must drop the shared D-Bus connection and `disturb` all scans, this one too. Without a beacon (``is_supervised`` false) the adapter is reported down for as long as it lasts: nobody would
    notice its death.
    """

    def __init__(
        self,
        bus: BleBus,
        *,
        on_advert: OnAdvert,
        report: Callable[[BleBus, bool, str], Awaitable[None]],
        renew: Callable[[str], None],
        is_supervised: bool,
        pauses: Pauses,
    ) -> None:
        self.bus: Final = bus
        self._on_advert = on_advert
        self._report = report
        self._renew = renew
        self._is_supervised = is_supervised
        self._pauses = pauses
        self._stir = asyncio.Event()
        self._disturbance = ""
        self._is_up: bool | None = None
        self._trouble = ""
        self._scanner: BleakScanner | None = None

    def feed(self) -> None:
        """A beacon was heard on this adapter, authentic and new."""
        self._stir.set()

    def disturb(self, what: str) -> None:
        """The D-Bus connection under the scanner is gone; a new scanner is needed."""
        self._disturbance = what
        self._stir.set()

    async def run(self) -> None:
        """Scan until cancelled. A stack that is not well is an expected fault and is reported, never raised."""
        try:
            await self._start()
            if not self._is_supervised:
                await self._say(is_up=False, detail="no_beacon: nobody would notice a dead scanner")
            await self._supervise()
        finally:
            await self._stop(STOP_LIMIT_S)

    async def _supervise(self) -> None:
        now = asyncio.get_running_loop().time
        attempt = 0
        due_s = now() + self.bus.max_silence_s  # only a beacon moves this: a stack that flaps is silent too
        while True:
            match await self._listen(due_s - now()):
                case _Heard.BEACON:
                    attempt, due_s = 0, now() + self.bus.max_silence_s
                    await self._say(is_up=True, detail="")
                case _Heard.DISTURBANCE:
                    await self._start_anew()
                case _Heard.NOTHING if now() < due_s or not self._is_supervised:
                    await self._start()
                case _Heard.NOTHING:
                    step = measure(attempt, self._pauses)
                    _log.warning("%s: beacon not heard, %s", self.bus.id, step.rung)
                    await self._say(is_up=False, detail=f"radio_silent {self._trouble}".strip())
                    await self._apply(step.rung)
                    attempt, due_s = attempt + 1, now() + step.listen_s

    async def _listen(self, limit_s: float) -> _Heard:
        """Wait for a beacon or a disturbance; a scan that did not start is not waited for longer than a second."""
        wait_s: float | None = limit_s if self._is_supervised else None
        if self._trouble:
            wait_s = min(limit_s, START_PAUSE_S) if self._is_supervised else START_PAUSE_S
        try:
            async with asyncio.timeout(wait_s):
                await self._stir.wait()
        except TimeoutError:
            return _Heard.NOTHING
        self._stir.clear()
        if self._disturbance:
            _log.warning("%s: %s, scanning anew", self.bus.id, self._disturbance)
            self._disturbance = ""
            return _Heard.DISTURBANCE
        return _Heard.BEACON

    async def _say(self, *, is_up: bool, detail: str) -> None:
        if self._is_up is not is_up:
            self._is_up = is_up
            await self._report(self.bus, is_up, detail[:DETAIL_MAX])

    async def _apply(self, rung: Rung) -> None:
        match rung:
            case Rung.RESTART_SCAN:
                await self._stop()
                await self._start()
            case Rung.RECREATE_SCANNER:
                await self._stop()
                self._renew("beacon not heard")
            case Rung.POWER_CYCLE:
                await self._stop()
                try:
                    await power_cycle(self.bus.adapter)
                except BLEAK_FAULTS as error:
                    _log.warning("%s: power cycle: %s", self.bus.id, error or type(error).__name__)
                await self._start_anew()

    async def _start_anew(self) -> None:
        self._scanner = None
        await self._start()

    async def _start(self) -> None:
        try:
            async with asyncio.timeout(CALL_LIMIT_S):
                if self._scanner is None:
                    self._scanner = self._new_scanner()
                await self._scanner.start()
            self._trouble = ""
        except BLEAK_FAULTS as error:
            self._trouble = f"{type(error).__name__}: {error}"
            _log.warning("%s: scan did not start: %s", self.bus.id, self._trouble)

    async def _stop(self, limit_s: float = CALL_LIMIT_S) -> None:
        """Stop the scan if it can be stopped; InProgress and a lost bus leave nothing to stop (bleak#2021)."""
        if self._scanner is None:
            return
        try:
            async with asyncio.timeout(limit_s):
                await self._scanner.stop()
        except BLEAK_FAULTS as error:
            _log.info("%s: scan did not stop: %s", self.bus.id, error or type(error).__name__)

    def _new_scanner(self) -> BleakScanner:
        # DuplicateData: without it BlueZ swallows the repeats of a press (home-assistant/core#121207), and a beacon whose
        # bytes do not change would fall silent.
        filters = BlueZDiscoveryFilters(DuplicateData=True)
        return BleakScanner(
            detection_callback=self._advert,
            scanning_mode="active",
            bluez=BlueZScannerArgs(adapter=self.bus.adapter, filters=filters),
        )

    def _advert(self, device: BLEDevice, advert: AdvertisementData) -> None:
        self._on_advert(self.bus, device, advert)
