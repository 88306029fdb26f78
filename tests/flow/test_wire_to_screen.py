"""A help call from the air to a logged-in browser's stream, taken there, and still taken after a kill."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Site

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

PERSON = {"name": "示例值班员", "password": "an invented phrase"}


async def _client(site: Site) -> httpx.AsyncClient:
    console = site.storage / "console"
    await site.until((console / "ca.pem").exists)
    trust = ssl.create_default_context(cafile=str(console / "ca.pem"))
    base = f"https://127.0.0.1:{site.estate.console_port}"
    return httpx.AsyncClient(base_url=base, verify=trust, headers={"X-Gatehouse": "1"}, timeout=10)


async def _first_change(client: httpx.AsyncClient, code: str) -> dict[str, Any]:
    async with client.stream("GET", "/api/v1/events", timeout=40) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:") and code in line:
                return dict(json.loads(line[5:]))
    raise AssertionError("the stream ended")


async def test_a_help_call_is_pushed_taken_and_stays_taken_over_a_kill(site: Site) -> None:
    async with await _client(site) as client:
        async with asyncio.timeout(20):
            while True:
                try:
                    await client.get("/healthz")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        code = (site.storage / "console/first-user-code").read_text(encoding="ascii").strip()
        assert (await client.post("/api/v1/setup", json={"code": code, **PERSON})).status_code == 201
        assert (await client.get("/api/v1/alarms")).status_code == 401
        assert (await client.post("/api/v1/login", json=PERSON)).status_code == 200
        async with asyncio.TaskGroup() as tasks:
            pushed = tasks.create_task(_first_change(client, "sos.pressed"))
            await site.play("sos", "btn-3-2-301")
        assert "btn-3-2-301" in json.dumps(pushed.result())
        alarm = site.alarms()["btn-3-2-301", "sos.pressed"]
        url = f"/api/v1/alarms/{alarm['alarm_id']}"
        refused = await client.post(
            f"{url}/shelve", json={"duration_s": 60, "reason": "x", "seen_seq": alarm["seq"]}
        )
        assert refused.status_code == 409, "P1 is never shelved"
        taken = await client.post(f"{url}/ack", json={"seen_seq": alarm["seq"]})
        assert taken.status_code == 200
    assert site.state("btn-3-2-301", "sos.pressed") == "acked"
    await site.end(signal.SIGKILL)
    starts = len(site.entries("start"))
    await site.start()
    await site.until(lambda: len(site.entries("start")) == starts + 1)
    after = site.alarms()["btn-3-2-301", "sos.pressed"]
    assert (after["alarm_id"], after["acked_by"]) == (alarm["alarm_id"], PERSON["name"])
    assert after["state"] in {"acked", "latched"}
