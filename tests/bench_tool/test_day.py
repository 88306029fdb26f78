"""Nine boards through `gatehouse-bench make` at once: the two good ones pass, each wrong one is named, all have a record."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from gatehouse_hil.bench import record
from gatehouse_hil.bench.key_wrap import unwrap
from gatehouse_hil.bench.rig_memory import RigMemory
from gatehouse_hil.wire_trace import HEAD

STEPS = ["flash", "identify", "provision", "self_test", "test", "calibrate", "label"]


def test_a_day_with_failed_boards_ends_in_failure(day: Any) -> None:
    assert day.ran.status == 1
    assert len(day.ran.json["boards"]) == 9


@pytest.mark.parametrize(
    ("board", "serial"), [("good-gas", "GHG-02A0B1000001"), ("good-button", "GHB-02A0B1000002")]
)
def test_a_bare_board_becomes_a_signed_record(
    day: Any, bench: Callable[..., Any], board: str, serial: str
) -> None:
    told = day.board(board)
    assert (told["serial"], told["verdict"], told["fault"]) == (serial, "passed", "")
    assert [step["name"] for step in day.record(board)["steps"]] == STEPS
    verified = bench("record", "verify", "--json", "--directory", day.directory, told["record"])
    assert verified.status == 0
    assert verified.json["records"][0]["serial"] == serial


@pytest.mark.parametrize(
    ("board", "fault", "says"),
    [
        ("other-chip", "wrong_chip", "Wrong chip: the board has ESP32-S3"),
        ("other-board", "wrong_board", "Wrong board: its MAC is 02a0b1000004, not 02a0b10000ff"),
        ("cut", "half_written", "check the cable and flash it again"),
        ("vanishes", "port_gone", "Plug the cable in"),
        ("deaf", "no_answer", "Check power, plug and the BOOT button"),
        ("stays-on", "power_stays_on", "the board still has power (5.03 V)"),
        ("dead-sensor", "self_test_failed", "Self-test failed: sensor"),
    ],
)
def test_a_wrong_board_is_named_with_what_to_do_and_its_record_says_failed(
    day: Any, board: str, fault: str, says: str
) -> None:
    told = day.board(board)
    assert told["fault"] == fault
    assert says in told["sentence"]
    written = day.record(board)
    assert written["verdict"] == "failed"
    assert written["steps"][-1]["fault"] == fault
    assert says in written["steps"][-1]["en"]
    assert written["steps"][-1]["zh"]


def test_a_board_that_was_refused_keeps_its_flash(day: Any) -> None:
    for board in ("other-chip", "other-board"):
        assert (day.directory / "simulated" / board / "flash.bin").read_bytes() == b""


def test_a_refused_board_gets_no_serial_number_and_its_mac_is_noted(day: Any) -> None:
    written = day.record("other-board")
    assert (written["serial"], written["mac"]) == ("", "02a0b1000004")


def test_power_that_stays_on_puts_the_rig_out_of_use_until_somebody_says_what_was_mended(
    day: Any, bench: Callable[..., Any]
) -> None:
    common = ("--lang", "en", "--rig", day.rig, "--directory", day.directory)
    again = bench("make", "--json", "--board", "stays-on", *common)
    assert again.status == 1
    assert again.json["boards"][0]["fault"] == "rig_broken"
    assert bench("rig", "check", *common).status == 1
    assert bench("rig", "reset", "power-stays-on", "--reason", "cable replaced", *common).status == 0
    assert bench("rig", "check", *common).status == 0
    [repair] = RigMemory(day.directory / "rigs" / "day.json").repairs()
    assert (repair.reason, repair.breakage.fault) == ("cable replaced", "power_stays_on")


def test_the_key_of_a_node_is_on_the_node_and_nowhere_else(day: Any) -> None:
    stored = json.loads((day.directory / "simulated/good-gas/nvs/gh_key.json").read_bytes())
    key = bytes.fromhex(stored["key1"].removeprefix("b"))
    assert len(key) == 16
    files = [path for path in day.directory.rglob("*") if path.is_file() and "nvs" not in path.parts]
    everything = b"".join(path.read_bytes() for path in files) + (day.ran.out + day.ran.err).encode()
    text = everything.lower()
    assert b"ghg-02a0b1000001" in text
    assert key not in everything
    assert key.hex().encode() not in text
    assert base64.b64encode(key).lower() not in text
    assert str(list(key)).encode() not in text


def test_the_label_and_the_record_name_the_key_by_its_check_value(day: Any) -> None:
    check = day.record("good-gas")["key_check"]
    assert len(bytes.fromhex(check)) == 4
    assert f"GH1 GHG-02A0B1000001 {check.upper()}" in Path(day.board("good-gas")["label"]).read_text(
        encoding="utf-8"
    )


def test_the_record_says_what_was_written_by_hash_and_what_then_ran(day: Any) -> None:
    written = day.record("good-gas")
    firmware = written["firmware"]
    assert (firmware["micropython"], firmware["slot"]) == ("1.29.0", "a")
    assert len(firmware["runtime_sha256"]) == len(firmware["application_sha256"]) == 64
    assert (written["where"]["operator"], written["where"]["is_simulated"]) == ("示例 Zhang", True)


def test_every_measurement_of_the_plan_has_a_value_limits_and_an_instrument(day: Any) -> None:
    measured = {each["name"]: each for each in day.record("good-gas")["measurements"]}
    assert measured["supply"]["instrument"] == "meter-good-gas"
    assert measured["bus-good"]["value"] == 100
    assert measured["power-off"]["verdict"] == "passed"
    assert all(
        each["low"] is not None or each["high"] is not None or each["equals"] is not None
        for each in measured.values()
    )


def test_a_gas_detector_reads_the_bottle_after_calibration(day: Any) -> None:
    calibrated = day.record("good-gas")["calibration"]
    points = {point["name"]: point["shown"] for point in calibrated["points"]}
    assert points == {
        "zero": pytest.approx(400_000, abs=5_000),
        "span": pytest.approx(1_200_000, abs=5_000),
        "check": pytest.approx(50, abs=1),
    }
    assert calibrated["gas"]["bottle"] == "示例-0001"


def test_every_record_is_valid_by_the_published_schema(day: Any) -> None:
    schema = json.loads(record.json_schema())
    files = list((day.directory / "records").rglob("*.json"))
    assert len(files) >= 9
    for file in files:
        jsonschema.validate(json.loads(file.read_bytes()), schema)


def test_every_record_has_a_page_and_a_junit_file(day: Any) -> None:
    path = Path(day.board("dead-sensor")["record"])
    suite = ET.fromstring(path.with_suffix(".xml").read_bytes())  # noqa: S314  # written by us a moment ago
    assert suite.get("failures") == "1"
    [failure] = suite.findall(".//failure")
    assert failure.get("type") == "self_test_failed"
    assert "不合格" in path.with_suffix(".html").read_text(encoding="utf-8")


def test_the_fleet_has_every_record_as_it_was_signed(day: Any, bench: Callable[..., Any]) -> None:
    told = day.ran.json
    assert (told["kept"], told["trouble"]) == (0, "")
    posted = {signed["hash"]: signed for signed in day.fleet.posted("records")}
    for board in told["boards"]:
        written = json.loads(Path(board["record"]).read_bytes())
        assert posted[written["hash"]] == written


def test_the_fleet_and_nobody_else_can_open_the_key_of_a_new_device(day: Any) -> None:
    devices = {device["serial"]: device for device in day.fleet.posted("devices")}
    device = devices["GHG-02A0B1000001"]
    stored = json.loads((day.directory / "simulated/good-gas/nvs/gh_key.json").read_bytes())
    key = unwrap(device["wrapped_key"], serial=device["serial"], fleet=day.fleet.key)
    assert key.hex() == stored["key1"].removeprefix("b")
    assert (device["kind"], device["mac"]) == ("gas", "02a0b1000001")
    assert device["key_check"] == day.record("good-gas")["key_check"]


def test_a_finished_board_is_identified_by_chip_mac_slot_and_version(
    day: Any, bench: Callable[..., Any]
) -> None:
    told = bench("identify", "--json", "--rig", day.rig, "--directory", day.directory, "--board", "good-gas")
    [seen] = told.json["boards"]
    found = seen["identity"]
    assert (found["chip"], found["mac"], found["slot"], found["is_confirmed"]) == (
        "ESP32-C3",
        "02a0b1000001",
        "a",
        True,
    )
    assert (found["kind"], found["serial"], found["micropython"]) == ("gas", "GHG-02A0B1000001", "1.29.0")


def test_a_label_is_made_again_without_its_board(day: Any, bench: Callable[..., Any]) -> None:
    told = bench("label", "GHG-02A0B1000001", "--json", "--rig", day.rig, "--directory", day.directory)
    assert told.status == 0
    assert "GHG-02A0B1000001" in Path(told.json["label"]).read_text(encoding="utf-8")


def test_an_absent_printer_is_said_and_the_label_stays(
    day: Any, bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    told = bench(
        "label", "GHG-02A0B1000001", "--print", "--lang", "en", "--rig", day.rig, "--directory", day.directory
    )
    assert told.status == 1
    assert "is not available" in told.err
    assert (day.directory / "labels" / "GHG-02A0B1000001.html").is_file()


def test_a_board_that_already_is_another_device_is_left_alone(
    day: Any, bench: Callable[..., Any], tmp_path: Path
) -> None:
    rig = tmp_path / "rig.yaml"
    rig.write_text(
        "name: day\nbackend: simulated\nboards: [{name: good-button, kind: gas, mac: 02a0b1000002}]\n",
        encoding="utf-8",
    )
    before = {
        path: path.read_bytes() for path in (day.directory / "simulated/good-button/flash").rglob("*.mpy")
    }
    told = bench("flash", "--json", "--lang", "en", "--rig", rig, "--directory", day.directory)
    assert told.status == 1
    assert told.json["boards"][0]["fault"] == "other_serial"
    assert "--take-over" in told.json["boards"][0]["sentence"]
    assert {path: path.read_bytes() for path in before} == before


def test_an_erased_board_that_this_bench_has_made_before_is_left_alone_too(
    day: Any, bench: Callable[..., Any], tmp_path: Path
) -> None:
    rig = tmp_path / "rig.yaml"
    rig.write_text(
        "name: other\nbackend: simulated\nboards: [{name: erased, kind: beacon, mac: 02a0b1000001}]\n",
        encoding="utf-8",
    )
    told = bench("flash", "--json", "--lang", "en", "--rig", rig, "--directory", day.directory)
    [board] = told.json["boards"]
    assert (board["fault"], told.status) == ("other_serial", 1)
    assert "GHG-02A0B1000001" in board["sentence"]
    assert (day.directory / "simulated/erased/flash.bin").read_bytes() == b""


def test_a_soak_keeps_a_record_of_every_round(day: Any, bench: Callable[..., Any]) -> None:
    common = ("--json", "--rig", day.rig, "--directory", day.directory)
    before = bench("record", "history", "GHB-02A0B1000002", *common).json["records"]
    told = bench("soak", "--rounds", "2", "--board", "good-button", *common)
    assert told.json == {"ok": True, "rounds": 2, "failed": 0, "failures": []}
    after = bench("record", "history", "GHB-02A0B1000002", *common).json["records"]
    assert [each["number"] for each in after[len(before) :]] == [len(before) + 1, len(before) + 2]


def test_a_calibration_with_an_expired_bottle_is_refused_before_the_valve_is_opened(
    day: Any, bench: Callable[..., Any], tmp_path: Path
) -> None:
    bottle = tmp_path / "gas.yaml"
    bottle.write_text("gas: CH4\npercent_lel: 50\nbottle: 示例-9\nexpires: 2020-01-31\n", encoding="utf-8")
    told = bench(
        "calibrate",
        "--gas",
        bottle,
        "--json",
        "--lang",
        "en",
        "--rig",
        day.rig,
        "--directory",
        day.directory,
        "--board",
        "good-gas",
    )
    [board] = told.json["boards"]
    assert (told.status, board["fault"], board["verdict"]) == (1, "gas_expired", "failed")
    assert "2020-01-31" in board["sentence"]
    history = bench(
        "record", "history", "GHG-02A0B1000001", "--json", "--rig", day.rig, "--directory", day.directory
    )
    assert [each["verdict"] for each in history.json["records"]][-1] == "failed"


def test_a_trace_plays_to_a_node_and_a_wrong_answer_is_shown(
    day: Any, bench: Callable[..., Any], tmp_path: Path
) -> None:
    common = ("--json", "--lang", "en", "--rig", day.rig, "--directory", day.directory, "--board", "good-gas")
    good = tmp_path / "good.trace"
    good.write_text(
        f"{HEAD}\n0.000 host 01 03 00 00 00 01 84 0a\n0.020 gas-1 01 03 02 47 31 ?? ??\n0.100 host 02 03 00 00 00 01 84 39\n",
        encoding="utf-8",
    )
    assert bench("replay", good, *common).json["frames"] == 2
    bad = tmp_path / "bad.trace"
    bad.write_text(
        f"{HEAD}\n0.000 host 01 03 00 00 00 01 84 0a\n0.020 gas-1 01 03 02 00 00 b8 44\n", encoding="utf-8"
    )
    told = bench("replay", bad, *common)
    assert (told.status, told.json["fault"]) == (1, "trace_differs")
