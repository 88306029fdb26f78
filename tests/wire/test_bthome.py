"""bthome-ble, written by others, understands our adverts; its table of lengths is ours."""

from __future__ import annotations

import pytest
from bthome_ble.const import MEAS_TYPES
from bthome_ble.parser import BTHomeBluetoothDeviceData
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from habluetooth import BluetoothServiceInfoBleak

from gatehouse_wire import bthome
from gatehouse_wire.errors import WireError

KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
ADDRESS = bytes.fromhex("5448e68f80a5")
COMMAND = 0x3B
"""Carries arguments of its own layout; no button of ours is commanded, so it stays unknown to us."""
CIPHER = AESCCM(KEY, tag_length=4)


def seal(nonce: bytes, plain: bytes) -> bytes:
    return CIPHER.encrypt(nonce, plain, None)


def open_(nonce: bytes, sealed: bytes) -> bytes:
    return CIPHER.decrypt(nonce, sealed, None)


def heard(service_data: bytes) -> BluetoothServiceInfoBleak:
    from bleak.backends.device import BLEDevice

    return BluetoothServiceInfoBleak(
        name="button",
        address="54:48:E6:8F:80:A5",
        rssi=-60,
        manufacturer_data={},
        service_data={bthome.SERVICE_UUID_TEXT: service_data},
        service_uuids=[bthome.SERVICE_UUID_TEXT],
        source="",
        device=BLEDevice("54:48:E6:8F:80:A5", "button", {}),
        advertisement=None,
        connectable=False,
        time=0.0,
        tx_power=None,
    )


def press(counter: int) -> bytes:
    fields = [
        bthome.Field(bthome.PACKET_ID, bytes([counter & 255])),
        bthome.Field(bthome.BATTERY, b"\x61"),
        bthome.Field(bthome.BUTTON, bytes([bthome.BUTTON_PRESS])),
    ]
    return bthome.seal_advert(fields, address=ADDRESS, counter=counter, seal=seal)


def test_our_press_is_a_press_to_bthome_ble() -> None:
    parser = BTHomeBluetoothDeviceData(bindkey=KEY)
    update = parser.update(heard(press(1001)))
    assert [event.event_type for event in update.events.values()] == ["press"]
    assert [value.native_value for key, value in update.entity_values.items() if key.key == "battery"] == [97]


def test_our_press_opens_again_with_the_counter_it_was_sealed_with() -> None:
    advert = bthome.open_advert(press(1001), ADDRESS, open_)
    assert (advert.counter, advert.byte(bthome.BUTTON), advert.byte(bthome.BATTERY)) == (
        1001,
        bthome.BUTTON_PRESS,
        97,
    )
    assert advert.byte(bthome.TAMPER) is None


def test_our_press_fits_a_legacy_advert() -> None:
    flags, service_data_head = 3, 4
    assert flags + service_data_head + len(press(1)) <= 31


@pytest.mark.parametrize("object_id", [object_id for object_id in range(256) if object_id != COMMAND])
def test_the_table_of_lengths_is_the_one_of_bthome_ble(object_id: int) -> None:
    known = MEAS_TYPES.get(object_id)
    expected = None if known is None else -1 if known.data_format in {"string", "raw"} else known.data_length
    assert bthome.value_length(object_id) == expected


@pytest.mark.parametrize("value", [b"", b"\x01\x02"], ids=["none", "two bytes"])
def test_a_field_of_the_wrong_size_is_not_built(value: bytes) -> None:
    with pytest.raises(WireError):
        bthome.build([bthome.Field(bthome.BUTTON, value)])
