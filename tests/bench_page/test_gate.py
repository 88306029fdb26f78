"""Who gets in: only this computer's browser, through the address that was printed, once."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from gatehouse_hil.bench_page.door import Door

NOW = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)
ORDER = {"verb": "list"}


def raw(site, text):
    """Send bytes no well-behaved client would."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as line:
        line.sendall(text.encode())
        return line.recv(4096).decode()


def test_a_token_opens_one_session_and_is_then_worth_nothing(tmp_path):
    door = Door(tmp_path / "sessions.json")
    token = door.fresh_token()
    assert door.enter("wrong", NOW) is None
    session = door.enter(token, NOW)
    assert door.knows(session, NOW)
    assert door.enter(token, NOW) is None
    assert not door.knows("", NOW)
    assert not door.knows(token, NOW)


def test_a_session_outlives_the_page_but_not_a_month_and_is_not_on_disk(tmp_path):
    door = Door(tmp_path / "sessions.json")
    session = door.enter(door.fresh_token(), NOW)
    kept = (tmp_path / "sessions.json").read_text(encoding="utf-8")
    assert session not in kept
    again = Door(tmp_path / "sessions.json")
    assert again.knows(session, NOW)
    assert not again.knows(session, NOW + timedelta(days=31))
    assert (tmp_path / "sessions.json").stat().st_mode & 0o077 == 0


def test_a_damaged_file_of_sessions_lets_nobody_in(tmp_path):
    (tmp_path / "sessions.json").write_text('{"x": 3', encoding="utf-8")
    assert not Door(tmp_path / "sessions.json").knows("x", NOW)


def test_without_a_session_there_is_a_sentence_and_nothing_else(site):
    for path in ("/", "/api/state", "/api/events", "/static/bench.js", "/api/records/x/1.json"):
        answer = httpx.get(site.base + path)
        assert answer.status_code == 401, path
    assert "gatehouse-bench page" in httpx.get(site.base + "/").text
    assert "gas-1" not in httpx.get(site.base + "/").text


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", ""]
)  # fmt: skip
def test_a_foreign_name_that_points_here_is_turned_away(site, host):
    host = host.format(port=site.port)
    name, value = site.cookie
    told = raw(
        site,
        f"GET /api/state HTTP/1.1\r\nHost: {host}\r\nCookie: {name}={value}\r\nConnection: close\r\n\r\n",
    )
    assert told.startswith("HTTP/1.1 421")
    assert "gas-1" not in told


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": None},
        {"X-Gatehouse": None},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=json.dumps,
)
def test_an_order_from_another_page_is_refused(site, headers):
    answer = site.post("/api/orders", ORDER, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (403, "foreign_origin")
    assert not site.state()["commands"]


def test_another_page_may_not_even_read(site):
    answer = site.get("/api/state", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_every_answer_is_dressed(site):
    for path in ("/", "/api/state", "/nowhere", "/ui/base.css"):
        headers = site.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")


def test_a_body_is_bounded_and_must_be_json(site):
    answer = site.post("/api/orders", {"verb": "list", "room": "x" * 100_000})
    assert answer.status_code == 413
    assert site.post("/api/orders", ORDER, headers={"Content-Type": "text/plain"}).status_code == 415
    assert site.post("/api/orders", {"verb": "list", "shell": "rm"}).status_code == 422
    assert site.post("/api/orders", {"verb": "estate"}).status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "/api/records/../../bench.key/1.json",
        "/api/records/..%2f..%2fbench.key/1.json",
        "/api/records/%2e%2e/1.json",
        "/api/records/./1.json",
        "/api/labels/..%2fbench.svg",
        "/api/labels/%2e%2e%2fbench.key.svg",
        "/api/reports/..%2fbench.key",
        "/api/reports/bench.key",
        "/static/..%2f..%2fcli.py",
        "/static/%2e%2e/app.py",
        "/ui/..%2f__init__.py",
        "/api/runs/..%2f../lines",
        "/api/watches/..%2f../log",
    ],
)
def test_no_path_leads_out_of_its_folder(site, path):
    name, value = site.cookie
    told = raw(
        site,
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nCookie: {name}={value}\r\nConnection: close\r\n\r\n",
    )
    assert told.split()[1] in {"404", "400"}, told[:200]
    assert "PRIVATE KEY" not in told


def test_the_page_listens_on_loopback_only(site):
    import psutil

    listening = [
        one for one in psutil.net_connections("tcp") if one.laddr.port == site.port and one.status == "LISTEN"
    ]
    assert {one.laddr.ip for one in listening} == {"127.0.0.1"}
