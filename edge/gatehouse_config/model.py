"""The whole of gateway.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pydantic import Field, PrivateAttr, model_validator

from gatehouse_config.buses import Bus
from gatehouse_config.devices import Device, GasDevice, IoDevice, Key, LiftDevice
from gatehouse_config.fault import ProfileError
from gatehouse_config.fleet import Fleet
from gatehouse_config.notifiers import Notifiers
from gatehouse_config.outputs import Output
from gatehouse_config.part import FilePath, Part
from gatehouse_config.profiles import GasProfile, IoProfile, LiftProfile, Profile
from gatehouse_config.rulesets import Escalation, Rules
from gatehouse_config.site import Console, Gateway, Site, Storage

_FLEET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
"""`GatewayId` of `gatehouse_events.fleet_api`: it is the common name of the gateway's certificate."""


class GatewayConfig(Part):
    """One gateway, whole and cross-checked. Made by `load` only: it resolves paths and profiles."""

    gateway: Gateway = Field(description="the gateway itself")
    site: Site = Field(description="the community")
    storage: Storage = Field(default_factory=Storage, description="the journal on disk")
    console: Console = Field(default_factory=Console, description="the console")
    profiles_directory: FilePath | None = Field(
        default=None, description="folder with profiles of your own (*.json)"
    )
    buses: tuple[Bus, ...] = Field(default=(), max_length=64, description="the wires")
    devices: tuple[Device, ...] = Field(default=(), max_length=2048, description="the field devices")
    outputs: tuple[Output, ...] = Field(default=(), max_length=256, description="what is switched")
    rules: Rules = Field(default_factory=Rules, description="limits of the rules")
    escalation: Escalation = Field(default_factory=Escalation, description="who is told when nobody answers")
    notifiers: Notifiers = Field(default_factory=Notifiers, description="ways to people")
    fleet: Fleet | None = Field(
        default=None, description="the fleet server; absent: the gateway stands alone"
    )

    _directory: Path = PrivateAttr(default=Path())
    _profiles: dict[str, Profile] = PrivateAttr(default_factory=dict)
    _keys: dict[str, bytes] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_fleet_name(self) -> GatewayConfig:
        if self.fleet is not None and not _FLEET_NAME.fullmatch(self.gateway.id):
            raise ValueError(
                "gateway.id: a fleet knows its gateways by 3 to 63 small letters, digits and dashes, a letter or digit first"
            )
        return self

    def resolve(self, path: str) -> Path:
        """Return `path` as the yaml means it: relative to the folder of the yaml file."""
        return (self._directory / path).absolute()

    def key(self, key: Key) -> bytes:
        """Return the 16 bytes of a device's key as they were when the configuration was loaded. Never log them.

        Raises:
            KeyError: this configuration was not made by `load`.
        """
        return self._keys[key.file]

    def bus(self, bus_id: str) -> Bus:
        """Return one bus.

        Raises:
            KeyError: there is none of that name.
        """
        return {bus.id: bus for bus in self.buses}[bus_id]

    def device(self, device_id: str) -> Device:
        """Return one device.

        Raises:
            KeyError: there is none of that name.
        """
        return {device.id: device for device in self.devices}[device_id]

    def gas_profile(self, device: GasDevice) -> GasProfile:
        """Return the register map of a detector, with the unit and decimals the installer stated filled in."""
        profile = self._profiles[device.profile]
        if not isinstance(profile, GasProfile):
            raise ProfileError(f"{device.profile} is not a gas profile")
        return profile.settled(unit=device.unit, decimals=device.decimals)

    def lift_profile(self, device: LiftDevice) -> LiftProfile:
        """Return the dialect of a lift."""
        profile = self._profiles[device.profile]
        if not isinstance(profile, LiftProfile):
            raise ProfileError(f"{device.profile} is not a lift profile")
        return profile

    def io_profile(self, device: IoDevice) -> IoProfile:
        """Return the point map of a relay board."""
        profile = self._profiles[device.profile]
        if not isinstance(profile, IoProfile):
            raise ProfileError(f"{device.profile} is not an io profile")
        return profile

    @property
    def fleet_directory(self) -> Path:
        """Where the identity towards the fleet lies, enrolled or not."""
        if self.fleet is not None and self.fleet.directory is not None:
            return self.resolve(self.fleet.directory)
        return self.resolve(self.storage.directory) / "fleet"

    @property
    def profiles(self) -> dict[str, Profile]:
        """Return every profile known to this configuration, by id."""
        return dict(self._profiles)

    def placed(
        self, directory: Path, *, profiles: dict[str, Profile], keys: dict[str, bytes]
    ) -> GatewayConfig:
        """Return this configuration knowing its folder, profiles and keys. For `load`."""
        twin = self.model_copy()
        twin._directory = directory  # noqa: SLF001  # our own twin, before anybody else sees it
        twin._profiles = profiles  # noqa: SLF001
        twin._keys = keys  # noqa: SLF001
        return twin
