"""What stock bleak hears, from the first advert on.

`BleakScanner.advertisement_data()` begins to listen only once the scan runs: an advert that comes while it starts is lost, and
BlueZ tells a device whose bytes do not change no second time unless it is asked to.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from bleak import BleakScanner
from bleak.args.bluez import BlueZDiscoveryFilters, BlueZScannerArgs
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

Adverts = asyncio.Queue[tuple[BLEDevice, AdvertisementData]]


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[Adverts]:
    """Scan with the first powered adapter; every advert, repeats too, waits in the queue that this yields.

    Raises:
        BleakError, OSError: there is no Bluetooth adapter that works.
    """
    adverts: Adverts = asyncio.Queue()
    repeats = BlueZScannerArgs(filters=BlueZDiscoveryFilters(DuplicateData=True))
    async with BleakScanner(lambda device, advert: adverts.put_nowait((device, advert)), bluez=repeats):
        yield adverts
