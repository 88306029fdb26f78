"""The overview: each community's worst, what one may see of it, and a position that leaves no gap."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatehouse_events.codes import CODES
from gatehouse_events.states import AlarmState, Kind
from gatehouse_fleet.projection.feed import FeedItem, FeedTopic, publish

if TYPE_CHECKING:
    from conftest import Town  # type: ignore[import-not-found]  # pytest loads it


async def communities(town: Town, who: str = "city") -> dict[str, dict[str, Any]]:
    answer = await town.get("/overview", who)
    assert answer.status_code == 200, answer.text
    return {one["name"]: one for one in answer.json()["communities"]}


async def test_open_alarms_are_counted_by_priority_and_what_is_hidden_or_a_drill_apart(town: Town) -> None:
    await town.raise_alarm(ago=timedelta(minutes=5))
    await town.raise_alarm(ago=timedelta(minutes=2), state=AlarmState.ACKED)
    await town.raise_alarm(code="throw.object_falling", ago=timedelta(minutes=9), state=AlarmState.SHELVED)
    await town.raise_alarm(code="sos.pressed", kind=Kind.TEST)
    await town.raise_alarm(code="sos.pressed", state=AlarmState.CLOSED)
    mine = (await communities(town))["翠湖（示例）"]["alarms"]
    assert mine["open"] == {"P1": 2, "P2": 0, "P3": 0, "P4": 0}
    assert mine["unattended"]["P1"] == 1
    assert mine["oldest_unattended_at"] == (town.clock.now() - timedelta(minutes=5)).isoformat().replace(
        "+00:00", "Z"
    )
    assert (mine["hidden"], mine["drills"]) == (1, 1)


async def test_a_community_without_alarms_is_there_and_says_whether_it_was_heard(town: Town) -> None:
    now = town.clock.now()
    await town.heard("wh-1", now - timedelta(seconds=5))
    await town.heard("wh-2", now - timedelta(seconds=91))
    seen = await communities(town)
    stands = {name: one["gateways"][0]["presence"] for name, one in seen.items()}
    assert stands == {"翠湖（示例）": "online", "金海（示例）": "silent", "东山（示例）": "never"}
    assert seen["翠湖（示例）"]["place"] == {"lon": 122.1, "lat": 37.5}
    assert seen["金海（示例）"]["place"] is None


async def test_a_position_in_gcj02_is_not_shown_as_if_it_were_wgs84(town: Town) -> None:
    card = '{"gateway_id":"wh-2","site":{"position":{"lon":122.1,"lat":37.5,"crs":"GCJ02"}},"assets":{}}'
    await town.heard("wh-2", None, site_card=card)
    assert (await communities(town))["金海（示例）"]["place"] is None


async def test_one_sees_ones_own_places_and_only_what_ones_rights_allow(town: Town) -> None:
    await town.raise_alarm()
    assert set(await communities(town, "east")) == {"翠湖（示例）", "金海（示例）"}
    assert set(await communities(town, "guard")) == {"翠湖（示例）"}
    assert (await communities(town, "auditor"))["翠湖（示例）"]["alarms"] is None
    assert (await communities(town, "auditor"))["翠湖（示例）"]["lights"] == {
        "green": 0,
        "yellow": 0,
        "red": 0,
    }
    hidden = (await communities(town, "technician"))["翠湖（示例）"]
    assert (hidden["alarms"], hidden["lights"]) == (None, None)
    assert (await town.get("/overview", "nobody")).status_code == 401


async def test_the_position_is_the_feeds(town: Town) -> None:
    before = (await town.get("/overview")).json()["position"]
    async with town.store.begin() as db:
        item = FeedItem(topic=FeedTopic.GATEWAY, subject="wh-1", node_path="/1/", body="{}")
        await publish(db, [item, item], at=town.clock.now())
    assert (await town.get("/overview")).json()["position"] == before + 2


async def test_a_scrapped_gateway_is_no_longer_missed(town: Town) -> None:
    await town.heard("wh-3", None, state="scrapped")
    assert (await communities(town))["东山（示例）"]["gateways"] == []


async def test_a_screen_learns_the_words_once(town: Town) -> None:
    facts = (await town.get("/console", "technician")).json()
    assert facts["time_zone"] == "Asia/Shanghai"
    assert {one["code"] for one in facts["codes"]} == set(CODES)
    assert [one["name"] for one in facts["case_steps"]][:2] == ["collected", "filed"]
    assert facts["ack_limits"][0] == {"priority": "P1", "seconds": 60.0}


async def test_presence_lists_who_is_not_online_longest_silent_first(town: Town) -> None:
    now = town.clock.now()
    await town.heard("wh-1", now - timedelta(seconds=100))
    await town.heard("wh-2", now - timedelta(seconds=200))
    await town.heard("wh-3", now)
    found = (await town.get("/presence")).json()["gateways"]
    assert [(one["id"], one["presence"]) for one in found] == [("wh-2", "silent"), ("wh-1", "silent")]
    await town.heard("wh-3", now, is_stopped=True)
    assert {one["id"]: one["presence"] for one in (await town.get("/presence")).json()["gateways"]}[
        "wh-3"
    ] == "stopped"
    assert [one["id"] for one in (await town.get("/presence", "guard")).json()["gateways"]] == ["wh-1"]


async def test_the_map_says_that_it_is_invented_and_a_spoilt_file_is_named(
    town: Town, tmp_path: Path
) -> None:
    shown = (await town.get("/outline")).json()
    assert shown["is_invented"]
    assert len(shown["areas"]) == 4
    folder = tmp_path / "fleet"
    folder.mkdir(exist_ok=True)
    (folder / "outline.geojson").write_text("{}")
    refused = await town.get("/outline")
    assert (refused.status_code, refused.json()["reason"]) == (409, "outline")
