"""What is on the air around the bench: every Bluetooth advert with its strength, and BTHome decoded where that is possible.

Our buttons and beacons encrypt. Without their key (`--keys FILE`) an advert shows who sent it, how strongly and with which
counter, not what it says; that is what the key is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import struct
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from bleak.exc import BleakError
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from gatehouse_hil.bench.fault import BenchError, Fault, printable
from gatehouse_hil.bench.kind import Kind
from gatehouse_hil.bench.rig import SimulatedRig
from gatehouse_hil.bench.watching import BEAT_S, Tell
from gatehouse_hil.bench.workplace import Workplace
from gatehouse_hil.radio.beacon import Beacon
from gatehouse_hil.radio.bluetoothd import Bluetoothd
from gatehouse_hil.radio.bus import PrivateBus
from gatehouse_hil.radio.listening import listening
from gatehouse_hil.radio.medium import Medium
from gatehouse_wire import bthome
from gatehouse_wire.errors import WireError

Keys = Mapping[str, bytes]
"""Address, upper case with colons, to the 16 bytes of its key."""

_SAME_S: Final = 0.25
"""The same advert of the same sender is told no oftener; a button repeats each one some fifty times."""
_ADDRESS: Final = re.compile(r"^([0-9A-F]{2}:){5}[0-9A-F]{2}$")
_EVENTS: Final = {0: "none", 1: "press", 2: "double", 3: "triple", 4: "long", 0x80: "hold", 0x81: "released"}
_NAMES: Final = {
    bthome.PACKET_ID: ("packet", 1.0, ""),
    bthome.BATTERY: ("battery", 1.0, "%"),
    0x02: ("temperature", 0.01, "°C"),
    0x03: ("humidity", 0.01, "%"),
    0x0C: ("voltage", 0.001, "V"),
    bthome.TAMPER: ("tamper", 1.0, ""),
    bthome.BUTTON: ("button", 1.0, ""),
}
"""bthome.io/format; the rest is shown by number."""
_SIGNED: Final = frozenset({0x02})


def read_keys(path: Path) -> Keys:
    """Return the keys in a JSON file: `{"AA:BB:CC:DD:EE:FF": "32 hex digits"}`.

    Raises:
        BenchError: NO_SUCH_FILE.
    """
    try:
        raw = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
        return {address.upper(): bytes.fromhex(key) for address, key in raw.items()}
    except (OSError, ValueError) as error:
        raise BenchError(Fault.NO_SUCH_FILE, path=path) from error


async def scan(place: Workplace, tell: Tell, *, keys: Keys) -> None:
    """Tell every advert until cancelled.

    Findings: `{"address", "rssi", "name", "bthome": {...} | null}`; see `decoded`.

    Raises:
        BenchError: NO_RADIO, there is no Bluetooth adapter that works.
    """
    async with _air(place, keys) as known:
        seen: dict[tuple[str, bytes], float] = {}
        loop = asyncio.get_running_loop()
        try:
            async with listening() as adverts:
                tell({"event": "open"}, "")
                while True:
                    try:
                        async with asyncio.timeout(BEAT_S):
                            device, advert = await adverts.get()
                    except TimeoutError:
                        tell({"event": "beat"}, "")
                        continue
                    address = device.address.upper()
                    data = advert.service_data.get(bthome.SERVICE_UUID_TEXT, b"")
                    if loop.time() - seen.get((address, data), -1.0) < _SAME_S:
                        continue
                    if len(seen) > 4096:
                        seen.clear()
                    seen[address, data] = loop.time()
                    said = decoded(data, address, known) if data else None
                    name = printable(advert.local_name or "", limit=40)
                    tell(
                        {"address": address, "rssi": advert.rssi, "name": name, "bthome": said},
                        f"{address}  {advert.rssi:>4} dBm  {name or '-':<20} {_text(said)}",
                    )
        except (BleakError, OSError) as error:
            raise BenchError(Fault.NO_RADIO, said=error) from error


def decoded(data: bytes, address: str, keys: Keys) -> dict[str, Any]:
    """Return what BTHome service data says: `{"encrypted", "counter", "fields": [{"name", "value", "unit"}], "why"}`.

    `why` is empty when `fields` may be believed as far as they can be: `no_key`, `wrong_key`, or what is wrong with the bytes.
    """
    is_encrypted = bool(data[:1] and data[0] & bthome.ENCRYPTED)
    counter = struct.unpack("<I", data[-8:-4])[0] if is_encrypted and len(data) >= 10 else None
    said: dict[str, Any] = {"encrypted": is_encrypted, "counter": counter, "fields": [], "why": ""}
    try:
        if not is_encrypted:
            advert = bthome.parse(data)
        elif (key := keys.get(address)) is None or not _ADDRESS.match(address):
            return {**said, "why": "no_key"}
        else:
            cipher = AESCCM(key, tag_length=4)
            advert = bthome.open_advert(
                data,
                bytes.fromhex(address.replace(":", "")),
                lambda nonce, sealed: cipher.decrypt(nonce, sealed, None),
            )
    except WireError as error:
        return {**said, "why": "wrong_key" if error.reason == "mac" else printable(str(error))}
    return {**said, "fields": [_field(field) for field in advert.fields]}


def _field(field: bthome.Field) -> dict[str, Any]:
    name, scale, unit = _NAMES.get(field.object_id, (f"0x{field.object_id:02x}", 0.0, ""))
    number = int.from_bytes(field.value, "little", signed=field.object_id in _SIGNED)
    if name == "button":
        return {"name": name, "value": _EVENTS.get(number, str(number)), "unit": ""}
    value: float | str = bytes(field.value).hex()
    if scale:
        value = number if scale == 1.0 else round(number * scale, 3)
    return {"name": name, "value": value, "unit": unit}


def _text(said: Mapping[str, Any] | None) -> str:
    if said is None:
        return ""
    fields = " ".join(f"{each['name']}={each['value']}{each['unit']}" for each in said["fields"])
    lock = f"BTHome #{said['counter']}" if said["encrypted"] else "BTHome"
    return f"{lock} {fields or said['why']}"


@contextlib.asynccontextmanager
async def _air(place: Workplace, keys: Keys) -> AsyncIterator[Keys]:
    """The air of this rig: the real one, or a simulated bluetoothd with the buttons and beacons of a simulated rig."""
    if not isinstance(place.rig, SimulatedRig):
        yield keys
        return
    medium = Medium(seed=1)
    known = dict(keys)
    async with contextlib.AsyncExitStack() as stack:
        bus = await stack.enter_async_context(PrivateBus())
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
        await stack.enter_async_context(Bluetoothd(bus.address, medium))
        for index, board in enumerate(place.rig.boards):
            if board.kind not in (Kind.BUTTON, Kind.BEACON):
                continue
            address = ":".join(re.findall("..", f"{int(board.mac, 16) + 2:012X}"))
            secret = bytes((index + 1,)) * 16  # 示例: a simulated board's key is nobody's secret
            known[address] = secret
            medium.rssi_dbm[address] = -52 - 9 * index
            await stack.enter_async_context(Beacon(medium, address=address, secret=secret))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        passing = tasks.create_task(_strangers(medium), name="strangers on the air")
        try:
            yield known
        finally:
            passing.cancel()


async def _strangers(medium: Medium) -> None:
    """A plain thermometer of somebody's, and a tag with a key we do not have (示例)."""
    thermometer, tag = "02:A0:B1:00:0F:01", "02:A0:B1:00:0F:02"
    medium.rssi_dbm[thermometer], medium.rssi_dbm[tag] = -71, -88
    flags = b"\x02\x01\x06"
    counter = 7000
    while True:
        plain = (
            b"\x40\x00" + bytes((counter & 0xFF,)) + b"\x01\x5f\x02" + struct.pack("<h", 2150 + counter % 7)
        )
        sealed = b"\x45" + os.urandom(4) + struct.pack("<I", counter) + os.urandom(4)
        for address, payload in ((thermometer, plain), (tag, sealed)):
            section = b"\x16\xd2\xfc" + payload
            medium.inject(address, flags + bytes((len(section),)) + section)
        counter += 1
        await asyncio.sleep(1.3)
