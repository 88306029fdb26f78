"""What a person sees: alarms of one's subtree, and a live feed that never skips and never falls silent."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import Request

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import Gateway, a_card, alarm_change, hand_in, register, services_for, serving

from gatehouse_events.alarm import Actor, Change
from gatehouse_events.chain import EntryKind
from gatehouse_events.states import AlarmState
from gatehouse_fleet.api.app import create_app
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.people import roles
from gatehouse_fleet.people.roles import Caller, Role
from gatehouse_fleet.projection.feed import FEED_TOPIC, FeedItem, FeedTopic, publish
from gatehouse_fleet.projection.service import Projector
from gatehouse_fleet.services import Services
from gatehouse_fleet.store import Store

GAS = "01JDEXAMPLE0000000000000G1"
LIFT = "01JDEXAMPLE0000000000000F2"
OTHER = "01JDEXAMPLE0000000000000T3"


def somebody(scope: str, role: Role = Role.PROPERTY_MANAGER, *, is_contractor: bool = False) -> Caller:
    actor = roles.Actor(name="wang", role=role.value, unit="示例物业", station="127.0.0.1")
    return Caller(
        user_id=1, actor=actor, role=role, scope_id=1, scope_path=scope, is_contractor=is_contractor
    )


@dataclass
class Desk:
    """A running API; `caller` is whoever asks next."""

    services: Services
    client: httpx.AsyncClient
    projector: Projector
    caller: Caller


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Gateway, Gateway]]:
    found = Gateway(tmp_path / "gw1"), Gateway(tmp_path / "gw2", "wh-371002-0008-gw1")
    yield found
    for one in found:
        one.close()


@pytest.fixture
async def desk(store: Store, clock: SetClock) -> AsyncIterator[Desk]:
    services = services_for(store, clock)
    found: Desk

    async def authenticate(request: Request) -> Caller:
        return found.caller

    async with (
        serving(create_app(services, authenticate)) as url,
        httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client,
    ):
        found = Desk(services, client, Projector(services, steps=()), somebody("/1/"))
        yield found


async def told(desk: Desk, pair: tuple[Gateway, Gateway]) -> None:
    """Two communities: gas and lift in one, a throw in the other."""
    store, clock = desk.services.store, desk.services.clock
    first, second = await register(store, clock, *pair)
    pair[0].write(kind=EntryKind.CONFIG, body={"card": a_card(pair[0].id)})
    pair[0].write(body=alarm_change(GAS, 1, code="gas.low_alarm"))
    pair[0].write(body=named(alarm_change(GAS, 2, code="gas.low_alarm", state=AlarmState.ACKED)))
    pair[0].write(body=alarm_change(LIFT, 1, code="lift.trapped", device_id="lift-1"))
    pair[1].write(body=alarm_change(OTHER, 1, code="throw.object_falling", device_id="camera-2"))
    await hand_in(store, clock, first, pair[0])
    await hand_in(store, clock, second, pair[1])
    await desk.projector.follower.catch_up()


def named(change: Change) -> Change:
    alarm = msgspec.structs.replace(change.alarm, acked_by="王示例")
    return msgspec.structs.replace(
        change, alarm=alarm, actor=Actor(name="王示例", role="guard", station="desk")
    )


async def get(desk: Desk, path: str, **query: Any) -> Any:
    response = await desk.client.get(f"/api/v1{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def test_the_most_urgent_alarm_stands_on_the_first_page(
    desk: Desk, pair: tuple[Gateway, Gateway]
) -> None:
    await told(desk, pair)
    page = await get(desk, "/alarms", limit=1)
    seen = [page["items"][0]]
    while page["next"]:
        page = await get(desk, "/alarms", limit=1, after=page["next"])
        seen += page["items"]
    assert [row["alarm_id"] for row in seen] == [LIFT, GAS, OTHER]
    assert (seen[0]["building"], seen[0]["label"]) == ("5", "电梯困人")
    everything = await get(desk, "/alarms", which="all", limit=2)
    rest = await get(desk, "/alarms", which="all", limit=2, after=everything["next"])
    assert len(everything["items"]) + len(rest["items"]) == 3
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"priority": "P1"}, {LIFT}),
        ({"category": "gas"}, {GAS}),
        ({"state": "acked"}, {GAS}),
        ({"gateway_id": "wh-371002-0008-gw1"}, {OTHER}),
        ({"verified": "false"}, set()),
        ({"below": "2"}, {GAS, LIFT}),
    ],
)
async def test_alarms_are_found_by_what_they_are(
    desk: Desk, pair: tuple[Gateway, Gateway], query: dict[str, str], expected: set[str]
) -> None:
    await told(desk, pair)
    assert {row["alarm_id"] for row in (await get(desk, "/alarms", **query))["items"]} == expected


async def test_one_alarm_tells_its_revisions_and_names_only_to_those_who_may_know(
    desk: Desk, pair: tuple[Gateway, Gateway]
) -> None:
    await told(desk, pair)
    found = await get(desk, f"/alarms/{GAS}")
    assert [(row["revision"], row["state"], row["actor"]) for row in found["revisions"]] == [
        (1, "unack", "gateway"),
        (2, "acked", "王示例"),
    ]
    assert found["acked_by"] == "王示例"
    desk.caller = somebody("/1/", is_contractor=True)
    found = await get(desk, f"/alarms/{GAS}")
    assert "王示例" not in msgspec.json.encode(found).decode()


async def test_what_lies_outside_ones_subtree_does_not_exist(
    desk: Desk, pair: tuple[Gateway, Gateway]
) -> None:
    await told(desk, pair)
    desk.caller = somebody(f"/1/{pair[0].id}/")
    assert {row["alarm_id"] for row in (await get(desk, "/alarms"))["items"]} == {GAS, LIFT}
    assert (await desk.client.get(f"/api/v1/alarms/{OTHER}")).status_code == 404


@dataclass
class Event:
    position: int
    name: str
    data: Any


@contextlib.asynccontextmanager
async def following(
    desk: Desk, *, last: int | None = None, after: int | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    query = {} if after is None else {"after": str(after)}
    async with desk.client.stream("GET", "/api/v1/stream", params=query, headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = _events(response)
        yield events
        await events.aclose()


async def _events(response: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield Event(int(fields["id"]), fields["event"], msgspec.json.decode(fields["data"]))
            fields = {}


async def first(
    events: AsyncIterator[Event], count: int, *, but: frozenset[str] = frozenset({"time"})
) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(60):
        async for event in events:
            if event.name not in but:
                found.append(event)
            if len(found) == count:
                break
    return found


async def test_a_screen_goes_on_where_it_was_cut_off(desk: Desk, pair: tuple[Gateway, Gateway]) -> None:
    async with following(desk) as events:
        assert [(event.name, event.position) for event in await first(events, 1)] == [("hello", 0)]
        await told(desk, pair)
        live = await first(events, 5)
    assert [(event.name, event.data.get("alarm_id")) for event in live] == [
        ("alarm", GAS),
        ("alarm", GAS),
        ("alarm", LIFT),
        ("gateway", None),
        ("alarm", OTHER),
    ]
    async with following(desk, last=live[1].position) as events:
        assert [event.position for event in await first(events, 3)] == [3, 4, 5]


async def test_a_screen_sees_its_own_subtree_and_still_hears_that_time_goes_on(
    desk: Desk, pair: tuple[Gateway, Gateway]
) -> None:
    await told(desk, pair)
    desk.caller = somebody(f"/1/{pair[1].id}/")
    async with following(desk, after=0) as events:
        found = await first(events, 2, but=frozenset())
    assert [(event.name, event.position) for event in found] == [("alarm", 5), ("time", 5)]


async def test_a_position_that_is_not_there_is_answered_with_a_reset(
    desk: Desk, pair: tuple[Gateway, Gateway]
) -> None:
    await told(desk, pair)
    async with following(desk, last=4711) as events:
        assert [(event.name, event.position) for event in await first(events, 1)] == [("reset", 5)]


async def test_a_flood_reaches_many_screens_in_order(desk: Desk) -> None:
    line = FeedItem(topic=FeedTopic.ALARM, subject="x", node_path="/1/", body="{}")

    async def follow() -> list[int]:
        async with following(desk, after=0) as events:
            return [event.position for event in await first(events, 3000, but=frozenset({"hello", "time"}))]

    async with asyncio.TaskGroup() as tasks:
        screens = [tasks.create_task(follow(), name=f"screen {n}") for n in range(3)]
        for _ in range(30):
            async with desk.services.store.begin() as db:
                await publish(db, [line] * 100, at=desk.services.clock.now())
            desk.services.wake.notify(FEED_TOPIC)
    assert [screen.result() for screen in screens] == [list(range(1, 3001))] * 3
