"""Drills and self-tests at the console: what came back, what did not, and that no real alarm is hidden by one."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from console_site import SETTINGS, running_site, until

from gatehouse_edge.reading import OutputReading
from gatehouse_edge.uplink.link import LinkState, LinkView
from gatehouse_edge.wiring import drivers_of
from gatehouse_events.chain import Lane
from gatehouse_events.states import Label
from gatehouse_hil.gas_controller import GasController
from gatehouse_hil.relay_board import RelayBoard
from gatehouse_journal import Reader

OUTPUTS = [
    *SETTINGS["outputs"],
    {"id": "siren-1", "kind": "siren", "io": "io-1", "point": 1, "serves": ["all"]},
    {"id": "lamp-1", "kind": "lamp", "io": "io-1", "point": 2, "serves": ["all"]},
]
DRILL = {"device_id": "gas-1", "code": "gas.high_alarm", "duration_s": 300}


@pytest.fixture
async def site(tmp_path):
    async with running_site(tmp_path, outputs=OUTPUTS) as found:
        yield found


async def obey(site, output_id, *, is_on):
    """The board reads this relay back as it was told; a test in tests/edge/drivers shows that the real driver says so."""
    await site.ledger.put(
        OutputReading(device_id=output_id, at=site.clock.now(), is_ok=True, wanted=is_on, is_on=is_on)
    )


async def paint(site, browser, alarm_id, *, audible=True):
    alarm = next(one for one in site.ledger.alarms() if one.alarm_id == alarm_id)
    body = {"receipts": [{"alarm_id": alarm_id, "seq": alarm.seq, "visible": True, "audible": audible}]}
    assert (await browser.post("/api/v1/annunciated", json=body)).status_code == 200


async def report_of(site, browser, drill_id):
    await until(lambda: site.app.state.console.drills.running is None)
    (first, *_) = (await browser.get("/api/v1/drills")).json()["drills"]
    assert first["drill_id"] == drill_id
    return first


def verdicts(report):
    return {(one["proof"], one["subject"]): one["verdict"] for one in report["checks"]}


async def test_a_drill_counts_what_came_back_along_the_entire_way(site):
    async with site.person("operator") as guard:
        begun = await guard.post("/api/v1/drills", json=DRILL)
        assert begun.status_code == 201
        drill_id = begun.json()["drill_id"]
        (alarm,) = site.ledger.alarms()
        assert (alarm.kind, alarm.alarm_id) == ("test", drill_id)
        demands = site.ledger.demands()
        assert {name: state.is_on for name, state in demands.items()} == {
            "siren-1": True,
            "lamp-1": True,
            "valve-1": False,
        }
        await paint(site, guard, drill_id)
        await obey(site, "siren-1", is_on=True)
        await obey(site, "lamp-1", is_on=True)
        await guard.post(f"/api/v1/alarms/{drill_id}/ack", json={})
        running = site.app.state.console.drills
        await until(lambda: {one.verdict for one in running.running.checks} == {"ok", "absent"})
        assert (await guard.post("/api/v1/drills/end")).status_code == 200
        report = await report_of(site, guard, drill_id)
        assert verdicts(report) == {
            ("journal", ""): "ok",
            ("screen", ""): "ok",
            ("sound", ""): "ok",
            ("output_on", "siren-1"): "ok",
            ("output_on", "lamp-1"): "ok",
            ("fleet", ""): "absent",
            ("person", ""): "ok",
        }
        assert (report["outcome"], report["ended_by"]) == ("good", "person")
        assert all(one["after_s"] is not None for one in report["checks"] if one["verdict"] == "ok")
        assert site.ledger.alarms() == []


async def test_what_does_not_come_back_is_named(site):
    async with site.person("operator") as guard:
        drill_id = (await guard.post("/api/v1/drills", json=DRILL)).json()["drill_id"]
        await paint(site, guard, drill_id, audible=False)
        await obey(site, "lamp-1", is_on=True)
        site.clock.shift_s += 11
        await until(
            lambda: sum(one.verdict == "failed" for one in site.app.state.console.drills.running.checks) >= 2
        )
        site.clock.shift_s += 300
        report = await report_of(site, guard, drill_id)
        assert report["ended_by"] == "time"
        assert report["outcome"] == "failed"
        assert {what for what, verdict in verdicts(report).items() if verdict == "failed"} == {
            ("sound", ""),
            ("output_on", "siren-1"),
            ("person", ""),
        }
        (sound,) = [one for one in report["checks"] if one["proof"] == "sound"]
        assert sound["detail"] == "page is mute"


async def test_a_real_alarm_ends_the_drill_and_its_report_says_so(site):
    async with site.person("operator") as guard:
        drill_id = (await guard.post("/api/v1/drills", json=DRILL)).json()["drill_id"]
        await site.leak()
        report = await report_of(site, guard, drill_id)
        assert report["ended_by"] == "real_alarm"
        assert report["outcome"] == "cut"  # nothing failed, and nothing is claimed
        assert {alarm.kind for alarm in site.ledger.alarms()} == {"alarm"}
        assert site.ledger.demands()["valve-1"].is_on
        again = await guard.post("/api/v1/drills", json=DRILL)
        assert (again.status_code, again.json()["reason"]) == (409, "real_alarm")


async def test_one_drill_at_a_time(site):
    async with site.person("operator") as guard:
        assert (await guard.post("/api/v1/drills/end")).json()["reason"] == "no_drill"
        assert (await guard.post("/api/v1/drills", json=DRILL)).status_code == 201
        for path, body in (("drills", DRILL), ("outputs/lamp-1/test", {})):
            answer = await guard.post(f"/api/v1/{path}", json=body)
            assert (answer.status_code, answer.json()["reason"]) == (409, "drill_running")


async def test_a_lamp_is_tested_by_what_its_relay_reads_back(site):
    async with site.person("technician") as technician:
        begun = await technician.post("/api/v1/outputs/lamp-1/test", json={"duration_s": 2})
        drill_id = begun.json()["drill_id"]
        assert site.ledger.demands()["lamp-1"].is_on
        await obey(site, "lamp-1", is_on=True)
        await until(lambda: site.app.state.console.drills.running.checks[0].verdict == "ok")
        site.clock.shift_s += 2
        await until(lambda: not site.ledger.demands()["lamp-1"].is_on)
        await obey(site, "lamp-1", is_on=False)
        report = await report_of(site, technician, drill_id)
        assert (report["outcome"], report["ended_by"]) == ("good", "done")
        (row,) = [
            one
            for one in (await technician.get("/api/v1/outputs")).json()["outputs"]
            if one["id"] == "lamp-1"
        ]
        assert (row["is_on"], row["is_ok"], row["is_wanted"]) == (False, True, False)


async def test_a_valve_is_no_part_of_any_test(site):
    async with site.person("admin") as admin:
        answer = await admin.post("/api/v1/outputs/valve-1/test", json={})
        assert (answer.status_code, answer.json()["reason"]) == (409, "valve_never_tested")
        assert not site.ledger.demands()["valve-1"].is_on


async def test_what_a_person_saw_and_heard_stands_in_the_history(site):
    async with site.person("operator") as guard, site.person("viewer") as viewer:
        note = "<b>左</b>侧喇叭无声 \u202eabc"
        for body in ({"what": "screen", "is_good": True}, {"what": "sound", "is_good": False, "note": note}):
            assert (await guard.post("/api/v1/selftests", json=body)).status_code == 201
        first, second = (await guard.get("/api/v1/drills")).json()["drills"]
        assert (first["kind"], first["outcome"], first["note"]) == ("sound", "failed", note)
        assert (second["kind"], second["outcome"]) == ("screen", "good")
        page = (await guard.get("/api/v1/drills?limit=1")).json()
        assert (await guard.get(f"/api/v1/drills?before={page['next']}")).json()["drills"] == [second]
        assert (await viewer.get("/api/v1/drills")).status_code == 403
        assert (await viewer.post("/api/v1/drills", json=DRILL)).status_code == 403


@asynccontextmanager
async def real_relays(site):
    """The board's driver as the gateway runs it, and the loop that brings its outputs to what is demanded."""
    made = drivers_of(
        site.config,
        inbox=site.ledger,
        clock=site.clock,
        counters=site.ledger.counters,
        evidence=site.evidence,
        only=frozenset({"tcp"}),
    )

    async def drive(bus):
        while True:
            await bus.drive({name: state.is_on for name, state in site.ledger.demands().items()})
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work) for bus in made.values() for work in (bus.run(), drive(bus))]
        yield
        for task in running:
            task.cancel()


