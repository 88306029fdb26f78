"""Time passes: lights are announced once, the ladder is climbed once, and an outage only delays it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from gatehouse_events.alarm import DealStatus
from gatehouse_fleet.cases import desk, inbox, limits
from gatehouse_fleet.cases.calendar import parse_year
from gatehouse_fleet.cases.clockwork import tick
from gatehouse_fleet.cases.lights import Light, light
from gatehouse_fleet.cases.office import Office
from gatehouse_fleet.cases.policy import parse, shipped
from gatehouse_fleet.people.roles import SYSTEM
from gatehouse_fleet.store import Wake

if TYPE_CHECKING:
    from conftest import Scene  # type: ignore[import-not-found]  # pytest loads it


async def told_to(scene: Scene, name: str) -> list[str]:
    async with scene.store.read() as db:
        return [f"{one.stage}/{one.light}" for one in await inbox.messages(db, scene.people[name])]


async def test_lights_change_when_their_time_comes_and_people_are_told(scene: Scene) -> None:
    _, found = await scene.raise_alarm()  # taking: 3 min, handling: 60 min
    assert found is not None
    assert await scene.tick(seconds=134) == 0
    assert await scene.tick(seconds=1) == 1
    assert (await scene.whats(found.id))[-2:] == ["light_changed", "told"]
    assert await told_to(scene, "guard") == ["taking/yellow"]
    assert await told_to(scene, "district") == []
    await scene.tick(seconds=46)
    assert (await scene.whats(found.id))[-2:] == ["light_changed", "told"]
    assert await told_to(scene, "guard") == ["taking/red", "taking/yellow"]
    assert await told_to(scene, "district") == ["taking/red"]
    assert await told_to(scene, "city") == []
    await scene.tick(minutes=30)
    assert await told_to(scene, "city") == ["taking/red"]


async def test_a_second_look_at_the_same_time_tells_nobody_twice(scene: Scene) -> None:
    _, found = await scene.raise_alarm()
    assert found is not None
    await scene.tick(minutes=4)
    before = await scene.whats(found.id)
    assert await scene.tick() == 0
    assert await scene.whats(found.id) == before


async def test_after_an_outage_every_step_that_came_due_is_taken_once_in_order(scene: Scene) -> None:
    _, found = await scene.raise_alarm()
    assert found is not None
    scene.move(hours=3)
    restarted = Office(store=scene.store, clock=scene.clock, wake=Wake())
    while await tick(restarted):
        pass
    told = [line.detail for line in await scene.lines(found.id) if line.what == "told"]
    # Taking: yellow, red, +30 and +120 min. Handling: the same but the last, which comes a microsecond after the three hours.
    assert len(told) == 7
    assert await scene.tick() == 0


async def test_what_is_done_in_time_is_never_announced(scene: Scene) -> None:
    alarm_id, found = await scene.raise_alarm()
    assert found is not None
    scene.move(minutes=1)
    await scene.close(alarm_id)
    await scene.tick(hours=2)
    assert "light_changed" not in await scene.whats(found.id)


async def test_at_the_last_moment_the_time_is_kept_and_after_it_red(scene: Scene) -> None:
    alarm_id, found = await scene.raise_alarm("lift-1", "lift.trapped")
    assert found is not None
    rescue = (await scene.running(found.id))["rescue"]
    assert light(limits.marks_of(rescue), rescue.due_at) is Light.YELLOW
    await scene.tick(minutes=30, microseconds=1)
    told = [line.detail for line in await scene.lines(found.id) if line.what == "light_changed"]
    assert any('"light":"red"' in line and '"stage":"rescue"' in line for line in told)
    await scene.rescue(alarm_id, DealStatus.ARRIVED)
    row = (await scene.deadlines(found.id, stage="rescue"))[0]
    assert row.met_at - row.due_at == timedelta(microseconds=1)


async def test_a_graver_alarm_is_told_to_those_whom_its_priority_concerns(scene: Scene) -> None:
    scene.places |= {"lift-1": ("6", "1"), "sos-602": ("6", "1")}
    _, found = await scene.raise_alarm("lift-1", "lift.ebike_in_car")
    assert found is not None
    await scene.raise_alarm("sos-602", "sos.pressed")
    await scene.tick(minutes=4)
    assert "taking/red" in await told_to(scene, "district")


async def test_a_message_for_one_person_is_not_for_others(scene: Scene) -> None:
    _, found = await scene.raise_alarm("lift-1", "lift.other_fault")
    assert found is not None
    guard = scene.people["guard"].user_id
    async with scene.office.work() as work:
        await desk.dispatch(
            work, scene.act("district", found.id, found.revision), unit="维保示例", user_id=guard, note=""
        )
    await scene.tick(minutes=100)
    assert await told_to(scene, "guard") == ["taking/yellow"]
    assert await told_to(scene, "manager") == []


async def test_everybody_reads_messages_for_themselves(scene: Scene) -> None:
    await scene.raise_alarm()
    await scene.tick(seconds=135)
    async with scene.store.begin() as db:
        ids = [one.id for one in await inbox.messages(db, scene.people["guard"])]
        assert await inbox.mark_read(db, scene.people["guard"], [*ids, 999], scene.clock.now()) == 1
        assert await inbox.mark_read(db, scene.people["district"], ids, scene.clock.now()) == 0
        assert [one.is_read for one in await inbox.messages(db, scene.people["guard"])] == [True]
        assert [one.is_read for one in await inbox.messages(db, scene.people["manager"])] == [False]


YEAR = parse_year(
    "year: 2027\nprovenance: 示例 invented for tests, no notice\n"
    "holidays: [{name: 元旦, first: 2027-01-01, last: 2027-01-03}]".encode()
)


async def test_a_provisional_deadline_is_settled_when_the_year_is_told(scene: Scene) -> None:
    scene.move(days=36)  # 31 December 2026, 09:00 in Shanghai
    _, found = await scene.raise_alarm("throw-1", "throw.object_falling")
    assert found is not None
    before = (await scene.running(found.id))["handling"]
    assert before.is_provisional
    assert limits.explanation_of(before).assumed_years == (2027,)
    async with scene.office.work() as work:
        await work.shelf.keep_year(work.db, YEAR, city_id=None, actor=SYSTEM, now=work.now)
        assert await limits.recount(work, None) == 1
        assert await limits.recount(work, None) == 0
    after = (await scene.running(found.id))["handling"]
    assert after.due_at - before.due_at == timedelta(days=3)
    assert not after.is_provisional
    assert (await scene.whats(found.id))[-1] == "recounted"


async def test_a_running_deadline_keeps_the_table_that_gave_it(scene: Scene) -> None:
    _, found = await scene.raise_alarm()
    assert found is not None
    text = shipped().text.replace(
        "stage: taking, basis: calendar_minute, amount: 3", "stage: taking, basis: calendar_minute, amount: 9"
    )
    other = parse(text.replace("name: 示例市", "name: 另一示例市").encode())
    async with scene.office.work() as work:
        await work.shelf.keep_policy(work.db, other, city_id=None, actor=SYSTEM, now=work.now)
    _, second = await scene.raise_alarm("sos-801", "sos.pressed")
    assert second is not None
    old, new = (await scene.running(found.id))["taking"], (await scene.running(second.id))["taking"]
    assert new.due_at - old.due_at == timedelta(minutes=6)
    assert (limits.explanation_of(old).policy, limits.explanation_of(new).policy) == ("示例市", "另一示例市")
    await scene.tick(minutes=4)
    assert "light_changed" in await scene.whats(found.id)
    assert "light_changed" not in await scene.whats(second.id)


async def test_a_table_is_read_back_after_a_restart(scene: Scene) -> None:
    other = parse(shipped().text.replace("name: 示例市", "name: 另一示例市").encode())
    async with scene.office.work() as work:
        await work.shelf.keep_policy(work.db, other, city_id=None, actor=SYSTEM, now=work.now)
    fresh = Office(store=scene.store, clock=scene.clock, wake=Wake())
    async with fresh.work() as work:
        assert (await work.shelf.rules(work.db, 1)).policy.name == "另一示例市"
