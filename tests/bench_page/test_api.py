"""The page's server over HTTP, on real simulated boards: runs, hands, restarts, trouble; the record on disk is the truth."""

from __future__ import annotations

import json
import threading

import msgspec
import pytest
from bench_site import BenchSite

from gatehouse_events import bench_record


class Report(msgspec.Struct):
    """The originals, unread: their signature is over these octets."""

    records: list[msgspec.Raw]


pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def site(tmp_path_factory, needs_vm):
    found = BenchSite(tmp_path_factory.mktemp("bench"))
    found.make_ready("gas-1", "02a0b1000031")
    found.start()
    yield found
    found.close()


def steps_of(run):
    return [(step["name"], step["state"]) for step in run["steps"]]


def test_a_run_survives_the_page_and_ends_in_a_signed_record(site):
    """Two boards at once; the page is killed while hands are wanted, starts again, and the technician goes on."""
    name = site.order(verb="calibrate", board="gas-1", room="1-1-602")
    other = site.order(verb="make", board="vanishes", command_id="abc")
    assert site.order(verb="make", board="vanishes", command_id="abc") == other
    busy = site.post("/api/orders", {"verb": "test", "board": "gas-1"})
    assert (busy.status_code, busy.json()["reason"]) == (409, "board_busy")
    asked = site.until(lambda _: (run := site.run("gas-1")) and run["asked"])
    assert asked["task"] == "zero_gas"
    site.kill()
    site.start()
    for number in (1, 2, 3):
        site.until(lambda _, n=number: (asked := site.run("gas-1")["asked"]) and asked["number"] == n)
        assert site.post(f"/api/runs/{name}/hands", {"number": number}).status_code == 200
        assert site.post(f"/api/runs/{name}/hands", {"number": number}).status_code == 409
    run = site.ended("gas-1")
    assert (run["state"], steps_of(run)) == ("passed", [("identify", "passed"), ("calibrate", "passed")])
    signed = site.get(f"/api/records/{run['ended']['serial']}/{run['ended']['record']}.json")
    record = bench_record.verify(signed.content).record
    assert (record.room, record.where.operator) == ("1-1-602", "示例王工")


def test_a_board_that_is_unplugged_while_it_is_written_says_what_to_do(site):
    run = site.ended("vanishes")
    assert steps_of(run)[0] == ("flash", "failed")
    assert (run["state"], run["ended"]["fault"]) == ("failed", "port_gone")
    assert "插好电缆" in run["ended"]["zh"]
    assert "flashed again" in run["ended"]["en"]
    record = site.get(f"/api/records/{run['ended']['serial']}/1.json").json()["record"]
    assert record["verdict"] == "failed"
    told = site.get(f"/api/runs/{run['id']}/lines").json()["lines"]
    assert any(line.get("tool") == "esptool" and "Hash of data verified" in line["line"] for line in told)


def test_a_record_has_a_page_that_can_do_nothing(site):
    serial = site.ended("vanishes")["ended"]["serial"]
    page = site.get(f"/api/records/{serial}/1.html")
    assert "script-src 'none'" in page.headers["content-security-policy"]
    assert "sandbox" in page.headers["content-security-policy"]
    assert site.get(f"/api/labels/{serial}.svg").status_code == 404  # it failed: there is no label


def test_the_matrix_and_the_report_hold_every_run(site):
    site.ended("vanishes")
    found = site.get("/api/matrix").json()
    verdicts = {device["serial"]: [run["verdict"] for run in device["runs"]] for device in found["devices"]}
    assert verdicts == {
        "GHG-02A0B1000031": ["passed"],
        "GHG-02A0B1000032": ["failed"],
    }
    assert {device["history"] for device in found["devices"]} == {"whole"}
    assert set(found["runs"]) == {f"{serial}/1" for serial in verdicts}
    name = site.order(verb="export")
    site.until(lambda state: next(one for one in state["commands"] if one["id"] == name)["state"] == "passed")
    answer = site.get(f"/api/runs/{name}/lines").json()["answer"]
    page = site.get(f"/api/reports/{answer['html'].rpartition('/')[2]}")
    assert "attachment" in page.headers["content-disposition"]
    assert "http" not in page.text.replace("http://www.w3.org", "")
    report = f"/api/reports/{answer['json'].rpartition('/')[2]}"
    assert len(site.get(report).json()["records"]) == 2
    for one in msgspec.json.decode(site.get(report).content, type=Report).records:
        bench_record.verify(bytes(one))


