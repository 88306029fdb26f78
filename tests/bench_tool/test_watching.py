"""The instruments that look on: what they make of anything a board, a bus, the air or a camera may say."""

from __future__ import annotations

import itertools
import json
import struct
from datetime import UTC, datetime

import cv2
import msgspec
import numpy as np
import pytest
from bleak.backends.device import BLEDevice
from bthome_ble.parser import BTHomeBluetoothDeviceData
from habluetooth import BluetoothServiceInfoBleak
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_config import profiles
from gatehouse_config.profiles import GasProfile
from gatehouse_hil.bench import aim, air, console, registers
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.watching import Teller
from gatehouse_hil.facade import Facade
from gatehouse_hil.radio import advert
from gatehouse_wire import bthome, gas_registers

ADDRESS = "02:A0:B1:00:00:01"
KEY = bytes(range(16))
GAS = sorted(name for name, found in profiles.shipped().items() if isinstance(found, GasProfile))


# ---- console


@given(st.text())
def test_what_a_board_says_never_steers_a_terminal(text):
    shown = console.visible(text)
    assert shown.isprintable()
    assert len(shown) <= console.LINE_MARKS


@given(st.binary(max_size=6000), st.lists(st.integers(0, 6000), max_size=6))
def test_lines_are_the_same_however_the_bytes_come(said, cuts):
    def lines(pieces):
        told = []
        ear = console.Ear("-", lambda finding, _text: told.append(finding["line"]))
        for piece in pieces:
            ear.take(piece)
        return told, ear._rest

    cuts = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
    pieces = [said[a:b] for a, b in itertools.pairwise(cuts)]
    whole, rest = lines([said])
    if max(map(len, said.split(b"\n"))) < console.LINE_MARKS:
        assert (whole, rest) == lines(pieces)
        assert len(whole) == said.count(b"\n")


def test_a_line_that_never_ends_is_cut():
    told = []
    ear = console.Ear("-", lambda finding, _text: told.append(finding["line"]))
    for _ in range(100):
        ear.take(b"x" * 1000)
    assert all(len(line) <= console.LINE_MARKS for line in told)
    assert len(ear._rest) <= console.LINE_MARKS + 1000


# ---- registers


@pytest.mark.parametrize("name", GAS)
@given(data=st.data())
def test_any_words_are_shown_raw_and_explained_or_said_why_not(name, data):
    profile = registers.profile_of(name)
    numbers = sorted({number for block in profile.blocks for number in block.registers})
    words = {number: data.draw(st.integers(0, 0xFFFF)) for number in numbers}
    found = registers.explained(profile, words)
    assert {cell["n"]: cell["word"] for cell in found["cells"]} == words
    assert (found["sample"] is None) == bool(found["why"])
    msgspec.json.encode(found)


def test_our_own_node_is_explained_as_its_own_decoder_does():
    block = gas_registers.Block(
        status=gas_registers.MEASURING | gas_registers.LOW_ALARM, unit=gas_registers.PCT_LEL, decimals=1, value=12.5,
        low_set=10.0, high_set=20.0, full_scale=100.0, heartbeat=7, temperature_c=-3.5, uptime_s=70_000, firmware=0x0102, slot=1,
    )  # fmt: skip
    words = dict(enumerate(gas_registers.encode(block)))
    cells = {
        cell["name"]: cell["text"] for cell in registers.explained(registers.profile_of(None), words)["cells"]
    }
    assert (cells["value"], cells["status"]) == ("12.5 %LEL", "low_alarm")
    assert (cells["temperature_c"], cells["uptime_high"], cells["firmware"], cells["slot"]) == (
        "-3.5 °C",
        "70000 s",
        "1.2",
        "b",
    )


def test_an_unknown_profile_is_named_with_those_there_are():
    with pytest.raises(BenchError) as raised:
        registers.profile_of("nope")
    assert (raised.value.fault, raised.value.exit_code) == (Fault.NO_SUCH_PROFILE, 2)
    assert "gatehouse_gas_node" in raised.value.facts["known"]


