"""Clips from a gateway's disk to a person's screen: sent by the gateway's own sender, kept whole, seen with a reason, gone in time."""

from __future__ import annotations

import asyncio
import hashlib
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from evidence_site import GATEWAY, LiveServer, Site, site
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from gatehouse_edge.clock import SystemClock as EdgeClock
from gatehouse_edge.uplink.errors import RefusedError
from gatehouse_edge.uplink.evidence import PIECE_BYTES, EvidenceQueue, EvidenceSender
from gatehouse_edge.uplink.link import Link
from gatehouse_events.alarm import Actor
from gatehouse_events.chain import canonical
from gatehouse_events.evidence import Held, Lifted
from gatehouse_events.orders import decode_order
from gatehouse_fleet.evidence.errors import DamagedError, SpoolBusyError
from gatehouse_fleet.evidence.policy import keep_until, named_in
from gatehouse_fleet.evidence.retention import Deleter
from gatehouse_fleet.evidence.service import FOLDER, SPOOL
from gatehouse_fleet.evidence.spool import Piece, Spool
from gatehouse_fleet.evidence.vault import DirectoryVault
from gatehouse_fleet.people import audit
from gatehouse_fleet.store.schema.evidence import evidence
from gatehouse_fleet.store.schema.orders import order as order_table
from gatehouse_fleet.store.schema.people import audit as audit_table

CLIP = random.Random(1).randbytes(3 * PIECE_BYTES + 7)


async def nothing() -> None:
    return


async def forget(_: Any) -> None:
    return


def sender(found: Site, queue: EvidenceQueue) -> EvidenceSender:
    return EvidenceSender(
        found.client,
        queue,
        wait_quiet=nothing,
        keep=forget,
        kib_s=1_000_000,
        link=Link(EdgeClock(), is_configured=True),
        rng=random.Random(1),
    )


async def sent(found: Site, sha256: str) -> None:
    """Let the gateway's own sender bring a file up."""
    queue = EvidenceQueue(found.folder, {})
    queue.want([sha256])
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(sender(found, queue).run(), name="sender")
        await found.until(
            f"/api/v1/alarms/{await alarm_of(found, sha256)}/evidence", lambda rows: is_here(rows, sha256)
        )
        task.cancel()


def is_here(rows: Any, sha256: str) -> bool:
    return any(row["sha256"] == sha256 and row["state"] == "here" for row in rows)


async def alarm_of(found: Site, sha256: str) -> str:
    async with found.server.services.store.read() as db:
        return str(
            (await db.execute(select(evidence.c.alarm_id).where(evidence.c.sha256 == sha256))).scalar_one()
        )


