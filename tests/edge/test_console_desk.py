"""What the duty screen asks beside the stream: buildings, a trend, everything at once; and going on behind a position."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from console_site import SETTINGS, Events, following, running_site, until, write_config

from gatehouse_edge.console.buildings import buildings
from gatehouse_edge.console.stream import Position


@pytest.fixture
async def site(tmp_path):
    async with running_site(tmp_path) as found:
        yield found


def with_places(tmp_path, *places, listed=()):
    gas = SETTINGS["devices"][0]
    others = [device for device in SETTINGS["devices"] if device["id"] != "gas-1"]
    devices = [
        gas | {"id": f"gas-{n}", "unit_id": n, "location": place} for n, place in enumerate(places, start=1)
    ]
    site = SETTINGS["site"] | {"buildings": list(listed)}
    return write_config(tmp_path, devices=[*others, *devices], site=site, outputs=[])


def test_a_building_nobody_described_is_as_high_as_its_highest_device(tmp_path):
    config = with_places(
        tmp_path,
        {"building": 7, "unit": 2, "room": 1503},
        {"building": 7, "unit": 1, "floor": 3},
        {"building": 7, "unit": 10, "floor": -2},
        {"building": "锅炉房", "name": "1号探头"},
    )
    found = {one.id: one for one in buildings(config)}
    seven = found["7"]
    assert (seven.floors, seven.basements, seven.units, seven.rooms_per_floor) == (15, 2, ("1", "2", "10"), 3)
    assert seven.is_drawn_from_devices
    assert (found["锅炉房"].floors, found["锅炉房"].units) == (1, ("",))


def test_described_buildings_come_first_in_their_order_and_the_others_by_number(tmp_path):
    listed = [{"id": "B", "floors": 30, "units": ["东", "西"]}, {"id": "12", "name": "会所", "floors": 2}]
    config = with_places(
        tmp_path, {"building": 4}, {"building": 12}, {"building": "B", "unit": "西"}, listed=listed
    )
    found = buildings(config)
    assert [one.id for one in found] == ["B", "12", "3", "4"]
    assert found[0].units == ("东", "西")
    assert not found[0].is_drawn_from_devices


def test_a_building_described_twice_is_refused(tmp_path):
    with pytest.raises(Exception, match="an id stands twice"):
        with_places(tmp_path, {"building": 1}, listed=[{"id": "1", "floors": 3}, {"id": "1", "floors": 4}])


async def test_a_detectors_trend_is_its_own_and_of_the_time_asked_for(site):
    async with site.person("operator") as browser:
        for value in (1.0, 5.0, 9.0):
            await site.gas(value=value)
        site.clock.shift_s += 11  # readings are written down every ten seconds
        await site.gas(value=9.1)

        async def points():
            return (await browser.get("/api/v1/devices/gas-1/trend")).json()["points"]

        async def written():
            while len(found := await points()) < 3:
                pass
            return found

        assert [value for _, value in await written()] == [1.0, 5.0, 9.0]
        site.clock.shift_s += 120
        assert (await browser.get("/api/v1/devices/gas-1/trend?minutes=1")).json()["points"] == []
        assert (await browser.get("/api/v1/devices/btn-1/trend")).json()["points"] == []


async def test_the_snapshot_is_the_streams_own_and_masks_for_who_only_watches(site):
    await site.press()
    await site.alarm("sos.pressed")
    async with site.person("viewer") as viewer, site.person("operator") as guard, site.browser() as stranger:
        assert (await guard.get("/api/v1/snapshot")).json()["alarms"][0]["resident"]["name"] == "王示例"
        assert (await viewer.get("/api/v1/snapshot")).json()["alarms"][0]["resident"]["name"] == "王**"
        assert [one["id"] for one in (await viewer.get("/api/v1/site")).json()["buildings"]] == ["3"]
        for path in ("snapshot", "site", "devices/gas-1/trend"):
            assert (await stranger.get(f"/api/v1/{path}")).status_code == 401


async def test_a_page_that_begins_anew_behind_a_snapshot_hears_only_what_it_missed(site):
    async with site.person("operator") as browser:
        async with following(browser) as events:
            await events.next("snapshot")
            position = events.last_id
        await site.press()
        await site.alarm("sos.pressed")
        await until(lambda: site.stream.position != position)
        async with browser.stream("GET", f"/api/v1/events?after={position}") as response:
            name, change = await Events(response).next("snapshot", "change")
            assert name == "change"
            assert [alarm["code"] for alarm in change["alarms"]] == ["sos.pressed"]
        async with browser.stream("GET", "/api/v1/events?after=no.such.place") as response:
            assert (await Events(response).next("snapshot", "change"))[0] == "snapshot"


@given(st.text(max_size=60))
def test_any_text_is_a_position_or_none(text):
    found = Position.parse(text)
    assert found is None or str(found).split(".")[0] == text.split(".")[0]
