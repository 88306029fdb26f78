"""Lists of alarms as the console asks for them: by name, by time, as a table; and gateways with what they said."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import insert

from gatehouse_events.states import AlarmState
from gatehouse_fleet.store.schema.evidence import evidence
from gatehouse_fleet.store.schema.gateways import certificate, device

if TYPE_CHECKING:
    from conftest import Town  # type: ignore[import-not-found]  # pytest loads it


async def test_named_alarms_come_whatever_their_state_and_only_those_within_reach(town: Town) -> None:
    closed = await town.raise_alarm(state=AlarmState.CLOSED)
    other = await town.raise_alarm("wh-3")
    await town.raise_alarm()
    asked = {"which": "all", "alarm_id": [closed, other]}
    assert {one["alarm_id"] for one in (await town.get("/alarms", **asked)).json()["items"]} == {
        closed,
        other,
    }
    assert [one["alarm_id"] for one in (await town.get("/alarms", "east", **asked)).json()["items"]] == [
        closed
    ]


async def test_a_span_takes_its_first_moment_and_leaves_its_last(town: Town) -> None:
    for minutes in (0, 10, 20):
        await town.raise_alarm(ago=timedelta(minutes=minutes), device_id=f"gas-{minutes}")
    now = town.clock.now()
    asked = {"since": (now - timedelta(minutes=20)).isoformat(), "until": now.isoformat()}
    found = (await town.get("/alarms", **asked)).json()["items"]
    assert {one["device_id"] for one in found} == {"gas-10", "gas-20"}
    assert (await town.get("/alarms", code="sos.pressed")).json()["items"] == []


async def test_the_table_is_whole_harmless_and_without_rooms_for_who_may_not_read_them(town: Town) -> None:
    async with town.store.begin() as db:
        await db.execute(
            insert(device).values(
                gateway_no=town.gateway_nos["wh-1"],
                id="gas-1",
                kind="household_gas_detector",
                state="deployed",
                building="=1+1",
                room="602",
                is_personal=True,
            )
        )
    for _ in range(3):
        await town.raise_alarm()
    answer = await town.get("/alarms/export.csv", which="all")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert len(rows) == 4
    assert (rows[1][4], rows[1][7]) == ("'=1+1", "602")
    hidden = list(csv.reader(io.StringIO((await town.get("/alarms/export.csv", "contractor")).text)))
    assert [row[7] for row in hidden[1:]] == ["", "", ""]
    assert (await town.get("/alarms/export.csv", "technician")).status_code == 403


async def test_a_mark_that_names_no_time_is_no_page(town: Town) -> None:
    from gatehouse_fleet.web.pages import mark

    for after in (mark("P1", 2**62, "X"), mark(2**62, "X")):
        for which in ("open", "all"):
            assert (await town.get("/alarms", which=which, after=after)).status_code == 404
    assert (await town.get("/gateways/wh-1/evidence", after=mark(2**62, "X"))).status_code == 404


async def test_a_gateway_says_disk_devices_and_how_long_its_certificate_lasts(town: Town) -> None:
    now = town.clock.now()
    status = {
        "sent_at": now.isoformat(),
        "started_at": now.isoformat(),
        "disk_used": 0.42,
        "devices": 12,
        "devices_online": 11,
        "open_alarms": 3,
        "clock": {"synced": True, "offset_ms": 2.0},
    }
    await town.heard("wh-1", now, status=json.dumps(status), status_at=now)
    async with town.store.begin() as db:
        for days, revoked in ((10, None), (20, None), (30, now)):
            await db.execute(
                insert(certificate).values(
                    fingerprint=bytes([days]) * 32,
                    gateway_no=town.gateway_nos["wh-1"],
                    public_key=bytes([days]) * 32,
                    serial=str(days),
                    issued_at=now,
                    expires_at=now + timedelta(days=days),
                    revoked_at=revoked,
                )
            )
    one = (await town.get("/gateways/wh-1")).json()
    assert (one["disk_used"], one["devices"], one["devices_online"], one["clock_synced"]) == (
        0.42,
        12,
        11,
        True,
    )
    assert one["certificate_expires_at"] == (now + timedelta(days=20)).isoformat().replace("+00:00", "Z")
    rows = {row["id"]: row for row in (await town.get("/gateways")).json()["items"]}
    assert rows["wh-2"]["disk_used"] is None
    assert rows["wh-2"]["certificate_expires_at"] is None


async def test_the_evidence_of_a_gateway_comes_page_by_page_and_not_to_contractors(town: Town) -> None:
    now = town.clock.now()
    async with town.store.begin() as db:
        for number in range(3):
            await db.execute(
                insert(evidence).values(
                    gateway_no=town.gateway_nos["wh-1"],
                    sha256=f"{number:064x}",
                    node_id=town.nodes["c1"],
                    alarm_id="0" * 26,
                    kind="clip",
                    is_masked=False,
                    captured_at=now,
                    keep_until=now + timedelta(days=30),
                    named_at=now,
                    state="named",
                )
            )
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await town.get("/gateways/wh-1/evidence", limit=2, **after)).json()
        seen += [one["sha256"] for one in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == [f"{number:064x}" for number in (2, 1, 0)]
    assert (await town.get("/gateways/wh-1/evidence", "contractor")).status_code == 403
    assert (await town.get("/gateways/wh-3/evidence", "east")).status_code == 404