def verdict_of(report, subject):
    return next((one.verdict for one in report.checks if one.subject == subject), None) if report else None


async def test_a_drill_counts_real_relays_and_names_the_one_that_sticks(tmp_path):
    board = RelayBoard(9)
    board.stick(2, at=False)  # the lamp
    async with GasController([board]) as controller:
        line = {"id": "tcp", "kind": "modbus_tcp", "host": "127.0.0.1", "port": controller.port}
        devices = [
            row | {"bus": "tcp", "poll_ms": 50} if row["id"] == "io-1" else row for row in SETTINGS["devices"]
        ]
        sections = {"buses": [*SETTINGS["buses"], line], "devices": devices, "outputs": OUTPUTS}
        async with (
            running_site(tmp_path, **sections) as site,
            site.person("operator") as guard,
            real_relays(site),
        ):
            drill_id = (await guard.post("/api/v1/drills", json=DRILL)).json()["drill_id"]
            drills = site.app.state.console.drills
            await until(lambda: verdict_of(drills.running, "siren-1") == "ok")
            assert board.coils[1] == 1
            site.clock.shift_s += 11
            await until(lambda: verdict_of(drills.running, "lamp-1") == "failed")
            await guard.post("/api/v1/drills/end")
            report = await report_of(site, guard, drill_id)
            assert verdicts(report)["output_on", "lamp-1"] == "failed"
            assert (0, 1) not in board.writes  # the valve's relay was never closed


