"""What only shows when the parts of a configuration are seen together."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gatehouse_config.buses import BleBus, Bus, ModbusRtuBus, ModbusTcpBus, SerialBus
from gatehouse_config.devices import (
    BeaconDevice,
    ButtonDevice,
    CameraDevice,
    Device,
    GasDevice,
    InputRole,
    IoDevice,
    Key,
    LiftDevice,
)  # fmt: skip
from gatehouse_config.notifiers import Notifiers
from gatehouse_config.outputs import GasValve, Output, Voice
from gatehouse_config.profiles import GasProfile, IoProfile, LiftProfile, Profile
from gatehouse_config.rulesets import Escalation
from gatehouse_config.secret_files import SecretError, read_key, read_pin, read_secret
from gatehouse_config.site import Console
from gatehouse_config.yaml_source import Step
from gatehouse_events.codes import CODES

BUILT_IN_TARGETS: Final = frozenset({"desk", "family", "prompt_120", "prompt_110"})
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})

Found = tuple[tuple[Step, ...], str]
"""Place and message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The parts of a file that are right in themselves, by their index in the file."""

    buses: Mapping[int, Bus]
    devices: Mapping[int, Device]
    outputs: Mapping[int, Output]
    console: Console | None
    escalation: Escalation | None
    notifiers: Notifiers | None
    claimed: Mapping[str, list[tuple[int, str]]]
    """`buses`, `devices`, `outputs` -> (index, id), also of parts with faults: naming those is no second fault."""

    def ids(self, section: str) -> set[str]:
        """Return every id claimed in a section."""
        return {name for _, name in self.claimed[section]}


def cross_faults(
    draft: Draft, profiles: Mapping[str, Profile], directory: Path
) -> tuple[list[Found], dict[str, bytes]]:
    """Return every fault between parts, and the keys that were read (file name as in the yaml -> 16 bytes)."""
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
        *_people(draft),
        *_keys(draft, directory, keys),
        *_secrets(draft, directory),
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
        match bus:
            case ModbusRtuBus() | SerialBus():
                wire, key = bus.port, "port"
            case ModbusTcpBus():
                wire, key = f"{bus.host.lower()}:{bus.port}", "host"
            case BleBus():
                wire, key = bus.adapter, "adapter"
        if wire in seen:
            yield (
                ("buses", index, key),
                f"{wire} is already the wire of buses[{seen[wire]}]; a wire has one owner",
            )
        seen.setdefault(wire, index)
    gsm = draft.notifiers.gsm if draft.notifiers is not None else None
    if gsm is not None and gsm.port in seen:
        yield ("notifiers", "gsm", "port"), f"{gsm.port} is already the wire of buses[{seen[gsm.port]}]"


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
        yield ("devices", index, "bus"), f"there is no bus '{bus_id}'{_near(bus_id, draft.ids('buses'))}"


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
            yield (
                ("devices", index, "poll_ms"),
                f"{device.poll_ms} is faster than profile {profile.id} allows: at least {profile.least_poll_ms} "
                f"({len(profile.blocks)} reads, {profile.min_gap_ms} ms apart)",
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
    return ("devices", index, "profile"), f"there is no profile '{name}'{_near(name, usable)}"


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
            and (entry.device not in claimed or entry.device in _sound(draft))
        ):
            yield (*place, "device"), f"'{entry.device}' is not {what}{_near(entry.device or '', wanted)}"
        elif not what and entry.device is not None and entry.device not in draft.ids("devices"):
            yield (*place, "device"), f"there is no device '{entry.device}'"


def _sound(draft: Draft) -> set[str]:
    """Return ids of parts without faults of their own: only of these the kind is known."""
    return {part.id for parts in (draft.devices, draft.outputs) for part in parts.values()}


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
            yield ("devices", index, "url"), "must be rtsp://, rtsps:// or a file"


def _outputs(draft: Draft, profiles: Mapping[str, Profile]) -> Iterator[Found]:
    boards = {device.id: device for device in draft.devices.values() if isinstance(device, IoDevice)}
    gas = {device.id for device in draft.devices.values() if isinstance(device, GasDevice)}
    taken: dict[tuple[str, int], str] = {}
    for index, output in draft.outputs.items():
        board = boards.get(output.io)
        if board is None and (output.io not in draft.ids("devices") or output.io in _sound(draft)):
            yield (
                ("outputs", index, "io"),
                f"'{output.io}' is not a device of kind io{_near(output.io, boards)}",
            )
        profile = profiles.get(board.profile) if board is not None else None
        points = {"point": output.point}
        if isinstance(output, GasValve) and output.open_point is not None:
            points["open_point"] = output.open_point
        for key, point in points.items():
            if (output.io, point) in taken:
                yield (
                    ("outputs", index, key),
                    f"relay {point} of {output.io} already drives {taken[output.io, point]}",
                )
            taken.setdefault((output.io, point), output.id)
            if isinstance(profile, IoProfile) and point >= profile.coil_count:
                yield (
                    ("outputs", index, key),
                    f"profile {profile.id} has relays 0 to {profile.coil_count - 1}",
                )
        for number, name in enumerate(output.serves):
            if name != "all" and name not in draft.ids("devices"):
                yield (
                    ("outputs", index, "serves", number),
                    f"there is no device '{name}'{_near(name, draft.ids('devices'))}",
                )
            elif isinstance(output, GasValve) and (
                name == "all" or (name in _sound(draft) and name not in gas)
            ):
                yield (
                    ("outputs", index, "serves", number),
                    f"a gas valve serves gas detectors by name, not '{name}'",
                )
        if isinstance(output, Voice):
            for number, code in enumerate(output.codes):
                if code not in CODES:
                    yield (
                        ("outputs", index, "codes", number),
                        f"there is no alarm code '{code}'{_near(code, CODES)}",
                    )


def _people(draft: Draft) -> Iterator[Found]:
    notifiers = draft.notifiers
    if notifiers is None:
        return
    contacts: dict[str, int] = {}
    for index, contact in enumerate(notifiers.contacts):
        if contact.id in contacts:
            yield (
                ("notifiers", "contacts", index, "id"),
                f"'{contact.id}' is already contact {contacts[contact.id]}",
            )
        contacts.setdefault(contact.id, index)
        if getattr(notifiers, contact.via) is None:
            yield ("notifiers", "contacts", index, "via"), f"there is no section notifiers.{contact.via}"
    for index, device in draft.devices.items():
        if isinstance(device, ButtonDevice):
            for number, name in enumerate(device.resident.family_contacts):
                if name not in contacts:
                    place = ("devices", index, "resident", "family_contacts", number)
                    yield place, f"there is no contact '{name}'{_near(name, contacts)}"
    if draft.escalation is None:
        return
    for category in type(draft.escalation).model_fields:
        last_s = -1.0
        for number, step in enumerate(getattr(draft.escalation, category)):
            if step.after_s <= last_s:
                yield ("escalation", category, number, "after_s"), "steps must come in the order of time"
            last_s = step.after_s
            for which, name in enumerate(step.notify):
                if name not in contacts and name not in BUILT_IN_TARGETS:
                    place = ("escalation", category, number, "notify", which)
                    yield place, f"there is no contact '{name}'{_near(name, {*contacts, *BUILT_IN_TARGETS})}"


def _keys(draft: Draft, directory: Path, keys: dict[str, bytes]) -> Iterator[Found]:
    owners: dict[bytes, str] = {}
    for index, device in draft.devices.items():
        if not isinstance(device, LiftDevice | ButtonDevice | BeaconDevice):
            continue
        numbers: set[int] = set()
        for number, key in enumerate(device.keys):
            place: tuple[Step, ...] = ("devices", index, "keys", number)
            if key.id in numbers:
                yield (*place, "id"), f"key {key.id} of {device.id} is here twice"
            numbers.add(key.id)
            try:
                value = _read_key(key, directory)
            except SecretError as error:
                yield (*place, "file"), str(error)
                continue
            if value in owners:
                yield (
                    (*place, "file"),
                    f"the same key is already in use by {owners[value]}; every key is its own",
                )
            owners.setdefault(value, f"{device.id} key {key.id}")
            keys[key.file] = value


def _read_key(key: Key, directory: Path) -> bytes:
    return read_key(directory / key.file)


def _secrets(draft: Draft, directory: Path) -> Iterator[Found]:
    notifiers = draft.notifiers
    readers = []
    if notifiers is not None:
        if notifiers.webhook is not None:
            yield from _webhook(notifiers.webhook.url)
            readers.append(
                (("notifiers", "webhook", "token_file"), notifiers.webhook.token_file, read_secret)
            )
        if notifiers.smtp is not None:
            smtp = notifiers.smtp
            if smtp.security == "off" and smtp.host not in _LOOPBACK_NAMES:
                yield ("notifiers", "smtp", "security"), f"may be off only on loopback, not to {smtp.host}"
            if (smtp.user is None) != (smtp.password_file is None):
                yield ("notifiers", "smtp", "user"), "user and password_file go together"
            readers.append((("notifiers", "smtp", "password_file"), smtp.password_file, read_secret))
        if notifiers.gsm is not None:
            readers.append((("notifiers", "gsm", "pin_file"), notifiers.gsm.pin_file, read_pin))
    for place, file, read in readers:
        if file is None:
            continue
        try:
            read(directory / file)
        except SecretError as error:
            yield place, str(error)
    console = draft.console
    if console is not None and console.tls == "files":
        for name in ("certificate_file", "private_key_file"):
            file = getattr(console, name)
            if file is not None and not (directory / file).is_file():
                yield ("console", name), f"there is no file {directory / file}"


def _webhook(url: str) -> Iterator[Found]:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        yield ("notifiers", "webhook", "url"), "is not an address"
        return
    if host is None:
        yield ("notifiers", "webhook", "url"), "names no host"
    elif parts.scheme == "http" and host not in _LOOPBACK_NAMES:
        yield ("notifiers", "webhook", "url"), "http is for loopback only; use https"
    if parts.username or parts.password:
        yield ("notifiers", "webhook", "url"), "holds a login; put the token into token_file"


def _near(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""
