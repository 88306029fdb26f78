"""Our button and beacon, their firmware on the MicroPython VM, heard by stock bleak and read by a decoder we did not write."""

from __future__ import annotations

import time
from typing import Any

import pytest
from bthome_ble import BTHomeBluetoothDeviceData
from habluetooth.models import BluetoothServiceInfoBleak

from gatehouse_hil.node_build import NodeKind
from gatehouse_hil.pytest_plugin.radio import BTHOME_UUID
from gatehouse_hil.simnode import ResetCause
from gatehouse_hil.simnode.commissioning import read_nvs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
KEY = bytes.fromhex("00112233445566778899aabbccddeeff")


def decoded(decoder: BTHomeBluetoothDeviceData, address: str, payload: bytes) -> Any:
    """What bthome-ble makes of one advert."""
    return decoder.update(
        BluetoothServiceInfoBleak(
            name="",
            address=address,
            rssi=-60,
            manufacturer_data={},
            service_data={BTHOME_UUID: payload},
            service_uuids=[],
            source="",
            device=None,
            advertisement=None,
            connectable=False,
            time=time.monotonic(),
            tx_power=None,
        )
    )


async def test_bthome_ble_reads_the_press_of_our_button(node, radio) -> None:
    button = await node(NodeKind.BUTTON, key=KEY, is_on=False)
    button.sense("pin3", 0)  # held down while the battery is put in
    decoder = BTHomeBluetoothDeviceData(bindkey=KEY)
    await button.on()
    (payload,) = await radio.hear(button)
    told = decoded(decoder, button.address, payload)
    assert decoder.bindkey_verified
    assert [event.event_type for event in told.events.values()] == ["press"]
    assert [value.native_value for key, value in told.entity_values.items() if key.key == "battery"] != []


async def test_a_press_wakes_the_button_and_it_sleeps_again_with_its_counter_kept(node, radio) -> None:
    button = await node(NodeKind.BUTTON, key=KEY)
    sleeper = button.simulated
    await sleeper.until(lambda n: n.is_asleep, timeout_s=30)
    counter = read_nvs(sleeper.directory, "gh_run")["counter"]
    sleeper.sense("pin3", 0)
    (payload,) = await radio.hear(button)
    sleeper.sense("pin3", 1)
    assert sleeper.reset_cause is ResetCause.DEEP_SLEEP
    assert int.from_bytes(payload[-8:-4], "little") > counter
    assert read_nvs(sleeper.directory, "gh_run")["counter"] >= int.from_bytes(payload[-8:-4], "little")


async def test_bthome_ble_reads_our_beacon_and_no_counter_comes_twice(node, radio) -> None:
    beacon = await node(NodeKind.BEACON, key=KEY)
    decoder = BTHomeBluetoothDeviceData(bindkey=KEY)
    payloads = await radio.hear(beacon, count=2)
    for payload in payloads:
        assert decoded(decoder, beacon.address, payload).events == {}
    assert decoder.bindkey_verified
    first, second = [int.from_bytes(payload[-8:-4], "little") for payload in payloads]
    assert second > first
