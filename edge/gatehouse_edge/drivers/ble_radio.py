"""Help buttons and beacons over Bluetooth: every press once, on disk, and answered; a deaf radio named within 10 s."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from gatehouse_config.buses import BleBus
from gatehouse_edge.clock import Clock
from gatehouse_edge.drivers.ble_advert import AdvertReader, Message, Refused
from gatehouse_edge.drivers.ble_gate import CounterGates, Verdict
from gatehouse_edge.drivers.ble_ladder import Pauses
from gatehouse_edge.drivers.ble_receipt import DELIVERY_S, Delivery, ReceiptDesk
from gatehouse_edge.drivers.ble_refusals import RefusalFold
from gatehouse_edge.drivers.ble_roster import Roster, Tag, TagKind
from gatehouse_edge.drivers.ble_scan import AdapterScan
from gatehouse_edge.drivers.ble_stack import StackWatch, close_bleak, drop_bleak, prime_bleak
from gatehouse_edge.ports import Counters, Inbox
from gatehouse_edge.reading import BeaconReading, BusReading, ButtonEvent, ButtonReading, RefusalReason
from gatehouse_wire.bthome import SERVICE_UUID_TEXT

_log = logging.getLogger(__name__)

PRESSES_MAX: Final = 256
"""Accepted readings waiting for the ledger: ten times the buttons of a large estate pressed at once."""
BEACONS_MAX: Final = 16
"""Beacon readings waiting; the newest is worth as much as all, so more are dropped."""
WRITERS: Final = 4
"""Readings handed to the ledger at once, so that simultaneous presses share one commit."""
REFUSALS_EVERY_S: Final = 2.0
PARTING_S: Final = 0.5
"""How long a radio that is stopped (a reload, the end) may take to hand over presses it has heard."""


class BleRadio:
    """All Bluetooth adapters of the gateway and the tags heard over them.

    One object for all adapters, so that a press heard twice is still one press.
    """

    def __init__(
        self,
        buses: Sequence[BleBus],
        tags: Sequence[Tag],
        inbox: Inbox,
        clock: Clock,
        counters: Counters,
        *,
        pauses: Pauses | None = None,
    ) -> None:
        """``buses`` are the adapters, ``tags`` the buttons and beacons allowed to speak.

        Raises:
            RosterError: two tags share an address or an id.
            ValueError: no adapter.
        """
        if not buses:
            raise ValueError("a Bluetooth radio needs at least one adapter")
        roster = Roster(tags)
        self._inbox = inbox
        self._clock = clock
        self._counters = counters
        self._reader = AdvertReader(roster)
        now_s = clock.now().service_s
        self._gates = CounterGates(counters, now_s=now_s)
        self._beacon_gates = {bus.id: CounterGates(counters, now_s=now_s) for bus in buses}
        self._refusals = {bus.id: RefusalFold(bus.id) for bus in buses}
        self._whereabouts: dict[str, BLEDevice] = {}
        self._answered: dict[str, int] = {}
        self._accepted: asyncio.Queue[tuple[Message, ButtonReading]] = asyncio.Queue(PRESSES_MAX)
        self._interrupted: list[ButtonReading] = []
        self._beacons: asyncio.Queue[BeaconReading] = asyncio.Queue(BEACONS_MAX)
        self.receipts: Final = ReceiptDesk(self._whereabouts.get)
        self._scans = {
            bus.id: AdapterScan(
                bus,
                on_advert=self._hear,
                report=self._report,
                renew=self._renew,
                is_supervised=bool(roster.beacons),
                pauses=pauses or Pauses(),
            )
            for bus in buses
        }

    async def run(self) -> None:
        """Listen until cancelled. A sick stack is reported as `BusReading`; only a broken ledger is raised."""
        try:
            await prime_bleak()
            async with asyncio.TaskGroup() as group:
                for number in range(WRITERS):
                    group.create_task(self._write_accepted(), name=f"ble-presses-{number}")
                group.create_task(self._write_beacons(), name="ble-beacons")
                group.create_task(self._write_refusals(), name="ble-refusals")
                group.create_task(self.receipts.run(), name="ble-receipts")
                group.create_task(StackWatch(self._renew).run(), name="ble-stack")
                for bus_id, scan in self._scans.items():
                    group.create_task(scan.run(), name=f"ble-scan-{bus_id}")
        finally:
            await self._hand_over_rest()
            await close_bleak()

    def _renew(self, why: str) -> None:
        """Drop the D-Bus connection all adapters share and let each start anew."""
        drop_bleak()
        for scan in self._scans.values():
            scan.disturb(why)

    def _hear(self, bus: BleBus, device: BLEDevice, advert: AdvertisementData) -> None:
        payload = advert.service_data.get(SERVICE_UUID_TEXT)
        if payload is None:
            return  # not BTHome: a telephone, a headset
        message = self._reader.read(device.address, payload)
        if isinstance(message, Refused):
            self._refuse(bus, message.reason, device.address)
            return
        if message.tag.kind is TagKind.BEACON:
            self._hear_beacon(bus, message, advert.rssi)
        else:
            self._hear_button(bus, device, message, advert.rssi)

    def _hear_beacon(self, bus: BleBus, message: Message, rssi_dbm: int) -> None:
        at = self._clock.now()
        key = message.tag.counter_key(message.key.key_id)
        verdict = self._beacon_gates[bus.id].judge(key, message.counter, now_s=at.service_s)
        if verdict is Verdict.REPLAY:
            self._refuse(bus, RefusalReason.REPLAY, message.tag.device_id)
        if verdict is not Verdict.FRESH:
            return
        self._scans[bus.id].feed()
        if not self._beacons.full():
            self._beacons.put_nowait(
                BeaconReading(
                    device_id=message.tag.device_id,
                    at=at,
                    adapter=bus.adapter,
                    rssi_dbm=rssi_dbm,
                    counter=message.counter,
                    key_id=message.key.key_id,
                )
            )

    def _hear_button(self, bus: BleBus, device: BLEDevice, message: Message, rssi_dbm: int) -> None:
        self._whereabouts[message.tag.address] = device
        at = self._clock.now()
        key = message.tag.counter_key(message.key.key_id)
        verdict = self._gates.judge(key, message.counter, now_s=at.service_s)
        if verdict is Verdict.REPLAY:
            self._refuse(bus, RefusalReason.REPLAY, message.tag.device_id)
        if verdict is Verdict.REPEAT and self._counters.get(key) == message.counter:
            self._answer(message)  # stored by the run before this one, which had no time to say so
        if verdict is not Verdict.FRESH:
            return
        reading = ButtonReading(
            device_id=message.tag.device_id,
            at=at,
            event=message.event,
            counter=message.counter,
            key_id=message.key.key_id,
            battery_pct=message.battery_pct,
            rssi_dbm=rssi_dbm,
            adapter=bus.adapter,
        )
        try:
            self._accepted.put_nowait((message, reading))
        except asyncio.QueueFull:
            self._gates.forget(key, message.counter)  # a later repeat of the same press comes in
            _log.warning("ledger is behind, press %d of %s waits", message.counter, reading.device_id)

    def _refuse(self, bus: BleBus, reason: RefusalReason, source: str) -> None:
        self._refusals[bus.id].add(reason, source, at_s=self._clock.now().service_s)

    def _answer(self, message: Message) -> None:
        """Send the receipt of a press that is on disk, once."""
        key = message.tag.counter_key(message.key.key_id)
        if message.event is not ButtonEvent.PRESS or self._answered.get(key) == message.counter:
            return
        self._answered[key] = message.counter
        deadline_s = asyncio.get_running_loop().time() + DELIVERY_S
        self.receipts.hand_in(
            Delivery(tag=message.tag, key=message.key, counter=message.counter, deadline_s=deadline_s)
        )

    async def _write_accepted(self) -> None:
        while True:
            message, reading = await self._accepted.get()
            try:
                await self._inbox.put(reading)
            except asyncio.CancelledError:
                self._interrupted.append(reading)  # perhaps not in the ledger yet; given twice it counts once
                raise
            self._answer(message)  # on disk now, and not before

    async def _hand_over_rest(self) -> None:
        """Give the ledger what was heard and not handed over; the next run answers whoever still listens."""
        left = list(self._interrupted)
        self._interrupted.clear()
        while not self._accepted.empty():
            left.append(self._accepted.get_nowait()[1])
        if not left:
            return
        try:
            async with asyncio.timeout(PARTING_S), asyncio.TaskGroup() as group:
                for reading in left:
                    group.create_task(self._inbox.put(reading), name="ble-parting")
        except TimeoutError:
            _log.warning("%d presses handed over, and no word yet that they are on disk", len(left))

    async def _write_beacons(self) -> None:
        while True:
            await self._inbox.put(await self._beacons.get())

    async def _write_refusals(self) -> None:
        while True:
            await asyncio.sleep(REFUSALS_EVERY_S)
            for fold in self._refusals.values():
                for refusal in fold.collect(self._clock.now()):
                    await self._inbox.put(refusal)

    async def _report(self, bus: BleBus, is_up: bool, detail: str) -> None:
        await self._inbox.put(BusReading(device_id=bus.id, at=self._clock.now(), is_up=is_up, detail=detail))
