"""What a technician may ask of a node over its console; each call prints one line of JSON (README, "The console").

Keys go in and never come out. Nothing here is used in normal work.
"""

import gc
import json
import os
import struct
import sys

import identity as identities
import image
import machine
import slots as boot_slots
import store as stores
from hmac_sha256 import key_check

from gatehouse_wire import node_update

_SERIAL_BYTES = 24
_LEAST_FREE = 20_000
"""Bytes of heap a program must leave free (README, "Memory")."""


def version():
    """Say what this node is and runs."""
    slots = boot_slots.on_chip()
    head = image.head_of(slots.running)
    kind, mine = _identity()
    _say(
        "version",
        True,
        kind=node_update.KINDS[kind] if 0 <= kind < len(node_update.KINDS) else "",
        version="%d.%d.%d" % (head.version if head is not None else (0, 0, 0)),
        slot=slots.running,
        confirmed=slots.is_confirmed(),
        micropython="%d.%d.%d" % tuple(sys.implementation.version[:3]),
        board=getattr(sys.implementation, "_machine", os.uname().machine),
        uid=machine.unique_id().hex(),
        mac=_mac(),
        serial=mine.serial,
        node=mine.node,
    )


def self_test():
    """Check image, identity, key, memory and the sensors of this kind."""
    hold()
    slots = boot_slots.on_chip()
    head = image.head_of(slots.running)
    kind, mine = _identity()
    gc.collect()
    values = {"heap_free": gc.mem_free(), "heap_used": gc.mem_alloc()}
    checks = {
        "image": head is not None and image.is_whole(slots.running),
        "identity": not mine.problem and head is not None and head.kind == kind,
        "key": bool(mine.keys),
        "memory": gc.mem_free() >= _LEAST_FREE,
    }
    if kind in _PROBES:
        _PROBES[kind](checks, values)
    _say("self_test", all(checks.values()), checks=checks, values=values)


def provision(*, kind, serial, node, key_id, key):
    """Write who this node is. Replaces all keys."""
    if not (1 <= kind < len(node_update.KINDS) and 1 <= len(serial) <= _SERIAL_BYTES and 0 <= node <= 65535):
        _say("provision", False, why="kind, serial or node")
        return
    if not _is_key(key_id, key):
        _say("provision", False, why="key or key_id")
        return
    store = stores.on_chip()
    drop_all_keys(store)
    store.put_number("gh_id", "kind", kind)
    store.put_blob("gh_id", "serial", serial.encode())
    store.put_number("gh_id", "node", node)
    _write_key(store, "1", key_id, key)
    _say("provision", True, serial=serial, key_check=key_check(key))


def add_key(*, key_id, key):
    """Write a second key, beside the one there is; both are valid until one is dropped."""
    store = stores.on_chip()
    at = "1" if store.number("gh_key", "id1") is None else "2"
    if not _is_key(key_id, key) or store.number("gh_key", "id" + at) is not None:
        _say("add_key", False, why="key, key_id, or two keys already")
        return
    _write_key(store, at, key_id, key)
    _say("add_key", True, key_check=key_check(key))


def drop_key(*, key_id):
    """Forget one key."""
    store = stores.on_chip()
    for at in ("1", "2"):
        if store.number("gh_key", "id" + at) == key_id:
            store.erase("gh_key", "id" + at)
            store.erase("gh_key", "key" + at)
            _say("drop_key", True)
            return
    _say("drop_key", False, why="no such key")


def drop_all_keys(store):
    """Forget every key; for a new provisioning."""
    for at in ("1", "2"):
        store.erase("gh_key", "id" + at)
        store.erase("gh_key", "key" + at)


def calibrate(**numbers):
    """Write numbers of `gh_cal`; say what stands there now under these names."""
    store = stores.on_chip()
    for name, value in numbers.items():
        if len(name) > 15 or not isinstance(value, int):
            _say("calibrate", False, why=name)
            return
        store.put_number("gh_cal", name, value)
    _say("calibrate", True, stored={name: store.number("gh_cal", name) for name in numbers})


def floors(landings):
    """Write the landings of a lift: (name, mm above the lowest), rising."""
    raw = b""
    last = None
    for name, height in landings:
        text = name.encode()
        if not 1 <= len(text) <= 4 or (last is not None and height <= last):
            _say("floors", False, why="names of 1 to 4 letters, heights rising")
            return
        last = height
        raw += struct.pack("<4si", text + bytes(4 - len(text)), height)
    if len(raw) > 512:
        _say("floors", False, why="64 landings at most")
        return
    stores.on_chip().put_blob("gh_cal", "floors", raw)
    _say("floors", True, floors=len(raw) // 8)


def hold(s=600):
    """Stretch the watchdog; a forgotten node comes back by itself."""
    machine.WDT(timeout=s * 1000)


def _identity():
    store = stores.on_chip()
    kind = store.number("gh_id", "kind", 0)
    return kind, identities.Identity(store, kind)


def _is_key(key_id, key):
    return 1 <= key_id <= 255 and isinstance(key, bytes) and len(key) == identities.KEY_BYTES


def _write_key(store, at, key_id, key):
    store.put_blob("gh_key", "key" + at, key)
    store.put_number("gh_key", "id" + at, key_id)


def _mac():
    import bluetooth

    ble = bluetooth.BLE()
    was_active = ble.active()
    ble.active(True)
    address = bytes(ble.config("mac")[1]).hex()
    ble.active(was_active)
    return address


def _probe_gas(checks, values):
    from gas_app import SENSOR_PIN
    from gas_meter import OPEN_UV, SHORT_UV, Calibration

    uv = machine.ADC(machine.Pin(SENSOR_PIN), atten=machine.ADC.ATTN_11DB).read_uv()
    calibration = Calibration(stores.on_chip())
    values["sensor_uv"] = uv
    values["sensor_steps"] = calibration.steps(uv)
    checks["sensor"] = OPEN_UV <= uv <= SHORT_UV
    checks["calibrated"] = not calibration.is_due


def _probe_lift(checks, values):
    from lift_sensors import Sensors

    sensors = Sensors()
    try:
        pressure = sensors.barometer.pressure_pa()
    except OSError:
        pressure = 0
    values["pressure_pa"] = int(pressure)
    checks["barometer"] = 50_000 <= pressure <= 110_000
    for name in ("door_closed", "presence", "alarm_button", "tamper", "mains", "zone"):
        values[name] = getattr(sensors, name).is_on


def _probe_button(checks, values):
    from button_app import BATTERY_PIN, KEY_PIN

    millivolts = machine.ADC(machine.Pin(BATTERY_PIN), atten=machine.ADC.ATTN_11DB).read_uv() * 2 // 1000
    values["battery_mv"] = millivolts
    checks["battery"] = 2400 <= millivolts <= 3600
    checks["key"] = checks["key"] and machine.Pin(KEY_PIN, machine.Pin.IN, machine.Pin.PULL_UP).value() == 1


_PROBES = {node_update.GAS: _probe_gas, node_update.LIFT: _probe_lift, node_update.BUTTON: _probe_button}


def _say(what, is_ok, **fields):
    # MicroPython's dicts have no order, and a reader looks for the beginning.
    fields["ok"] = is_ok
    print('{"gatehouse": "%s", ' % what + json.dumps(fields)[1:])  # noqa: T201  # the console
