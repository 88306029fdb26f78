"""The hand-over sheet and the login by a plain form: no JavaScript, no JSON, nobody else's form."""

from __future__ import annotations

import re
import sqlite3
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from html import unescape
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from console_site import PASSWORD, running_site

from gatehouse_edge.console.pages import _css_text, _target
from gatehouse_edge.console.phrases import PHRASES, explain
from gatehouse_edge.console.roles import Role
from gatehouse_edge.console.sheet import people_of, shift_at
from gatehouse_edge.history import Revision
from gatehouse_ui import words

RLO = "\u202e"


@pytest.fixture
async def site(tmp_path):
    async with running_site(tmp_path) as found:
        yield found


@asynccontextmanager
async def paper(site):
    """A browser without JavaScript: it sends forms and no header of ours."""
    async with site.browser() as made:
        del made.headers["X-Gatehouse"]
        yield made


def token_of(page):
    return re.search(r'name="token" value="([^"]+)"', page).group(1)


async def enter(browser, name, password, **fields):
    page = await browser.get("/login?then=/handover")
    form = {"token": token_of(page.text), "name": name, "password": password, "then": "/handover"} | fields
    return await browser.post(
        "/login", content=urlencode(form), headers={"Content-Type": "application/x-www-form-urlencoded"}
    )


async def text_of_sheet(browser, query=""):
    answer = await browser.get(f"/handover{query}")
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_a_guard_logs_in_by_a_form_and_reads_the_sheet(site):
    site.accounts.make("示例甲", PASSWORD, Role.OPERATOR, at=site.clock.now().wall)
    await site.leak()
    async with paper(site) as browser:
        away = await browser.get("/handover")
        assert (away.status_code, away.headers["location"]) == (303, "/login?then=/handover")
        entered = await enter(browser, "示例甲", PASSWORD)
        assert (entered.status_code, entered.headers["location"]) == (303, "/handover")
        cookie = next(one for one in entered.headers.get_list("set-cookie") if "__Host-gatehouse=" in one)
        assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=strict"))
        page = await text_of_sheet(browser)
        assert "燃气高报" in page
        assert "3号楼2单元5层501室" in page
        out = await browser.post("/logout", content=urlencode({"token": token_of(page)}))
        assert out.status_code == 303
        assert (await browser.get("/handover")).status_code == 303


async def test_a_wrong_password_is_said_slowed_down_and_written_down(site):
    site.accounts.make("示例甲", PASSWORD, Role.OPERATOR, at=site.clock.now().wall)
    async with paper(site) as browser:
        answers = [await enter(browser, "示例甲", "wrong-password") for _ in range(6)]
        assert [one.status_code for one in answers] == [401] * 5 + [429]
        assert "姓名或密码不正确" in answers[0].text


async def test_a_foreign_page_cannot_log_anybody_in_or_out(site):
    site.accounts.make("示例甲", PASSWORD, Role.OPERATOR, at=site.clock.now().wall)
    form = {"name": "示例甲", "password": PASSWORD, "then": "/"}
    async with paper(site) as browser:
        await browser.get("/login")
        for token, headers in (
            ("", {}),
            ("guessed", {}),
            (browser.cookies["gatehouse-form"], {"Sec-Fetch-Site": "cross-site"}),
        ):
            answer = await browser.post("/login", content=urlencode(form | {"token": token}), headers=headers)
            assert answer.status_code == 403
            assert "__Host-gatehouse" not in answer.headers.get("set-cookie", "")
        assert (await enter(browser, "示例甲", PASSWORD)).status_code == 303
        await browser.post("/logout", content=urlencode({"token": "guessed"}))
        assert (await browser.get("/handover")).status_code == 200


async def test_who_may_not_read_the_journal_sees_no_sheet(site):
    async with site.person("viewer") as viewer:
        answer = await viewer.get("/handover")
        assert answer.status_code == 403
        assert "王示例" not in answer.text


async def test_the_sheet_names_what_is_open_hidden_odd_done_and_by_whom(site):
    async with site.person("supervisor") as lead:
        await site.press()
        await site.leak()
        await site.silence()
        sos, low = await site.alarm("sos.pressed"), await site.alarm("gas.low_alarm")
        await lead.post(f"/api/v1/alarms/{sos.alarm_id}/ack", json={})
        await lead.post(
            f"/api/v1/alarms/{sos.alarm_id}/note", json={"text": f"<script>alert(1)</script> {RLO}已回拨"}
        )
        await lead.post(
            f"/api/v1/alarms/{low.alarm_id}/shelve", json={"duration_s": 600, "reason": "<b>维修</b>中"}
        )
        await lead.post("/api/v1/devices/io-1/inhibit", json={"duration_s": 600, "reason": "换继电器"})
        page = await text_of_sheet(lead)
        text = unescape(re.sub(r"<[^>]+>", " ", page))
        assert "<script>alert" not in page
        assert "<script>alert(1)</script>" in text
        assert "<b>维修</b>中" in text
        assert "王示例" in text
        assert "13900000001" in text
        for words in ("人工搁置", "离线", "已屏蔽", "设备停用", "换继电器", "valve-1", "示例supervisor"):
            assert words in text, words
        assert page.count('<article class="alarm') == len(
            [
                one
                for one in site.ledger.alarms()
                if one.state not in ("shelved", "suppressed") and one.kind != "inhibited"
            ]
        )
        english = await text_of_sheet(lead, "?lang=en")
        assert "Hand-over sheet" in english
        assert "passenger" not in english
        assert not re.search(r"sheet_\w+|deed_\w+", english)