async def test_a_clip_comes_up_by_policy_and_is_seen_with_a_reason(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        sha256 = found.clip(CLIP)
        await found.raised((sha256, False))
        await sent(found, sha256)
        assert (found.server.services.settings.directory / FOLDER / sha256[:2] / sha256).read_bytes() == CLIP
        answer = await found.look(sha256, reason="核实高空抛物")
        assert answer.status_code == 201
        url = answer.json()["url"]
        assert (await found.people.get(url)).content == CLIP
        part = await found.people.get(url, headers={"Range": "bytes=5-14"})
        assert (part.status_code, part.content) == (206, CLIP[5:15])
        assert part.headers["content-range"] == f"bytes 5-14/{len(CLIP)}"
        (row,) = (await found.people.get("/api/v1/evidence-views")).json()["items"]
        assert (row["viewer"], row["unit"], row["reason"], row["purpose"]) == (
            "zhou", "示例市城管局", "核实高空抛物", "view",
        )  # fmt: skip
        assert row["first_opened_at"] is not None


async def test_what_policy_does_not_fetch_comes_on_demand(live_server: LiveServer, tmp_path: Path) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        sha256 = found.clip(CLIP)
        await found.raised((sha256, False), code="lift.trapped_off_level")
        with pytest.raises(RefusedError) as refused:
            await found.client.put_evidence(sha256, b"", f"bytes */{len(CLIP)}")
        assert refused.value.status == 409
        asked = await found.people.post(f"/api/v1/evidence/{GATEWAY}/{sha256}/want")
        assert (asked.status_code, asked.json()["state"]) == (202, "wanted")
        batch = await found.client.orders("", 0, wait_s=0)
        assert batch is not None
        assert sha256.encode() in bytes(batch.orders[0])
        await sent(found, sha256)


async def test_a_broken_upload_goes_on_where_the_disk_stands(live_server: LiveServer, tmp_path: Path) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        sha256 = found.clip(CLIP)
        await found.raised((sha256, False))
        first = await found.client.put_evidence(sha256, CLIP[:100], f"bytes 0-99/{len(CLIP)}")
        assert (first.received_bytes, first.is_complete) == (100, False)
        again = await found.client.put_evidence(
            sha256, CLIP[:100], f"bytes 0-99/{len(CLIP)}"
        )  # the answer was lost
        assert again.received_bytes == 100
        ahead = await found.client.put_evidence(sha256, CLIP[200:300], f"bytes 200-299/{len(CLIP)}")
        assert ahead.received_bytes == 100
        await sent(found, sha256)


async def test_a_file_that_is_not_what_its_hash_says_is_not_kept(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        sha256 = found.clip(CLIP)
        await found.raised((sha256, False))
        with pytest.raises(RefusedError) as refused:
            await found.client.put_evidence(sha256, b"x" * 10, "bytes 0-9/10")
        assert (refused.value.status, refused.value.is_of_content) == (422, True)
        directory = found.server.services.settings.directory
        assert list((directory / SPOOL).iterdir()) == []
        await sent(found, sha256)


async def test_refusals_of_uploads_are_cheap_and_named(live_server: LiveServer, tmp_path: Path) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        sha256 = found.clip(CLIP)
        await found.raised((sha256, False))
        for name, content, content_range, status in (
            ("0" * 64, b"", "bytes */10", 404),
            (sha256, b"", "bytes */0", 413),
            (sha256, b"", f"bytes */{2**40}", 413),
            (sha256, b"abc", "bytes 0-9/10", 400),
            (sha256, b"abc", "bytes */10", 400),
            (sha256, b"abc", "bytes 9-3/10", 400),
            (sha256, b"", "pages 1-2/3", 400),
        ):
            with pytest.raises(RefusedError) as refused:
                await found.client.put_evidence(name, content, content_range)
            assert refused.value.status == status, content_range
        async with found.server.client() as stranger:
            answer = await stranger.put(f"/api/v1/gateways/{GATEWAY}/evidence/{sha256}", content=b"")
            assert answer.status_code == 401


async def test_the_status_answer_asks_for_what_is_wanted_up_to_the_cap(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        hashes = [found.clip(bytes([n])) for n in range(20)]
        await found.raised(*[(sha256, False) for sha256 in hashes[:16]])
        await found.raised(*[(sha256, False) for sha256 in hashes[16:]])
        from gatehouse_fleet.evidence import clips

        async with found.server.services.store.read() as db:
            asked = await clips.asked_of(db, found.no, found.server.services.settings.evidence.max_wanted)
        assert len(asked) == 16
        assert set(asked) <= set(hashes)


async def test_nobody_sees_a_clip_without_registering_nor_with_another_s_link(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        sha256 = found.clip(CLIP)
        await found.raised((sha256, False))
        await sent(found, sha256)
        assert (await found.people.get(f"/api/v1/clips/{'A' * 43}")).status_code == 403
        url = (await found.look(sha256)).json()["url"]
        manager = await found.person("wu", "property_manager")
        assert (await manager.get(url)).status_code == 403
        found.server.clock.move_to(found.server.clock.now() + timedelta(minutes=5))
        over = await found.people.get(url)
        assert (over.status_code, over.json()["reason"]) == (403, "link")
        assert (await found.look(sha256, reason="")).status_code == 422


async def test_contractors_and_technicians_see_nothing(live_server: LiveServer, tmp_path: Path) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        sha256 = found.clip(CLIP)
        alarm_id = await found.raised((sha256, False))
        await sent(found, sha256)
        contractor = await found.person("zheng", "property_manager", is_contractor=True)
        technician = await found.person("feng", "technician")
        for who in (contractor, technician):
            assert (await who.get(f"/api/v1/alarms/{alarm_id}/evidence")).status_code == 403
            assert (await found.look(sha256, who)).status_code == 403
            assert (await who.post(f"/api/v1/evidence/{GATEWAY}/{sha256}/want")).status_code == 403


async def test_a_copy_leaves_masked_or_not_at_all_and_the_original_only_to_the_police(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        original, masked = found.clip(CLIP), found.clip(b"masked")
        await found.raised((original, False), (masked, True))
        await sent(found, original)
        manager = await found.person("wu", "property_manager")
        refused = await found.look(original, manager, purpose="export")
        assert (refused.status_code, refused.json()["reason"]) == (409, "no_masked_copy")
        await sent(found, masked)
        given = await found.look(original, manager, purpose="export")
        assert (given.json()["sha256"], given.json()["is_masked"]) == (masked, True)
        copy = await manager.get(given.json()["url"])
        assert (copy.content, copy.headers["content-disposition"][:10]) == (b"masked", "attachment")
        handed = {"purpose": "police", "handed_to": "示例派出所 李示例 调取〔2026〕1号"}
        assert (await found.look(original, manager, **handed)).status_code == 403
        assert (await found.look(original, purpose="police")).status_code == 422
        police = await found.look(original, **handed)
        assert (await found.people.get(police.json()["url"])).content == CLIP
        rows = (await found.people.get("/api/v1/evidence-views")).json()["items"]
        assert [(row["purpose"], row["handed_to"]) for row in rows] == [
            ("police", handed["handed_to"]),
            ("export", ""),
        ]


async def test_after_thirty_days_a_clip_is_gone_unless_it_is_held(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        gone, held = found.clip(CLIP), found.clip(b"held")
        alarm_id = await found.raised((gone, False), (held, False))
        await sent(found, gone)
        await sent(found, held)
        kept = await found.people.post(
            f"/api/v1/evidence/{GATEWAY}/{held}/holds", json={"reason": "法院调取"}
        )
        assert (kept.status_code, kept.json()["is_held"]) == (201, True)
        services = found.server.services
        vault = DirectoryVault(services.settings.directory / FOLDER)
        deleter = Deleter(services.store, services.clock, vault=vault, spool=Spool(tmp_path / "spool"))
        found.server.clock.move_to(services.clock.now() + timedelta(days=29, hours=23))
        assert await deleter.clean() == 0
        found.server.clock.move_to(services.clock.now() + timedelta(hours=2))
        assert await deleter.clean() == 1
        assert (vault.size(gone), vault.size(held)) == (None, 4)
        async with services.store.begin() as db:
            rows = (await db.execute(select(evidence).where(evidence.c.alarm_id == alarm_id))).all()
        assert {row.sha256: row.state for row in rows} == {gone: "gone", held: "here"}


async def test_a_hold_is_released_with_a_reason_and_everything_is_in_the_audit_log(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        sha256 = found.clip(CLIP)
        await found.raised((sha256, False))
        await sent(found, sha256)
        path = f"/api/v1/evidence/{GATEWAY}/{sha256}/holds"
        await found.people.post(path, json={"reason": "法院调取"})
        (row,) = (await found.people.get(path)).json()
        done = await found.people.post(f"{path}/{row['id']}/release", json={"reason": "案件终结"})
        assert done.status_code == 200
        twice = await found.people.post(f"{path}/{row['id']}/release", json={"reason": "案件终结"})
        assert twice.status_code == 404
        (row,) = (await found.people.get(path)).json()
        assert (row["reason"], row["release_reason"]) == ("法院调取", "案件终结")
        async with found.server.services.store.read() as db:
            actions = (
                await db.execute(select(audit_table.c.action).where(audit_table.c.subject == sha256))
            ).scalars()
            assert list(actions) == ["clip.hold", "clip.release"]
            assert (await audit.verify(db)).broken_at is None


async def test_a_hold_and_its_end_are_ordered_of_the_gateway_and_the_end_only_when_no_other_stands(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        sha256, other = found.clip(CLIP), found.clip(b"other")
        await found.raised((sha256, False), (other, False))
        await sent(found, sha256)
        path = f"/api/v1/evidence/{GATEWAY}/{sha256}/holds"

        async def ordered() -> list[tuple[str, dict[str, Any]]]:
            async with found.server.services.store.read() as db:
                rows = await db.execute(select(order_table.c.body).order_by(order_table.c.seq))
                given: list[Any] = [decode_order(row.body.encode()).action for row in rows]
            return [(action.name, action.arguments) for action in given]

        for reason in ("法院调取", "派出所调取"):
            assert (await found.people.post(path, json={"reason": reason})).status_code == 201
        first, second = (await found.people.get(path)).json()
        wrong = f"/api/v1/evidence/{GATEWAY}/{other}/holds/{first['id']}/release"
        assert (await found.people.post(wrong, json={"reason": "别的文件"})).status_code == 404
        await found.people.post(f"{path}/{first['id']}/release", json={"reason": "案件终结"})
        holds = [("hold_evidence", {"sha256": sha256, "reason": word}) for word in ("法院调取", "派出所调取")]
        assert await ordered() == holds
        await found.people.post(f"{path}/{second['id']}/release", json={"reason": "已移交"})
        assert await ordered() == [*holds, ("release_evidence", {"sha256": sha256, "reason": "已移交"})]


async def test_what_a_gateway_holds_is_held_here_until_it_lifts_it_and_a_doubtful_one_lifts_nothing(
    live_server: LiveServer, tmp_path: Path
) -> None:
    async with site(live_server, tmp_path / "gw") as found:
        sha256, other = found.clip(CLIP), found.clip(b"other")
        alarm_id = await found.raised((sha256, False), (other, False))
        guard = Actor(name="王示例", role="supervisor", station="local")
        words = {"alarm_id": alarm_id, "manifest_sha256": "a" * 64, "files": (sha256,), "actor": guard}
        path = f"/api/v1/evidence/{GATEWAY}/{sha256}/holds"

        async def say(entry: Any, doubt: str | None = None) -> None:
            async with found.server.services.store.begin() as db:
                await found.fleet.append(db, found.no, [("evidence", canonical(entry))], doubt=doubt)
            found.fleet.wake.notify("journal")

        async def held() -> dict[str, bool]:
            rows = await found.until(f"/api/v1/alarms/{alarm_id}/evidence", lambda rows: len(rows) == 2)
            return {row["sha256"]: row["is_held"] for row in rows}

        await say(Held(**words, reason="派出所调取"))
        (row,) = await found.until(path, lambda rows: len(rows) == 1)
        assert (row["reason"], row["held_by"][:8]) == ("王示例: 派出所调取", "gateway ")
        assert await held() == {sha256: True, other: False}
        await found.people.post(path, json={"reason": "法院调取"})
        await say(Lifted(**words, reason="疑"), doubt="signature")
        await say(Lifted(**words | {"manifest_sha256": "b" * 64}, reason="另一证据"))
        await say({"what": "a later version's"})
        await say(Lifted(**words, reason="案件终结"))
        rows = await found.until(path, lambda rows: any(row["released_at"] for row in rows))
        ended = [row["release_reason"] for row in rows if row["released_at"]]
        assert ended == ["王示例: 案件终结"]
        assert await held() == {sha256: True, other: False}  # the fleet's own hold stands


def test_a_clock_that_stood_in_1970_does_not_delete_a_clip_before_anybody_saw_it() -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 11, 25, tzinfo=UTC)
    assert keep_until(datetime(1970, 1, 2, tzinfo=UTC), now, days=30) == now + timedelta(days=30)
    assert keep_until(now - timedelta(days=3), now, days=30) == now + timedelta(days=27)
    assert keep_until(now + timedelta(days=400), now, days=30) == now + timedelta(days=30)


@given(
    st.lists(
        st.dictionaries(st.text(max_size=9), st.text(max_size=9) | st.integers(), max_size=6), max_size=4
    )
)
def test_whatever_a_gateway_calls_evidence_is_a_list_or_left_out(items: list[dict[str, Any]]) -> None:
    assert all(len(one.sha256) == 64 for one in named_in(tuple(items)))


@given(
    st.binary(min_size=1, max_size=300),
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 60)), max_size=30),
)
def test_pieces_in_any_order_never_make_another_file(
    tmp_path_factory: Any, content: bytes, pieces: list[tuple[int, int]]
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"))
    for start, count in pieces:
        spool.add("f", Piece(start=start, content=content[start : start + count], total=len(content)))
    here = spool.standing("f")
    assert here <= len(content)
    while here < len(content):
        here = spool.add("f", Piece(start=here, content=content[here : here + 50], total=len(content)))
    assert spool.whole("f", hashlib.sha256(content).hexdigest()).read_bytes() == content


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with spool._locked("f"), pytest.raises(SpoolBusyError):
        spool.add("f", Piece(start=0, content=b"x", total=1))


def test_a_damaged_file_is_thrown_away(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add("f", Piece(start=0, content=b"x", total=1))
    with pytest.raises(DamagedError):
        spool.whole("f", "0" * 64)
    assert spool.standing("f") == 0
