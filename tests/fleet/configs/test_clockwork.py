"""Rollouts in the database: stages, failures, alarms, the way back, two rollouts at once, and a server that was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from gatehouse_events.orders import ConfigVersion, OrderResult
from gatehouse_fleet.configs import rollout as machine
from gatehouse_fleet.configs import rollouts, templates, versions
from gatehouse_fleet.configs.errors import ConfigsError, FaultyTextError
from gatehouse_fleet.configs.rollout import Phase, Standing, Why
from gatehouse_fleet.configs.templates import NewTemplate
from gatehouse_fleet.orders.lane import begin_epochs
from gatehouse_fleet.registry.gateways import GatewayFilter
from gatehouse_fleet.store.schema.alarms import feed
from gatehouse_fleet.store.schema.configs import config_text
from gatehouse_fleet.store.schema.people import audit

if TYPE_CHECKING:
    from conftest import Yard  # type: ignore[import-not-found]  # pytest loads it

TEMPLATE = """\
gateway: {id: ${gateway_id}}
site:
  division_code: "371002002"
  division_standard: stats_gov
  community_id: wh-0007
  estate: ${estate}
  position: {lon: 122.1, lat: 37.5, crs: CGCS2000}
fleet: {url: "https://fleet.example:8460"}
"""


def text(name: str, estate: str = "示例小区", more: str = "") -> str:
    return TEMPLATE.replace("${gateway_id}", name).replace("${estate}", estate) + more


async def both_have(yard: Yard, *names: str, estate: str = "示例二期") -> None:
    for name in names:
        await yard.put(name, text(name, estate))
        await yard.says(name)


async def test_versions_are_numbered_kept_once_and_never_made_with_faults(yard: Yard) -> None:
    first, is_new = await yard.put("wh-gw1", text("wh-gw1"))
    assert (first.number, is_new) == (1, True)
    again, is_new = await yard.put("wh-gw1", text("wh-gw1"))
    assert (again, is_new) == (first, False)
    await yard.put("wh-gw1", text("wh-gw1", "示例二期"))
    third, _ = await yard.put("wh-gw1", text("wh-gw1"))
    assert (third.number, third.sha256) == (3, first.sha256)
    assert third.name != first.name
    async with yard.store.read() as db:
        assert len((await db.execute(select(config_text))).all()) == 2
        assert await versions.bytes_of(db, third) == text("wh-gw1").encode()
        assert await versions.named(db, first.gateway_no, first.name) == first
        assert await versions.named(db, first.gateway_no, f"1-{third.sha256[:11]}x") is None
        assert await versions.named(db, first.gateway_no + 1, first.name) is None
    with pytest.raises(FaultyTextError) as found:
        await yard.put("wh-gw1", text("wh-gw2", more="lanuage: zh\n") + "outputs: [{id: x}]\n")
    assert [(one.path, one.line) for one in found.value.faults] == [("lanuage", 9), ("outputs[0]", 10)]
    with pytest.raises(FaultyTextError) as found:
        await yard.put("wh-gw1", text("wh-gw2", more="storage: {directory: /elsewhere}\n"))
    assert [one.path for one in found.value.faults] == ["gateway.id", "storage.directory"]


async def test_stage_by_stage_each_gateway_confirms_and_it_is_done(yard: Yard) -> None:
    await both_have(yard, "wh-gw1", "wh-gw2", "wh-gw3")
    rollout = await yard.begin("wh-gw1", "wh-gw2", "wh-gw3")
    assert await yard.tick() == 1
    assert await yard.tick() == 0, "the same is not ordered twice"
    given = (await yard.orders("wh-gw1"))[0]
    async with yard.store.read() as db:
        version = await versions.latest(db, (await yard.owner("wh-gw1")).no)
    assert version is not None
    wanted = ConfigVersion(version=version.name, sha256=version.sha256, size_bytes=version.size_bytes)
    assert (given.action, given.issuer.name) == (wanted, "示例甲")
    await yard.answers("wh-gw1", OrderResult.DONE)
    assert await yard.tick() == 2
    for name in ("wh-gw2", "wh-gw3"):
        await yard.answers(name, OrderResult.DONE)
    await yard.tick()
    phase, members = await yard.look(rollout)
    assert (phase, {one.why for one in members.values()}) == (Phase.DONE, {Why.TAKEN})
    async with yard.store.read() as db:
        assert await versions.wanted(db, version.gateway_no) == version
        assert "config.done" in (await db.execute(select(audit.c.action))).scalars().all()
        assert "rollout" in (await db.execute(select(feed.c.topic))).scalars().all()


async def test_the_first_failure_over_the_threshold_stops_it_and_the_way_back_reaches_all(yard: Yard) -> None:
    await both_have(yard, "wh-gw1", "wh-gw2", "wh-gw3", estate="示例一期")
    first = await yard.begin("wh-gw1", "wh-gw2", steps=())
    await yard.tick()
    await yard.answers("wh-gw1", OrderResult.DONE)
    await yard.answers("wh-gw2", OrderResult.DONE)
    await yard.tick()
    assert (await yard.look(first))[0] is Phase.DONE
    await yard.put("wh-gw1", text("wh-gw1", "示例二期"))
    await yard.put("wh-gw2", text("wh-gw2", "示例二期"))
    second = await yard.begin("wh-gw1", "wh-gw2", "wh-gw3", steps=((2, None),))
    yard.move(seconds=1)
    await yard.tick()
    await yard.answers("wh-gw1", OrderResult.DONE)
    await yard.answers("wh-gw2", OrderResult.FAILED, "taken back: these parts fail under it: bus")
    await yard.tick()
    phase, members = await yard.look(second)
    assert phase is Phase.STOPPED
    assert members["wh-gw2"].detail == "failed: taken back: these parts fail under it: bus"
    assert await yard.orders("wh-gw3") == []
    owner = await yard.owner("wh-gw2")
    await yard.says("wh-gw2", members["wh-gw2"].former.name, members["wh-gw2"].former.sha256)  # type: ignore[union-attr]
    async with yard.store.begin() as db:
        await rollouts.act(db, second, machine.roll_back, now=yard.clock.now())
    assert await yard.tick() == 1
    back = (await yard.orders("wh-gw1"))[-1]
    assert isinstance(back.action, ConfigVersion)
    assert back.action.version == members["wh-gw1"].former.name  # type: ignore[union-attr]
    await yard.answers("wh-gw1", OrderResult.DONE)
    await yard.tick()
    phase, members = await yard.look(second)
    assert phase is Phase.ROLLED_BACK
    assert {name: one.why for name, one in members.items()} == {
        "wh-gw1": Why.BACK,
        "wh-gw2": Why.BACK_BY_ITSELF,
        "wh-gw3": Why.UNTOUCHED,
    }
    async with yard.store.read() as db:
        wanted = await versions.wanted(db, owner.no)
    assert wanted is not None
    assert wanted.number == 1


async def test_a_silent_gateway_stops_it(yard: Yard) -> None:
    await both_have(yard, "wh-gw1", "wh-gw2")
    rollout = await yard.begin("wh-gw1", "wh-gw2")
    await yard.tick()
    yard.move(seconds=900 + 60 + 90 - 1)
    await yard.tick()
    assert (await yard.look(rollout))[0] is Phase.RUNNING
    yard.move(seconds=1)
    await yard.tick()
    phase, members = await yard.look(rollout)
    assert (phase, members["wh-gw1"].why) == (Phase.STOPPED, Why.SILENT)


@pytest.mark.parametrize(("priority", "orders"), [("P1", 0), ("P2", 0), ("P3", 1)])
async def test_a_community_with_an_urgent_alarm_waits_and_its_neighbour_does_not(
    yard: Yard, priority: str, orders: int
) -> None:
    await both_have(yard, "wh-gw1", "wh-gw3")
    await yard.raises("wh-gw2", priority)  # another gateway of the same community
    rollout = await yard.begin("wh-gw1", "wh-gw3", steps=())
    await yard.tick()
    assert (len(await yard.orders("wh-gw1")), len(await yard.orders("wh-gw3"))) == (orders, 1)
    if not orders:
        assert (await yard.look(rollout))[1]["wh-gw1"].why is Why.ALARM_OPEN
        await yard.closes()
        assert await yard.tick() == 1


async def test_a_gateway_is_in_the_hands_of_one_rollout(yard: Yard) -> None:
    await both_have(yard, "wh-gw1", "wh-gw2")
    first = await yard.begin("wh-gw1")
    with pytest.raises(ConfigsError, match="another rollout"):
        await yard.begin("wh-gw2", "wh-gw1")
    await yard.begin("wh-gw2")
    async with yard.store.begin() as db:
        await rollouts.act(db, first, machine.pause, now=yard.clock.now())
        await rollouts.act(db, first, machine.end, now=yard.clock.now())
    assert (await yard.look(first))[0] is Phase.ENDED
    await yard.begin("wh-gw1")


async def test_what_was_followed_by_something_else_is_not_rolled_back(yard: Yard) -> None:
    await both_have(yard, "wh-gw1")
    rollout = {}
    for n in (1, 2):
        await yard.put("wh-gw1", text("wh-gw1", f"示例{n}期"))
        rollout[n] = await yard.begin("wh-gw1")
        yard.move(seconds=1)
        await yard.tick()
        await yard.answers("wh-gw1", OrderResult.DONE)
        await yard.tick()
    with pytest.raises(ConfigsError, match="something else since"):
        async with yard.store.begin() as db:
            await rollouts.act(db, rollout[1], machine.roll_back, now=yard.clock.now())
    async with yard.store.begin() as db:
        await rollouts.act(db, rollout[2], machine.roll_back, now=yard.clock.now())
    yard.move(seconds=1)
    assert await yard.tick() == 1


async def test_an_order_that_a_restored_server_gives_out_again_is_still_followed(yard: Yard) -> None:
    await both_have(yard, "wh-gw1")
    rollout = await yard.begin("wh-gw1")
    await yard.tick()
    yard.move(seconds=5)
    async with yard.store.begin() as db:
        await begin_epochs(db, yard.clock.now())
    await yard.answers("wh-gw1", OrderResult.DONE)
    await yard.tick()
    assert (await yard.look(rollout))[0] is Phase.DONE


async def test_a_template_makes_the_versions_of_its_group_or_of_nobody(yard: Yard) -> None:
    async def change(body: str) -> list[tuple[str, int, bool]]:
        new = NewTemplate(
            name="gas", node_id=1, node_path="/1/", filter=GatewayFilter(tag="gas"), below_path=None, text=body,
            author=(await yard.put("wh-gw1", text("wh-gw1")))[0].author, reason="示例",
        )  # fmt: skip
        ready = await templates.prepared(yard.store, new, now=yard.clock.now())
        async with yard.store.begin() as db:
            _, made = await templates.keep(db, ready, now=yard.clock.now())
        return [(owner.id, version.number, is_new) for owner, version, is_new in made]

    made = await change(TEMPLATE.replace("${estate}", "示例小区"))
    assert made == [("wh-gw1", 1, False), ("wh-gw2", 1, True), ("wh-gw3", 1, True)]
    with pytest.raises(FaultyTextError) as found:
        await change(TEMPLATE)
    assert [(one.path, one.line) for one in found.value.faults] == [
        (name, 6) for name in ("wh-gw1", "wh-gw2", "wh-gw3")
    ]
    async with yard.store.begin() as db:
        template = await templates.find(db, "gas")
        assert template is not None
        for name, no in (("一", 1), ("二", 2), ("三", 3)):
            await templates.give_values(db, template.id, no, {"estate": f"示例{name}区"})
    assert await change(TEMPLATE) == [("wh-gw1", 2, True), ("wh-gw2", 2, True), ("wh-gw3", 2, True)]
    async with yard.store.read() as db:
        template = await templates.find(db, "gas")
        assert template is not None
        assert template.revision == 2
        chosen = await templates.latest_of(db, template)
    assert [(owner.id, version.number) for owner, version in chosen] == [
        ("wh-gw1", 2), ("wh-gw2", 2), ("wh-gw3", 2)
    ]  # fmt: skip


async def test_one_worker_has_a_rollout_at_a_time(yard: Yard) -> None:
    import asyncio

    await both_have(yard, "wh-gw1", "wh-gw2", "wh-gw3")
    rollout = await yard.begin("wh-gw1", "wh-gw2", "wh-gw3", steps=())
    async with asyncio.TaskGroup() as workers:
        for n in range(4):
            workers.create_task(yard.tick(), name=f"worker {n}")
    assert [len(await yard.orders(name)) for name in ("wh-gw1", "wh-gw2", "wh-gw3")] == [1, 1, 1]
    assert {one.standing for one in (await yard.look(rollout))[1].values()} == {Standing.ORDERED}
