"""The radio of a simulated node: what `bluetooth.BLE` does inside the VM, as a bumble controller on the simulated medium."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from bumble import hci, ll
from bumble.controller import Controller
from bumble.core import UUID, BaseBumbleError
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.host import Host

from gatehouse_hil.radio.medium import Medium

_FLAG_READ: Final = 0x02
_FLAG_WRITES: Final = 0x0C
_LIMIT_S: Final = 2.0
_SLOT_S: Final = 0.000625
"""Unit of the advertising interval (Core 5.4 Vol 6 Part B §4.4.2.2)."""


class Antenna:
    """One node's radio. `take` obeys what the VM tells; what happens on air goes back through `order`."""

    def __init__(self, medium: Medium, address: str, order: Callable[[dict[str, Any]], None]) -> None:
        self.address: Final = address
        self._medium = medium
        self._order = order
        self._device = Device(name="node", address=hci.Address(address))
        self._controller: Controller | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._shouting: asyncio.Task[None] | None = None
        self._advert: dict[str, Any] | None = None
        self._links: dict[int, Connection] = {}
        self._values: dict[int, bytes] = {}
        self._characteristics: dict[int, Characteristic[bytes]] = {}
        self._services: list[Any] = []
        self._is_window = False

    @property
    def is_advertising(self) -> bool:
        """Whether adverts go out now."""
        return self._advert is not None

    async def raise_(self) -> None:
        """Put the controller on the medium, silent."""
        host = Host()
        self._controller = Controller("node", link=self._medium)
        # An ESP32-C3 image of MicroPython sends legacy adverts of 31 bytes; bumble would choose extended ones.
        self._controller.le_features &= ~hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
        host.controller = self._controller
        self._device.host = host
        self._device.on("connection", self._connected)
        self._medium.unconnectable.add(self.address)
        await self._device.power_on()
        self._tasks = await asyncio.TaskGroup().__aenter__()

    async def lower(self) -> None:
        """Take it off the medium."""
        await self.silence()
        if self._tasks is not None:
            await self._tasks.__aexit__(None, None, None)
        await self._device.power_off()
        if self._controller is not None:
            self._medium.remove_controller(self._controller)

    async def silence(self) -> None:
        """The node has no power or has started again: adverts and connections end at once, services are forgotten."""
        await self._advertise(None)
        for link in list(self._links.values()):
            await self._hang_up(link)
        self._links.clear()
        self._values.clear()
        self._characteristics.clear()
        self._services.clear()
        self._device.gatt_server.attributes = []
        self._device.gatt_server.attributes_by_handle = {}

    async def take(self, kind: str, value: Any) -> None:  # noqa: ANN401  # JSON of the VM's radio module
        """Obey one event of the VM's radio module; unknown kinds are none of the radio's."""
        match kind:
            case "advertise":
                await self._advertise(value)
            case "services":
                self._offer(value)
            case "value":
                await self._set_value(
                    value["handle"], bytes.fromhex(value["hex"]), is_update=value["is_update"]
                )
            case "disconnect" if link := self._links.get(value):
                await self._hang_up(link)
            case _:
                pass

    async def _advertise(self, advert: dict[str, Any] | None) -> None:
        self._advert = advert
        if self._shouting is not None:
            self._shouting.cancel()
            self._shouting = None
        if self._is_window:
            self._is_window = False
            self._medium.unconnectable.add(self.address)
            await self._device.stop_advertising()
        if advert is None or self._tasks is None:
            return
        data = bytes.fromhex(advert["data"])
        interval_s = max(advert["interval_us"] / 1e6, 32 * _SLOT_S)
        if not advert["is_connectable"]:
            self._shouting = self._tasks.create_task(self._shout(data, interval_s), name="advertise")
            return
        self._is_window = True
        self._medium.unconnectable.discard(self.address)
        self._device.advertising_data = data
        self._device.advertising_interval_min = self._device.advertising_interval_max = interval_s * 1000
        # As on the chip: a connection ends the advertising, and nobody but the program starts it again.
        await self._device.start_advertising(auto_restart=False)

    async def _shout(self, data: bytes, interval_s: float) -> None:
        if self._controller is None:
            return
        packet = ll.AdvInd(advertiser_address=hci.Address(self.address), data=data)
        while True:
            self._controller.send_advertising_pdu(packet)
            await asyncio.sleep(interval_s)

    def _offer(self, table: list[Any]) -> None:
        for uuid, rows in table:
            characteristics = []
            for char_uuid, flags, handle in rows:
                properties = Characteristic.Properties(flags & 0x3E)
                permissions = Characteristic.Permissions(0)
                if flags & _FLAG_READ:
                    permissions |= Characteristic.Permissions.READABLE
                if flags & _FLAG_WRITES:
                    permissions |= Characteristic.Permissions.WRITEABLE
                value: CharacteristicValue[bytes] = CharacteristicValue(
                    read=lambda _link, handle=handle: self._values.get(handle, b""),
                    write=lambda link, octets, handle=handle: self._written(link, handle, octets),
                )
                characteristic: Characteristic[bytes] = Characteristic(
                    _uuid(char_uuid), properties, permissions, value
                )
                self._characteristics[handle] = characteristic
                characteristics.append(characteristic)
            service = Service(_uuid(uuid), characteristics)
            self._services.append(service)
            self._device.add_services([service])

    async def _set_value(self, handle: int, octets: bytes, *, is_update: bool) -> None:
        self._values[handle] = octets
        characteristic = self._characteristics.get(handle)
        if is_update and characteristic is not None and self._links:
            await self._device.notify_subscribers(characteristic, octets)

    def _connected(self, link: Connection) -> None:
        self._links[link.handle] = link
        link.on("disconnection", lambda _reason: self._gone(link))
        self._tell("connected", link)

    def _gone(self, link: Connection) -> None:
        if self._links.pop(link.handle, None) is not None:
            self._tell("disconnected", link)

    def _tell(self, event: str, link: Connection) -> None:
        peer = bytes(reversed(bytes(link.peer_address))).hex()
        self._order({"op": "ble", "event": event, "number": link.handle, "hex": peer})

    def _written(self, link: Connection | None, handle: int, octets: bytes) -> None:
        self._values[handle] = bytes(octets)
        number = link.handle if link is not None else 0
        self._order(
            {"op": "ble", "event": "written", "number": number, "handle": handle, "hex": bytes(octets).hex()}
        )

    @staticmethod
    async def _hang_up(link: Connection) -> None:
        try:
            async with asyncio.timeout(_LIMIT_S):
                await link.disconnect()
        except (BaseBumbleError, TimeoutError):
            pass  # the peer was gone already


def _uuid(text: str) -> UUID:
    return UUID.from_bytes(bytes(reversed(bytes.fromhex(text)))) if len(text) == 4 else UUID(text)
