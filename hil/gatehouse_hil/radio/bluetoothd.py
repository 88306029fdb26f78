"""A simulated `bluetoothd`: BlueZ's D-Bus face in front, bumble's virtual controllers behind.

The gateway's stock bleak cannot tell it from BlueZ: adverts come as `PropertiesChanged` of `Device1`, a connection is
a real ATT exchange over the medium. Its faults are the ones users report of the real one: discovery that stays "on" and
hears nothing (home-assistant/core#77664), StopDiscovery answering InProgress (hbldh/bleak#2021), restarts.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

from bumble import hci
from bumble.core import AdvertisingData, BaseBumbleError
from bumble.device import Advertisement, Connection, Device, Peer
from bumble.host import Host
from dbus_fast import AuthError, DBusError, Message, MessageType, Variant
from dbus_fast.aio.message_bus import MessageBus

from gatehouse_hil.radio.bluez_objects import (
    AdapterObject,
    CharacteristicObject,
    DeviceObject,
    ServiceObject,
    long_uuid,
)
from gatehouse_hil.radio.medium import AdapterController, Medium

_log = logging.getLogger(__name__)

CONNECT_LIMIT_S: Final = 4.0
"""BlueZ waits longer; a button's window is 5 s, so nothing is gained by that here."""
RESOLVE_LIMIT_S: Final = 2.0
TEMPORARY_S: Final = 30.0
"""BlueZ forgets a device it has not connected to 30 s after its last advert (main.conf TemporaryTimeout)."""
DEVICES_MAX: Final = 512
"""Device objects kept; the one heard longest ago goes first. The real daemon has no bound."""


class Cure(StrEnum):
    """What brings a scanner back that has silently died."""

    RESTART_SCAN = "restart_scan"
    POWER_CYCLE = "power_cycle"
    NEVER = "never"


@dataclass(slots=True)
class Adapter:
    """One simulated adapter: its D-Bus object, its controller and its faults."""

    name: str
    face: AdapterObject
    radio: Device
    devices: dict[str, DeviceObject] = field(default_factory=dict)
    links: dict[str, Connection] = field(default_factory=dict)
    connecting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _death: tuple[Cure, int, int] | None = None

    @property
    def path(self) -> str:
        """D-Bus path of the adapter."""
        return f"/org/bluez/{self.name}"

    def die_silently(self, cure: Cure) -> None:
        """Fault: Discovering stays true, nothing is heard any more until ``cure`` is applied."""
        self._death = (cure, self.face.starts, self.face.power_ons)

    @property
    def is_deaf(self) -> bool:
        """Whether the radio hears nothing: off, or silently dead."""
        if not self.face.is_powered:
            return True
        if self._death is None:
            return False
        cure, starts, power_ons = self._death
        restarted = cure is Cure.RESTART_SCAN and self.face.starts > starts
        cycled = cure is not Cure.NEVER and self.face.power_ons > power_ons
        if restarted or cycled:
            self._death = None
            return False
        return True


