"""From gateway.yaml to what the pure desk needs: which rule judges which device, ladders, outputs. Pure."""

from __future__ import annotations

from typing import Final

from gatehouse_config.buses import BleBus
from gatehouse_config.devices import (
    BeaconDevice,
    ButtonDevice,
    CameraDevice,
    Device,
    GasDevice,
    IoDevice,
    LiftDevice,
    Location,
)
from gatehouse_config.model import GatewayConfig
from gatehouse_config.rulesets import Ladder, LiftRules
from gatehouse_edge.alarms.plan import DevicePlan, LadderStep, OutputKind, OutputPlan, Place, Plan
from gatehouse_edge.reading import Unit
from gatehouse_edge.rules import beacon, bus, camera, gas, lift, node, power, sos, throw, trap
from gatehouse_edge.rules.lift_motion import Limits
from gatehouse_edge.rules.presence import Settings as PresenceSettings
from gatehouse_edge.rules.supervision import Supervision
from gatehouse_events.alarm import GATEWAY
from gatehouse_events.city import AssetCard, SiteCard
from gatehouse_events.event import Asset, Crs, EventSite, Point

_CATEGORIES: Final = ("gas", "lift", "sos", "throw", "gateway")


def plan_of(config: GatewayConfig) -> Plan:
    """Return the desk's view of a whole, checked configuration."""
    guard = _guard(config)
    devices = {device.id: _device(config, device) for device in config.devices}
    for wire in config.buses:
        heard = (
            Supervision(max_silence_s=wire.max_silence_s, recover_count=1)
            if isinstance(wire, BleBus)
            else None
        )
        settings = bus.Settings(guard=guard, supervision=heard, up_s=config.rules.bus.up_s)
        devices[wire.id] = DevicePlan(device_id=wire.id, kind="bus", settings=settings)
    devices[GATEWAY] = DevicePlan(device_id=GATEWAY, kind="gateway", settings=guard)
    places = {device.id: _place(device.location) for device in config.devices}
    return Plan(
        devices=devices,
        escalation={category: _ladder(getattr(config.escalation, category)) for category in _CATEGORIES},
        outputs={
            output.id: OutputPlan(
                output_id=output.id,
                kind=OutputKind(output.kind),
                serves=tuple(output.serves),
                is_quiet=getattr(output, "is_quiet", False),
                place=places[output.io],
            )
            for output in config.outputs
        },
        adapters={wire.adapter: wire.id for wire in config.buses if isinstance(wire, BleBus)},
    )


def card_of(config: GatewayConfig) -> SiteCard:
    """Return what the city has to know of the community and its devices."""
    site = config.site
    position = site.position
    return SiteCard(
        gateway_id=config.gateway.id,
        site=EventSite(
            division_code=site.division_code,
            division_standard=site.division_standard,
            community_id=site.community_id,
            estate=site.estate,
            position=Point(
                lon=position.lon, lat=position.lat, crs=Crs(position.crs), accuracy_m=position.accuracy_m
            ),
        ),
        assets={device.id: _asset(device) for device in config.devices},
    )


_ASSET_KINDS: Final = {
    "gas": "household_gas_detector",
    "lift": "lift",
    "button": "ble_button",
    "beacon": "ble_beacon",
    "io": "io_module",
    "camera": "camera",
}
"""Asset kinds as in the examples of the event schema; beacon and module are our own."""


def _asset(device: Device) -> AssetCard:
    where = device.location
    asset = Asset(
        id=device.id,
        kind=_ASSET_KINDS[device.kind],
        name=where.name or None,
        lift_registration_code=getattr(device, "registration_code", None),
        lift_rescue_code=getattr(device, "rescue_code", None),
        gb28181_id=getattr(device, "gb28181_id", None),
    )
    is_home = isinstance(device, GasDevice) and bool(where.room)
    return AssetCard(
        asset=asset,
        building=where.building,
        unit=where.unit,
        floor=where.floor,
        room=where.room,
        is_personal=is_home or isinstance(device, ButtonDevice | CameraDevice),
    )


