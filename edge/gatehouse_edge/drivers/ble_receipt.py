"""Tell the button that its press is on disk: connect in its window, write the receipt, hang up.

The lamp on the button is the resident's only proof; a receipt that cannot be delivered is a line in the log, never a
fault of the press itself, which is already an alarm.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bleak import BleakClient
from bleak.args.bluez import BlueZClientArgs
from bleak.backends.device import BLEDevice

from gatehouse_edge.drivers.ble_roster import Tag, TagKey
from gatehouse_edge.drivers.ble_stack import BLEAK_FAULTS
from gatehouse_wire import button_receipt

_log = logging.getLogger(__name__)

DELIVERERS: Final = 3
"""Connections wanted at once; the kernel makes them one after the other, a small adapter holds at least 5."""
WAITING_MAX: Final = 32
"""Receipts waiting; more buttons than that pressed within seconds cannot all be reached in their windows."""
ATTEMPT_S: Final = 4.0
DELIVERY_S: Final = 12.0
"""From the first advert to the end of the window (3 s of shouting, 5 s window), and some to spare."""
RETRY_PAUSE_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One receipt to hand over before ``deadline_s`` (event loop time)."""

    tag: Tag
    key: TagKey
    counter: int
    deadline_s: float


def receipt(delivery: Delivery) -> bytes:
    """Return the bytes the button checks: status recorded, made with the key that made its press."""
    secret = delivery.key.secret
    return bytes(
        button_receipt.encode(
            button_receipt.Receipt(
                key_id=delivery.key.key_id, counter=delivery.counter, status=button_receipt.RECORDED
            ),
            delivery.tag.address_bytes,
            lambda signed: hmac.digest(secret, signed, hashlib.sha256),
        )
    )


class ReceiptDesk:
    """Delivers receipts, a few at a time, while scanning goes on."""

    def __init__(self, whereabouts: Callable[[str], BLEDevice | None]) -> None:
        """``whereabouts(address)`` returns the BlueZ device that was heard last under this address."""
        self._whereabouts = whereabouts
        self._waiting: asyncio.Queue[Delivery] = asyncio.Queue(WAITING_MAX)
        self._newest: dict[str, int] = {}
        self.delivered = 0
        self.failed = 0

    def hand_in(self, delivery: Delivery) -> None:
        """Deliver this when possible; call only after the press is on disk."""
        self._newest[delivery.tag.address] = delivery.counter
        try:
            self._waiting.put_nowait(delivery)
        except asyncio.QueueFull:
            self._give_up(delivery, "too many receipts waiting")

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(DELIVERERS):
                group.create_task(self._deliver_all(), name=f"receipts-{number}")

    async def _deliver_all(self) -> None:
        while True:
            delivery = await self._waiting.get()
            await self._deliver(delivery)

    async def _deliver(self, delivery: Delivery) -> None:
        fault = "its window has passed"
        now = asyncio.get_running_loop().time
        while now() < delivery.deadline_s:
            if self._newest.get(delivery.tag.address) != delivery.counter:
                return  # pressed again: the lamp waits for the newer receipt only
            device = self._whereabouts(delivery.tag.address)
            if device is None:
                break
            limit_s = min(ATTEMPT_S, delivery.deadline_s - now())
            try:
                async with asyncio.timeout(limit_s):
                    await self._write(device, receipt(delivery), limit_s)
            except BLEAK_FAULTS as error:
                fault = f"{type(error).__name__}: {error}"
                await asyncio.sleep(RETRY_PAUSE_S)
                continue
            self.delivered += 1
            return
        self._give_up(delivery, fault)

    async def _write(self, device: BLEDevice, value: bytes, limit_s: float) -> None:
        async with BleakClient(device, timeout=limit_s, bluez=BlueZClientArgs()) as client:
            await client.write_gatt_char(button_receipt.RECEIPT_UUID, value, response=True)

    def _give_up(self, delivery: Delivery, fault: str) -> None:
        self.failed += 1
        _log.warning(
            "receipt for press %d of %s not delivered: %s", delivery.counter, delivery.tag.device_id, fault
        )
