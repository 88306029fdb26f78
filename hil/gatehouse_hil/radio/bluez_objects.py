"""The `org.bluez` objects bleak talks to, as BlueZ documents them (bluez/doc/org.bluez.*.rst).

No ``from __future__ import annotations`` here: dbus-fast reads the D-Bus signatures out of the annotations.
"""

import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from bumble.core import UUID
from bumble.gatt import Characteristic
from bumble.gatt_client import CharacteristicProxy
from dbus_fast import DBusError, PropertyAccess, Variant
from dbus_fast.annotations import (
    DBusBool,
    DBusBytes,
    DBusDict,
    DBusInt16,
    DBusObjectPath,
    DBusSignature,
    DBusStr,
    DBusUInt16,
)
from dbus_fast.service import ServiceInterface, dbus_method, dbus_property

READ: Final = PropertyAccess.READ
DBusStrings = Annotated[list[str], DBusSignature("as")]
DBusManufacturers = Annotated[dict[int, Variant], DBusSignature("a{qv}")]

_FLAGS: Final = (
    ("read", Characteristic.Properties.READ),
    ("write-without-response", Characteristic.Properties.WRITE_WITHOUT_RESPONSE),
    ("write", Characteristic.Properties.WRITE),
    ("notify", Characteristic.Properties.NOTIFY),
    ("indicate", Characteristic.Properties.INDICATE),
)


def long_uuid(short: UUID) -> str:
    """Return the 128-bit form BlueZ prints."""
    return str(uuid.UUID(bytes=bytes(reversed(short.to_bytes(force_128=True)))))


class AdapterObject(ServiceInterface):
    """org.bluez.Adapter1 (org.bluez.Adapter.rst)."""

    def __init__(self, address: str) -> None:
        super().__init__("org.bluez.Adapter1")
        self.address: Final = address
        self.is_powered = True
        self.caller = ""
        """Bus name of the client whose call is being served; the daemon sets it."""
        self._discoverers: set[str] = set()
        """Clients that have a discovery running: one session each, as in BlueZ."""
        self._without_duplicates: set[str] = set()
        self.stop_error: tuple[str, str] | None = None
        """Fault: what StopDiscovery answers instead of success."""
        self.is_power_stuck = False
        """Fault: the adapter refuses to be switched on again."""
        self.starts = 0
        self.power_ons = 0

    @dbus_property(access=READ, name="Address")
    def _address(self) -> DBusStr:
        return self.address

    @dbus_property(name="Powered")
    def _powered(self) -> DBusBool:
        return self.is_powered

    @_powered.setter  # type: ignore[no-redef]  # a property's setter bears its name
    def _powered(self, is_on: DBusBool) -> None:
        if is_on and self.is_power_stuck:
            raise DBusError("org.bluez.Error.Failed", "Failed")
        self.power(is_on=is_on)

    @property
    def is_discovering(self) -> bool:
        """Whether any client has a discovery running."""
        return bool(self._discoverers)

    @property
    def has_duplicates(self) -> bool:
        """Whether repeats are told: filters of all clients are merged; BlueZ's default is true, bleak's is not."""
        return bool(self._discoverers - self._without_duplicates)

    @dbus_property(access=READ, name="Discovering")
    def _discovering(self) -> DBusBool:
        return self.is_discovering

    @dbus_property(access=READ, name="Roles")
    def _roles(self) -> DBusStrings:
        return ["central", "peripheral"]

    @dbus_method(name="SetDiscoveryFilter")
    def _set_discovery_filter(self, wanted: DBusDict) -> None:
        duplicates = wanted.get("DuplicateData")
        if duplicates is None or duplicates.value:
            self._without_duplicates.discard(self.caller)
        else:
            self._without_duplicates.add(self.caller)

    @dbus_method(name="StartDiscovery")
    def _start_discovery(self) -> None:
        if not self.is_powered:
            raise DBusError("org.bluez.Error.NotReady", "Resource Not Ready")
        if self.caller in self._discoverers:
            raise DBusError("org.bluez.Error.InProgress", "Operation already in progress")
        self.starts += 1
        self._discover({*self._discoverers, self.caller})

    @dbus_method(name="StopDiscovery")
    def _stop_discovery(self) -> None:
        if self.stop_error is not None:
            raise DBusError(*self.stop_error)
        if not self.is_powered:
            raise DBusError("org.bluez.Error.NotReady", "Resource Not Ready")
        if self.caller not in self._discoverers:
            raise DBusError("org.bluez.Error.Failed", "No discovery started")
        self._discover(self._discoverers - {self.caller})

    @dbus_method(name="RemoveDevice")
    def _remove_device(self, device: DBusObjectPath) -> None:
        """Accept; the simulated daemon forgets devices by age."""

    def power(self, *, is_on: bool) -> None:
        """Switch the radio; off ends discovery, as in BlueZ."""
        if not is_on:
            self._discover(set())
        if is_on and not self.is_powered:
            self.power_ons += 1
        self.is_powered = is_on
        self.emit_properties_changed({"Powered": is_on})

    def forget(self, client: str) -> None:
        """A client has left the bus: its discovery ends. Its connections stay, as in BlueZ (hbldh/bleak#1222)."""
        self._without_duplicates.discard(client)
        self._discover(self._discoverers - {client})

    def start_anew(self) -> None:
        """The daemon has started: nobody has asked for anything."""
        self._discoverers.clear()
        self._without_duplicates.clear()
        self.is_powered = True

    def _discover(self, clients: set[str]) -> None:
        was_on, self._discoverers = self.is_discovering, clients
        if was_on != self.is_discovering:
            self.emit_properties_changed({"Discovering": self.is_discovering})


