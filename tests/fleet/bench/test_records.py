"""What a bench hands in of its boards is kept as it was signed, once, and only from the bench whose key is registered."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, update

from gatehouse_events.bench_api import RECORDS, WRAPPING_KEY
from gatehouse_events.bench_record import MAX_FILE_BYTES, Verdict
from gatehouse_fleet.bench.tokens import MAX_KEPT_BYTES
from gatehouse_fleet.people import audit
from gatehouse_fleet.store.schema.bench import bench_token
from gatehouse_fleet.store.schema.people import audit as audit_table


async def told(fleet: Any) -> list[tuple[str, str, int, str]]:
    """The audit log's lines about benches, once the whole chain is found true."""
    async with fleet.server.services.store.read() as db:
        assert (await audit.verify(db)).broken_at is None
        rows = (await db.execute(select(audit_table).order_by(audit_table.c.seq))).all()
    return [
        (row.action, row.actor, row.outcome, row.detail) for row in rows if row.action.startswith("bench.")
    ]


async def test_a_record_is_kept_octet_for_octet_and_once(fleet: Any) -> None:
    bench = await fleet.bench()
    content = bench.record()
    answers = [await bench.hand_in(content) for _ in range(3)]
    assert [(one.status_code, one.json()["is_new"]) for one in answers] == [
        (201, True),
        (200, False),
        (200, False),
    ]
    [row] = await fleet.rows()
    assert (row["serial"], row["number"], row["verdict"], row["history"]) == (
        "GHG-02A0B1000001",
        1,
        "passed",
        "whole",
    )
    raw = await fleet.boss.get(f"{RECORDS}/{row['hash']}")
    assert raw.content == content
    assert [line[:3] for line in await told(fleet)] == [
        ("bench.token", "zhou", 1),
        ("bench.record", "pi-1", 1),
    ]


