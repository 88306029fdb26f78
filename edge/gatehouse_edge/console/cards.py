"""What the configuration says of each device, for the table of devices: bus, profile, how long it may be silent. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from msgspec import Struct

from gatehouse_config.devices import GasDevice
from gatehouse_config.model import GatewayConfig
from gatehouse_edge.alarms.shelving import inhibition_limit_s


class DeviceCard(Struct, frozen=True, kw_only=True):
    """One device as configured."""

    id: str
    kind: str
    bus: str = ""
    profile: str = ""
    address: str = ""
    """Unit id on its bus, or Bluetooth address."""
    max_silence_s: float | None = None
    """Longest time without a word that is still normal."""
    installed_on: date | None = None
    life_ends_on: date | None = None
    inhibit_limit_s: float
    """How long it may be out of service at once."""


def device_cards(config: GatewayConfig) -> Mapping[str, DeviceCard]:
    """Return the cards of all devices and buses by id."""
    cards = {
        bus.id: DeviceCard(id=bus.id, kind="bus", profile=bus.kind, inhibit_limit_s=inhibition_limit_s("bus"))
        for bus in config.buses
    }
    for device in config.devices:
        address = getattr(device, "address", None) or getattr(device, "unit_id", None)
        cards[device.id] = DeviceCard(
            id=device.id,
            kind=device.kind,
            bus=getattr(device, "bus", ""),
            profile=getattr(device, "profile", "") or "",
            address="" if address is None else str(address),
            max_silence_s=device.max_silence_s,
            installed_on=device.installed_on if isinstance(device, GasDevice) else None,
            life_ends_on=_life_end(device) if isinstance(device, GasDevice) else None,
            inhibit_limit_s=inhibition_limit_s(device.kind),
        )
    return cards


def _life_end(device: GasDevice) -> date:
    months = round(device.life_years * 12) + device.installed_on.month - 1
    year, month = device.installed_on.year + months // 12, months % 12 + 1
    return date(year, month, min(device.installed_on.day, 28))
