"""From gateway.yaml to the owner of a lift's serial line: our node, which is answered, or a controller, which never is."""

from __future__ import annotations

from collections.abc import Sequence

from gatehouse_config.buses import SerialBus
from gatehouse_config.devices import LiftDevice
from gatehouse_config.fault import ProfileError
from gatehouse_config.model import GatewayConfig
from gatehouse_edge.clock import Clock
from gatehouse_edge.drivers.lift_controller import LiftControllerDriver
from gatehouse_edge.drivers.lift_node import LiftNodeDriver, NodeSettings
from gatehouse_edge.drivers.serial_port import SerialSettings
from gatehouse_edge.ports import Counters, Inbox


def lift_line(
    config: GatewayConfig,
    bus: SerialBus,
    lifts: Sequence[LiftDevice],
    *,
    inbox: Inbox,
    clock: Clock,
    counters: Counters,
) -> LiftNodeDriver | LiftControllerDriver:
    """Return the driver of one serial line. Opens nothing yet.

    Raises:
        ProfileError: not exactly one lift on the line, or its profile is a code table that no wire speaks.
    """
    if len(lifts) != 1:
        raise ProfileError(f"{bus.id}: a serial line carries one lift, not {len(lifts)}")
    device = lifts[0]
    profile = config.lift_profile(device)
    port = SerialSettings(
        path=str(config.resolve(bus.port)), baud=bus.baud, parity=bus.parity, stop_bits=bus.stop_bits
    )
    match profile.wire:
        case "gatehouse_lift":
            if device.node_id is None:
                raise ProfileError(f"{device.id}: our node needs its node_id")
            return LiftNodeDriver(
                NodeSettings(bus_id=bus.id, device_id=device.id, node_id=device.node_id, port=port),
                keys={key.id: config.key(key) for key in device.keys},
                inbox=inbox,
                clock=clock,
                counters=counters,
            )
        case "hash10_json":
            return LiftControllerDriver(
                bus_id=bus.id, device_id=device.id, port=port, profile=profile, inbox=inbox, clock=clock
            )
        case None:
            raise ProfileError(f"{device.id}: profile {profile.id} is a code table, no wire speaks it")
