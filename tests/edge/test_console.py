"""The console on a real wire: TLS, people, orders, the live stream."""

from __future__ import annotations

import asyncio
import ssl
import stat
import sys
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from console_site import PASSWORD, following, running_site, until, write_config

from gatehouse_edge.alarms.commands import AddNote
from gatehouse_edge.console import Accounts
from gatehouse_edge.console.roles import Role
from gatehouse_edge.reading import GasFlag
from gatehouse_events.alarm import Actor
from gatehouse_events.chain import Lane


@pytest.fixture
async def site(tmp_path):
    async with running_site(tmp_path) as found:
        yield found


def path_of(alarm, action):
    return f"/api/v1/alarms/{alarm.alarm_id}/{action}"


# --- TLS


async def test_the_console_is_trusted_through_its_own_ca_and_by_nobody_else(site):
    async with site.browser() as browser:
        assert (await browser.get("/healthz")).json() == {"status": "ok"}
    async with httpx.AsyncClient() as stranger:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await stranger.get(f"https://127.0.0.1:{site.server.port}/healthz")


def test_keys_are_for_the_gateway_alone_and_survive_a_restart(tmp_path):
    from console_site import ShiftedClock

    from gatehouse_edge.console import tls_files

    config, clock = write_config(tmp_path), ShiftedClock()
    first = tls_files(config, clock)
    before = first.certificate.read_bytes()
    for path in (first.private_key, first.ca.with_suffix(".key")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert tls_files(config, clock) == first
    assert first.certificate.read_bytes() == before
    clock.shift_s = 370 * 86400
    assert tls_files(config, clock).ca_fingerprint == first.ca_fingerprint
    assert first.certificate.read_bytes() != before


def test_a_gateway_that_wakes_in_1970_makes_a_certificate_that_is_valid_today(tmp_path):
    from console_site import ShiftedClock

    from gatehouse_edge.console import tls_files

    clock = ShiftedClock()
    clock.shift_s = -clock.now().wall.timestamp() + 3600
    found = tls_files(write_config(tmp_path), clock)
    context = ssl.create_default_context(cafile=str(found.ca))
    context.load_cert_chain(found.certificate, found.private_key)


# --- people


async def test_the_first_user_is_made_with_the_printed_code_and_only_once(site):
    code = site.accounts.first_code
    async with site.browser() as browser:
        assert (await browser.get("/api/v1/setup")).json()["needs_first_user"] is True
        wrong = await browser.post(
            "/api/v1/setup", json={"code": "AAAAA-AAAAA", "name": "甲", "password": PASSWORD}
        )
        assert (wrong.status_code, wrong.json()["reason"]) == (403, "code")
        body = {"code": code.lower(), "name": "示例管理员", "password": PASSWORD}
        assert (await browser.post("/api/v1/setup", json=body)).status_code == 201
        assert (await browser.post("/api/v1/setup", json=body)).status_code == 409
        answer = await browser.post("/api/v1/login", json={"name": "示例管理员", "password": PASSWORD})
        assert answer.json()["role"] == "admin"
        cookie = answer.headers["set-cookie"]
        assert all(word in cookie for word in ("__Host-gatehouse=", "HttpOnly", "Secure", "SameSite=strict"))
        assert (await browser.get("/api/v1/me")).json()["estate"] == "示例小区"
    assert site.accounts.first_code is None


async def test_guessing_the_code_is_slowed_down(site):
    async with site.browser() as browser:
        body = {"code": "x", "name": "甲", "password": PASSWORD}
        codes = [(await browser.post("/api/v1/setup", json=body)).status_code for _ in range(6)]
        assert codes == [403] * 5 + [429]
        right = body | {"code": site.accounts.first_code}
        assert (await browser.post("/api/v1/setup", json=right)).status_code == 429


async def test_guessing_a_password_is_slowed_down_and_written_down(site):
    site.accounts.make("甲", PASSWORD, Role.OPERATOR, at=site.clock.now().wall)
    async with site.browser() as browser:
        guess = {"name": "甲", "password": "wrong-password"}
        answers = [await browser.post("/api/v1/login", json=guess) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert int(answers[-1].headers["retry-after"]) > 200
        site.clock.shift_s = 301
        right = await browser.post("/api/v1/login", json={"name": "甲", "password": PASSWORD})
        assert right.status_code == 200
    kinds = [entry.body for entry in site.reader.read(Lane.ALARM, 0, 1000) if entry.kind == "audit"]
    assert sum(b"login_failed" in body for body in kinds) == 5


async def test_without_a_session_nothing_is_shown_or_done(site):
    async with site.browser() as browser:
        for path in ("alarms", "devices", "events", "journal", "me", "users", "valves", "figures"):
            answer = await browser.get(f"/api/v1/{path}")
            assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        assert (await browser.post("/api/v1/silence", json={})).status_code == 401


@pytest.mark.parametrize(
    "name", ["<i>乙</i>", "甲/乙", "../x", "%2F", "a?b#c", "\u202e示例".replace("\u202e", "")]
)
async def test_a_person_can_be_changed_whatever_the_name_is(site, name):
    async with site.person("admin") as admin:
        made = await admin.post("/api/v1/users", json={"name": name, "password": PASSWORD, "role": "viewer"})
        assert made.status_code == 201
        changed = await admin.patch(f"/api/v1/users/{quote(name, safe='')}", json={"role": "operator"})
        assert (changed.status_code, changed.json()["name"], changed.json()["role"]) == (
            200,
            name,
            "operator",
        )


async def test_a_session_ends_by_time_by_logging_out_and_by_shutting_the_person_out(site):
    async with site.person("operator") as one, site.person("operator") as two, site.person("admin") as admin:
        await one.post("/api/v1/logout")
        assert (await one.get("/api/v1/me")).status_code == 401
        assert (await two.get("/api/v1/me")).status_code == 200
        await admin.patch("/api/v1/users/示例operator", json={"is_disabled": True})
        assert (await two.get("/api/v1/me")).status_code == 401
        site.clock.shift_s = 12 * 3600 + 1
        assert (await admin.get("/api/v1/me")).status_code == 401


def test_a_session_outlives_a_restart_and_no_password_or_token_stands_in_the_file(tmp_path):
    from datetime import UTC, datetime

    from console_site import CHEAP

    at = datetime(2026, 11, 23, tzinfo=UTC)
    store = Accounts.open(tmp_path, argon2=CHEAP)
    store.make("甲", PASSWORD, Role.OPERATOR, at=at)
    token, _ = store.log_in("甲", PASSWORD, now_s=0, lasts_s=100)
    store.close()
    store = Accounts.open(tmp_path, argon2=CHEAP)
    assert store.session(token, now_s=50).user.name == "甲"
    assert store.session(token, now_s=100) is None
    store.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert PASSWORD.encode() not in content
    assert token.encode() not in content
    assert stat.S_IMODE((tmp_path / "users.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_a_foreign_page_can_give_no_orders(site, headers):
    async with site.person("operator") as browser:
        answer = await browser.post("/api/v1/silence", json={}, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (403, "forged")
        del browser.headers["X-Gatehouse"]
        assert (await browser.post("/api/v1/silence", json={})).status_code == 403


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("viewer", set()),
        ("technician", {"note"}),
        ("operator", {"ack", "note"}),
        ("supervisor", {"ack", "note", "close"}),
    ],
)
async def test_each_role_may_do_its_own_things(site, role, allowed):
    await site.leak()
    alarm = await site.alarm("gas.high_alarm")
    bodies = {"ack": {}, "note": {"text": "示例"}, "close": {"disposition": "handled", "reason": "示例"}}
    async with site.person(role) as browser:
        done = {
            name
            for name, body in bodies.items()
            if (await browser.post(path_of(alarm, name), json=body)).status_code != 403
        }
        assert done == allowed
        assert (await browser.get("/api/v1/users")).status_code == 403


# --- what is shown


async def test_residents_are_masked_for_those_who_only_watch(site):
    await site.press()
    shown = {}
    for role in ("viewer", "technician", "operator"):
        async with site.person(role) as browser:
            (alarm,) = (await browser.get("/api/v1/alarms")).json()["alarms"]
            devices = (await browser.get("/api/v1/devices")).text
            shown[role] = (alarm["resident"]["name"], alarm["resident"]["phone"], "13900000001" in devices)
            assert (await browser.get("/api/v1/journal")).status_code == (200 if role == "operator" else 403)
    assert shown["viewer"] == shown["technician"] == ("王**", "*********01", False)
    assert shown["operator"] == ("王示例", "13900000001", True)


async def test_devices_are_listed_with_last_data_age_and_state(site):
    await site.gas()
    async with site.person("viewer") as browser:
        rows = {row["id"]: row for row in (await browser.get("/api/v1/devices")).json()["devices"]}
        assert rows["gas-1"]["last"]["value"] == 11.0
        assert rows["gas-1"]["state"] == "normal"
        assert rows["gas-1"]["age_s"] < 60
        assert rows["gas-1"]["place"]["zh"] == "3号楼2单元5层501室"
        assert (rows["beacon-1"]["state"], rows["beacon-1"]["last"]) == ("unknown", None)
        await site.silence()
        rows = {row["id"]: row for row in (await browser.get("/api/v1/devices")).json()["devices"]}
        assert (rows["gas-1"]["state"], rows["gas-1"]["silence"]["reason"]) == ("silent", "no_answer")


async def test_the_journal_is_read_page_by_page_and_the_look_is_written_down(site):
    async with site.person("operator") as browser:
        first = (await browser.get("/api/v1/journal", params={"limit": 2})).json()["entries"]
        rest = (await browser.get("/api/v1/journal", params={"after": first[-1]["seq"]})).json()["entries"]
    assert [entry["seq"] for entry in first + rest] == list(range(1, len(first + rest) + 1))
    assert any(entry["kind"] == "audit" and entry["body"]["what"] == "journal_read" for entry in rest)


async def test_metrics_are_prometheus_text(site):
    await site.leak()
    async with site.browser() as browser:
        text = (await browser.get("/metrics")).text
    assert 'gatehouse_alarms_open{priority="P1"} 1.0' in text
    assert "gatehouse_device_age_seconds" in text


async def test_a_full_disk_is_said_at_once_and_alarms_are_still_shown(site):
    async with site.person("operator") as browser, following(browser) as events:
        await events.next("snapshot")
        site.disk.is_full = True
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(site.press())
            _, data = await events.next("change")
            assert any(alarm["code"] == "sos.pressed" for alarm in data["alarms"])
            assert (await browser.get("/healthz")).status_code == 503
            site.disk.is_full = False
            await waiting


# --- orders


async def test_an_alarm_is_acknowledged_once_reset_and_gone(site):
    await site.press()
    alarm = await site.alarm("sos.pressed")
    async with site.person("operator") as browser:
        answer = await browser.post(path_of(alarm, "ack"), json={"seen_seq": alarm.seq, "command_id": "a-1"})
        assert answer.json() == {
            "command_id": "a-1",
            "alarm_id": alarm.alarm_id,
            "seq": alarm.seq + 1,
            "was_first": True,
        }
        again = await browser.post(path_of(alarm, "ack"), json={"command_id": "a-1"})
        assert again.json() == answer.json()
        second = await browser.post(path_of(alarm, "ack"), json={})
        assert second.json()["was_first"] is False
        early = await browser.post(path_of(alarm, "reset"), json={})
        assert (early.status_code, early.json()["reason"]) == (409, "still_active")
        note = await browser.post(path_of(alarm, "note"), json={"text": "已电话联系（示例）"})
        assert note.status_code == 200
        (row,) = (await browser.get("/api/v1/alarms")).json()["alarms"]
        assert (row["state"], row["acked_by"], row["notes"][0]["text"]) == (
            "acked",
            "示例operator",
            "已电话联系（示例）",
        )


async def test_a_p1_is_never_shelved_and_a_p2_not_for_longer_than_its_limit(site):
    await site.leak()
    high, low = await site.alarm("gas.high_alarm"), await site.alarm("gas.low_alarm")
    async with site.person("operator") as browser:
        no = await browser.post(path_of(high, "shelve"), json={"duration_s": 60, "reason": "示例"})
        assert (no.status_code, no.json()["reason"], no.json()["title"]) == (
            409,
            "never_shelved",
            "紧急报警不可搁置",
        )
        assert no.json()["title_en"] == "a P1 alarm is never shelved"
        long = await browser.post(path_of(low, "shelve"), json={"duration_s": 901, "reason": "示例"})
        assert (long.status_code, long.json()["reason"]) == (422, "term")
        bare = await browser.post(path_of(low, "shelve"), json={"duration_s": 60, "reason": " "})
        assert (bare.status_code, bare.json()["reason"]) == (422, "reason_missing")
        assert (
            await browser.post(path_of(low, "shelve"), json={"duration_s": 60, "reason": "示例"})
        ).status_code == 200
        assert (await browser.post(path_of(low, "unshelve"), json={})).status_code == 200


async def test_an_order_for_an_alarm_that_has_changed_since_is_refused(site):
    await site.press(1)
    alarm = await site.alarm("sos.pressed")
    async with site.person("operator") as browser:
        await browser.post(path_of(alarm, "ack"), json={})
        await site.press(2)
        answer = await browser.post(path_of(alarm, "ack"), json={"seen_seq": alarm.seq})
        assert (answer.status_code, answer.json()["reason"]) == (409, "stale")


async def test_a_gas_valve_is_opened_by_two_people_on_site(site):
    await site.leak()
    await until(lambda: site.ledger.valves().get("valve-1"))
    async with site.person("operator") as one, site.person("supervisor") as two:
        closed = await one.post("/api/v1/valves/valve-1/request-open", json={"reason": "示例"})
        assert closed.json()["reason"] in {"gas_present", "detector_blind"}
        assert (await one.post("/api/v1/valves/valve-1/confirm-open", json={})).status_code == 403
        assert (await two.post("/api/v1/valves/valve-9/confirm-open", json={})).status_code == 404


async def test_a_drill_is_started_and_ended(site):
    async with site.person("technician") as browser:
        answer = await browser.post("/api/v1/tests", json={"device_id": "gas-1", "code": "gas.high_alarm"})
        assert answer.status_code == 200
        (row,) = (await browser.get("/api/v1/alarms")).json()["alarms"]
        assert row["kind"] == "test"
        assert (await browser.post(f"/api/v1/tests/{row['alarm_id']}/end", json={})).status_code == 200
        assert (await browser.get("/api/v1/alarms")).json()["alarms"] == []


async def test_a_receipt_says_that_an_alarm_was_painted_and_heard(site):
    await site.press()
    alarm = await site.alarm("sos.pressed")
    async with site.person("operator") as browser:
        receipts = [{"alarm_id": alarm.alarm_id, "seq": alarm.seq, "visible": True, "audible": True}]
        answer = await browser.post("/api/v1/annunciated", json={"receipts": receipts})
        assert answer.json() == {"taken": 1}
    assert (await site.alarm("sos.pressed")).heard_s is not None


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/alarms/01ARZ3NDEKTSV4RRFFQ69G5FAV/ack", {}, 404),
        ("/api/v1/alarms/nonsense/ack", {}, 422),
        ("/api/v1/silence", {"sneaky": 1}, 422),
        ("/api/v1/silence", {"command_id": "x" * 65}, 422),
        ("/api/v1/tests", {"device_id": "gas-1", "code": "gas.no_such"}, 404),
        ("/api/v1/tests", {"device_id": "gas-1", "code": "gas.high_alarm", "duration_s": 1e9}, 422),
        ("/api/v1/nothing", {}, 404),
    ],
)
async def test_a_bad_order_is_a_problem_in_two_languages(site, path, body, status):
    async with site.person("admin") as browser:
        answer = await browser.post(path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["title"] != answer.json()["title_en"]


async def test_an_endless_body_is_cut_off(site):
    async with site.person("operator") as browser:
        answer = await browser.post(path_of_any(), content=b"x" * 100_000)
    assert (answer.status_code, answer.json()["reason"]) == (413, "http_413")


def path_of_any():
    return "/api/v1/silence"


# --- the live stream


async def test_a_page_gets_a_snapshot_then_each_change_then_beats(site):
    await site.gas()
    async with site.person("operator") as browser, following(browser) as events:
        _, snapshot = await events.next("snapshot")
        assert snapshot["alarms"] == []
        await site.leak()
        _, change = await events.next("change")
        assert {alarm["code"] for alarm in change["alarms"]} == {"gas.high_alarm", "gas.low_alarm"}
        _, devices = await events.next("devices")
        assert devices["devices"][0]["last"]["value"] == 25.0
        _, beat = await events.next("beat")
        assert set(beat) >= {"at", "service_s", "clock", "utc_offset_s"}


async def test_an_alarm_is_shown_although_the_journal_cannot_be_read(site):
    async with site.person("operator") as browser, following(browser) as events:
        await events.next("snapshot")
        telemetry = site.reader.directory / "telemetry.db"
        telemetry.rename(telemetry.with_suffix(".away"))
        await site.press()
        _, change = await events.next("change")
        assert change["alarms"][0]["code"] == "sos.pressed"
        telemetry.with_suffix(".away").rename(telemetry)


async def test_the_event_id_is_the_journal_position(site):
    async with site.person("operator") as browser, following(browser) as events:
        await events.next("snapshot")
        await site.press()
        await events.next("change")
        epoch, alarm_seq, _ = events.last_id.split(".")
    head = site.reader.head(Lane.ALARM)
    assert (epoch, int(alarm_seq)) == (head.epoch, head.seq)


async def test_a_page_that_comes_back_hears_what_it_missed(site):
    async with site.person("operator") as browser:
        async with following(browser) as events:
            await events.next("snapshot")
            await site.gas(GasFlag.PRE_WARNING)
            await events.next("change")
            last_id = events.last_id
        pushes = site.stream.pushes
        await site.leak()
        await until(lambda: site.stream.pushes > pushes)
        async with following(browser, last_id) as events:
            name, change = await events.next("snapshot", "change")
            assert name == "change"
            assert "gas.high_alarm" in {alarm["code"] for alarm in change["alarms"]}


@pytest.mark.parametrize("last_id", ["", "nonsense", "0123456789abcdef0123456789abcdef.7.0"])
async def test_a_page_that_was_away_too_long_gets_a_snapshot(site, last_id):
    await site.leak()
    async with site.person("operator") as browser, following(browser, last_id) as events:
        name, snapshot = await events.next("snapshot", "change")
        assert name == "snapshot"
        assert len(snapshot["alarms"]) == 2


async def test_the_stream_masks_residents_for_those_who_only_watch(site):
    async with site.person("viewer") as browser, following(browser) as events:
        _, snapshot = await events.next("snapshot")
        await site.press()
        _, change = await events.next("change")
    assert change["alarms"][0]["resident"] == {"name": "王**", "phone": "*********01", "is_masked": True}
    assert "13900000001" not in str(snapshot)


async def test_a_page_that_reads_nothing_costs_bounded_memory_and_gets_a_snapshot(site):
    from gatehouse_edge.console.stream import QUEUE, Client

    lazy = Client(is_clear=True, is_live=lambda: True)
    stream = site.stream.follow(lazy, None)
    await anext(stream)
    await site.press()
    alarm = await site.alarm("sos.pressed")
    guard = Actor(name="示例甲", role="operator", station="local")
    for count in range(QUEUE + 20):
        note = AddNote(actor=guard, command_id=f"note-{count}", alarm_id=alarm.alarm_id, text="示例")
        told = site.stream.pushes
        await site.ledger.submit(note)
        await until(lambda told=told: site.stream.pushes > told)
        assert lazy.queue.qsize() <= QUEUE
    assert site.stream.resyncs > 0
    await stream.aclose()
    assert site.stream.clients == 0


async def test_the_stream_of_a_person_who_is_shut_out_ends(site):
    async with site.person("operator") as browser, following(browser) as events:
        await events.next("snapshot")
        site.accounts.make("乙管理", PASSWORD, Role.ADMIN, at=site.clock.now().wall)
        site.accounts.change("示例operator", is_disabled=True)
        await events.next("bye")
        await events.end()


async def test_stopping_the_gateway_ends_open_streams_in_good_order(tmp_path):
    async with (
        running_site(tmp_path) as site,
        site.person("operator") as browser,
        following(browser) as events,
    ):
        await events.next("snapshot")
        site.stream.close()
        await events.end()
    assert site.stream.clients == 0


# --- the page


async def test_the_page_is_served_under_a_strict_policy_and_names_no_other_origin(site):
    async with site.browser() as browser:
        page = await browser.get("/")
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        for path in (
            "/static/duty.js",
            "/static/duty.css",
            "/ui/words.js",
            "/ui/words/zh/common.json",
            "/ui/tokens.css",
        ):
            answer = await browser.get(path)
            assert answer.status_code == 200
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert (await browser.get("/static/../accounts.py")).status_code == 404
        assert (await browser.get("/docs")).status_code == 404
        assert (await browser.get("/openapi.json")).json()["paths"]["/api/v1/alarms/{alarm_id}/ack"]
