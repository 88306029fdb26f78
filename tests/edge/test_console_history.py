"""Looking back over the wire: who may, what is found, what is masked, and what nobody can make stumble."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from console_site import running_site

RLO = "\u202e"


@pytest.fixture
async def site(tmp_path):
    async with running_site(tmp_path) as found:
        yield found


def day(site, **more):
    now = site.clock.now().wall
    return {
        "since": (now - timedelta(hours=12)).isoformat(),
        "until": (now + timedelta(hours=12)).isoformat(),
    } | more


async def test_an_alarm_is_found_by_room_by_resident_by_word_and_by_device(site):
    await site.press()
    await site.leak()
    async with site.person("operator") as guard, site.person("technician") as technician:

        async def found(browser, **query):
            answer = await browser.get("/api/v1/history/alarms", params=day(site, **query))
            assert answer.status_code == 200, answer.text
            return {one["code"] for one in answer.json()["alarms"]}

        gas = {"gas.high_alarm", "gas.low_alarm"}
        assert await found(guard) >= gas | {"sos.pressed"}
        assert await found(guard, q="501") == gas
        assert await found(guard, q="3号楼 2单元 高报") == {"gas.high_alarm"}
        assert await found(guard, q="王示例") == {"sos.pressed"}
        assert await found(guard, q="王示例 高报") == set()
        assert await found(guard, device="btn-1") == {"sos.pressed"}
        assert await found(guard, category="gas") == gas
        assert await found(guard, q="<b>") == set()
        assert await found(guard, q=f"{RLO}示例") == {
            "sos.pressed"
        }  # what cannot be seen is not searched for
        assert (await technician.get("/api/v1/history/alarms", params=day(site))).status_code == 403
        deeds = (await guard.get("/api/v1/history/deeds", params=day(site))).json()["deeds"]
        assert not any(one["what"] == "history_read" for one in deeds)
        entries = (await guard.get("/api/v1/journal?limit=500")).json()["entries"]
        searches = [
            one["body"]["detail"] for one in entries if (one["body"] or {}).get("what") == "history_read"
        ]
        assert "search 王示例" in searches


async def test_a_story_names_who_did_what_and_who_was_told(site):
    await site.press()
    alarm = await site.alarm("sos.pressed")
    async with site.person("operator") as guard:
        body = {
            "receipts": [{"alarm_id": alarm.alarm_id, "seq": alarm.seq, "visible": True, "audible": True}]
        }
        await guard.post("/api/v1/annunciated", json=body)
        await guard.post(f"/api/v1/alarms/{alarm.alarm_id}/ack", json={})
        await guard.post(f"/api/v1/alarms/{alarm.alarm_id}/note", json={"text": f"<img src=x> {RLO}住户平安"})
        story = (await guard.get(f"/api/v1/history/alarms/{alarm.alarm_id}")).json()
        assert [one["what"] for one in story["revisions"]][-2:] == ["acknowledged", "noted"]
        assert story["revisions"][-1]["text"] == "<img src=x>  住户平安"
        assert {one["what"] for one in story["told"]} >= {"painted_heard", "escalated"}
        assert story["last"]["resident"]["name"] == "王示例"
        assert story["alarm"]["acked_by"] == "示例operator"
        unknown = await guard.get("/api/v1/history/alarms/01ARZ3NDEKTSV4RRFFQ69G5FAV")
        assert (unknown.status_code, unknown.json()["reason"]) == (404, "unknown_alarm")


async def test_what_the_screen_knew_before_and_after_an_acknowledgement(site):
    await site.press()
    before = site.clock.now().wall
    alarm = await site.alarm("sos.pressed")
    async with site.person("operator") as guard:
        site.clock.shift_s += 30
        await guard.post(f"/api/v1/alarms/{alarm.alarm_id}/ack", json={})
        after = site.clock.now().wall

        async def states(at):
            answer = (await guard.get("/api/v1/history/moment", params={"at": at.isoformat()})).json()
            return {one["code"]: one["state"] for one in answer["alarms"]}

        assert await states(before - timedelta(hours=1)) == {}
        assert (await states(before + timedelta(seconds=1)))["sos.pressed"] == "unack"
        assert (await states(after + timedelta(seconds=1)))["sos.pressed"] == "latched"


async def test_the_timeline_counts_each_sort_in_its_stretch(site):
    await site.leak()
    async with site.person("supervisor") as lead:
        answer = (await lead.get("/api/v1/history/timeline", params=day(site, buckets=24))).json()
        assert answer["bucket_s"] == 3600
        (row,) = [one for one in answer["tallies"] if (one["category"], one["priority"]) == ("gas", "P1")]
        assert (row["bucket"], row["count"]) == (11, 1)  # the minute before the middle


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("alarms", {"since": "2026-01-01T00:00:00", "until": "2026-01-02T00:00:00Z"}),  # without a zone
        ("alarms", {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}),
        ("alarms", {"since": "2020-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}),
        ("alarms", {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "after": "x"}),
        ("alarms", {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "limit": "501"}),
        ("alarms", {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "priority": "P9"}),
        ("alarms", {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "unknown": "1"}),
        ("timeline", {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "buckets": "501"}),
        ("timeline", {"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T00:00:00Z"}),
        ("moment", {"at": "yesterday"}),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_with_words(site, path, query):
    async with site.person("operator") as guard:
        answer = await guard.get(f"/api/v1/history/{path}", params=query)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"


async def test_the_ends_of_time_are_questions_like_any_other(site):
    async with site.person("operator") as guard:
        for at in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
            assert (await guard.get("/api/v1/history/moment", params={"at": at})).status_code == 200