class Bluetoothd:
    """The daemon with one or more adapters; enter it as a context manager."""

    def __init__(self, bus_address: str, medium: Medium, *, adapters: tuple[str, ...] = ("hci0",)) -> None:
        self._bus_address = bus_address
        self._medium = medium
        self._names = adapters
        self.adapters: dict[str, Adapter] = {}
        self._bus: MessageBus | None = None
        self._down_s = 0.02
        self._is_serving = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for index, name in enumerate(self._names):
            self.adapters[name] = await self._adapter(index, name)
        await self._group.__aenter__()
        self._task = self._group.create_task(self._run(), name="bluetoothd")
        await self._is_serving.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._group.__aexit__(None, None, None)
        for adapter in self.adapters.values():
            await adapter.radio.power_off()

    def __getitem__(self, name: str) -> Adapter:
        """Return one adapter by its BlueZ name, e.g. ``hci0``."""
        return self.adapters[name]

    async def restart(self, *, down_s: float = 0.3) -> None:
        """Fault: the daemon ends and comes back after ``down_s`` with nothing remembered."""
        self._is_serving.clear()
        self._down_s = down_s
        if self._bus is not None:
            self._bus.disconnect()
        await self._is_serving.wait()
        self._down_s = 0.02

    async def _adapter(self, index: int, name: str) -> Adapter:
        address = f"F0:F1:F2:F3:F4:{0xF5 + index:02X}"
        face = AdapterObject(address)
        adapter = Adapter(name=name, face=face, radio=Device(name=name, address=hci.Address(address)))
        host = Host()
        host.controller = AdapterController(
            name, link=self._medium, public_address=address, is_deaf=lambda: adapter.is_deaf
        )
        adapter.radio.host = host
        await adapter.radio.power_on()
        # The radio always listens; `Discovering` decides below what reaches the bus.
        await adapter.radio.start_scanning(legacy=True, active=False, filter_duplicates=False)
        adapter.radio.on("advertisement", lambda advert: self._hear(adapter, advert))
        return adapter

    async def _run(self) -> None:
        while True:
            bus = MessageBus(bus_address=self._bus_address)
            try:
                await bus.connect()
                await self._serve(bus)
            except (OSError, EOFError, AuthError, DBusError) as error:
                _log.info("simulated bluetoothd lost its bus: %s", error or type(error).__name__)
            finally:
                self._bus = None
                bus.disconnect()
            await self._hang_up()
            await asyncio.sleep(self._down_s)

    async def _serve(self, bus: MessageBus) -> None:
        for adapter in self.adapters.values():
            adapter.devices.clear()
            adapter.face.start_anew()
            bus.export(adapter.path, adapter.face)
        bus.add_message_handler(self._note_client)
        await bus.call(_watch_clients())
        await bus.request_name("org.bluez")
        self._bus = bus
        self._is_serving.set()
        await bus.wait_for_disconnect()

    def _note_client(self, message: Message) -> None:
        """Runs before a call is served: remember whose it is; and hear of clients that leave the bus."""
        if message.message_type is MessageType.METHOD_CALL:
            for adapter in self.adapters.values():
                adapter.face.caller = message.sender or ""
        elif message.member == "NameOwnerChanged" and not message.body[2]:
            for adapter in self.adapters.values():
                adapter.face.forget(message.body[0])

    async def _hang_up(self) -> None:
        """End all connections: a daemon that goes takes its links with it."""
        for adapter in self.adapters.values():
            for link in list(adapter.links.values()):
                with suppress(BaseBumbleError, asyncio.TimeoutError):
                    async with asyncio.timeout(RESOLVE_LIMIT_S):
                        await link.disconnect()
            adapter.links.clear()

    def _hear(self, adapter: Adapter, advert: Advertisement) -> None:
        # bumble answers each advert with a scan response of the same bytes; a passive scan would not see it.
        if self._bus is None or not adapter.face.is_discovering or advert.is_scan_response:
            return
        address = advert.address.to_string(False)
        now_s = asyncio.get_running_loop().time()
        rssi_dbm = self._medium.rssi(advert.address)
        sections = advert.data.get_all(AdvertisingData.SERVICE_DATA_16_BIT_UUID)
        heard = {long_uuid(uuid): Variant("ay", bytes(payload)) for uuid, payload in sections}
        device = adapter.devices.get(address)
        if device is None:
            self._forget(adapter, now_s)
            device = self._device(adapter, address)
            device.rssi_dbm, device.service_data, device.seen_s = rssi_dbm, heard, now_s
            self._bus.export(device.path, device)
            return
        adapter.devices[address] = adapter.devices.pop(address)  # the one heard last stands last
        changed: dict[str, object] = {}
        if adapter.face.has_duplicates or abs(rssi_dbm - device.rssi_dbm) >= 8:  # BlueZ RSSI threshold
            changed["RSSI"] = rssi_dbm
        if adapter.face.has_duplicates or heard != device.service_data:
            changed["ServiceData"] = heard
        device.rssi_dbm, device.service_data, device.seen_s = rssi_dbm, heard, now_s
        if changed:
            device.emit_properties_changed(changed)

    def _device(self, adapter: Adapter, address: str) -> DeviceObject:
        device = DeviceObject(
            adapter_path=adapter.path,
            address=address,
            connect=lambda device: self._connect(adapter, device),
            disconnect=lambda device: self._disconnect(adapter, device),
        )
        adapter.devices[address] = device
        return device

    def _forget(self, adapter: Adapter, now_s: float) -> None:
        for address, device in list(adapter.devices.items()):
            is_old = now_s - device.seen_s > TEMPORARY_S
            if device.is_connected or not (is_old or len(adapter.devices) >= DEVICES_MAX):
                continue
            del adapter.devices[address]
            if self._bus is not None:
                self._bus.unexport(device.path)

    async def _connect(self, adapter: Adapter, device: DeviceObject) -> None:
        if device.is_connected:
            return
        async with adapter.connecting:  # the kernel initiates one connection at a time
            try:
                link = await adapter.radio.connect(hci.Address(device.address), timeout=CONNECT_LIMIT_S)
            except (BaseBumbleError, TimeoutError) as error:
                raise DBusError("org.bluez.Error.Failed", "le-connection-canceled") from error
        adapter.links[device.address] = link
        link.on("disconnection", lambda _reason: self._gone(adapter, device, link))
        device.is_connected = True
        device.emit_properties_changed({"Connected": True})
        try:
            async with asyncio.timeout(RESOLVE_LIMIT_S):
                await self._resolve(device, Peer(link))
        except (BaseBumbleError, TimeoutError) as error:
            await self._disconnect(adapter, device)
            raise DBusError("org.bluez.Error.Failed", "le-connection-gatt-browsing") from error

    async def _resolve(self, device: DeviceObject, peer: Peer) -> None:
        await peer.discover_services()
        for service in peer.services:
            await service.discover_characteristics()
            if self._bus is None:
                return
            path = f"{device.path}/service{service.handle:04x}"
            self._bus.export(path, ServiceObject(uuid_text=long_uuid(service.uuid), device_path=device.path))
            device.gatt.append(path)
            for proxy in service.characteristics:
                char_path = f"{path}/char{proxy.handle - 1:04x}"
                self._bus.export(char_path, CharacteristicObject(service_path=path, proxy=proxy))
                device.gatt.append(char_path)
        device.is_resolved = True
        device.emit_properties_changed({"ServicesResolved": True})

    async def _disconnect(self, adapter: Adapter, device: DeviceObject) -> None:
        link = adapter.links.get(device.address)
        if link is None:
            return
        with suppress(BaseBumbleError, TimeoutError):
            async with asyncio.timeout(RESOLVE_LIMIT_S):
                await link.disconnect()
        self._gone(adapter, device, link)

    def _gone(self, adapter: Adapter, device: DeviceObject, link: Connection) -> None:
        if adapter.links.get(device.address) is not link:
            return  # heard twice, or a newer connection stands already
        del adapter.links[device.address]
        was_connected, device.is_connected, device.is_resolved = device.is_connected, False, False
        if self._bus is None or not was_connected:
            return
        for path in reversed(device.gatt):
            self._bus.unexport(path)
        device.gatt.clear()
        device.emit_properties_changed({"ServicesResolved": False, "Connected": False})


def _watch_clients() -> Message:
    """Ask the bus to tell who comes and goes."""
    return Message(
        destination="org.freedesktop.DBus",
        path="/org/freedesktop/DBus",
        interface="org.freedesktop.DBus",
        member="AddMatch",
        signature="s",
        body=["type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"],
    )
