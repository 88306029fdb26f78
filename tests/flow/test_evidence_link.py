"""A throw at a gateway, its evidence at a real fleet server over mTLS: the very clip, named by the alarm, vouched for by the journal."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from hashlib import sha256
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "edge" / "evidence"))
from film import film, promised
from fleet_pair import GATEWAY, LIMIT_S, Pair

from gatehouse_config import load
from gatehouse_edge import gateway as gateways
from gatehouse_edge.drivers.clip_keep import keep
from gatehouse_edge.reading import ThrowReading
from gatehouse_events.alarm import Actor
from gatehouse_events.evidence import Held, Kept, Lifted, decode_register
from gatehouse_events.orders import Command

pytestmark = pytest.mark.timeout(120)
CAMERA = {
    "id": "cam-1", "kind": "camera", "url": "rtsp://127.0.0.1:9/x", "sign_posted": True,
    "location": {"building": "3"}, "max_silence_s": 600,
}  # fmt: skip


async def test_the_clip_the_fleet_receives_is_the_one_the_journal_vouches_for(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        pair = Pair(tmp_path, tasks)
        await pair.start_fleet()
        config = pair.configure()
        fleet = config["fleet"] | {"evidence_kib_s": 100_000}
        pair.write(config | {"devices": [CAMERA], "buses": [], "fleet": fleet})
        command = ("enrol", str(pair.config_path), "--fingerprint", pair.fingerprint)
        status, said = await pair.edge(*command, typed=f"{await pair.register()}\n")
        assert status == 0, said
        stop = asyncio.Event()
        loaded = load(pair.config_path)
        journal = await asyncio.to_thread(gateways._open_journal, loaded, pair.storage)
        opened = await asyncio.to_thread(gateways._open_ledger, journal, loaded)
        gateway = gateways.Gateway(pair.config_path, opened, pair.storage)
        running = tasks.create_task(gateway.run(stop), name="gateway")
        try:
            kept = await throw(gateway)
            wanted = {item["sha256"] for item in alarm_of(gateway).evidence}
            assert kept.manifest_sha256 in wanted
            await pair.until(pair.is_replicated, "the entries are at the fleet")
            async with asyncio.timeout(LIMIT_S):
                while not wanted <= here(pair):
                    gateway.report_status()  # the answer says what is wanted; otherwise asked for twice a minute
                    await asyncio.sleep(0.5)
            for sha in wanted:
                (path,) = (
                    path for path in (pair.fleet_directory / "evidence").rglob(f"*{sha}*") if path.is_file()
                )
                assert sha256(path.read_bytes()).hexdigest() == sha
            entry = told(pair)[0]
            assert isinstance(entry, Kept)
            assert entry.manifest == kept.manifest
            assert entry.manifest.file("clip.mp4").sha256 in wanted
            assert all(doubt is None for _, _, doubt in pair.at_fleet())
            actor = Actor(name="示例", role="supervisor", station="local")
            await gateway._evidence.hold(kept.manifest_sha256, actor=actor, reason="示例")
            await pair.until(lambda: reasons(pair, Held) == ["示例"], "the hold is at the fleet")
            await held_from_afar(pair, gateway, kept)
        finally:
            stop.set()
            await asyncio.wait({running})
            await asyncio.to_thread(journal.close)
            await pair.stop_fleet()


async def held_from_afar(pair: Pair, gateway: gateways.Gateway, kept) -> None:
    """A hold at the fleet is ordered, kept beside the one set here, answered and told; its end ends it alone."""
    clip = kept.manifest.file("clip.mp4").sha256
    given = Command(name="hold_evidence", arguments={"sha256": clip, "reason": "法院调取"})
    assert await pair.result(await pair.order(given)) == ("done", "")
    await pair.until(lambda: reasons(pair, Held)[-1:] == ["法院调取"], "told by whom and why")
    actor = Actor(name="示例", role="supervisor", station="local")
    await gateway._evidence.lift(kept.manifest_sha256, actor=actor, reason="示例完")
    await pair.until(lambda: reasons(pair, Held)[-2:] == ["法院调取", "法院调取"], "still held for the fleet")
    ended = Command(name="release_evidence", arguments={"sha256": clip, "reason": "案件终结"})
    assert await pair.result(await pair.order(ended)) == ("done", "")
    await pair.until(lambda: reasons(pair, Lifted) == ["示例完", "案件终结"], "the end is told")
    assert (await pair.result(await pair.order(ended)))[0] == "failed"


def reasons(pair: Pair, kind: type) -> list[str]:
    return [entry.reason for entry in told(pair) if isinstance(entry, kind)]


def alarm_of(gateway: gateways.Gateway):
    return next(alarm for alarm in gateway._ledger.alarms() if alarm.code == "throw.object_falling")


async def throw(gateway: gateways.Gateway):
    async with asyncio.timeout(LIMIT_S):
        while gateway._ledger.version == 0:
            await asyncio.sleep(0.05)
    now = gateway._clock.now()
    await gateway._ledger.put(
        ThrowReading(device_id="cam-1", at=now, floor_low=5, floor_high=6, confidence=0.9, track_points=9)
    )
    found = promised(gateway_id=GATEWAY, first_seen_at=now.wall, alarm_id=gateway._evidence.alarm_of("cam-1"))
    packets, shape = film()
    kept = await asyncio.to_thread(
        keep, found, packets, shape, gateway._evidence.folder, made_at=gateway._clock.now().wall
    )
    await gateway._evidence.adopt(kept)
    return kept


def here(pair: Pair) -> set[str]:
    """Hashes of what the fleet holds."""
    path = pair.fleet_directory / "fleet.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return {row[0] for row in db.execute("SELECT sha256 FROM evidence WHERE state = 'here'")}


def told(pair: Pair) -> list:
    """The evidence register as the fleet holds it."""
    path = pair.fleet_directory / "fleet.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT body FROM entry WHERE kind = 'evidence' ORDER BY seq").fetchall()
    return [decode_register(bytes(row[0])) for row in rows]
