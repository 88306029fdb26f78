"""From alarms to cases: opened, joined, moved by what the gateway tells; no alarm without its one case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import structs
from sqlalchemy import select

from gatehouse_events.alarm import Change, DealStatus, What, Word
from gatehouse_events.states import Disposition, Kind, Priority
from gatehouse_fleet.cases import desk
from gatehouse_fleet.cases.limits import explanation_of
from gatehouse_fleet.cases.photos import Clean, keep
from gatehouse_fleet.cases.steps import CaseStep
from gatehouse_fleet.store.schema.alarms import alarm as alarm_table
from gatehouse_fleet.store.schema.alarms import feed

if TYPE_CHECKING:
    from conftest import Scene  # type: ignore[import-not-found]  # pytest loads it


async def test_a_help_call_is_a_case_at_the_guards_at_once(scene: Scene) -> None:
    alarm_id, found = await scene.raise_alarm()
    assert found is not None
    assert (found.step, found.priority, found.unit) == (CaseStep.DISPATCHED, Priority.P1, "示例小区值守")
    assert await scene.whats(found.id) == ["opened", "filed", "dispatched"]
    assert set(await scene.running(found.id)) == {"taking", "handling"}
    async with scene.store.read() as db:
        linked = (await db.execute(select(alarm_table.c.case_id))).scalar_one()
        told = (await db.execute(select(feed.c.topic, feed.c.subject).order_by(feed.c.position))).all()
    assert linked == found.id
    assert [tuple(row) for row in told] == [("case", str(found.id))] * 3
    assert await scene.links() == {alarm_id: found.id}


async def test_a_quiet_fault_waits_for_a_person_to_file_it(scene: Scene) -> None:
    _, found = await scene.raise_alarm("gas-1", "gas.offline")
    assert found is not None
    assert (found.kind, found.step) == ("upkeep", CaseStep.COLLECTED)
    assert set(await scene.running(found.id)) == {"filing"}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("sos.pressed", Kind.TEST),
        ("gateway.device_inhibited", Kind.INHIBITED),
        ("gas.warming_up", Kind.FAULT),
    ],
)
async def test_drills_and_inhibited_devices_open_no_case(scene: Scene, code: str, kind: Kind) -> None:
    _, found = await scene.raise_alarm("d-1", code, kind=kind)
    assert found is None
    assert await scene.links() == {}


async def test_a_code_of_a_newer_gateway_takes_the_default_row_and_says_so(scene: Scene) -> None:
    _, found = await scene.raise_alarm("d-1", "flood.water_rising", kind=Kind.ALARM, priority=Priority.P2)
    assert found is not None
    told = explanation_of((await scene.running(found.id))["handling"])
    assert (told.row, told.is_default) == ("*/handling", True)


async def test_a_doubtful_alarm_opens_a_case_that_says_so(scene: Scene) -> None:
    alarm_id, _ = await scene.raise_alarm("sos-1", "sos.pressed", kind=Kind.TEST)
    real = structs.replace(scene.alarms[alarm_id], kind=Kind.ALARM, seq=2)
    found = await scene.tell(Change(alarm=real, what=What.RAISED, word=Word.RAISED), is_verified=False)
    assert found is not None
    assert '"verified":false' in (await scene.lines(found.id))[0].detail


async def test_one_incident_one_device_or_one_place_and_time_is_one_case(scene: Scene) -> None:
    scene.places |= {"sos-602": ("6", "1"), "gas-602": ("6", "1"), "gas-801": ("8", "1")}
    _, first = await scene.raise_alarm("sos-602", "sos.pressed")
    _, by_place = await scene.raise_alarm("gas-602", "gas.low_alarm")
    _, elsewhere = await scene.raise_alarm("gas-801", "gas.low_alarm")
    _, by_device = await scene.raise_alarm("gas-801", "gas.low_alarm")
    _, incident = await scene.raise_alarm("lift-1", "lift.overspeed", incident_id="01INCIDENT")
    _, by_incident = await scene.raise_alarm("lift-2", "lift.overspeed", incident_id="01INCIDENT")
    assert first
    assert by_place
    assert elsewhere
    assert by_device
    assert incident
    assert by_incident
    assert first.id == by_place.id
    assert elsewhere.id == by_device.id != first.id
    assert incident.id == by_incident.id


async def test_later_at_the_same_place_is_another_case(scene: Scene) -> None:
    scene.places |= {"sos-602": ("6", "1"), "gas-602": ("6", "1")}
    _, first = await scene.raise_alarm("sos-602", "sos.pressed")
    scene.move(minutes=11)
    _, second = await scene.raise_alarm("gas-602", "gas.low_alarm")
    assert first
    assert second
    assert first.id != second.id


async def test_a_fault_never_hides_an_alarm_in_its_case(scene: Scene) -> None:
    _, fault = await scene.raise_alarm("gas-1", "gas.sensor_fault", incident_id="01INCIDENT")
    _, alarm = await scene.raise_alarm("gas-1", "gas.high_alarm", incident_id="01INCIDENT")
    assert fault
    assert alarm
    assert fault.id != alarm.id


async def test_a_graver_alarm_brings_its_priority_and_its_tighter_deadlines(scene: Scene) -> None:
    _, low = await scene.raise_alarm("gas-1", "gas.pre_warning", incident_id="01INCIDENT")
    assert low is not None
    assert (low.priority, low.step) == (Priority.P3, CaseStep.FILED)
    scene.move(minutes=1)
    _, high = await scene.raise_alarm("gas-1", "gas.high_alarm", incident_id="01INCIDENT")
    assert high is not None
    assert (high.id, high.priority, high.code, high.step) == (
        low.id,
        Priority.P1,
        "gas.high_alarm",
        CaseStep.DISPATCHED,
    )
    running = await scene.running(high.id)
    assert running["taking"].due_at == scene.clock.now() + timedelta(minutes=3)
    assert running["handling"].due_at == scene.clock.now() + timedelta(hours=2)


async def test_joining_makes_a_running_deadline_tighter_never_looser(scene: Scene) -> None:
    _, first = await scene.raise_alarm("gas-1", "gas.low_alarm", incident_id="01INCIDENT")
    assert first is not None
    before = (await scene.running(first.id))["handling"].due_at
    scene.move(minutes=5)
    await scene.raise_alarm("throw-1", "throw.object_falling", incident_id="01INCIDENT")
    assert (await scene.running(first.id))["handling"].due_at == before
    await scene.raise_alarm("sos-1", "sos.pressed", incident_id="01INCIDENT")
    tight = (await scene.running(first.id))["handling"]
    assert (tight.code, tight.due_at) == ("sos.pressed", scene.clock.now() + timedelta(hours=1))


async def test_what_the_guards_do_at_the_gateway_moves_the_case_step_by_step(scene: Scene) -> None:
    alarm_id, opened = await scene.raise_alarm("gas-1", "gas.pre_warning")
    assert opened is not None
    await scene.acknowledge(alarm_id)
    assert (await scene.case(opened.id)).step is CaseStep.HANDLING
    await scene.close(alarm_id)
    found = await scene.case(opened.id)
    assert (found.step, found.outcome, found.is_open) == (CaseStep.FEEDBACK, Disposition.HANDLED, True)
    assert await scene.whats(opened.id) == [
        "opened",
        "filed",
        "dispatched",
        "taken",
        "alarm_closed",
        "feedback",
    ]
    assert found.handlers == ("保安甲示例",)
    assert set(await scene.running(opened.id)) == {"verifying"}


async def test_an_alarm_that_closes_by_itself_still_skips_no_step(scene: Scene) -> None:
    alarm_id, opened = await scene.raise_alarm("gas-1", "gas.offline")
    assert opened is not None
    await scene.close(alarm_id, Disposition.AUTO)
    assert await scene.whats(opened.id) == [
        "opened",
        "alarm_closed",
        "filed",
        "dispatched",
        "taken",
        "feedback",
    ]


async def test_a_case_waits_for_its_last_alarm(scene: Scene) -> None:
    one, found = await scene.raise_alarm("gas-1", "gas.low_alarm", incident_id="01INCIDENT")
    two, _ = await scene.raise_alarm("gas-2", "gas.low_alarm", incident_id="01INCIDENT")
    assert found is not None
    await scene.close(one, Disposition.FALSE_ALARM)
    assert (await scene.case(found.id)).step is CaseStep.DISPATCHED
    await scene.close(two)
    after = await scene.case(found.id)
    assert (after.step, after.outcome) == (CaseStep.FEEDBACK, Disposition.HANDLED)


async def test_a_repeat_after_the_feedback_sends_the_case_back(scene: Scene) -> None:
    alarm_id, found = await scene.raise_alarm("lift-1", "lift.other_fault")
    assert found is not None
    await scene.acknowledge(alarm_id)
    async with scene.office.work() as work:
        await desk.feedback(work, scene.act("guard", found.id, 99), text="已重启")
    await scene.repeat(alarm_id)
    after = await scene.case(found.id)
    assert (after.step, after.rounds) == (CaseStep.HANDLING, 2)
    assert set(await scene.running(found.id)) == {"handling"}


async def test_a_new_alarm_does_not_inherit_a_deadline_that_is_met(scene: Scene) -> None:
    alarm_id, first = await scene.raise_alarm("gas-1", "gas.low_alarm")
    await scene.close(alarm_id)
    _, second = await scene.raise_alarm("gas-1", "gas.low_alarm")
    assert first
    assert second
    assert first.id != second.id
    assert set(await scene.running(second.id)) == {"taking", "handling"}


async def test_an_older_revision_told_late_changes_nothing(scene: Scene) -> None:
    alarm_id, found = await scene.raise_alarm()
    first = scene.alarms[alarm_id]
    await scene.close(alarm_id)
    assert found is not None
    before = await scene.case(found.id)
    await scene.tell(Change(alarm=first, what=What.RAISED, word=Word.RAISED))
    assert await scene.case(found.id) == before


async def test_the_rescue_is_owed_within_half_an_hour_of_the_report_by_the_clock(scene: Scene) -> None:
    scene.clock.move_to(
        datetime(2027, 2, 5, 15, 50, tzinfo=UTC)
    )  # Friday night before a year nobody has told
    reported = scene.clock.now() - timedelta(minutes=4)
    alarm_id, found = await scene.raise_alarm("lift-1", "lift.trapped_off_level", raised_at=reported)
    assert found is not None
    rescue = (await scene.running(found.id))["rescue"]
    assert (rescue.due_at, rescue.is_provisional) == (reported + timedelta(minutes=30), False)
    scene.move(minutes=2)
    await scene.rescue(alarm_id, DealStatus.RESPONDED)
    assert "rescue" in await scene.running(found.id)
    arrived = scene.move(minutes=10)
    await scene.rescue(alarm_id, DealStatus.ARRIVED)
    assert (await scene.deadlines(found.id, stage="rescue"))[0].met_at == arrived
    assert (await scene.whats(found.id))[-2:] == ["rescue", "rescue"]


async def test_two_trapped_lifts_of_one_power_cut_are_one_case_and_two_rescues(scene: Scene) -> None:
    scene.places |= {"lift-1": ("6", "1"), "lift-2": ("6", "1")}
    one, found = await scene.raise_alarm("lift-1", "lift.trapped")
    two, same = await scene.raise_alarm("lift-2", "lift.trapped")
    assert found
    assert same
    assert found.id == same.id
    await scene.rescue(one, DealStatus.ARRIVED)
    left = [row for row in await scene.deadlines(found.id, stage="rescue") if row.met_at is None]
    assert [row.alarm_id for row in left] == [two]
    await scene.rescue(two, DealStatus.FALSE_ALARM)
    assert (await scene.deadlines(found.id, alarm_id=two))[0].void_reason == "false_alarm"


async def test_repeats_of_one_cause_open_a_preventive_case_once(scene: Scene) -> None:
    alarm_id, first = await scene.raise_alarm("lift-1", "lift.repeated_door_cycle")
    await scene.repeat(alarm_id)
    assert first is not None
    await scene.close(alarm_id)
    scene.move(days=2)
    await scene.raise_alarm("lift-1", "lift.repeated_door_cycle")
    await scene.raise_alarm("lift-1", "lift.repeated_door_cycle")
    preventive = [one for one in await scene.cases() if one.kind == "preventive"]
    assert [(one.cause_code, one.step) for one in preventive] == [
        ("lift.repeated_door_cycle", CaseStep.FILED)
    ]


async def test_repeats_longer_ago_than_the_days_do_not_count(scene: Scene) -> None:
    for _ in range(4):
        alarm_id, _ = await scene.raise_alarm("lift-1", "lift.door_close_fault")
        await scene.close(alarm_id)
        scene.move(days=4)
    assert {one.kind for one in await scene.cases()} == {"danger"}


async def test_false_alarms_are_counted_apart(scene: Scene) -> None:
    for n in range(3):
        alarm_id, _ = await scene.raise_alarm("throw-1", "throw.object_falling")
        await scene.close(alarm_id, Disposition.FALSE_ALARM)
        scene.move(hours=9 + n)
    preventive = [one for one in await scene.cases() if one.kind == "preventive"]
    assert len(preventive) == 1
    assert '"why":"false_alarms"' in (await scene.lines(preventive[0].id))[0].detail


async def test_an_alarm_told_closed_and_then_open_after_all_is_not_hidden_by_a_closed_case(
    scene: Scene, tmp_path: Path
) -> None:
    alarm_id, first = await scene.raise_alarm()
    assert first
    still_open = structs.replace(scene.alarms[alarm_id], seq=2)
    async with scene.office.work() as work:
        await desk.take(work, scene.act("guard", first.id, first.revision))
    async with scene.office.work() as work:
        kept = keep(tmp_path, Clean(media_type="image/png", data=b"one"))
        await desk.add_photo(work, scene.act("guard", first.id, 1), kept)
    await scene.close(alarm_id)  # revision 2
    async with scene.office.work() as work:
        await desk.verify(work, scene.act("judge", first.id, 99), note="")
    second = await scene.tell(
        Change(alarm=still_open, what=What.CHANGED, word=Word.UPDATED), is_verified=False
    )
    assert second
    assert await scene.links() == {alarm_id: second.id}
    assert second.id != first.id
    assert (await scene.whats(first.id))[-1] == "alarm_left"
    assert set(await scene.running(second.id)) == {"taking", "handling"}
