"""From gateway.yaml to running drivers: one owner per bus, named by the bus id; one per camera."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from hashlib import sha256
from typing import Protocol

from gatehouse_config.buses import BleBus, ModbusRtuBus, ModbusTcpBus, SerialBus
from gatehouse_config.devices import BeaconDevice, ButtonDevice, CameraDevice, LiftDevice
from gatehouse_config.model import GatewayConfig
from gatehouse_edge.clock import Clock
from gatehouse_edge.drivers import modbus_bus
from gatehouse_edge.drivers.ble_roster import tag_of
from gatehouse_edge.drivers.lift_line import lift_line
from gatehouse_edge.ports import Counters, EvidenceInbox, Inbox

EVIDENCE, CALIBRATIONS, VIEWS = "evidence", "calibration", "views"
"""Folders of cameras below the storage directory."""
RADIO = "radio"
"""Name of the one driver that owns every Bluetooth adapter."""


class Driver(Protocol):
    """Something that reads a wire until cancelled."""

    async def run(self) -> None:
        """Run until cancelled; expected faults become observations."""
        ...


def driver_names(
    config: GatewayConfig, bus_ids: Iterable[str] | None = None, device_ids: Iterable[str] | None = None
) -> frozenset[str]:
    """Return the drivers that have to do with these buses and devices; None: with all of them."""
    radios = {bus.id for bus in config.buses if isinstance(bus, BleBus)}
    airborne = {device.id for device in config.devices if isinstance(device, ButtonDevice | BeaconDevice)}
    cameras = {device.id for device in config.devices if isinstance(device, CameraDevice)}
    wanted = {bus.id for bus in config.buses} if bus_ids is None else set(bus_ids)
    wanted |= {device.id for device in config.devices} if device_ids is None else set(device_ids)
    names = {bus.id for bus in config.buses if bus.id in wanted} - radios
    if wanted & (radios | airborne):
        names.add(RADIO)
    return frozenset(names | (cameras & wanted))


def drivers_of(
    config: GatewayConfig,
    *,
    inbox: Inbox,
    clock: Clock,
    counters: Counters,
    evidence: EvidenceInbox,
    only: frozenset[str] | None = None,
) -> dict[str, Driver]:
    """Return the drivers of a configuration by name, or `only` these. Opens nothing yet.

    Raises:
        ProfileError: a device's profile cannot be read over its bus.
    """
    found = {
        **_wires(config, inbox=inbox, clock=clock, counters=counters),
        **_radio(config, inbox=inbox, clock=clock, counters=counters),
        **_cameras(config, inbox=inbox, clock=clock, evidence=evidence),
    }
    return {name: make() for name, make in found.items() if only is None or name in only}


Maker = Callable[[], Driver]


def _wires(config: GatewayConfig, *, inbox: Inbox, clock: Clock, counters: Counters) -> dict[str, Maker]:
    makers: dict[str, Maker] = {}
    for bus in config.buses:
        match bus:
            case ModbusRtuBus() | ModbusTcpBus():
                makers[bus.id] = partial(modbus_bus.build, config, bus, inbox=inbox, clock=clock)
            case SerialBus():
                lifts = [dev for dev in config.devices if isinstance(dev, LiftDevice) and dev.bus == bus.id]
                if lifts:
                    makers[bus.id] = partial(
                        lift_line, config, bus, lifts, inbox=inbox, clock=clock, counters=counters
                    )
            case BleBus():
                pass
    return makers


def _radio(config: GatewayConfig, *, inbox: Inbox, clock: Clock, counters: Counters) -> dict[str, Maker]:
    radios = [bus for bus in config.buses if isinstance(bus, BleBus)]

    def make() -> Driver:
        # Imported where there is one: D-Bus and codec libraries cost 30 MiB that a gas-only gateway never needs.
        from gatehouse_edge.drivers.ble_radio import BleRadio

        tags = [
            tag_of(device, config.key)
            for device in config.devices
            if isinstance(device, ButtonDevice | BeaconDevice)
        ]
        return BleRadio(radios, tags, inbox, clock, counters)

    return {RADIO: make} if radios else {}


def _cameras(
    config: GatewayConfig, *, inbox: Inbox, clock: Clock, evidence: EvidenceInbox
) -> dict[str, Maker]:
    return {
        device.id: partial(_camera, config, device, inbox=inbox, clock=clock, evidence=evidence)
        for device in config.devices
        if isinstance(device, CameraDevice)
    }


def _camera(
    config: GatewayConfig, device: CameraDevice, *, inbox: Inbox, clock: Clock, evidence: EvidenceInbox
) -> Driver:
    from gatehouse_edge.drivers.camera import CameraDriver, CameraSettings
    from gatehouse_edge.drivers.camera_drawing import Drawing

    storage = config.resolve(config.storage.directory)
    settings = CameraSettings(
        camera_id=device.id,
        url=device.url if "://" in device.url else str(config.resolve(device.url)),
        transport=device.transport,
        repeat_file=device.repeat_file,
        frozen_after_s=device.frozen_after_s,
        lost_after_s=device.max_silence_s,
        black_after_s=device.black_after_s,
        # The rule calls a camera lost after max_silence_s without a word of it.
        report_every_s=device.max_silence_s / 3,
        min_frames_per_s=device.min_frames_per_s,
        view_directory=str(storage / VIEWS),
        detect=device.detect,
        models="" if device.models_directory is None else str(config.resolve(device.models_directory)),
        threshold=device.threshold,
        evidence_directory=str(storage / EVIDENCE),
        memory_limit_mib=device.memory_limit_mib,
    )
    return CameraDriver(
        settings,
        inbox=inbox,
        clock=clock,
        gateway_id=config.gateway.id,
        config_sha256=sha256(config.model_dump_json().encode()).hexdigest(),
        evidence=evidence,
        drawn=Drawing(
            storage / CALIBRATIONS,
            device.id,
            None if device.calibration_file is None else config.resolve(device.calibration_file),
        ).now,
    )