async def test_the_fleet_has_a_drill_once_its_cursor_has_passed_it(tmp_path):
    view = LinkView(
        state=LinkState.UP, label=Label("通", "up"), since_s=0.0, why="", queued_alarm=0, queued_telemetry=0, contact_s=0.0
    )  # fmt: skip
    async with (
        running_site(tmp_path, outputs=OUTPUTS, link=lambda: view) as site,
        site.person("operator") as guard,
    ):
        await guard.post("/api/v1/drills", json=DRILL)
        drills = site.app.state.console.drills
        head = site.ledger.head(Lane.ALARM).seq
        with Reader.open(site.directory) as uplink:
            uplink.set_cursor("fleet", head - 1)
            await asyncio.sleep(0.5)
            assert {one.verdict for one in drills.running.checks if one.proof == "fleet"} == {"waiting"}
            uplink.set_cursor("fleet", site.ledger.head(Lane.ALARM).seq)
        await until(lambda: {one.verdict for one in drills.running.checks if one.proof == "fleet"} == {"ok"})
        await guard.post("/api/v1/drills/end")


async def test_every_event_of_a_drill_is_marked_as_a_test_for_whoever_reads_the_journal(site):
    from gatehouse_edge.history.fold import change_of

    async with site.person("operator") as guard:
        drill_id = (await guard.post("/api/v1/drills", json=DRILL)).json()["drill_id"]
        await guard.post(f"/api/v1/alarms/{drill_id}/ack", json={})
        await guard.post("/api/v1/drills/end")
        await report_of(site, guard, drill_id)
    changes = [change_of(one) for one in site.reader.read(Lane.ALARM, 0, 500) if one.kind == "alarm"]
    mine = [change for change in changes if change.alarm.alarm_id == drill_id]
    assert len(mine) >= 3
    assert {(change.alarm.kind, change.word) for change in mine} == {("test", "test")}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    what=st.sampled_from(["screen", "sound", "alarm", "output", ""]) | st.text(max_size=8),
    is_good=st.booleans() | st.text(max_size=4) | st.none(),
    note=st.text(max_size=700) | st.integers(),
)
def test_a_self_test_is_one_of_two_with_a_yes_or_a_no(what, is_good, note):
    from pydantic import ValidationError

    from gatehouse_edge.console.requests import SelfTest

    try:
        taken = SelfTest.model_validate({"what": what, "is_good": is_good, "note": note})
    except ValidationError:
        return
    assert taken.what in {"screen", "sound"}
    assert len(taken.note) <= 500
