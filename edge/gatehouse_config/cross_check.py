"""What only shows when the parts of a configuration are seen together: wires, addresses, points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from gatehouse_config.buses import BleBus, Bus, ModbusRtuBus, ModbusTcpBus, SerialBus
from gatehouse_config.devices import (
    BeaconDevice,
    ButtonDevice,
    CameraDevice,
    GasDevice,
    InputRole,
    IoDevice,
    LiftDevice,
)
from gatehouse_config.draft import Draft, Found, near
from gatehouse_config.outputs import GasValve, Output
from gatehouse_config.people_check import contact_faults, key_faults, secret_faults
from gatehouse_config.profiles import OWN_GAS_PROFILE, GasProfile, IoProfile, LiftProfile, Profile
from gatehouse_config.yaml_source import Step


def cross_faults(
    draft: Draft, profiles: Mapping[str, Profile], directory: Path | None
) -> tuple[list[Found], dict[str, bytes]]:
    """Return every fault between parts, and the keys that were read (file name as in the yaml -> 16 bytes).

    Without a `directory` no key and no secret is read: their files are somewhere else.
    """
    keys: dict[str, bytes] = {}
    found = [
        *_ids(draft),
        *_ports(draft),
        *_addresses(draft),
        *_polling(draft, profiles),
        *_lifts(draft, profiles),
        *_boards(draft, profiles),
        *_radios(draft),
        *_outputs(draft, profiles),
        *contact_faults(draft),
        *key_faults(draft, directory, keys),
        *secret_faults(draft, directory),
    ]
    return found, keys


def _ids(draft: Draft) -> Iterator[Found]:
    seen: dict[str, str] = {}
    for section in ("buses", "devices", "outputs"):
        for index, name in draft.claimed[section]:
            if name in seen:
                yield (section, index, "id"), f"'{name}' is already the id of {seen[name]}"
            else:
                seen[name] = f"{section}[{index}]"


def _ports(draft: Draft) -> Iterator[Found]:
    """Find two owners of one wire."""
    seen: dict[str, int] = {}
    for index, bus in draft.buses.items():
        wire, key = _wire(bus)
        if wire in seen:
            yield (
                ("buses", index, key),
                f"{wire} is already the wire of buses[{seen[wire]}]; a wire has one owner",
            )
        seen.setdefault(wire, index)
    gsm = draft.notifiers.gsm if draft.notifiers is not None else None
    if gsm is not None and gsm.port in seen:
        yield ("notifiers", "gsm", "port"), f"{gsm.port} is already the wire of buses[{seen[gsm.port]}]"


def _wire(bus: Bus) -> tuple[str, str]:
    match bus:
        case ModbusRtuBus() | SerialBus():
            return bus.port, "port"
        case ModbusTcpBus():
            return f"{bus.host.lower()}:{bus.port}", "host"
        case BleBus():
            return bus.adapter, "adapter"


def _addresses(draft: Draft) -> Iterator[Found]:
    units: dict[tuple[str, int], str] = {}
    radios: dict[str, str] = {}
    for index, device in draft.devices.items():
        if isinstance(device, GasDevice | IoDevice):
            address = (device.bus, device.unit_id)
            if address in units:
                yield (
                    ("devices", index, "unit_id"),
                    f"{device.unit_id} on {device.bus} is already '{units[address]}'",
                )
            units.setdefault(address, device.id)
        elif isinstance(device, ButtonDevice | BeaconDevice):
            if device.address in radios:
                yield ("devices", index, "address"), f"{device.address} is already '{radios[device.address]}'"
            radios.setdefault(device.address, device.id)
    lines: dict[tuple[str, int | None], str] = {}
    for index, device in draft.devices.items():
        if isinstance(device, LiftDevice):
            node = (device.bus, device.node_id)
            if node in lines:
                yield ("devices", index, "node_id"), f"this node on {device.bus} is already '{lines[node]}'"
            lines.setdefault(node, device.id)


def _bus_fault(draft: Draft, index: int, bus_id: str, kinds: frozenset[str]) -> Iterator[Found]:
    bus = next((bus for bus in draft.buses.values() if bus.id == bus_id), None)
    if bus is not None and bus.kind not in kinds:
        yield (
            ("devices", index, "bus"),
            f"'{bus_id}' is a {bus.kind} bus, it must be {' or '.join(sorted(kinds))}",
        )
    elif bus_id not in draft.ids("buses"):
        yield ("devices", index, "bus"), f"there is no bus '{bus_id}'{near(bus_id, draft.ids('buses'))}"


def _polling(draft: Draft, profiles: Mapping[str, Profile]) -> Iterator[Found]:
    for index, device in draft.devices.items():
        if not isinstance(device, GasDevice):
            continue
        yield from _bus_fault(draft, index, device.bus, frozenset({"modbus_rtu", "modbus_tcp"}))
        yield from _silence_fault(index, device.max_silence_s, device.poll_ms)
        profile = profiles.get(device.profile)
        if not isinstance(profile, GasProfile):
            yield _profile_fault(index, device.profile, profiles, GasProfile)
            continue
        if device.poll_ms < profile.least_poll_ms:
            why = f"{len(profile.blocks)} reads, {profile.min_gap_ms} ms apart"
            wrong = f"{device.poll_ms} is faster than profile {profile.id} allows"
            yield ("devices", index, "poll_ms"), f"{wrong}: at least {profile.least_poll_ms} ({why})"
        if device.keys and profile.id != OWN_GAS_PROFILE:
            yield (
                ("devices", index, "keys"),
                f"a detector of profile {profile.id} has no keys; leave them out",
            )
        for name, told in (("unit", profile.unit), ("decimals", profile.decimals)):
            stated = getattr(device, name)
            if told == "device" and stated is None:
                yield (
                    ("devices", index, name),
                    f"missing: a detector of profile {profile.id} does not tell it",
                )
            elif told != "device" and stated is not None:
                yield ("devices", index, name), f"profile {profile.id} already tells it; leave it out"


def _silence_fault(index: int, max_silence_s: float, poll_ms: int) -> Iterator[Found]:
    if max_silence_s * 1000 < 2 * poll_ms:
        yield (
            ("devices", index, "max_silence_s"),
            f"{max_silence_s:g} s is less than two polls of {poll_ms} ms: one lost answer would be a fault",
        )


def _profile_fault(
    index: int, name: str, profiles: Mapping[str, Profile], wanted: type[GasProfile | LiftProfile | IoProfile]
) -> Found:
    usable = [known for known, profile in profiles.items() if isinstance(profile, wanted)]
    if name in profiles:
        return ("devices", index, "profile"), f"'{name}' is a {profiles[name].kind} profile"
    return ("devices", index, "profile"), f"there is no profile '{name}'{near(name, usable)}"


def _lifts(draft: Draft, profiles: Mapping[str, Profile]) -> Iterator[Found]:
    for index, device in draft.devices.items():
        if not isinstance(device, LiftDevice):
            continue
        yield from _bus_fault(draft, index, device.bus, frozenset({"serial"}))
        profile = profiles.get(device.profile)
        if not isinstance(profile, LiftProfile):
            yield _profile_fault(index, device.profile, profiles, LiftProfile)
        elif profile.wire is None:
            yield ("devices", index, "profile"), f"'{device.profile}' is a code table without a wire"
        elif profile.wire == "gatehouse_lift":
            if device.node_id is None:
                yield ("devices", index, "node_id"), "missing: our own lift node has a number"
            if not device.keys:
                yield ("devices", index, "keys"), "missing: our own lift node signs its frames"
        elif device.node_id is not None or device.keys:
            yield (
                ("devices", index, "profile"),
                f"'{device.profile}' has neither node_id nor keys; leave them out",
            )


def _boards(draft: Draft, profiles: Mapping[str, Profile]) -> Iterator[Found]:
    for index, device in draft.devices.items():
        if not isinstance(device, IoDevice):
            continue
        yield from _bus_fault(draft, index, device.bus, frozenset({"modbus_rtu", "modbus_tcp"}))
        yield from _silence_fault(index, device.max_silence_s, device.poll_ms)
        profile = profiles.get(device.profile)
        if not isinstance(profile, IoProfile):
            yield _profile_fault(index, device.profile, profiles, IoProfile)
            profile = None
        elif device.poll_ms < profile.min_poll_ms:
            yield ("devices", index, "poll_ms"), f"profile {profile.id} allows {profile.min_poll_ms} at least"
        yield from _inputs(draft, index, device, profile)


def _inputs(draft: Draft, index: int, device: IoDevice, profile: IoProfile | None) -> Iterator[Found]:
    points: set[int] = set()
    lifts = {other.id for other in draft.devices.values() if isinstance(other, LiftDevice)}
    valves = {output.id for output in draft.outputs.values() if isinstance(output, GasValve)}
    for number, entry in enumerate(device.inputs):
        place: tuple[Step, ...] = ("devices", index, "inputs", number)
        if entry.point in points:
            yield (*place, "point"), f"input {entry.point} of {device.id} is here twice"
        points.add(entry.point)
        if profile is not None and entry.point >= profile.input_count:
            yield (*place, "point"), f"profile {profile.id} has inputs 0 to {profile.input_count - 1}"
        match entry.role:
            case InputRole.EBIKE:
                wanted, claimed, what = lifts, draft.ids("devices"), "the id of a lift"
            case InputRole.VALVE_CLOSED | InputRole.VALVE_OPEN:
                wanted, claimed, what = valves, draft.ids("outputs"), "the id of a gas_valve output"
            case _:
                wanted, claimed, what = set[str](), set[str](), ""
        if what and entry.device is None:
            yield (*place, "device"), f"missing: role {entry.role} needs {what}"
        elif (
            what
            and entry.device not in wanted
            and (entry.device not in claimed or entry.device in draft.sound)
        ):
            yield (*place, "device"), f"'{entry.device}' is not {what}{near(entry.device or '', wanted)}"
        elif not what and entry.device is not None and entry.device not in draft.ids("devices"):
            yield (*place, "device"), f"there is no device '{entry.device}'"


def _radios(draft: Draft) -> Iterator[Found]:
    listeners = [(index, bus) for index, bus in draft.buses.items() if isinstance(bus, BleBus)]
    senders = [
        index for index, device in draft.devices.items() if isinstance(device, ButtonDevice | BeaconDevice)
    ]
    beacons = [device for device in draft.devices.values() if isinstance(device, BeaconDevice)]
    claims_bus = len(draft.claimed["buses"]) > len(draft.buses)
    claims_device = len(draft.claimed["devices"]) > len(draft.devices)
    if senders and not listeners and not claims_bus:
        yield ("devices", senders[0], "address"), "there is no bus of kind ble to hear it on"
    buttons = any(isinstance(device, ButtonDevice) for device in draft.devices.values())
    if listeners and buttons and not beacons and not claims_device:
        yield (
            ("buses", listeners[0][0], "max_silence_s"),
            "there is no device of kind beacon: without one a dead scanner looks like quiet buttons",
        )
    for index, device in draft.devices.items():
        if (
            isinstance(device, CameraDevice)
            and "://" in device.url
            and not device.url.startswith(("rtsp://", "rtsps://"))
        ):
            yield ("devices", index, "url"), "must be rtsp://, rtsps://, /dev/videoN or a file"


def _outputs(draft: Draft, profiles: Mapping[str, Profile]) -> Iterator[Found]:
    boards = {device.id: device for device in draft.devices.values() if isinstance(device, IoDevice)}
    taken: dict[tuple[str, int], str] = {}
    for index, output in draft.outputs.items():
        board = boards.get(output.io)
        if board is None and (output.io not in draft.ids("devices") or output.io in draft.sound):
            yield (
                ("outputs", index, "io"),
                f"'{output.io}' is not a device of kind io{near(output.io, boards)}",
            )
        profile = profiles.get(board.profile) if board is not None else None
        points = {"point": output.point}
        if isinstance(output, GasValve) and output.open_point is not None:
            points["open_point"] = output.open_point
        for key, point in points.items():
            place = ("outputs", index, key)
            if (output.io, point) in taken:
                yield place, f"relay {point} of {output.io} already drives {taken[output.io, point]}"
            taken.setdefault((output.io, point), output.id)
            if isinstance(profile, IoProfile) and point >= profile.coil_count:
                yield place, f"profile {profile.id} has relays 0 to {profile.coil_count - 1}"
        yield from _served(draft, index, output)


def _served(draft: Draft, index: int, output: Output) -> Iterator[Found]:
    gas = {device.id for device in draft.devices.values() if isinstance(device, GasDevice)}
    known = draft.ids("devices")
    for number, name in enumerate(output.serves):
        place = ("outputs", index, "serves", number)
        if name != "all" and name not in known:
            yield place, f"there is no device '{name}'{near(name, known)}"
        elif isinstance(output, GasValve) and (name == "all" or (name in draft.sound and name not in gas)):
            yield place, f"a gas valve serves gas detectors by name, not '{name}'"