# ---- radio


@given(st.binary(max_size=60), st.booleans())
def test_any_service_data_is_decoded_or_said_why_not(data, has_key):
    said = air.decoded(data, ADDRESS, {ADDRESS: KEY} if has_key else {})
    assert said["fields"] == [] or said["why"] == ""
    msgspec.json.encode(said)


def test_a_sealed_advert_is_read_with_its_key_only():
    plain = advert.objects(5, battery_pct=97, event=advert.Event.PRESS)
    data = advert.service_data(KEY, ADDRESS, 4711, plain)
    said = air.decoded(data, ADDRESS, {ADDRESS: KEY})
    assert [(field["name"], field["value"]) for field in said["fields"]] == [
        ("packet", 5),
        ("battery", 97),
        ("button", "press"),
    ]
    assert (said["counter"], said["encrypted"]) == (4711, True)
    assert air.decoded(data, ADDRESS, {})["why"] == "no_key"
    assert air.decoded(data, ADDRESS, {ADDRESS: bytes(16)})["why"] == "wrong_key"
    assert air.decoded(data, "02:A0:B1:00:00:02", {"02:A0:B1:00:00:02": KEY})["why"] == "wrong_key"


@given(st.integers(-4000, 8000), st.integers(0, 100))
def test_plain_values_are_what_another_decoder_reads(hundredths, battery):
    data = b"\x40\x01" + bytes((battery,)) + b"\x02" + struct.pack("<h", hundredths)
    heard = BluetoothServiceInfoBleak(
        name="x", address=ADDRESS, rssi=-60, manufacturer_data={}, service_data={bthome.SERVICE_UUID_TEXT: data},
        service_uuids=[bthome.SERVICE_UUID_TEXT], source="", device=BLEDevice(ADDRESS, "x", {}), advertisement=None,
        connectable=False, time=0.0, tx_power=None,
    )  # fmt: skip
    theirs = {
        key.key: value.native_value
        for key, value in BTHomeBluetoothDeviceData().update(heard).entity_values.items()
    }
    ours = {field["name"]: field["value"] for field in air.decoded(data, ADDRESS, {})["fields"]}
    assert (ours["battery"], ours["temperature"]) == (theirs["battery"], pytest.approx(theirs["temperature"]))


def test_a_file_of_keys(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({ADDRESS.lower(): KEY.hex()}), encoding="utf-8")
    assert air.read_keys(path) == {ADDRESS: KEY}
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(BenchError, match="no_such_file"):
        air.read_keys(path)


# ---- camera


def test_the_sharper_picture_has_the_greater_figure():
    sharp = Facade(640, 360, noise_sigma=1.5).picture(0)
    figures = [aim.sharpness(sharp)]
    figures += [
        aim.sharpness(np.asarray(cv2.GaussianBlur(sharp, (0, 0), sigma), dtype=np.uint8))
        for sigma in (0.8, 1.6, 3.2)
    ]
    assert figures == sorted(figures, reverse=True)
    assert figures[0] > 3 * figures[-1]


def test_noise_alone_is_not_sharpness():
    random = np.random.default_rng(1)
    grey = np.full((360, 640), 120, np.uint8)
    noisy = (grey + random.normal(0, 2, grey.shape)).astype(np.uint8)
    assert aim.sharpness(noisy) < 0.1 * aim.sharpness(Facade(640, 360, noise_sigma=0).picture(0))


# ---- all of them


def test_findings_for_a_program_are_lines_of_json_with_the_time(capsys):
    class Clock:
        def now(self):
            return datetime(2026, 11, 26, 6, 0, tzinfo=UTC)

    Teller(Clock(), as_json=True)({"line": "啊\n"}, "啊")
    Teller(Clock(), as_json=False)({"line": "啊"}, "啊")
    Teller(Clock(), as_json=False)({"event": "beat"}, "")
    machine, person = capsys.readouterr().out.splitlines()
    assert json.loads(machine) == {"at": "2026-11-26T06:00:00Z", "line": "啊\n"}
    assert person == "06:00:00 啊"
