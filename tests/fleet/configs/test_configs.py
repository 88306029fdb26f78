"""Versions, templates and rollouts: a few first, silence is failure, nobody is touched while an alarm is open, and back again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from evidence_site import GATEWAY, LiveServer, site
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from gatehouse_config import examine
from gatehouse_events.orders import OrderOutcome, OrderResult, encode
from gatehouse_fleet.cli import main
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.configs import groups, rollout, versions
from gatehouse_fleet.configs.errors import FaultyTextError, RolloutError
from gatehouse_fleet.configs.groups import Group, Member
from gatehouse_fleet.configs.plan import RolloutState, Rules, Step, StepState, next_step
from gatehouse_fleet.configs.rollout import ANSWER_WITHIN, Wish
from gatehouse_fleet.configs.template import rendered, variables_of
from gatehouse_fleet.configs.versions import Version
from gatehouse_fleet.orders import take_outcome
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.configs import config_rollout, config_step
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node

NOW = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
TEMPLATE = """\
gateway: {id: ${gateway_id}}
site:
  division_code: "371002002"
  division_standard: stats_gov
  community_id: ${community_id}
  estate: ${estate}
  position: {lon: ${lon}, lat: 37.5, crs: CGCS2000}
storage: {directory: /var/lib/gatehouse}
fleet: {url: "https://fleet.example"}
"""
VALUES: dict[str, str | int | float | bool] = {"community_id": "yuan", "estate": "示例花园", "lon": 122.1}


def text_for(gateway_id: str, **values: str | float) -> str:
    return rendered(TEMPLATE, {**VALUES, "gateway_id": gateway_id, **values})


class Estate:
    """Gateways in a database, each in a community of its own."""

    def __init__(self, store: Store, clock: SetClock) -> None:
        self.store = store
        self.clock = clock
        self.nodes: dict[int, int] = {}

    async def gateways(self, count: int) -> list[int]:
        async with self.store.begin() as db:
            for n in range(count):
                node = insert(org_node).values(
                    kind="community", path=f"/{n + 1}/", code=f"c{n}", name="示例小区", created_at=NOW
                )
                node_id = (await db.execute(node.returning(org_node.c.id))).scalar_one()
                made = insert(gateway).values(
                    id=f"gw-{n}x", node_id=node_id, state="deployed", created_at=NOW
                )
                self.nodes[(await db.execute(made.returning(gateway.c.no))).scalar_one()] = node_id
        return list(self.nodes)

    async def version(self, no: int, **values: str | float) -> Version:
        async with self.store.begin() as db:
            name = (await db.execute(select(gateway.c.id).where(gateway.c.no == no))).scalar_one()
            return await versions.add(
                db, no, text_for(name, **values), note="", origin="", by="zhou", now=self.clock.now()
            )

    async def begin(self, targets: Sequence[Version], **wish: Any) -> int:
        asked = {
            "pilots": 1,
            "batch": 2,
            "max_failures": 0,
            "soak_s": 3600.0,
            "confirm_within_s": 60.0,
        } | wish
        async with self.store.begin() as db:
            node = self.nodes[targets[0].gateway_no]
            return await rollout.make(
                db, Wish(title="示例", node_id=node, **asked), targets, by="zhou", now=self.clock.now()
            )

    async def advance(self, rollout_id: int) -> list[str]:
        async with self.store.begin() as db:
            issued = await rollout.advance(db, rollout_id, now=self.clock.now())
        return [order.gateway_id for order in issued]

    async def answer(self, rollout_id: int, no: int, result: OrderResult = OrderResult.DONE) -> None:
        """Let a gateway answer, as its journal would tell it; what it confirms it runs from then on."""
        async with self.store.begin() as db:
            step = (
                await db.execute(
                    select(config_step).where(
                        config_step.c.rollout_id == rollout_id, config_step.c.gateway_no == no
                    )
                )
            ).one()
            outcome = OrderOutcome(
                epoch=step.order_epoch, seq=step.order_seq, result=result, at=self.clock.now(), detail="示例"
            )
            assert await take_outcome(db, no, encode(outcome)) is not None
            if result is OrderResult.DONE:
                number = step.before if step.state == StepState.BACK_ORDERED else step.number
                version = await versions.get(db, no, number)
                assert version is not None
                await db.execute(
                    update(gateway).where(gateway.c.no == no).values(config_version=version.version)
                )

    async def states(self, rollout_id: int) -> tuple[str, list[str]]:
        async with self.store.read() as db:
            state = select(config_rollout.c.state).where(config_rollout.c.id == rollout_id)
            steps = select(config_step.c.state).where(config_step.c.rollout_id == rollout_id)
            return (await db.execute(state)).scalar_one(), list(
                (await db.execute(steps.order_by(config_step.c.position))).scalars()
            )

    async def alarm(self, no: int, *, is_open: bool) -> None:
        async with self.store.begin() as db:
            known = (await db.execute(select(alarm.c.alarm_id).where(alarm.c.gateway_no == no))).first()
            if known is not None:
                await db.execute(update(alarm).where(alarm.c.gateway_no == no).values(is_open=is_open))
                return
            await db.execute(
                insert(alarm).values(
                    alarm_id=f"{no:026d}", gateway_no=no, node_id=self.nodes[no], device_id="d", seq=1,
                    entry_epoch="0" * 32, entry_seq=1, code="sos.pressed", category="sos", kind="alarm",
                    priority="P1", state="unack", is_open=is_open, raised_at=NOW, changed_at=NOW,
                    committed_at=NOW, is_verified=True, body="{}",
                )
            )  # fmt: skip


@pytest.fixture
def estate(store: Store, clock: SetClock) -> Estate:
    return Estate(store, clock)


@pytest.fixture
async def small(sqlite_url: Callable[[str], str], clock: SetClock) -> AsyncIterator[Estate]:
    """On SQLite only."""
    store = Store.open(sqlite_url("fleet"))
    await store.create_all()
    yield Estate(store, clock)
    await store.close()


async def test_pilots_first_then_after_the_soak_time_the_rest_in_batches(estate: Estate) -> None:
    numbers = await estate.gateways(4)
    run = await estate.begin([await estate.version(no) for no in numbers])
    assert await estate.advance(run) == ["gw-0x"]
    assert await estate.advance(run) == []
    await estate.answer(run, numbers[0])
    assert await estate.advance(run) == []
    estate.clock.move_to(estate.clock.now() + timedelta(hours=1, seconds=1))
    assert await estate.advance(run) == ["gw-1x", "gw-2x"]
    await estate.answer(run, numbers[1])
    assert await estate.advance(run) == ["gw-3x"]
    await estate.answer(run, numbers[2])
    await estate.answer(run, numbers[3])
    assert await estate.advance(run) == []
    assert await estate.states(run) == ("done", ["done"] * 4)


async def test_a_pilot_that_takes_it_back_stops_everything(estate: Estate) -> None:
    numbers = await estate.gateways(3)
    run = await estate.begin([await estate.version(no) for no in numbers])
    await estate.advance(run)
    await estate.answer(run, numbers[0], OrderResult.FAILED)
    assert await estate.advance(run) == []
    assert await estate.states(run) == ("paused", ["failed", "waiting", "waiting"])


async def test_a_gateway_that_says_nothing_has_failed(small: Estate) -> None:
    numbers = await small.gateways(2)
    run = await small.begin([await small.version(no) for no in numbers])
    await small.advance(run)
    small.clock.move_to(small.clock.now() + ANSWER_WITHIN + timedelta(seconds=121))
    await small.advance(run)
    assert await small.states(run) == ("paused", ["failed", "waiting"])


async def test_nothing_is_changed_in_a_community_with_an_urgent_alarm(small: Estate) -> None:
    numbers = await small.gateways(2)
    await small.alarm(numbers[0], is_open=True)
    run = await small.begin([await small.version(no) for no in numbers], pilots=2)
    assert await small.advance(run) == ["gw-1x"]
    await small.alarm(numbers[0], is_open=False)
    assert await small.advance(run) == ["gw-0x"]


async def test_a_rollout_is_brought_back_to_what_each_gateway_ran_before(estate: Estate) -> None:
    numbers = await estate.gateways(3)
    first = await estate.begin([await estate.version(no) for no in numbers], pilots=3)
    await estate.advance(first)
    for no in numbers:
        await estate.answer(first, no)
    await estate.advance(first)
    second = await estate.begin([await estate.version(no, estate="改名花园") for no in numbers], pilots=2)
    await estate.advance(second)
    await estate.answer(second, numbers[0])
    await estate.answer(second, numbers[1], OrderResult.REFUSED)
    await estate.advance(second)
    async with estate.store.begin() as db:
        await rollout.switch(db, second, RolloutState.ROLLING_BACK, why="示例", now=estate.clock.now())
    assert await estate.advance(second) == ["gw-0x"]
    await estate.answer(second, numbers[0])
    await estate.advance(second)
    assert await estate.states(second) == ("rolled_back", ["back", "failed", "waiting"])
    async with estate.store.read() as db:
        in_force = await versions.in_force(db, numbers[0])
    assert in_force is not None
    assert in_force.number == 1


async def test_a_gateway_is_in_one_rollout_at_a_time_and_an_ended_one_does_not_go_on(small: Estate) -> None:
    numbers = await small.gateways(1)
    target = await small.version(numbers[0])
    run = await small.begin([target])
    with pytest.raises(RolloutError, match="in hand"):
        await small.begin([target])
    await small.advance(run)
    await small.answer(run, numbers[0])
    await small.advance(run)
    async with small.store.begin() as db:
        with pytest.raises(RolloutError, match="does not become"):
            await rollout.switch(db, run, RolloutState.RUNNING, why="", now=NOW)


async def test_versions_are_numbered_kept_and_told_apart(estate: Estate) -> None:
    (no,) = await estate.gateways(1)
    first, again = await estate.version(no), await estate.version(no)
    second = await estate.version(no, estate="改名花园")
    assert (first.number, again.number, second.number) == (1, 1, 2)
    assert '-  estate: "示例花园"\n+  estate: "改名花园"\n' in versions.difference(first, second)
    assert versions.difference(first, first) == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("gw-0x", "gw-other"), "it would be for gw-0x"),
        (('fleet: {url: "https://fleet.example"}\n', ""), "could not be reached again"),
        (("crs: CGCS2000", "crs: MARS"), "crs"),
        (("storage:", "storag:"), "storag"),
    ],
)
async def test_a_text_that_is_not_for_this_gateway_is_refused_with_its_place(
    small: Estate, change: tuple[str, str], why: str
) -> None:
    (no,) = await small.gateways(1)
    async with small.store.begin() as db:
        with pytest.raises(FaultyTextError, match=why):
            await versions.add(
                db, no, text_for("gw-0x").replace(*change), note="", origin="", by="zhou", now=NOW
            )


async def test_a_template_gives_each_gateway_its_own_text(small: Estate) -> None:
    (no,) = await small.gateways(1)
    async with small.store.begin() as db:
        made_of = await groups.add_template(db, "std", TEMPLATE, note="", by="zhou", now=NOW)
        group = Group(name="g", node_id=1, template="std", variables={"estate": "同组花园", "lon": 122.0})
        await groups.put_group(db, group)
        await groups.join(db, no, "g", {"lon": 122.5})
        (member,) = await groups.members(db, "g")
        made = await groups.make_for(db, group, member, made_of, by="zhou", now=NOW)
    config, faults = examine(made.text)
    assert faults == []
    assert config is not None
    assert (config.gateway.id, config.site.estate, config.site.position.lon) == ("gw-0x", "同组花园", 122.5)
    assert (config.site.community_id, made.origin) == ("c0", "std 1")


async def test_a_member_without_a_value_stops_the_rollout_before_it_begins(small: Estate) -> None:
    (no,) = await small.gateways(1)
    async with small.store.begin() as db:
        made_of = await groups.add_template(db, "std", TEMPLATE, note="", by="zhou", now=NOW)
        group = Group(name="g", node_id=1, template="std", variables={})
        member = Member(gateway_no=no, gateway_id="gw-0x", variables={})
        with pytest.raises(FaultyTextError, match=r"estate has no value.*lon has no value"):
            await groups.make_for(db, group, member, made_of, by="zhou", now=NOW)


@given(st.text(max_size=60))
def test_no_value_becomes_structure(value: str) -> None:
    try:
        text = text_for("gw-0x", estate=value)
    except FaultyTextError:
        return
    config, _ = examine(text)
    if config is not None:
        assert config.site.estate == value.strip()
        assert config.gateway.id == "gw-0x"


def test_what_is_no_variable_is_refused_with_its_line() -> None:
    assert variables_of("a: ${one}\nb: ${two}") == {"one", "two"}
    with pytest.raises(FaultyTextError, match="line 2"):
        variables_of("a: ${one}\nb: ${Two!}")


steps = st.builds(
    Step,
    gateway_no=st.integers(1, 10**6),
    position=st.just(0),
    is_pilot=st.booleans(),
    state=st.sampled_from(StepState),
    before=st.none() | st.just(1),
    settled_at=st.just(NOW),
)


@given(
    st.lists(steps, max_size=12, unique_by=lambda step: step.gateway_no),
    st.sampled_from(RolloutState),
    st.integers(1, 4),
    st.integers(0, 3),
    st.data(),
)
def test_whatever_stands_a_rollout_never_touches_who_must_be_left_alone(
    found: list[Step], state: RolloutState, batch: int, max_failures: int, data: st.DataObject
) -> None:
    untouchable = data.draw(st.sets(st.sampled_from([step.gateway_no for step in found]))) if found else set()
    rules = Rules(batch=batch, max_failures=max_failures, soak=timedelta(hours=1))
    decided = next_step(found, rules, state=state, untouchable=untouchable, now=NOW)
    by_no = {step.gateway_no: step for step in found}
    touched = {*decided.order, *decided.bring_back}
    assert not touched & untouchable
    assert all(by_no[no].state is StepState.WAITING for no in decided.order)
    failures = sum(step.state is StepState.FAILED for step in found)
    assert not decided.order or (state is RolloutState.RUNNING and failures <= max_failures)
    open_pilots = any(
        step.is_pilot and step.state not in (StepState.DONE, StepState.FAILED) for step in found
    )
    assert not open_pilots or all(by_no[no].is_pilot for no in decided.order)
    assert not decided.bring_back or state is RolloutState.ROLLING_BACK


async def test_a_group_is_brought_out_by_its_template_over_http(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        made = await found.people.post("/api/v1/config-templates/std", json={"text": TEMPLATE})
        assert made.json()["variables"] == ["community_id", "estate", "gateway_id", "lon"]
        group = {
            "node_id": found.community,
            "template": "std",
            "variables": [{"name": "estate", "value": "示例花园"}, {"name": "lon", "value": 122.0}],
        }
        assert (await found.people.put("/api/v1/config-groups/g", json=group)).status_code == 200
        joined = {"group": "g", "variables": [{"name": "lon", "value": 122.5}]}
        assert (
            await found.people.put(f"/api/v1/gateways/{GATEWAY}/config-group", json=joined)
        ).status_code == 200
        (member,) = (await found.people.get("/api/v1/config-groups/g")).json()["members"]
        assert member == {"gateway_id": GATEWAY, "variables": [{"name": "lon", "value": 122.5}]}
        run = await found.people.post("/api/v1/config-rollouts", json={"title": "示例", "group": "g"})
        assert run.status_code == 201, run.text
        text = (await found.people.get(f"/api/v1/gateways/{GATEWAY}/config-versions/1")).json()["text"]
        assert "lon: 122.5" in text
        again = await found.people.post("/api/v1/config-rollouts", json={"title": "示例", "group": "g"})
        assert (again.status_code, again.json()["reason"]) == (409, "busy")


async def test_a_gateway_fetches_its_version_and_nobody_else_s(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        text = text_for(GATEWAY)
        wrong = await found.people.post(
            f"/api/v1/gateways/{GATEWAY}/config-versions", json={"text": text.replace("crs", "krs")}
        )
        assert (wrong.status_code, wrong.json()["reason"]) == (422, "config")
        assert "krs" in wrong.json()["detail"]
        made = await found.people.post(f"/api/v1/gateways/{GATEWAY}/config-versions", json={"text": text})
        assert made.status_code == 201, made.text
        body = {"title": "示例", "gateways": [GATEWAY], "pilots": 1}
        run = (await found.people.post("/api/v1/config-rollouts", json=body)).json()
        path = f"/api/v1/config-rollouts/{run['id']}"
        await found.until(path, lambda row: row["steps"][0]["state"] == "ordered")
        batch = await found.client.orders("", 0, wait_s=0)
        assert batch is not None
        version = made.json()["version"]
        assert version.encode() in bytes(batch.orders[0])
        assert await found.client.config(version, len(text.encode())) == text.encode()
        async with found.server.client() as stranger:
            assert (await stranger.get(f"/api/v1/gateways/{GATEWAY}/configs/{version}")).status_code == 401
        diff = (await found.people.get(f"/api/v1/gateways/{GATEWAY}/config-versions/1/diff")).json()
        assert (diff["old"], "+gateway:" in diff["diff"]) == (None, True)
        paused = await found.people.post(f"{path}/pause", json={"reason": "示例"})
        assert (paused.status_code, paused.json()["state"]) == (200, "paused")


def test_a_file_is_checked_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(text_for("gw-0x"), encoding="utf-8")
    assert main(["config", "check", str(file)]) == 0
    file.write_text(text_for("gw-0x").replace("crs: CGCS2000", "crs: MARS"), encoding="utf-8")
    assert main(["config", "check", str(file)]) == 1
    assert "crs" in capsys.readouterr().out