async def test_the_sheet_of_a_past_shift_shows_the_alarms_of_its_end(site):
    async with site.person("operator") as guard:
        await site.press()
        now = site.clock.now().wall
        site.clock.shift_s += 3600
        await site.leak()
        since, until = (at.isoformat() for at in (now - timedelta(hours=1), now + timedelta(minutes=5)))
        page = await text_of_sheet(guard, "?" + urlencode({"since": since, "until": until}))
        assert page.count('<article class="alarm') >= 1
        assert "一键求助" in page
        assert "燃气高报" not in page


async def test_a_sheet_is_made_of_what_stands_when_the_record_cannot_be_read(site):
    async with site.person("operator") as guard:
        await site.press()
        site.history.close()
        site.history._db = sqlite3.connect(site.directory / "nothing.db", check_same_thread=False)
        site.history._db.execute("PRAGMA query_only = ON")
        page = await text_of_sheet(guard)
        assert "记录暂时无法读取" in page
        assert page.count('<article class="alarm') == 1
        answer = await guard.get("/api/v1/drills")
        assert (answer.status_code, answer.json()["reason"]) == (503, "history")


@pytest.mark.parametrize(
    "query",
    [
        {"since": "x", "until": "y"},
        {"since": "2026-01-01T00:00"},
        {"since": "2026-01-02T00:00", "until": "2026-01-01T00:00"},
        {"since": "2026-01-01T00:00", "until": "2026-02-01T00:00"},
        {"since": "0001-01-01T00:00+14:00", "until": "0001-01-02T00:00-14:00"},
        {"back": "22"},
        {"lang": "fr"},
    ],
)
async def test_a_shift_that_makes_no_sense_is_refused(site, query):
    async with site.person("operator") as guard:
        answer = await guard.get("/handover?" + urlencode(query))
        assert answer.status_code == 422


async def test_the_margins_of_the_paper_say_whose_it_is_and_cannot_be_escaped_from(site):
    site.app.state.console.estate = '小区"; } * { display: none } /*'
    async with site.browser() as browser:
        answer = await browser.get(
            "/handover.css",
            params={"since": "2026-11-26T08:00:00+08:00", "until": "2026-11-26T16:00:00+08:00"},
        )
        assert answer.headers["content-type"].startswith("text/css")
        assert "display" in answer.text  # its letters, harmless inside a string
        assert re.fullmatch(
            r"@page \{\n(@[\w-]+ \{ content: (\"(\\[0-9a-f]{6}|[0-9A-Za-z])*\"|counter\(pages?\)| )+; \}\n){4}\}\n",
            answer.text,
        )


def test_paper_and_pages_read_the_same_phrases():
    script = (Path(str(files("gatehouse_edge.console"))) / "static" / "say.js").read_text(encoding="utf-8")
    on_pages = re.findall(r"^  \[/(.+)/, \"(\w+)\"\],$", script, re.MULTILINE)
    assert [(one.pattern.replace("?P<", "?<").replace("/", r"\/"), key) for one, key in PHRASES] == on_pages


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("floors 17-20", "约 17 至 20 层"),
        ("no_answer: no answer; put aside after 2 failures", "无应答 · 连续 2 次无应答，已降频轮询"),
        ("{x} <b>", "{x} <b>"),
        ("", ""),
    ],
)
def test_the_gateways_tokens_are_said_in_words(text, said):
    assert explain(text, words("zh", "common", "field")) == said


def test_shifts_begin_at_0_8_and_16_in_the_guards_own_zone():
    now = datetime(2026, 11, 26, 17, 30, tzinfo=UTC)
    assert (shift_at(now).since.hour, shift_at(now).until.hour) == (16, 0)
    assert (shift_at(now, back=2).since.hour, shift_at(now, back=2).until.hour) == (0, 8)
    assert shift_at(now, back=3).until == shift_at(now, back=2).since


def test_who_acknowledged_most_comes_first_with_how_long_it_took():
    def ack(name, wait_s):
        return Revision(
            seq=1, alarm_id="a", at_us=0, what="acknowledged", state="acked", actor=name, role="operator", station="local",
            wait_s=wait_s, text="",
        )  # fmt: skip

    rows = people_of([ack("乙", 5.0), ack("甲", 10.0), ack("甲", 30.0), ack("甲", 20.0)])
    assert [(one.name, one.count, one.median_s, one.longest_s) for one in rows] == [
        ("甲", 3, 20.0, 30.0),
        ("乙", 1, 5.0, 5.0),
    ]


@given(st.text(max_size=60))
def test_a_login_leads_to_a_page_of_ours_whatever_is_asked_for(then):
    assert _target(then) == "/" or re.fullmatch(r"/(handover)?(\?[\w=&:+.%~-]*)?", _target(then))
    for bad in (f"//{then}", f"https://{then}", f"/\\{then}", f"javascript:{then}"):
        assert _target(bad) == "/"


@given(st.text(max_size=40))
def test_a_text_in_a_style_sheet_stays_a_text(text):
    inner = _css_text(text)[1:-1]
    assert re.fullmatch(r"(\\[0-9a-f]{6}|[0-9A-Za-z])*", inner)
    assert re.sub(r"\\([0-9a-f]{6})", lambda one: chr(int(one.group(1), 16)), inner) == text


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
async def test_no_form_makes_the_server_stumble(site, body):
    async with paper(site) as browser:
        answer = await browser.post("/login", content=body)
        assert answer.status_code in {400, 403, 413, 422}
        assert isinstance(answer, httpx.Response)
