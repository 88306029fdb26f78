"""What people do: seven steps, revisions, orders down and answers back, merging, injuries."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from gatehouse_events.orders import (
    Acknowledgement,
    AlarmSeen,
    DispositionOrder,
    Order,
    OrderOutcome,
    OrderResult,
    decode_order,
)
from gatehouse_events.states import Disposition, Priority
from gatehouse_fleet.cases import desk, intake
from gatehouse_fleet.cases.errors import RefusedError
from gatehouse_fleet.cases.photos import Clean, keep
from gatehouse_fleet.cases.steps import CaseStep
from gatehouse_fleet.people import audit
from gatehouse_fleet.store.schema.cases import timeline
from gatehouse_fleet.store.schema.orders import order
from gatehouse_fleet.store.schema.people import audit as audit_table

if TYPE_CHECKING:
    from conftest import Scene  # type: ignore[import-not-found]  # pytest loads it


def picture(folder: Path, words: bytes = b"one") -> object:
    return keep(folder, Clean(media_type="image/png", data=words))


async def do(scene: Scene, name: str, action: str, case_id: int, **arguments: object) -> None:
    revision = (await scene.case(case_id)).revision
    async with scene.office.work() as work:
        await getattr(desk, action)(work, scene.act(name, case_id, revision), **arguments)


async def orders(scene: Scene) -> list[Order]:
    async with scene.store.read() as db:
        bodies = (await db.execute(select(order.c.body).order_by(order.c.seq))).scalars()
        found = [decode_order(body.encode()) for body in bodies]
    return [one for one in found if isinstance(one, Order)]


async def test_a_case_is_worked_through_by_people(scene: Scene, tmp_path: Path) -> None:
    alarm_id, found = await scene.raise_alarm("gas-1", "gas.offline")
    assert found is not None
    await do(scene, "manager", "file", found.id, note="核实")
    await do(scene, "district", "dispatch", found.id, unit="维保示例", user_id=None, note="")
    await do(scene, "guard", "take", found.id)
    async with scene.office.work() as work:
        await desk.add_photo(work, scene.act("guard", found.id, 0), picture(tmp_path))  # type: ignore[arg-type]
    await scene.close(alarm_id)
    await do(scene, "judge", "verify", found.id, note="现场已看")
    await do(scene, "city", "evaluate", found.id, score=5, note="")
    after = await scene.case(found.id)
    assert (after.step, after.score, after.is_open) == (CaseStep.EVALUATED, 5, False)
    assert await scene.whats(found.id) == [
        "opened",
        "filed",
        "dispatched",
        "taken",
        "ordered",
        "photo",
        "alarm_closed",
        "feedback",
        "verified",
        "evaluated",
    ]
    assert await scene.running(found.id) == {}
    assert await scene.first_broken_line(found.id) is None
    async with scene.store.read() as db:
        actions = (await db.execute(select(audit_table.c.action).order_by(audit_table.c.seq))).scalars().all()
        verdict = await audit.verify(db)
    assert actions == [f"case.{what}" for what in ("file", "dispatch", "take", "photo", "verify", "evaluate")]
    assert verdict.broken_at is None


async def test_a_changed_line_of_the_time_line_is_found(scene: Scene) -> None:
    _, found = await scene.raise_alarm()
    assert found is not None
    async with scene.store.begin() as db:
        await db.execute(update(timeline).where(timeline.c.n == 2).values(actor="somebody else"))
    assert await scene.first_broken_line(found.id) == 2


async def test_who_handled_the_case_does_not_close_it(scene: Scene, tmp_path: Path) -> None:
    alarm_id, found = await scene.raise_alarm()
    assert found is not None
    await do(scene, "district", "take", found.id)
    async with scene.office.work() as work:
        await desk.add_photo(work, scene.act("district", found.id, 0), picture(tmp_path))  # type: ignore[arg-type]
    await scene.close(alarm_id)
    with pytest.raises(RefusedError, match="same_person"):
        await do(scene, "district", "verify", found.id, note="")
    await do(scene, "judge", "verify", found.id, note="")


async def test_two_who_act_on_the_same_screen_the_second_is_told_what_changed(scene: Scene) -> None:
    _, found = await scene.raise_alarm("gas-1", "gas.offline")
    assert found is not None
    async with scene.office.work() as work:
        await desk.file(work, scene.act("manager", found.id, found.revision), "")
    with pytest.raises(RefusedError, match=r"stale: .*filed \(manager\)"):
        async with scene.office.work() as work:
            await desk.file(work, scene.act("district", found.id, found.revision), "")


async def test_a_light_that_changed_meanwhile_does_not_make_an_action_stale(scene: Scene) -> None:
    _, found = await scene.raise_alarm()
    assert found is not None
    await scene.tick(minutes=4)
    async with scene.office.work() as work:
        await desk.take(work, scene.act("guard", found.id, found.revision))
    assert (await scene.case(found.id)).step is CaseStep.HANDLING


async def test_a_refused_action_leaves_no_trace(scene: Scene) -> None:
    _, found = await scene.raise_alarm()
    assert found is not None
    with pytest.raises(RefusedError, match="step"):
        await do(scene, "judge", "verify", found.id, note="")
    assert await scene.case(found.id) == found
    async with scene.store.read() as db:
        assert (await db.execute(select(audit_table.c.seq))).all() == []


async def test_taking_a_case_acknowledges_its_alarm_at_the_gateway(scene: Scene) -> None:
    alarm_id, found = await scene.raise_alarm()
    assert found is not None
    await do(scene, "guard", "take", found.id)
    sent = await orders(scene)
    assert [one.action for one in sent] == [Acknowledgement(alarm=AlarmSeen(alarm_id=alarm_id, seq=1))]
    assert (sent[0].issuer.name, sent[0].expires_at) == ("guard", scene.clock.now() + timedelta(hours=2))


async def test_a_disposition_goes_down_and_its_answer_comes_back(scene: Scene) -> None:
    alarm_id, found = await scene.raise_alarm()
    assert found is not None
    await do(
        scene,
        "district",
        "dispose",
        found.id,
        alarm_id=alarm_id,
        alarm_seq=1,
        disposition=Disposition.FALSE_ALARM,
        reason="误触示例",
    )
    sent = await orders(scene)
    assert isinstance(sent[0].action, DispositionOrder)
    assert (await scene.case(found.id)).step is CaseStep.DISPATCHED  # the gateway decides
    outcome = OrderOutcome(
        epoch=sent[0].epoch, seq=sent[0].seq, result=OrderResult.DONE, at=scene.clock.now()
    )
    async with scene.office.work() as work:
        assert await intake.answered(work, scene.gateway_no, outcome) is not None
    await scene.close(alarm_id, Disposition.FALSE_ALARM)
    after = await scene.case(found.id)
    assert (after.step, after.outcome) == (CaseStep.FEEDBACK, Disposition.FALSE_ALARM)
    assert (await scene.whats(found.id))[3:6] == ["ordered", "answered", "alarm_closed"]


async def test_only_an_open_alarm_of_the_case_is_closed_from_here(scene: Scene) -> None:
    _, found = await scene.raise_alarm()
    other, _ = await scene.raise_alarm("gas-9", "gas.low_alarm")
    assert found is not None
    with pytest.raises(RefusedError, match="alarm"):
        await do(
            scene,
            "district",
            "dispose",
            found.id,
            alarm_id=other,
            alarm_seq=1,
            disposition=Disposition.HANDLED,
            reason="x",
        )


async def test_a_case_sent_back_runs_anew(scene: Scene, tmp_path: Path) -> None:
    alarm_id, found = await scene.raise_alarm()
    assert found is not None
    await do(scene, "guard", "take", found.id)
    async with scene.office.work() as work:
        await desk.add_photo(work, scene.act("guard", found.id, 0), picture(tmp_path))  # type: ignore[arg-type]
    await scene.close(alarm_id)
    scene.move(minutes=10)
    await do(scene, "judge", "send_back", found.id, target=CaseStep.HANDLING, reason="照片不清")
    again = await scene.running(found.id)
    assert set(again) == {"handling"}
    assert again["handling"].started_at == scene.clock.now()
    await do(scene, "guard", "feedback", found.id, text="已重拍")
    with pytest.raises(RefusedError, match="photo"):
        await do(scene, "judge", "verify", found.id, note="")


async def test_a_wrong_unit_gives_the_case_back(scene: Scene) -> None:
    _, found = await scene.raise_alarm()
    assert found is not None
    await do(scene, "manager", "send_back", found.id, target=CaseStep.FILED, reason="非本单位")
    after = await scene.case(found.id)
    assert (after.step, after.unit) == (CaseStep.FILED, "")
    await do(scene, "district", "dispatch", found.id, unit="燃气公司示例", user_id=None, note="")
    assert (await scene.case(found.id)).unit == "燃气公司示例"


async def test_merging_keeps_every_alarm_and_the_tighter_deadline(scene: Scene) -> None:
    one, calm = await scene.raise_alarm("lift-1", "lift.ebike_in_car")
    scene.move(minutes=1)
    two, grave = await scene.raise_alarm("sos-1", "sos.pressed")
    assert calm
    assert grave
    tight = (await scene.running(grave.id))["handling"].due_at
    await do(scene, "district", "merge", calm.id, other_id=grave.id)
    assert await scene.links() == {one: calm.id, two: calm.id}
    after, gone = await scene.case(calm.id), await scene.case(grave.id)
    assert (after.priority, after.code) == (Priority.P1, "sos.pressed")
    assert (gone.merged_into, gone.is_open) == (calm.id, False)
    assert (await scene.running(calm.id))["handling"].due_at == tight
    assert await scene.running(grave.id) == {}
    await scene.close(two)
    assert (await scene.whats(calm.id))[-1] == "alarm_closed"
    with pytest.raises(RefusedError, match="merged"):
        await do(scene, "district", "take", grave.id)


async def test_a_rescue_goes_on_in_the_case_it_was_merged_into(scene: Scene) -> None:
    _, one = await scene.raise_alarm("lift-1", "lift.trapped")
    trapped, two = await scene.raise_alarm("lift-2", "lift.trapped")
    assert one
    assert two
    await do(scene, "district", "merge", one.id, other_id=two.id)
    rescues = [row for row in await scene.deadlines(one.id, stage="rescue") if row.voided_at is None]
    assert trapped in {row.alarm_id for row in rescues}
    assert len(rescues) == 2


async def test_cases_that_do_not_belong_together_are_not_merged(scene: Scene) -> None:
    _, danger = await scene.raise_alarm()
    _, upkeep = await scene.raise_alarm("gas-1", "gas.offline")
    assert danger
    assert upkeep
    for other in (upkeep.id, danger.id):
        with pytest.raises(RefusedError, match="merge"):
            await do(scene, "district", "merge", danger.id, other_id=other)


async def test_an_injury_must_be_reported_within_the_hour(scene: Scene) -> None:
    _, found = await scene.raise_alarm("lift-1", "lift.trapped")
    assert found is not None
    with pytest.raises(RefusedError, match="no_injury"):
        await do(scene, "manager", "report_accident", found.id, to="示例应急局")
    await do(scene, "manager", "flag_injury", found.id, text="一人受伤")
    report = (await scene.running(found.id))["accident_report"]
    assert report.due_at == scene.clock.now() + timedelta(hours=1)
    await scene.tick(minutes=61)
    told = [line.detail for line in await scene.lines(found.id) if line.what == "told"]
    assert any('"stage":"accident_report"' in line and "city_operator" in line for line in told)
    await do(scene, "manager", "report_accident", found.id, to="示例应急局")
    assert "accident_report" not in await scene.running(found.id)


async def test_a_person_may_write_down_what_happened_at_any_step(scene: Scene) -> None:
    _, found = await scene.raise_alarm()
    assert found is not None
    await do(scene, "guard", "note", found.id, text="家属已到")
    assert (await scene.lines(found.id))[-1].detail == '{"text":"家属已到"}'
