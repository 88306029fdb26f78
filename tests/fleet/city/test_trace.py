"""Trace, targets and parking over HTTP and from the command line, on a whole worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import targets
from city_fleet import Fleet
from city_process import CityProcess, city
from sqlalchemy import select, update

from gatehouse_events.ids import new_id
from gatehouse_fleet.cli import main
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node

MORNING = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
QUICK = "retry: {first_s: 0.05, most_s: 0.2}\n"


@pytest.fixture(scope="module")
def shared_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CityProcess]:
    with city(tmp_path_factory.mktemp("city")) as process:
        yield process


@pytest.fixture
async def platform(shared_platform: CityProcess, tmp_path: Path) -> CityProcess:
    await shared_platform.fresh()
    folder = tmp_path / "fleet/city"
    folder.mkdir(parents=True)
    text = targets.CLOUDEVENTS.replace("http://127.0.0.1:9", shared_platform.url) + QUICK
    (folder / "weihai.yaml").write_text(text, encoding="utf-8")
    return shared_platform


@asynccontextmanager
async def running(
    live_server: Callable[..., AbstractAsyncContextManager[Any]],
) -> AsyncIterator[tuple[Fleet, httpx.AsyncClient]]:
    """A worker with one gateway, and the first user logged in."""
    async with live_server(tls="off") as server, server.client() as client:
        await server.log_in_first(client)
        services = server.services
        fleet = Fleet(services.store, services.clock, services.wake)
        no = await fleet.gateway("gw-1")
        async with services.store.begin() as db:  # below the city of the first user
            root = (await db.execute(select(org_node.c.path).where(org_node.c.kind == "city"))).scalar_one()
            node = (await db.execute(select(gateway.c.node_id).where(gateway.c.no == no))).scalar_one()
            await db.execute(
                update(org_node)
                .where(org_node.c.id == node)
                .values(path=f"{root}{node}/", parent_id=int(root.strip("/")))
            )
        yield fleet, client


async def raised(fleet: Fleet, alarm_id: str, *words: str) -> None:
    """Tell an alarm; the projection shows it by itself."""
    async with fleet.store.read() as db:
        no = (await db.execute(select(gateway.c.no).where(gateway.c.id == "gw-1"))).scalar_one()
    await fleet.tell(no, *[fleet.change(word, alarm_id=alarm_id, seq=n + 1) for n, word in enumerate(words)])


async def shown(client: httpx.AsyncClient, path: str, until: Callable[[Any], bool]) -> Any:
    async with asyncio.timeout(60):
        while True:
            answer = await client.get(path)
            if answer.status_code == 200 and until(answer.json()):
                return answer.json()
            await asyncio.sleep(0.05)


def all_received(answer: Any) -> bool:
    legs = [leg for one in answer["revisions"] for leg in one["targets"]]
    return bool(legs) and all(leg["leg"] == "received" for leg in legs)


async def test_the_way_of_an_alarm_is_one_call_and_one_page(
    platform: CityProcess, live_server: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    alarm_id = new_id(MORNING)
    async with running(live_server) as (fleet, client):
        await raised(fleet, alarm_id, "raised", "cleared")
        answer = await shown(
            client, f"/api/v1/alarms/{alarm_id}/trace", lambda a: len(a["revisions"]) == 2 and all_received(a)
        )
        first, second = answer["revisions"]
        assert (first["gateway"], first["revision"], second["revision"]) == ("gw-1", 1, 2)
        (leg,) = first["targets"]
        assert first["written_at"] <= first["committed_at"] <= leg["sent_at"] <= leg["receipt_at"]
        assert leg["receipt"].startswith('{"code": "0", "receipt": "R-')
        one = await client.get(f"/api/v1/trace/gw-1/{first['epoch']}/{first['seq']}")
        assert one.json() == first
        page = await client.get(f"/trace/{alarm_id}")
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert "已签收" in page.text
        assert "R-" in page.text
        assert (await client.get("/trace/trace.css")).headers["content-type"].startswith("text/css")
    assert len(platform.stored()) == 2


async def test_what_lies_outside_the_reach_is_not_there(
    platform: CityProcess, live_server: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    async with running(live_server) as (_, client):
        missing = await client.get(f"/api/v1/alarms/{'0' * 26}/trace")
        assert (missing.status_code, missing.json()["reason"]) == (404, "not_found")
        missing = await client.get(f"/api/v1/trace/gw-1/{'0' * 32}/1")
        assert missing.status_code == 404
        client.cookies.clear()
        assert (await client.get("/api/v1/city/targets")).status_code == 401


async def test_targets_are_seen_paused_resumed_and_parked_events_tried_again(
    platform: CityProcess, live_server: Callable[..., AbstractAsyncContextManager[Any]]
) -> None:
    async with running(live_server) as (fleet, client):
        bad = new_id(fleet.clock.now())
        await platform.behave(refuse_alarms=[bad])
        await raised(fleet, bad, "raised")
        (target,) = await shown(
            client, "/api/v1/city/targets", lambda rows: bool(rows) and rows[0]["parked"] == 1
        )
        assert (target["id"], target["state"], target["entries_behind"]) == ("weihai", "running", 0)
        parked = (await client.get("/api/v1/city/targets/weihai/parked")).json()["items"]
        assert [(one["event_id"], one["reason"]) for one in parked] == [(f"{bad}-1", "refused")]
        paused = await client.post("/api/v1/city/targets/weihai/pause", json={"reason": "对方维护"})
        assert (paused.json()["state"], paused.json()["state_reason"]) == ("paused", "对方维护")
        await client.post("/api/v1/city/targets/weihai/resume", json={"reason": "维护结束"})
        await platform.behave()
        again = await client.post(f"/api/v1/city/targets/weihai/parked/{bad}-1/retry")
        assert (again.status_code, again.json()) == (202, {"wanted": 1})
        await shown(
            client, "/api/v1/city/targets", lambda rows: rows[0]["received"] == 1 and rows[0]["parked"] == 0
        )
        gone = await client.post(
            f"/api/v1/city/targets/weihai/parked/{bad}-1/give-up", json={"reason": "多余"}
        )
        assert (gone.status_code, gone.json()["reason"]) == (409, "not_parked")
        audit = (await client.get("/api/v1/audit", params={"subject": "weihai"})).json()["items"]
        assert {row["action"] for row in audit} >= {"city.paused", "city.running"}
    assert platform.stored() == [f"{bad}-1"]


def test_a_target_file_is_checked_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.yaml").write_text(targets.ONE_HOT, encoding="utf-8")
    assert main(["city", "check", str(tmp_path / "t.yaml")]) == 0
    assert "one_hot over http" in capsys.readouterr().out
    (tmp_path / "t.yaml").write_text(
        targets.ONE_HOT.replace("songjiang_telecom", "nowhere"), encoding="utf-8"
    )
    assert main(["city", "check", str(tmp_path / "t.yaml")]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_a_marked_test_event_shows_the_exchange_without_the_key(
    platform: CityProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "fleet/city"
    (folder / "key").write_text("sixteen letters of a key")
    with (folder / "weihai.yaml").open("a", encoding="utf-8") as file:
        file.write("signature: {kind: hmac_sha256, key_file: key}\n")
    (tmp_path / "fleet.yaml").write_text("directory: fleet\n", encoding="utf-8")
    assert main(["city", "--config", str(tmp_path / "fleet.yaml"), "--json", "test", "weihai"]) == 0
    said = capsys.readouterr().out
    exchange = json.loads(said)
    assert exchange["outcome"] == "receipt"
    assert "【测试】" in exchange["sent"]
    assert "sixteen" not in said
    (line,) = platform.kept()
    assert (line["body"]["data"]["state"], line["body"]["data"]["kind"]) == ("test", "test")


def test_a_dialect_that_cannot_mark_a_test_is_not_tested_by_accident(
    platform: CityProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = targets.ONE_HOT.replace("http://127.0.0.1:9", platform.url)
    (tmp_path / "fleet/city/lift.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "fleet.yaml").write_text("directory: fleet\n", encoding="utf-8")
    config = ["city", "--config", str(tmp_path / "fleet.yaml"), "test", "lift-cloud"]
    assert main(config) == 1
    assert "--unmarked" in capsys.readouterr().err
    assert platform.kept() == []
    assert main([*config, "--unmarked"]) == 0
    assert len(platform.kept()) == 1