def _guard(config: GatewayConfig) -> node.Settings:
    rules = config.rules.node
    return node.Settings(
        quiet_s=rules.quiet_s, frame_limit=rules.frame_limit, frame_window_s=rules.frame_window_s
    )


def _place(location: Location) -> Place:
    return Place(
        building=location.building,
        unit=location.unit,
        floor=location.floor,
        room=location.room,
        name=location.name,
    )


def _ladder(ladder: Ladder) -> tuple[LadderStep, ...]:
    return tuple(LadderStep(after_s=step.after_s, notify=step.notify) for step in ladder)


def _device(config: GatewayConfig, device: Device) -> DevicePlan:
    settings = _settings(config, device)
    return DevicePlan(device_id=device.id, kind=device.kind, settings=settings, place=_place(device.location))


def _settings(config: GatewayConfig, device: Device) -> object:
    rules, guard = config.rules, _guard(config)
    heard = Supervision(max_silence_s=device.max_silence_s, recover_count=rules.bus.recover_count)
    match device:
        case GasDevice():
            return gas.Settings(
                supervision=heard,
                guard=guard,
                warm_up_limit_s=rules.gas.warm_up_limit_s,
                normal_s=rules.gas.normal_s,
                normal_count=rules.gas.normal_count,
                own_confirm_s=rules.gas.own_confirm_s,
                max_rate_fs_per_s=rules.gas.max_rate_fs_per_s,
                unit=Unit(device.unit) if device.unit else None,
                installed_on=device.installed_on,
                life_years=device.life_years,
            )
        case LiftDevice():
            return _lift(config, device, heard, guard)
        case ButtonDevice():
            return sos.Settings(
                supervision=Supervision(max_silence_s=device.max_silence_s, recover_count=1),
                guard=guard,
                press_hold_s=rules.sos.press_hold_s,
                low_battery_pct=rules.sos.low_battery_pct,
                battery_ok_pct=rules.sos.battery_ok_pct,
                tamper_hold_s=rules.sos.tamper_hold_s,
                lives_alone=device.resident.lives_alone,
                visit_after_s=rules.sos.visit_after_s,
                heartbeat_is_life=rules.sos.heartbeat_is_life,
            )
        case BeaconDevice():
            return beacon.Settings(supervision=heard, guard=guard)
        case IoDevice():
            return power.Settings(
                supervision=heard,
                guard=guard,
                on_s=rules.power.on_s,
                off_s=rules.power.off_s,
                valve_travel_s=rules.power.valve_travel_s,
            )
        case CameraDevice():
            return camera.Settings(
                supervision=heard,
                guard=guard,
                throw=throw.Settings(hold_s=rules.throw.hold_s),
                ok_s=rules.camera.ok_s,
            )


def _lift(
    config: GatewayConfig, device: LiftDevice, heard: Supervision, guard: node.Settings
) -> lift.Settings:
    rules: LiftRules = config.rules.lift
    return lift.Settings(
        supervision=heard,
        guard=guard,
        presence=PresenceSettings(
            settle_s=rules.presence_settle_s, after_close_s=rules.presence_after_close_s
        ),
        trap=trap.Settings(
            mode=trap.Mode(rules.trapped_mode),
            trapped_after_s=rules.trapped_after_s,
            clear_s=rules.trapped_clear_s,
            auto_close_s=rules.trapped_auto_close_s,
            rescue_limit_s=rules.rescue_limit_s,
        ),
        confirm_s=rules.confirm_s,
        limits=Limits(
            off_zone_stop_s=rules.off_zone_stop_s,
            door_motion_debounce_s=rules.door_motion_debounce_s,
            door_cycle_count=rules.door_cycle_count,
            door_cycle_window_s=rules.door_cycle_window_s,
            rated_speed_mps=device.rated_speed_mps,
            overspeed_ratio=rules.overspeed_ratio,
            bottom_floor=device.bottom_floor,
            top_floor=device.top_floor,
        ),
        ebike_clear_s=rules.ebike_clear_s,
        button_hold_s=rules.button_hold_s,
        code_system=config.lift_profile(device).code_system,
    )
