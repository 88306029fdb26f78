"""What a new configuration changes: a reload restarts that and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gatehouse_config.devices import BeaconDevice, ButtonDevice, GasDevice, IoDevice, LiftDevice
from gatehouse_config.model import GatewayConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Ids that came, went, or mean something else now."""

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def all(self) -> frozenset[str]:
        """Return every id concerned."""
        return self.added | self.removed | self.changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The difference between two configurations."""

    buses: Delta
    """Buses to stop, start or restart; a bus also counts as changed when a device on it does (`buses_to_restart`)."""
    devices: Delta
    outputs: Delta
    sections: frozenset[str]
    """Other top-level sections that differ: gateway, site, storage, console, rules, escalation, notifiers, fleet."""
    buses_to_restart: frozenset[str]
    """Buses whose own settings, devices, profiles or keys differ, in the old or the new configuration."""

    def __bool__(self) -> bool:
        return bool(self.buses or self.devices or self.outputs or self.sections)

    @property
    def needs_restart(self) -> frozenset[str]:
        """Return sections that a running gateway cannot take over: they ask for a restart of the service."""
        return self.sections & {"gateway", "storage"}


def diff(old: GatewayConfig, new: GatewayConfig) -> Changes:
    """Return what differs; a changed profile or key file counts as a change of every device that uses it."""
    buses = _delta({bus.id: (bus,) for bus in old.buses}, {bus.id: (bus,) for bus in new.buses})
    devices = _delta(_devices(old), _devices(new))
    outputs = _delta({out.id: (out,) for out in old.outputs}, {out.id: (out,) for out in new.outputs})
    sections = frozenset(
        name
        for name in ("gateway", "site", "storage", "console", "rules", "escalation", "notifiers", "fleet")
        if getattr(old, name) != getattr(new, name)
    )
    touched = {*_buses_of(old, devices.all), *_buses_of(new, devices.all)}
    return Changes(
        buses=buses,
        devices=devices,
        outputs=outputs,
        sections=sections,
        buses_to_restart=frozenset(touched) | buses.all,
    )


def _devices(config: GatewayConfig) -> dict[str, tuple[object, ...]]:
    """Return what each device amounts to: its row, its profile, the bytes of its keys."""
    found: dict[str, tuple[object, ...]] = {}
    for device in config.devices:
        profile = (
            config.profiles.get(device.profile)
            if isinstance(device, GasDevice | LiftDevice | IoDevice)
            else None
        )
        keys = device.keys if isinstance(device, GasDevice | LiftDevice | ButtonDevice | BeaconDevice) else ()
        found[device.id] = (device, profile, tuple(config.key(key) for key in keys))
    return found


def _buses_of(config: GatewayConfig, device_ids: frozenset[str]) -> frozenset[str]:
    """Return the buses these devices hang on; help buttons and beacons are heard on every BLE bus."""
    found: set[str] = set()
    for device in config.devices:
        if device.id not in device_ids:
            continue
        if isinstance(device, GasDevice | LiftDevice | IoDevice):
            found.add(device.bus)
        elif isinstance(device, ButtonDevice | BeaconDevice):
            found.update(bus.id for bus in config.buses if bus.kind == "ble")
    return frozenset(found)


def _delta(old: Mapping[str, object], new: Mapping[str, object]) -> Delta:
    return Delta(
        added=frozenset(new.keys() - old.keys()),
        removed=frozenset(old.keys() - new.keys()),
        changed=frozenset(name for name in old.keys() & new.keys() if old[name] != new[name]),
    )