class DeviceObject(ServiceInterface):
    """org.bluez.Device1 (org.bluez.Device.rst)."""

    def __init__(
        self,
        *,
        adapter_path: str,
        address: str,
        connect: Callable[["DeviceObject"], Awaitable[None]],
        disconnect: Callable[["DeviceObject"], Awaitable[None]],
    ) -> None:
        super().__init__("org.bluez.Device1")
        self.adapter_path: Final = adapter_path
        self.address: Final = address
        self.path: Final = f"{adapter_path}/dev_{address.replace(':', '_')}"
        self._on_connect = connect
        self._on_disconnect = disconnect
        self.rssi_dbm = -127
        self.service_data: dict[str, Variant] = {}
        self.is_connected = False
        self.is_resolved = False
        self.seen_s = 0.0
        """Loop time of the last advert."""
        self.gatt: list[str] = []
        """Paths of the exported services and characteristics."""

    @dbus_property(access=READ, name="Address")
    def _address(self) -> DBusStr:
        return self.address

    @dbus_property(access=READ, name="AddressType")
    def _address_type(self) -> DBusStr:
        return "random"

    @dbus_property(access=READ, name="Alias")
    def _alias(self) -> DBusStr:
        return self.address.replace(":", "-")

    @dbus_property(access=READ, name="RSSI")
    def _rssi(self) -> DBusInt16:
        return self.rssi_dbm

    @dbus_property(access=READ, name="Adapter")
    def _adapter(self) -> DBusObjectPath:
        return self.adapter_path

    @dbus_property(access=READ, name="ServiceData")
    def _service_data(self) -> DBusDict:
        return self.service_data

    @dbus_property(access=READ, name="ManufacturerData")
    def _manufacturer_data(self) -> DBusManufacturers:
        return {}

    @dbus_property(access=READ, name="UUIDs")
    def _uuids(self) -> DBusStrings:
        return []

    @dbus_property(access=READ, name="Connected")
    def _connected(self) -> DBusBool:
        return self.is_connected

    @dbus_property(access=READ, name="ServicesResolved")
    def _services_resolved(self) -> DBusBool:
        return self.is_resolved

    @dbus_property(access=READ, name="Paired")
    def _paired(self) -> DBusBool:
        return False

    @dbus_method(name="Connect")
    async def _connect(self) -> None:
        await self._on_connect(self)

    @dbus_method(name="Disconnect")
    async def _disconnect(self) -> None:
        await self._on_disconnect(self)


class ServiceObject(ServiceInterface):
    """org.bluez.GattService1 (org.bluez.GattService.rst)."""

    def __init__(self, *, uuid_text: str, device_path: str) -> None:
        super().__init__("org.bluez.GattService1")
        self._uuid = uuid_text
        self._device_path = device_path

    @dbus_property(access=READ, name="UUID")
    def _uuid_text(self) -> DBusStr:
        return self._uuid

    @dbus_property(access=READ, name="Device")
    def _device(self) -> DBusObjectPath:
        return self._device_path

    @dbus_property(access=READ, name="Primary")
    def _primary(self) -> DBusBool:
        return True


class CharacteristicObject(ServiceInterface):
    """org.bluez.GattCharacteristic1 (org.bluez.GattCharacteristic.rst): read and write, no notifications."""

    def __init__(self, *, service_path: str, proxy: CharacteristicProxy[bytes]) -> None:
        super().__init__("org.bluez.GattCharacteristic1")
        self._service_path = service_path
        self._proxy = proxy

    @dbus_property(access=READ, name="UUID")
    def _uuid(self) -> DBusStr:
        return long_uuid(self._proxy.uuid)

    @dbus_property(access=READ, name="Service")
    def _service(self) -> DBusObjectPath:
        return self._service_path

    @dbus_property(access=READ, name="Flags")
    def _flags(self) -> DBusStrings:
        return [name for name, bit in _FLAGS if self._proxy.properties & bit]

    @dbus_property(access=READ, name="MTU")
    def _mtu(self) -> DBusUInt16:
        return 247

    @dbus_method(name="ReadValue")
    async def _read_value(self, options: DBusDict) -> DBusBytes:  # noqa: ARG002  # the interface's own
        return bytes(await self._proxy.read_value())

    @dbus_method(name="WriteValue")
    async def _write_value(self, value: DBusBytes, options: DBusDict) -> None:
        kind: Any = options.get("type")
        wants_response = kind is None or kind.value == "request"
        try:
            await self._proxy.write_value(bytes(value), with_response=wants_response)
        except Exception as error:  # bumble raises several unrelated classes here; all are a failed write
            raise DBusError("org.bluez.Error.Failed", str(error) or type(error).__name__) from error
