"""A simulated help button: counts, shouts, opens its window, lights its LED when the receipt is genuine."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bumble import hci, ll
from bumble.controller import Controller
from bumble.core import UUID, BaseBumbleError
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.host import Host

from gatehouse_hil.radio.advert import (
    INFO_PERIODIC,
    INFO_TRIGGERED,
    Event,
    advertising_data,
    objects,
    service_data,
)
from gatehouse_hil.radio.medium import Medium
from gatehouse_hil.radio.receipt import RECEIPT_UUID, SERVICE_UUID, is_genuine


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long a button shouts. The defaults are the firmware's; tests shorten them."""

    repeats: int = 50
    """Adverts of one press before the window."""
    interval_s: float = 0.03
    window_s: float = 5.0
    """How long one may connect after a press; 0: never, a button of the plainest kind."""
    window_interval_s: float = 0.1
    alive_every_s: float = 6 * 3600.0
    alive_repeats: int = 10


class CounterFile:
    """The counter in the button's flash, on disk before it goes on air, so that no counter is ever sent twice."""

    def __init__(self, path: Path, *, start: int = 0) -> None:
        self._path = path
        self.value = int(path.read_text(encoding="ascii")) if path.exists() else start

    def step(self) -> int:
        """Return the next counter, already durable."""
        self.value += 1
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="ascii") as file:
            file.write(str(self.value))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        return self.value


class Button:
    """One button on the medium; enter it as a context manager.

    Press it with `press`; `led_lit` says whether a genuine receipt came for the last press.
    """

    def __init__(
        self,
        medium: Medium,
        *,
        address: str,
        secret: bytes,
        counter_file: Path,
        key_id: int = 1,
        timing: Timing | None = None,
    ) -> None:
        self.address: Final = address.upper()
        self.timing = timing or Timing()
        self.battery_pct = 97
        self.is_tampered = False
        self.led_lit = False
        self.receipts_refused = 0
        self.presses = 0
        self._medium = medium
        self._secret = secret
        self._key_id = key_id
        self._counter = CounterFile(counter_file)
        self._waits_for: int | None = None
        self._receipt = asyncio.Event()
        self._speaking = asyncio.Lock()
        self._device = Device(name="button", address=hci.Address(self.address))
        self._controller: Controller | None = None

    async def __aenter__(self) -> Self:
        host = Host()
        self._controller = Controller("button", link=self._medium)
        # A coin-cell button sends legacy adverts of 31 bytes; bumble would choose extended ones.
        self._controller.le_features &= ~hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
        host.controller = self._controller
        self._device.host = host
        self._device.advertising_interval_min = self.timing.window_interval_s * 1000
        self._device.advertising_interval_max = self.timing.window_interval_s * 1000
        value: CharacteristicValue[bytes] = CharacteristicValue(write=self._receive)
        receipt: Characteristic[bytes] = Characteristic(
            RECEIPT_UUID, Characteristic.Properties.WRITE, Characteristic.Permissions.WRITEABLE, value
        )
        self._device.add_services([Service(UUID(SERVICE_UUID), [receipt])])
        self._medium.unconnectable.add(self.address)
        await self._device.power_on()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._device.power_off()
        if self._controller is not None:
            self._medium.remove_controller(self._controller)

    @property
    def counter(self) -> int:
        """The counter last put on air."""
        return self._counter.value

    def rotate(self, secret: bytes, *, key_id: int) -> None:
        """Take a new key, as the technician's tool does; the counter goes on."""
        self._secret, self._key_id = secret, key_id

    async def press(self) -> int:
        """Press: shout, then hold the window open until the receipt or its end. Return the counter used."""
        async with self._speaking:
            counter = self._counter.step()
            self.presses += 1
            self.led_lit = False
            self._waits_for = counter
            self._receipt.clear()
            data = self._advert(counter, event=Event.PRESS, info=INFO_TRIGGERED)
            await self._shout(data, self.timing.repeats)
            if self.timing.window_s > 0:
                await self._open_window(data)
            return counter

    async def alive(self) -> int:
        """Send the supervision advert: battery and no event. Return the counter used."""
        async with self._speaking:
            counter = self._counter.step()
            data = self._advert(counter, event=None, info=INFO_PERIODIC)
            await self._shout(data, self.timing.alive_repeats)
            return counter

    async def run(self) -> None:
        """Send the supervision advert for ever, at once and then every ``alive_every_s``."""
        while True:
            await self.alive()
            await asyncio.sleep(self.timing.alive_every_s)

    def _advert(self, counter: int, *, event: Event | None, info: int) -> bytes:
        plain = objects(counter, battery_pct=self.battery_pct, event=event, is_tampered=self.is_tampered)
        return advertising_data(service_data(self._secret, self.address, counter, plain, info=info))

    async def _shout(self, data: bytes, repeats: int) -> None:
        if self._controller is None:
            raise RuntimeError("the button is not on the medium")
        packet = ll.AdvInd(advertiser_address=hci.Address(self.address), data=data)
        for _ in range(repeats):
            self._controller.send_advertising_pdu(packet)
            await asyncio.sleep(self.timing.interval_s)

    async def _open_window(self, data: bytes) -> None:
        self._medium.unconnectable.discard(self.address)
        self._device.advertising_data = data
        await self._device.start_advertising(auto_restart=True)
        try:
            async with asyncio.timeout(self.timing.window_s):
                await self._receipt.wait()
        except TimeoutError:
            pass  # nobody came: the LED stays dark and the resident presses again
        finally:
            self._medium.unconnectable.add(self.address)
            await self._device.stop_advertising()
            # Asleep it answers nobody; a daemon whose client was killed in the middle would hold the connection for ever.
            for link in list(self._device.connections.values()):
                with contextlib.suppress(BaseBumbleError, TimeoutError):
                    await link.disconnect()

    def _receive(self, _connection: Connection | None, value: bytes) -> None:
        counter = self._waits_for
        if counter is not None and is_genuine(
            bytes(value), secret=self._secret, key_id=self._key_id, address=self.address, counter=counter
        ):
            self.led_lit = True
            self._receipt.set()
        else:
            self.receipts_refused += 1
