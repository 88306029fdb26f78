"""Configurations over HTTP: who may, what a faulty text is answered, the gateway's download, templates and rollouts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import Request
from msgspec import structs

from gatehouse_fleet.api.app import create_app
from gatehouse_fleet.people.roles import Actor, Caller, Role
from gatehouse_fleet.pki.enrolment import issue_code
from gatehouse_fleet.registry import gateways

if TYPE_CHECKING:
    from conftest import Yard  # type: ignore[import-not-found]  # pytest loads it

TEXT = """\
gateway: {id: wh-gw1}
site:
  division_code: "371002002"
  division_standard: stats_gov
  community_id: wh-0007
  estate: 示例小区
  position: {lon: 122.1, lat: 37.5, crs: CGCS2000}
buses: [{id: line, kind: serial, port: /dev/ttyUSB0}]
devices:
  - {id: lift-1, kind: lift, bus: line, profile: gatehouse_lift_node, node_id: 7, location: {building: "3"},
     keys: [{id: 1, file: keys/lift-1.key}]}
fleet: {url: "https://fleet.example:8460"}
"""
DISTRICT = Caller(
    user_id=1,
    actor=Actor(name="示例甲", role="district_operator", unit="示例区", station="test"),
    role=Role.DISTRICT_OPERATOR,
    scope_id=1,
    scope_path="/1/",
)
PEOPLE = {
    "district": DISTRICT,
    "neighbour": structs.replace(DISTRICT, scope_id=3, scope_path="/1/3/"),
    "contractor": structs.replace(DISTRICT, is_contractor=True),
    "technician": structs.replace(DISTRICT, role=Role.TECHNICIAN),
}


class Api:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def __call__(
        self, method: str, path: str, body: Any = None, *, who: str = "district"
    ) -> tuple[int, Any]:
        answer = await self.client.request(
            method, f"/api/v1{path}", json=body, headers={"x-who": who, "X-Gatehouse": "1"}
        )
        return answer.status_code, answer.json()

    async def puts(self, text: str = TEXT, **more: Any) -> tuple[int, Any]:
        body = {"text": text, "reason": "示例变更"}
        return await self("POST", "/gateways/wh-gw1/config-versions", body, **more)


@pytest.fixture
async def api(yard: Yard) -> AsyncIterator[Api]:
    async def authenticate(request: Request) -> Caller:
        return PEOPLE[request.headers["x-who"]]

    app = create_app(yard.services, authenticate)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://fleet") as client:
        yield Api(client)


async def test_a_version_says_what_must_lie_on_the_gateway(api: Api) -> None:
    status, made = await api.puts()
    assert (status, made["number"], made["sha256"]) == (201, 1, sha256(TEXT.encode()).hexdigest())
    assert made["files"] == [{"path": "devices[0].keys[0].file", "file": "keys/lift-1.key"}]
    status, shown = await api("GET", "/gateways/wh-gw1/config-versions/1")
    assert (status, shown["text"], shown["author"]["name"]) == (200, TEXT, "示例甲")
    status, listed = await api("GET", "/gateways/wh-gw1/config-versions?limit=1")
    assert [one["number"] for one in listed["items"]] == [1]


async def test_every_fault_comes_back_with_line_and_place_and_nothing_is_kept(api: Api) -> None:
    faulty = TEXT.replace("kind: serial,", "kind: serial, bawd: 9600,").replace("crs: CGCS2000", "crs: WGS72")
    status, said = await api.puts(faulty)
    assert (status, said["reason"]) == (409, "faulty")
    assert [(one["line"], one["at"]) for one in said["errors"]] == [
        (7, "site.position.crs"),
        (8, "buses[0].bawd"),
    ]
    status, checked = await api("POST", "/gateways/wh-gw1/config-check", {"text": faulty})
    assert (status, len(checked["faults"])) == (200, 2)
    assert (await api("GET", "/gateways/wh-gw1/config-versions"))[1]["items"] == []


async def test_who_may(api: Api) -> None:
    assert (await api.puts(who="technician"))[0] == 403
    assert (await api.puts(who="neighbour"))[0] == 404
    assert (await api.puts(who="contractor"))[0] == 201
    # Names and numbers of residents stand in it.
    assert (await api("GET", "/gateways/wh-gw1/config-versions/1", who="contractor"))[0] == 403
    assert (await api("GET", "/gateways/wh-gw1/config-difference", who="contractor"))[0] == 403
    assert (await api("GET", "/gateways/wh-gw1/config", who="technician"))[0] == 200
    body = {"reason": "示例变更", "gateways": [{"gateway_id": "wh-gw1"}]}
    assert (await api("POST", "/config-rollouts", body, who="technician"))[0] == 403
    assert (await api("POST", "/config-rollouts", body, who="neighbour"))[0] == 404
    status, made = await api("POST", "/config-rollouts", body)
    assert status == 201
    assert (await api("GET", f"/config-rollouts/{made['id']}", who="neighbour"))[0] == 404
    assert (await api("GET", "/config-rollouts", who="neighbour"))[1]["items"] == []


async def test_wanted_and_reported_are_compared_by_path(api: Api, yard: Yard) -> None:
    _, first = await api.puts()
    await api.puts(TEXT.replace("示例小区", "示例二期").replace("lift-1,", "lift-2,"))
    assert (await api("GET", "/gateways/wh-gw1/config"))[1]["agreement"] == "unknown"
    await yard.says("wh-gw1")
    assert (await api("GET", "/gateways/wh-gw1/config"))[1]["agreement"] == "local"
    assert (await api("GET", "/gateways/wh-gw1/config-difference"))[0] == 409
    await yard.says("wh-gw1", first["name"], first["sha256"])
    _, state = await api("GET", "/gateways/wh-gw1/config")
    assert (state["reported"], state["wanted"], state["agreement"]) == (1, None, "differs")
    _, found = await api("GET", "/gateways/wh-gw1/config-difference")
    assert [(one["what"], one["path"]) for one in found["changes"]] == [
        ("changed", "site.estate"),
        ("removed", "devices[lift-1]"),
        ("added", "devices[lift-2]"),
    ]
    assert "+  estate: 示例二期" in found["unified"]


async def test_a_rollout_is_begun_watched_paused_and_explained(api: Api, yard: Yard) -> None:
    await api.puts()
    await yard.says("wh-gw1")
    body = {"reason": "示例变更", "gateways": [{"gateway_id": "wh-gw1"}], "stages": [{"percent": 10}]}
    _, made = await api("POST", "/config-rollouts", body)
    place = f"/config-rollouts/{made['id']}"
    await yard.raises("wh-gw1", "P1")
    await yard.tick()
    _, members = await api("GET", f"{place}/gateways")
    assert [(one["standing"], one["why"]) for one in members["items"]] == [("waiting", "alarm_open")]
    assert "紧急" in members["items"][0]["why_zh"]
    assert (await api("POST", f"{place}/pause"))[1]["phase"] == "paused"
    assert (await api("POST", f"{place}/pause"))[1]["reason"] == "phase"
    assert (await api("POST", f"{place}/resume"))[1]["phase"] == "running"
    assert (await api("POST", f"{place}/roll-back"))[1]["phase"] == "rolling_back"
    await yard.tick()
    assert (await api("GET", place))[1]["phase"] == "rolled_back"
    assert (await api("GET", "/gateways/wh-gw1/config"))[1]["rollout_id"] is None


async def test_a_template_reaches_its_group_with_the_values_of_each(api: Api) -> None:
    text = TEXT.replace("wh-gw1", "${gateway_id}").replace("示例小区", "${estate}")
    body = {"text": TEXT.replace("wh-gw1", "${gateway_id}"), "reason": "示例变更", "node_id": 2, "tag": "gas"}
    status, made = await api("PUT", "/config-templates/gas", body)
    assert (status, [one["gateway_id"] for one in made["made"]]) == (200, ["wh-gw1", "wh-gw2"])
    status, said = await api("PUT", "/config-templates/gas", body | {"text": text})
    assert (status, said["errors"][0]["at"]) == (409, "wh-gw1")
    for name in ("wh-gw1", "wh-gw2"):
        values = {"values": [{"name": "estate", "value": f"示例 {name}"}]}
        assert (await api("PUT", f"/config-templates/gas/values/{name}", values))[0] == 200
    status, made = await api("PUT", "/config-templates/gas", body | {"text": text})
    assert [one["number"] for one in made["made"]] == [2, 2]
    _, shown = await api("GET", "/config-templates/gas")
    assert (shown["revision"], shown["variables"]) == (2, ["estate", "gateway_id"])
    assert (await api("GET", "/config-templates/gas", who="neighbour"))[0] == 404
    _, begun = await api("POST", "/config-rollouts", {"reason": "示例变更", "template": "gas"})
    assert begun["stages"] == [1, 1]
    one_too_many = {"values": [{"name": "estate", "value": "示例"}, {"name": "colour", "value": "red"}]}
    await api("PUT", "/config-templates/gas/values/wh-gw1", one_too_many)
    status, said = await api("POST", "/config-templates/gas/versions", {"reason": "示例变更"})
    assert (status, "no such variable" in said["errors"][0]["message"]) == (409, True)


async def test_a_gateway_fetches_its_own_versions_and_nobody_elses(live_server, fake_gateway) -> None:  # type: ignore[no-untyped-def]  # fixtures of the neighbours
    async with live_server() as server, server.client() as desk:
        await server.log_in_first(desk)
        place = {"kind": "community", "parent_id": 1, "code": "yuan", "name": "示例花园"}
        assert (await desk.post("/api/v1/nodes", json=place)).status_code == 201
        for name in ("wh-gw1", "wh-gw2"):
            assert (await desk.post("/api/v1/gateways", json={"id": name, "node_id": 2})).status_code == 201
        body = {"text": TEXT, "reason": "示例变更"}
        made = (await desk.post("/api/v1/gateways/wh-gw1/config-versions", json=body)).json()
        fetchers = {}
        for name in ("wh-gw1", "wh-gw2"):
            async with server.services.store.begin() as db:
                found = await gateways.find(db, name)
                code = await issue_code(db, found.no, by="test", at=server.clock.now())
            one = fake_gateway(name)
            granted = await desk.post("/api/v1/enrol", json=one.enrol_body(code))
            fetchers[name] = one.keep(granted.json()["certificate"])
        path = f"/api/v1/gateways/wh-gw1/configs/{made['name']}"
        async with server.client(fetchers["wh-gw1"]) as own, server.client(fetchers["wh-gw2"]) as other:
            got = await own.get(path)
            assert (got.status_code, got.content) == (200, TEXT.encode())
            assert sha256(got.content).hexdigest() == made["sha256"]
            flipped = path[:-1] + ("1" if path.endswith("0") else "0")
            assert (await own.get(flipped)).status_code == 404
            assert (await other.get(path)).json()["reason"] == "wrong_gateway"
            elsewhere = path.replace("wh-gw1", "wh-gw2")
            assert (await other.get(elsewhere)).status_code == 404
        assert (await desk.get(path)).status_code == 401