async def test_the_same_record_told_at_the_same_instant_is_kept_once(fleet: Any) -> None:
    bench = await fleet.bench()
    content = bench.record()
    answers = await asyncio.gather(*(bench.hand_in(content) for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 200, 201]
    assert len(await fleet.rows()) == 1


async def test_a_history_is_whole_has_a_gap_or_was_told_twice(fleet: Any) -> None:
    bench = await fleet.bench()
    first, second, third = (bench.record() for _ in range(3))
    for content in (first, third):
        assert (await bench.hand_in(content)).status_code == 201
    assert [(row["number"], row["history"]) for row in await fleet.rows()] == [(3, "gap"), (1, "whole")]
    await bench.hand_in(second)  # refused for a while, and then not: the gap closes
    assert {row["number"]: row["history"] for row in await fleet.rows()} == {
        1: "whole",
        2: "whole",
        3: "whole",
    }
    bench.past["GHG-02A0B1000001"] = (1, json.loads(first)["hash"])  # the bench's disk was restored
    assert (await bench.hand_in(bench.record(verdict=Verdict.FAILED))).status_code == 201
    assert sorted((row["number"], row["history"]) for row in await fleet.rows()) == [
        (1, "whole"), (2, "fork"), (2, "fork"), (3, "whole"),
    ]  # fmt: skip


async def test_records_are_found_by_board_verdict_bench_and_time_page_by_page(fleet: Any) -> None:
    one, other = await fleet.bench("pi-1"), await fleet.bench("pi-2")
    for number in range(5):
        await one.hand_in(one.record(f"GHG-02A0B100000{number}"))
    later = fleet.server.clock.now() + timedelta(hours=1)
    fleet.server.clock.move_to(later)
    await other.hand_in(other.record("GHG-02A0B1000009", verdict=Verdict.FAILED))
    assert [row["serial"][-1] for row in await fleet.rows(verdict="failed")] == ["9"]
    assert [row["serial"][-1] for row in await fleet.rows(bench="pi-2")] == ["9"]
    assert [row["serial"][-1] for row in await fleet.rows(since=later.isoformat())] == ["9"]
    assert [row["serial"][-1] for row in await fleet.rows(serial="GHG-02A0B1000003")] == ["3"]
    seen, after = [], {}
    while after is not None:
        page = (await fleet.boss.get(RECORDS, params={"limit": 4} | after)).json()
        seen += [row["serial"][-1] for row in page["items"]]
        after = None if page["next"] is None else {"after": page["next"]}
    assert seen == list("943210")


FORGED = {
    "a changed verdict": lambda whole: whole["record"].update(verdict="failed"),
    "another serial number": lambda whole: whole["record"].update(serial="GHG-02A0B1000002"),
    "another hash": lambda whole: whole.update(hash="0" * 64),
    "no signature": lambda whole: whole.update(signature=""),
    "another's key": lambda whole: whole.update(key="A" * 43 + "="),
    "a field less": lambda whole: whole["record"].pop("where"),
}


async def test_a_changed_record_is_refused_and_the_refusal_is_written_down(small_fleet: Any) -> None:
    bench = await small_fleet.bench()
    for change in FORGED.values():
        whole = json.loads(bench.record(f"GHG-{len(bench.past)}"))
        change(whole)
        answer = await bench.hand_in(json.dumps(whole).encode())
        assert (answer.status_code, answer.json()["reason"]) == (403, "damaged")
    for content in (b"", b"{}", b"[" * 100_000, b"\xff", b'{"record":1}'):
        assert (await bench.hand_in(content)).status_code == 403
    assert await small_fleet.rows() == []
    assert ("bench.record", "pi-1", 0, '{"reason":"damaged"}') in await told(small_fleet)


async def test_a_record_signed_with_an_unregistered_key_is_refused_also_the_first_time(
    small_fleet: Any,
) -> None:
    bench, other = await small_fleet.bench("pi-1"), await small_fleet.bench("pi-2")
    answer = await bench.hand_in(bench.record(by=Ed25519PrivateKey.generate()))
    assert (answer.status_code, answer.json()["reason"]) == (403, "foreign_key")
    answer = await bench.hand_in(other.record())
    assert (answer.status_code, answer.json()["reason"]) == (403, "foreign_key"), (
        "another bench's true record"
    )
    assert await small_fleet.rows() == []


async def test_a_record_cannot_claim_another_boards_past(small_fleet: Any) -> None:
    bench = await small_fleet.bench()
    await bench.hand_in(bench.record("GHG-02A0B1000001"))
    bench.past["GHG-02A0B1000002"] = bench.past["GHG-02A0B1000001"]
    answer = await bench.hand_in(bench.record("GHG-02A0B1000002"))
    assert (answer.status_code, answer.json()["reason"]) == (403, "foreign_history")
    for number, previous in ((1, "a" * 64), (2, "")):
        answer = await bench.hand_in(bench.record("GHG-3", number=number, previous=previous))
        assert (answer.status_code, answer.json()["reason"]) == (403, "history")
    assert [row["serial"] for row in await small_fleet.rows()] == ["GHG-02A0B1000001"]


async def test_boards_that_never_said_who_they_are_have_a_history_of_their_place(small_fleet: Any) -> None:
    bench = await small_fleet.bench()
    for _ in range(2):
        assert (await bench.hand_in(bench.record(""))).status_code == 201
    assert [(row["serial"], row["number"], row["history"]) for row in await small_fleet.rows()] == [
        ("", 2, "whole"), ("", 1, "whole"),
    ]  # fmt: skip


async def test_an_oversized_record_is_refused_and_the_largest_is_read(small_fleet: Any) -> None:
    bench = await small_fleet.bench()
    answer = await bench.hand_in(b" " * (MAX_FILE_BYTES + 1))
    assert answer.status_code == 413
    content = bench.record()
    assert (await bench.hand_in(content + b" " * (MAX_FILE_BYTES - len(content)))).status_code == 201
    assert (await bench.hand_in(bench.record(), **{"content-type": "text/plain"})).status_code == 415


async def test_a_bench_that_would_fill_the_disk_is_stopped_by_its_allowance(small_fleet: Any) -> None:
    bench = await small_fleet.bench()
    async with small_fleet.server.services.store.begin() as db:
        await db.execute(update(bench_token).values(kept_bytes=MAX_KEPT_BYTES - 100))
    answer = await bench.hand_in(bench.record())
    assert (answer.status_code, answer.json()["reason"]) == (403, "allowance")
    assert await small_fleet.rows() == []


async def test_a_revoked_an_expired_and_an_invented_token_are_shut_out(fleet: Any) -> None:
    bench = await fleet.bench(lasts_days=30)
    content = bench.record()
    assert (await bench.hand_in(content, authorization="Bearer ghb_invented")).json()["reason"] == "token"
    assert (await fleet.plain.post(RECORDS, content=content)).status_code == 401
    gone = await fleet.boss.post(f"/api/v1/bench/tokens/{bench.token_id}/revoke", json={"reason": "示例遗失"})
    assert gone.json()["revoked_at"] is not None
    answer = await bench.hand_in(content)
    assert (answer.status_code, answer.json()["reason"]) == (401, "token_revoked")
    young = await fleet.bench(lasts_days=30)
    fleet.server.clock.move_to(fleet.server.clock.now() + timedelta(days=30))
    answer = await young.hand_in(young.record())
    assert (answer.status_code, answer.json()["reason"]) == (401, "token_expired")
    assert {line[:3] for line in await told(fleet)} >= {("bench.refused", "", 0), ("bench.revoke", "zhou", 1)}


async def test_guessing_tokens_is_slowed_down(small_fleet: Any) -> None:
    bench = await small_fleet.bench()
    seen = [
        (await bench.hand_in(b"", authorization=f"Bearer ghb_{number}")).status_code for number in range(6)
    ]
    assert seen == [401] * 5 + [429]


async def test_a_token_opens_nothing_else_and_a_session_hands_nothing_in(small_fleet: Any) -> None:
    bench = await small_fleet.bench()
    given = {"authorization": f"Bearer {bench.token}", "X-Gatehouse": "1"}
    paths = (await small_fleet.boss.get("/api/v1/openapi.json")).json()["paths"]
    opened = set()
    for path, operations in paths.items():
        for method, operation in operations.items():
            if operation.get("security") and path != "/api/v1/stream":
                real = (
                    path.replace("{digest}", "0" * 64).replace("{serial}", "GHG-1").replace("{number}", "1")
                )
                answer = await small_fleet.plain.request(method, real, headers=given)
                if answer.status_code != 401:
                    opened.add(f"{method} {path}")
    assert opened == {
        "post /api/v1/bench/records",
        "post /api/v1/bench/devices",
        "get /api/v1/bench/wrapping-key",
    }
    assert (await small_fleet.boss.post(RECORDS, content=bench.record())).status_code == 401
    assert (await small_fleet.boss.get(WRAPPING_KEY)).status_code == 401


async def test_the_token_is_shown_once_and_kept_as_a_hash(small_fleet: Any) -> None:
    bench = await small_fleet.bench()
    assert bench.token.startswith("ghb_")
    listed = await small_fleet.boss.get("/api/v1/bench/tokens")
    assert bench.token not in listed.text
    [row] = listed.json()["items"]
    assert (row["name"], row["node_id"], row["revoked_at"]) == ("pi-1", small_fleet.east, None)
    files = small_fleet.server.services.settings.directory.glob("fleet.db*")
    assert bench.token.encode() not in b"".join(path.read_bytes() for path in files)


PERSON = {"full_name": "李示例", "unit": "示例物业", "password": "gatehouse 示例 2026"}


@pytest.mark.parametrize(
    ("role", "may"), [("district_operator", True), ("technician", False), ("auditor", False)]
)
async def test_tokens_are_made_by_those_who_look_after_people_below_their_own_place(
    small_fleet: Any, role: str, may: bool
) -> None:
    bench = await small_fleet.bench()
    await bench.hand_in(bench.record())
    body = PERSON | {"name": "li", "role": role, "scope_id": small_fleet.west}
    assert (await small_fleet.boss.post("/api/v1/users", json=body)).status_code == 201
    async with small_fleet.server.client() as person:
        await person.post("/api/v1/login", json={"name": "li", "password": PERSON["password"]})
        asked = {"name": "pi-9", "node_id": small_fleet.west, "key": "A" * 43 + "="}
        assert (await person.post("/api/v1/bench/tokens", json=asked)).status_code == (201 if may else 403)
        outside = await person.post("/api/v1/bench/tokens", json=asked | {"node_id": small_fleet.east})
        gone = await person.post(f"/api/v1/bench/tokens/{bench.token_id}/revoke", json={"reason": "示例"})
        assert (outside.status_code, gone.status_code) == ((404, 404) if may else (403, 403))
        assert (await person.get(RECORDS)).json()["items"] == [], "the east's records are not the west's"
        [row] = await small_fleet.rows()
        assert (await person.get(f"{RECORDS}/{row['hash']}")).status_code == 404
