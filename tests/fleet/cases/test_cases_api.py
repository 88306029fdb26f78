"""Cases over HTTP: who may do what, what a list shows, and how a refusal reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import Request
from msgspec import structs
from sqlalchemy import select

from gatehouse_events.states import Label
from gatehouse_fleet.api.app import create_app
from gatehouse_fleet.api.problems import ProblemError
from gatehouse_fleet.people.roles import Caller
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store.schema.people import audit as audit_table

if TYPE_CHECKING:
    from conftest import Scene  # type: ignore[import-not-found]  # pytest loads it

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)


@dataclass(kw_only=True)
class Api:
    """The application with a scene behind it; `who` is believed."""

    scene: Scene
    client: httpx.AsyncClient

    async def get(self, path: str, who: str = "district", **params: Any) -> httpx.Response:
        return await self.client.get(f"/api/v1{path}", params=params, headers={"x-who": who})

    async def post(self, path: str, body: Any, who: str = "district") -> httpx.Response:
        return await self.client.post(f"/api/v1{path}", json=body, headers={"x-who": who})

    async def act(self, case_id: int, action: str, who: str = "district", **body: Any) -> httpx.Response:
        revision = (await self.scene.case(case_id)).revision
        return await self.post(f"/cases/{case_id}/{action}", {"revision": revision} | body, who)

    async def photo(self, case_id: int, who: str = "guard", content: bytes = PNG) -> httpx.Response:
        return await self.client.post(
            f"/api/v1/cases/{case_id}/photos", content=content, headers={"x-who": who}
        )


@pytest.fixture
async def api(scene: Scene, tmp_path: Path) -> AsyncIterator[Api]:
    people = scene.people | {
        "contractor": structs.replace(scene.people["guard"], is_contractor=True),
        "elsewhere": structs.replace(scene.people["district"], scope_path="/9/"),
    }

    async def believe(request: Request) -> Caller:
        found = people.get(request.headers.get("x-who", ""))
        if found is None:
            raise ProblemError(401, "session", Label("请登录", "please log in"))
        return found

    services = Services(
        settings=FleetSettings(directory=tmp_path / "fleet"),
        store=scene.store,
        clock=scene.clock,
        wake=scene.office.wake,
    )
    transport = httpx.ASGITransport(create_app(services, believe))
    async with httpx.AsyncClient(transport=transport, base_url="http://fleet") as client:
        yield Api(scene=scene, client=client)


async def test_the_overdue_stand_on_top_and_say_their_light(api: Api) -> None:
    _, calm = await api.scene.raise_alarm("lift-1", "lift.other_fault")
    _, grave = await api.scene.raise_alarm()
    assert calm
    assert grave
    api.scene.move(minutes=2, seconds=30)
    items = (await api.get("/cases")).json()["items"]
    assert [(one["id"], one["light"], one["step_zh"]) for one in items] == [
        (grave.id, "yellow", "任务派遣"),
        (calm.id, "green", "案件建立"),
    ]
    api.scene.move(minutes=1)
    assert (await api.get("/cases", light="red")).json()["items"][0]["id"] == grave.id
    assert (await api.get("/cases/lights")).json() == {"green": 1, "yellow": 0, "red": 1}
    assert (await api.get("/cases", step="filed")).json()["items"][0]["id"] == calm.id
    assert (await api.get("/cases", priority="P2")).json()["items"] == []


async def test_a_list_is_read_page_by_page_without_gap(api: Api) -> None:
    made = [(await api.scene.raise_alarm(f"gas-{n}", "gas.low_alarm"))[1] for n in range(5)]
    seen: list[int] = []
    after: str | None = None
    while True:
        page = (await api.get("/cases", limit=2, **({"after": after} if after else {}))).json()
        seen += [one["id"] for one in page["items"]]
        after = page.get("next")
        if after is None:
            break
    assert seen == [one.id for one in made if one]


async def test_nobody_sees_a_case_of_another_place(api: Api) -> None:
    _, found = await api.scene.raise_alarm()
    assert found
    assert (await api.get("/cases", who="elsewhere")).json()["items"] == []
    assert (await api.get(f"/cases/{found.id}", who="elsewhere")).status_code == 404
    assert (await api.act(found.id, "take", who="elsewhere")).status_code == 404
    assert (await api.get("/cases", who="elsewhere", node_id=api.scene.community_id)).status_code == 404


@pytest.mark.parametrize(
    ("who", "action", "body", "status"),
    [
        ("", "take", {}, 401),
        ("technician", "take", {}, 403),
        ("auditor", "take", {}, 403),
        ("guard", "verify", {}, 403),
        ("guard", "take", {}, 200),
        ("manager", "send-back", {"to": "filed", "reason": "非本单位"}, 200),
        ("district", "verify", {}, 409),
        ("district", "evaluate", {"score": 6}, 422),
        ("district", "dispatch", {"unit": "a\nb"}, 422),
    ],
)
async def test_roles_and_rules_decide_who_may_act(
    api: Api, who: str, action: str, body: dict[str, Any], status: int
) -> None:
    _, found = await api.scene.raise_alarm()
    assert found
    assert (await api.act(found.id, action, who, **body)).status_code == status


async def test_who_has_missed_something_is_told_what(api: Api) -> None:
    _, found = await api.scene.raise_alarm()
    assert found
    await api.act(found.id, "take", "guard")
    refused = await api.post(f"/cases/{found.id}/take", {"revision": found.revision})
    assert (refused.status_code, refused.json()["reason"]) == (409, "stale")
    assert "taken (guard)" in refused.json()["title_en"]


async def test_a_case_explains_its_deadlines_and_tells_its_story(api: Api) -> None:
    alarm_id, found = await api.scene.raise_alarm("throw-1", "throw.object_falling")
    assert found
    told = (await api.get(f"/cases/{found.id}")).json()
    handling = next(row for row in told["deadlines"] if row["stage"] == "handling")
    assert (handling["row"], handling["basis"], handling["amount"], handling["is_default"]) == (
        "throw.object_falling/handling",
        "working_day",
        1.0,
        False,
    )
    assert [(day["day"], day["kind"]) for day in handling["days"]] == [
        ("2026-11-25", "workday"),
        ("2026-11-26", "workday"),
    ]
    assert handling["due_at"] == "2026-11-26T09:30:00Z"
    assert [line["what"] for line in told["timeline"]] == ["opened", "filed", "dispatched"]
    assert [one["alarm_id"] for one in told["alarms"]] == [alarm_id]


async def test_a_case_goes_through_all_seven_steps_over_http(api: Api) -> None:
    alarm_id, found = await api.scene.raise_alarm("gas-1", "gas.offline")
    assert found
    number = found.id
    assert (await api.act(number, "file", "manager")).status_code == 200
    guard = api.scene.people["guard"].user_id
    sent = await api.act(number, "dispatch", unit="示例小区值守", user_id=guard)
    assert sent.json()["user_id"] == guard
    assert (await api.act(number, "take", "guard")).status_code == 200
    assert (await api.photo(number)).status_code == 200
    assert (await api.act(number, "notes", "guard", text="备件已换")).status_code == 200
    await api.scene.close(alarm_id)
    assert (await api.act(number, "verify", "judge")).json()["step"] == "verified_closed"
    assert (await api.act(number, "evaluate", "city", score=5)).json()["step"] == "evaluated"
    assert (await api.get("/cases")).json()["items"] == []
    assert (await api.get("/cases", is_open=False)).json()["items"][0]["score"] == 5


async def test_a_case_is_given_to_people_who_reach_it_only(api: Api) -> None:
    _, found = await api.scene.raise_alarm("lift-1", "lift.other_fault")
    assert found
    refused = await api.act(found.id, "dispatch", unit="示例", user_id=9999)
    assert (refused.status_code, refused.json()["reason"]) == (422, "person")


async def test_a_photo_is_looked_at_only_with_a_trace(api: Api) -> None:
    _, found = await api.scene.raise_alarm()
    assert found
    await api.act(found.id, "take", "guard")
    await api.photo(found.id)
    sha = (await api.get(f"/cases/{found.id}")).json()["photos"][0]["sha256"]
    shown = await api.get(f"/cases/{found.id}/photos/{sha}")
    assert (shown.content, shown.headers["content-type"]) == (PNG, "image/png")
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert (await api.get(f"/cases/{found.id}/photos/{sha}", who="contractor")).status_code == 404
    async with api.scene.store.read() as db:
        rows = (await db.execute(select(audit_table).where(audit_table.c.action == "case.photo_view"))).all()
    assert [row.actor for row in rows] == ["district"]


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [(b"GIF89a", 415, "photo_type"), (b"\xff\xd8\xff" + bytes(9 * 1024 * 1024), 413, "http_413")],
)
async def test_what_is_no_photo_is_refused(api: Api, content: bytes, status: int, reason: str) -> None:
    _, found = await api.scene.raise_alarm()
    assert found
    await api.act(found.id, "take", "guard")
    refused = await api.photo(found.id, content=content)
    assert (refused.status_code, refused.json()["reason"]) == (status, reason)


async def test_a_contractor_reads_no_words_that_may_name_people(api: Api) -> None:
    _, found = await api.scene.raise_alarm()
    assert found
    await api.act(found.id, "notes", "guard", text="住户王某示例已联系")
    told = await api.get(f"/cases/{found.id}", who="contractor")
    assert "王某" not in told.text
    assert "王某" in (await api.get(f"/cases/{found.id}")).text


async def test_closing_an_alarm_from_here_is_an_order(api: Api) -> None:
    alarm_id, found = await api.scene.raise_alarm()
    assert found
    body = {"alarm_id": alarm_id, "alarm_seq": 1, "disposition": "false_alarm", "reason": "误触示例"}
    done = await api.act(found.id, "disposals", "guard", **body)
    assert (done.status_code, done.json()["step"]) == (200, "dispatched")
    assert (
        await api.act(found.id, "disposals", "guard", **(body | {"disposition": "auto"}))
    ).status_code == 422


async def test_figures_tell_what_was_kept_and_what_was_missed(api: Api) -> None:
    alarm_id, _ = await api.scene.raise_alarm()
    start = api.scene.clock.now() - timedelta(hours=1)
    api.scene.move(minutes=1)
    await api.scene.acknowledge(alarm_id)
    late, _ = await api.scene.raise_alarm("sos-9", "sos.pressed")
    api.scene.move(minutes=9)
    await api.scene.acknowledge(late)
    end = api.scene.clock.now() + timedelta(hours=1)
    span = {"start": start.isoformat(), "end": end.isoformat()}
    told = (await api.get("/cases/statistics", who="city", **span)).json()
    assert [(one["name"], one["opened"]) for one in told] == [("示例区", 2)]
    taking = next(one for one in told[0]["stages"] if one["stage"] == "taking")
    assert (taking["kept"], taking["missed"], taking["on_time"], taking["mean_s"]) == (1, 1, 0.5, 300.0)
    load = (await api.get("/cases/alarm-load", who="city", **span)).json()
    assert [(one["alarms"], one["by_priority"]["P1"], one["verdict"]) for one in load] == [(2, 2, "good")]
    assert (await api.get("/cases/statistics", who="guard", **span)).status_code == 403
    assert (
        await api.get("/cases/statistics", who="city", start="2026-01-01T00:00:00", end="2026-01-02T00:00:00")
    ).status_code == 422


async def test_the_export_opens_in_a_spreadsheet_and_runs_nothing(api: Api) -> None:
    _, found = await api.scene.raise_alarm("lift-1", "lift.other_fault")
    assert found
    await api.act(found.id, "dispatch", unit="=HYPERLINK(1)")
    text = (await api.get("/cases/export.csv")).text
    lines = text.removeprefix("\ufeff").splitlines()
    assert text.startswith("\ufeff编号,小区")
    assert "'=HYPERLINK(1)" in lines[1]
    assert lines[1].startswith(
        f"AJ20261125-{found.id:06d},示例小区,danger,lift.other_fault,P3,dispatched,green"
    )


async def test_messages_are_read_and_marked(api: Api) -> None:
    await api.scene.raise_alarm()
    await api.scene.tick(minutes=3)
    told = (await api.get("/inbox", who="guard")).json()
    assert [(one["stage"], one["light"], one["is_read"]) for one in told] == [("taking", "yellow", False)]
    assert "案件AJ20261125-000001（P1）接单" in told[0]["text"]
    await api.post("/inbox/read", {"ids": [told[0]["id"]]}, who="guard")
    assert (await api.get("/inbox", who="guard")).json()[0]["is_read"]


async def test_cases_are_merged_and_the_one_that_went_away_says_where(api: Api) -> None:
    _, one = await api.scene.raise_alarm("gas-1", "gas.low_alarm")
    _, two = await api.scene.raise_alarm("gas-2", "gas.low_alarm")
    assert one
    assert two
    assert (await api.act(one.id, "merge", other_id=two.id)).status_code == 200
    assert (await api.get(f"/cases/{two.id}")).json()["case"]["merged_into"] == one.id
    assert (await api.act(one.id, "merge", other_id=9999)).status_code == 404