def test_a_record_that_was_changed_is_not_among_the_true_ones(site):
    site.ended("vanishes")
    file = site.directory / "records" / "GHG-02A0B1000032" / "0001.json"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'"failed"', b'"passed"', 1))
    try:
        device = next(
            one for one in site.get("/api/matrix").json()["devices"] if one["serial"] == "GHG-02A0B1000032"
        )
        assert (device["history"], device["runs"]) == ("damaged", [])
    finally:
        file.write_bytes(whole)


def test_a_run_that_is_stopped_leaves_no_record_and_frees_the_board(site):
    site.order(verb="console", board="deaf")
    name = site.order(verb="test", board="deaf")  # an instrument gives way to a run
    assert not any(one["board"] == "deaf" and one["is_running"] for one in site.state()["watches"])
    site.until(lambda _: site.run("deaf")["steps"][0]["state"] == "running")
    assert site.post(f"/api/runs/{name}/cancel").status_code == 200
    run = site.ended("deaf")
    assert (run["state"], run["ended"]["record"]) == ("cancelled", 0)
    assert site.post("/api/runs/nothing/cancel").status_code == 404


def test_a_console_and_registers_are_looked_at_one_at_a_time(site):
    site.ended("gas-1")
    watch = site.order(verb="console", board="gas-1")
    said = []
    while not any('"gatehouse": "start"' in line.get("line", "") for line in said):
        said = site.get(f"/api/watches/{watch}/lines?after=0&wait=10").json()["lines"]
    assert site.post("/api/orders", {"verb": "registers", "board": "gas-1"}).status_code == 409
    assert "gatehouse" in site.get(f"/api/watches/{watch}/log").text
    site.post(f"/api/runs/{watch}/cancel")
    site.until(lambda state: not any(one["is_running"] for one in state["watches"]))
    registers = site.order(verb="registers", board="gas-1")
    found = []
    while not any(line.get("cells") for line in found):
        found = site.get(f"/api/watches/{registers}/lines?after=0&wait=10").json()["lines"]
    cells = {cell["name"]: cell for line in found for cell in line.get("cells", [])}
    assert cells["identity"]["word"] == 0x4731
    assert cells["low_set"]["text"] == "10 %LEL"
    assert site.post("/api/orders", {"verb": "console", "board": "gas-1"}).status_code == 409


def test_the_stream_tells_the_state_and_again_when_it_changes(site):
    site.ended("gas-1")
    told = []

    def listen():
        with site.client.stream("GET", f"{site.base}/api/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    told.append(json.loads(line.removeprefix("data: ")))
                    if len(told) == 2:
                        return

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert [one["bench"] for one in told] == [told[0]["bench"]] * 2
    assert told[0]["at"] < told[1]["at"]


def test_a_rig_file_that_is_changed_is_read_again_and_a_faulty_one_is_said(site):
    whole = site.rig.read_text(encoding="utf-8")
    site.until(lambda state: not any(slot["run"] and not slot["run"]["ended"] for slot in state["places"]))
    try:
        site.rig.write_text(whole + "  - {name: gas-9, kind: gas, mac: 02a0b1000039}\n", encoding="utf-8")
        site.until(lambda state: len(state["places"]) == 4)
        site.rig.write_text(whole + "  - {name: gas-9, kimd: gas, mac: 02a0b1000039}\n", encoding="utf-8")
        state = site.until(lambda state: state if state["rig_zh"] else None)
        assert "kimd" in state["rig_zh"]
        assert "Did you mean" in state["rig_en"]
        assert len(state["places"]) == 4
    finally:
        site.rig.write_text(whole, encoding="utf-8")
    site.until(lambda state: len(state["places"]) == 3 and not state["rig_zh"])
