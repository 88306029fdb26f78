"""Evidence in the gateway: into the journal and its alarm, seen by roles, held, deleted; restarts and jumping clocks."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import av
import numpy as np
import psutil
import pytest
from console_site import CAMERA, SETTINGS, running_site
from film import MADE_AT, film, promised, wall
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gatehouse_edge.blueprint import card_of
from gatehouse_edge.clock import Now
from gatehouse_edge.drivers.clip_keep import keep, promise
from gatehouse_edge.evidence import drawer
from gatehouse_edge.evidence.masking import corridor
from gatehouse_edge.evidence.overlay import decode_track
from gatehouse_edge.evidence.retention import BELIEVED_AFTER_S, Hold, Steadiness, Stored, is_due
from gatehouse_edge.gateway import ConfigTaken
from gatehouse_edge.ports import NoEvidenceError
from gatehouse_edge.reading import ThrowReading
from gatehouse_events.alarm import SYSTEM
from gatehouse_events.chain import EntryKind
from gatehouse_events.clock import ClockQuality, ClockSource
from gatehouse_events.evidence import Deleted, Held, Kept, Lifted, Masked, Missed, Viewed, decode_register
from gatehouse_journal.city_feed import city_events

PACKETS, SHAPE = film()
DEVICES = [*SETTINGS["devices"], CAMERA]
DAY_S = 86_400.0
PATIENT_S = 120
"""What is made early is made with what is left of the processor, and beside other tests that is little."""
GOOD = ClockQuality(synced=True, offset_ms=1.0, source=ClockSource.NTP)


async def thrown(site, **changes):
    """A throw's alarm and its evidence on the disk; returns both."""
    now = site.clock.now()
    await site.ledger.put(
        ThrowReading(device_id="cam-1", at=now, floor_low=5, floor_high=6, confidence=0.9, track_points=11)
    )
    alarm = await site.alarm("throw.object_falling")
    fields = {"alarm_id": alarm.alarm_id, "first_seen_at": now.wall, **changes}
    kept = await asyncio.to_thread(
        keep, promised(**fields), PACKETS, SHAPE, site.evidence.folder, made_at=now.wall
    )
    return alarm, kept


def register(site) -> list:
    return [decode_register(entry.body) for entry in site.reader.read_evidence(0, 100)]


async def test_kept_evidence_stands_in_the_journal_signed_and_in_its_alarm(tmp_path: Path) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site:
        alarm, kept = await thrown(site)
        await site.evidence.adopt(kept)
        await site.evidence.adopt(kept)
        (entry,) = register(site)
        assert entry == Kept(
            alarm_id=alarm.alarm_id, manifest_sha256=kept.manifest_sha256, manifest=kept.manifest
        )
        named = {item["kind"]: item for item in (await site.alarm("throw.object_falling")).evidence}
        assert named["clip"]["sha256"] == kept.manifest.file("clip.mp4").sha256
        assert named["clip"]["pre_s"] >= 10
        assert named["log"]["sha256"] == kept.manifest_sha256
        report = site.reader.verify()
        assert report.is_intact
        (at,) = (one.seq for one in site.reader.read_evidence(0, 10))
        assert report.signed_through >= at


async def test_the_city_is_told_of_the_files_in_its_own_words(tmp_path: Path) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site:
        await site.ledger.record(EntryKind.CONFIG, ConfigTaken(is_accepted=True, card=card_of(site.config)))
        _, kept = await thrown(site)
        await site.evidence.adopt(kept)
        await site.evidence.hold(kept.manifest_sha256, actor=SYSTEM, reason="示例")
        events = [
            json.loads(line) for line in city_events(site.reader, after=0)
        ]  # each checked against its schema
    told = events[-1]["data"]["evidence"]
    assert {item["kind"] for item in told} == {"clip", "snapshot", "trace", "log"}
    assert all(item["legal_hold"] for item in told)
    assert kept.manifest.file("clip.mp4").sha256 in {item["sha256"] for item in told}


async def test_the_uplink_finds_every_named_file_by_its_hash(tmp_path: Path) -> None:
    from gatehouse_edge.uplink.evidence import EvidenceQueue

    async with running_site(tmp_path, devices=DEVICES) as site:
        _, kept = await thrown(site)
        await site.evidence.adopt(kept)
        queue = EvidenceQueue(site.directory / "evidence", {})
        for item in (await site.alarm("throw.object_falling")).evidence:
            path = queue.path(item["sha256"])
            assert path is not None
            assert hashlib.sha256(path.read_bytes()).hexdigest() == item["sha256"]
            assert path.stat().st_size == item["bytes"]


async def test_a_restart_finishes_what_was_promised_and_enters_what_lay_there(tmp_path: Path) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site:
        await asyncio.to_thread(site.evidence.folder.mkdir)
        _, kept = await thrown(site)  # on the disk; the kill comes before the journal
        now = site.clock.now().wall
        promise(promised(event_id="cut-short", first_seen_at=now, camera_id="gone"), site.evidence.folder)
        (site.evidence.folder / f"{'0' * 64}.masked.mp4").write_bytes(b"a copy nobody knows")
    async with running_site(tmp_path, devices=DEVICES) as site:
        promise(promised(event_id="of-this-life"), site.evidence.folder)  # a camera was quicker than we
        await site.evidence.recover()
        found = {one.event_id: one for one in site.evidence.stored()}
        assert set(found) == {"cut-short", kept.manifest.event_id}
        short = await site.evidence.show(found["cut-short"].manifest_sha256)
        assert short.manifest.missing[0].startswith("clip.mp4: the camera's process ended")
        assert [type(entry) for entry in register(site)] == [Kept, Kept]
        drafts = sorted(path.name for path in site.evidence.folder.glob(".draft*"))
        assert drafts == [".draft-of-this-life"]
        assert not list(site.evidence.folder.glob("*.masked.mp4"))


async def test_what_could_not_be_kept_is_a_fault_with_a_name_until_something_is(tmp_path: Path) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site:
        await site.evidence.missed(camera_id="cam-1", event_id="x", alarm_id="", why="the disk is full")
        assert (await site.alarm("gateway.evidence_failed")).is_active
        (entry,) = register(site)
        assert isinstance(entry, Missed)
        _, kept = await thrown(site)
        await site.evidence.adopt(kept)
        assert not (await site.alarm("gateway.evidence_failed")).is_active


async def test_a_clip_that_ends_every_process_ends_not_the_gateway(tmp_path: Path, monkeypatch) -> None:
    """What the camera's process left is finished in a process of its own, at last without a look at the clip."""
    poison = tmp_path / "sitecustomize.py"
    poison.write_text(
        "import os, sys\n"
        "if sys.argv[0].endswith('-m') or 'clip_recover' in ' '.join(sys.orig_argv):\n"
        "    import gatehouse_edge.drivers.clip_recode as recode\n"
        "    recode.still = lambda *_: os.abort()\n"
    )
    async with running_site(tmp_path, devices=DEVICES) as site:
        await asyncio.to_thread(site.evidence.folder.mkdir)
        now = site.clock.now().wall
        with monkeypatch.context() as patch:
            patch.setattr(
                "gatehouse_edge.drivers.clip_recode.still",
                lambda *_: (_ for _ in ()).throw(KeyboardInterrupt),
            )
            with pytest.raises(KeyboardInterrupt):  # the camera's process ends here
                keep(promised(first_seen_at=now), PACKETS, SHAPE, site.evidence.folder, made_at=now)
        with monkeypatch.context() as patch:
            patch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
            await site.evidence.recover("cam-1")
        (stored,) = site.evidence.stored()
        shown = await site.evidence.show(stored.manifest_sha256)
        assert {file.name for file in shown.manifest.files} == {"clip.mp4", "track.json", "overlay.svg"}
        assert "release.jpg: the process ended while taking it from the clip" in shown.manifest.missing


async def look(browser, sha: str, file: str = "clip.mp4", reason: str = "报警核实"):
    return await browser.post(f"/api/v1/evidence/{sha}/views", json={"file": file, "reason": reason})


async def test_roles_reasons_ranges_and_the_register(tmp_path: Path) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site:
        alarm, kept = await thrown(site)
        await site.evidence.adopt(kept)
        sha, clip = kept.manifest_sha256, kept.manifest.file("clip.mp4")
        for role in ("viewer", "technician"):
            async with site.person(role) as browser:
                assert (await browser.get(f"/api/v1/alarms/{alarm.alarm_id}/evidence")).status_code == 403
                assert (await look(browser, sha)).status_code == 403
                assert (await browser.get(f"/api/v1/evidence/{sha}/layers/track.json")).status_code == 403
        async with site.person("supervisor") as browser:
            (row,) = (await browser.get(f"/api/v1/alarms/{alarm.alarm_id}/evidence")).json()["evidence"]
            assert row["may_view"] == ["clip.mp4", "release.jpg", "landing.jpg", "masked.mp4"]
            assert (await browser.get("/api/v1/evidence")).json()["evidence"] == [row]
            assert (await look(browser, sha, reason=" ")).status_code == 422
            assert (await look(browser, "0" * 64)).status_code == 404
            assert len(register(site)) == 1
            link = (await look(browser, sha)).json()
            seen = register(site)[-1]
            assert isinstance(seen, Viewed)
            assert (seen.actor.name, seen.actor.role, seen.reason) == (
                "示例supervisor",
                "supervisor",
                "报警核实",
            )
            assert (seen.sha256, seen.is_masked) == (clip.sha256, False)
            whole = await browser.get(link["url"])
            assert hashlib.sha256(whole.content).hexdigest() == clip.sha256
            assert (whole.headers["content-type"], whole.headers["accept-ranges"]) == ("video/mp4", "bytes")
            await ranges(browser, link["url"], whole.content)
            assert len(register(site)) == 2  # one look, however many pieces
            for name in ("manifest.json", "track.json", "overlay.svg"):
                assert (await browser.get(f"/api/v1/evidence/{sha}/layers/{name}")).status_code == 200
            async with site.person("admin") as other:
                assert (await other.get(link["url"])).status_code == 404
            site.clock.shift_s += 301
            assert (await browser.get(link["url"])).json()["reason"] == "link_over"
            assert (await browser.get("/api/v1/evidence-register")).json()["entries"][1]["body"][
                "what"
            ] == "viewed"
        async with site.person("operator") as browser:
            assert (await browser.get("/api/v1/evidence-register")).status_code == 403
            assert (
                await browser.post(f"/api/v1/evidence/{sha}/hold", json={"reason": "x"})
            ).status_code == 403


async def ranges(browser, url: str, content: bytes) -> None:
    size = len(content)
    for asked, first, last in (("0-0", 0, 0), ("100-199", 100, 199), ("-50", size - 50, size - 1), (f"{size - 9}-", size - 9, size - 1)):  # fmt: skip
        answer = await browser.get(url, headers={"Range": f"bytes={asked}"})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert answer.content == content[first : last + 1]
    beyond = await browser.get(url, headers={"Range": f"bytes={size}-"})
    assert beyond.status_code == 416


async def test_who_may_not_see_the_original_sees_a_copy_that_really_is_masked(tmp_path: Path) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site, site.person("operator") as browser:
        alarm, kept = await thrown(site)
        await site.evidence.adopt(kept)
        sha = kept.manifest_sha256
        (row,) = (await browser.get(f"/api/v1/alarms/{alarm.alarm_id}/evidence")).json()["evidence"]
        assert row["may_view"] == ["masked.mp4"]
        for asked in ("clip.mp4", "release.jpg"):
            link = (await look(browser, sha, asked)).json()
            assert (link["file"], link["is_masked"]) == ("masked.mp4", True)
        content = (await browser.get(link["url"])).content
        (tmp_path / "seen.mp4").write_bytes(content)
        made = [entry for entry in register(site) if isinstance(entry, Masked)]
        assert [one.sha256 for one in made] == [hashlib.sha256(content).hexdigest()]
        track = decode_track(
            drawer.path_of(site.evidence.folder, kept.manifest.file("track.json")).read_bytes()
        )
        clear, texture, shown = corridor(track), wall().astype(int), 0
        with av.open(str(tmp_path / "seen.mp4")) as container:
            for frame in container.decode(video=0):
                picture = frame.to_ndarray(format="bgr24").astype(int)
                hidden, seen = likeness(picture, texture, ~clear), likeness(picture, texture, clear)
                assert hidden < 0.3
                assert seen > 0.9
                shown += 1
        assert shown == kept.manifest.clip.pictures
        named = [
            item for item in (await site.alarm("throw.object_falling")).evidence if item.get("privacy_masked")
        ]
        assert [item["sha256"] for item in named] == [made[0].sha256]


async def test_a_viewing_copy_is_there_before_anybody_asks_and_gives_way_to_whoever_does(
    tmp_path: Path,
) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site, asyncio.TaskGroup() as tasks:
        early = tasks.create_task(site.evidence.mask_early(), name="viewing copies")
        _, first = await thrown(site)
        await site.evidence.adopt(first)
        maker = await at_work()
        assert (maker.nice(), maker.ionice().ioclass) == (19, psutil.IOPRIO_CLASS_IDLE)
        maker.suspend()  # it takes for ever; nobody waits for it
        _, second = await thrown(
            site, event_id="second", first_seen_at=site.clock.now().wall + timedelta(seconds=1)
        )
        await site.evidence.adopt(second)
        async with asyncio.timeout(PATIENT_S):
            assert (await site.evidence.masked(second.manifest_sha256)).stored.masked_sha256
            await asyncio.to_thread(psutil.wait_procs, [maker])
            while not all(one.masked_sha256 for one in site.evidence.stored()):
                await asyncio.sleep(0.1)
        early.cancel()
        made = [entry for entry in register(site) if isinstance(entry, Masked)]
        assert [one.manifest_sha256 for one in made] == [second.manifest_sha256, first.manifest_sha256]


async def test_a_clip_that_cannot_be_masked_holds_up_none_behind_it(tmp_path: Path) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site, asyncio.TaskGroup() as tasks:
        _, broken = await thrown(site)
        drawer.path_of(site.evidence.folder, broken.manifest.file("track.json")).write_bytes(b"{}")
        _, whole = await thrown(
            site, event_id="whole", first_seen_at=site.clock.now().wall + timedelta(seconds=1)
        )
        for kept in (broken, whole):
            await site.evidence.adopt(kept)
        early = tasks.create_task(site.evidence.mask_early(), name="viewing copies")
        async with asyncio.timeout(PATIENT_S):
            while not (await site.evidence.show(whole.manifest_sha256)).stored.masked_sha256:
                await asyncio.sleep(0.1)
        early.cancel()
        assert not (await site.evidence.show(broken.manifest_sha256)).stored.masked_sha256


async def at_work() -> psutil.Process:
    """The process that makes a copy nobody waits for, once it has stood back."""
    async with asyncio.timeout(30):
        while True:
            for child in psutil.Process().children():
                if "--gently" in child.cmdline() and child.ionice().ioclass == psutil.IOPRIO_CLASS_IDLE:
                    return child
            await asyncio.sleep(0.01)


def likeness(picture, truth, where) -> float:
    """Correlation of fine texture in part of a picture: 1 the same, 0 nothing in common."""
    return float(np.corrcoef(picture[where].mean(axis=-1), truth[where].mean(axis=-1))[0, 1])


async def test_a_hold_keeps_evidence_beyond_its_time_and_the_rest_is_deleted_for_good(tmp_path: Path) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site, site.person("supervisor") as browser:
        site.clock.clock_quality = GOOD
        _, held = await thrown(site)
        _, free = await thrown(
            site, event_id="free", first_seen_at=site.clock.now().wall + timedelta(seconds=1)
        )
        for kept in (held, free):
            await site.evidence.adopt(kept)
        sha = held.manifest_sha256
        answer = await browser.post(f"/api/v1/evidence/{sha}/hold", json={"reason": "派出所调取 2026-1"})
        assert answer.json()["hold"]["by"] == "示例supervisor"
        again = await browser.post(f"/api/v1/evidence/{sha}/hold", json={"reason": "another"})
        assert again.json()["hold"]["reason"] == "派出所调取 2026-1"
        items = (await site.alarm("throw.object_falling")).evidence
        assert all(
            bool(item.get("legal_hold"))
            == (item["sha256"] in {sha, *(f.sha256 for f in held.manifest.files)})
            for item in items
            if item["kind"] == "log"
        )
        assert await site.evidence.sweep() == 0
        site.clock.shift_s = 30.01 * DAY_S
        assert await site.evidence.sweep() == 1
        lying = {path.name.partition(".")[0] for path in site.evidence.folder.iterdir()}
        only_free = {f.sha256 for f in free.manifest.files} - {f.sha256 for f in held.manifest.files}
        assert not lying & (only_free | {free.manifest_sha256})
        for file in held.manifest.files:
            assert drawer.digest(drawer.path_of(site.evidence.folder, file)) == file.sha256
        gone = [entry for entry in register(site) if isinstance(entry, Deleted)]
        assert [entry.manifest_sha256 for entry in gone] == [free.manifest_sha256]
        async with site.person("admin") as later:  # a month later: a login of its own
            assert (await look(later, free.manifest_sha256)).status_code == 404
            await later.post(f"/api/v1/evidence/{sha}/lift", json={"reason": "案件终结"})
            assert (await later.post(f"/api/v1/evidence/{sha}/lift", json={"reason": "x"})).status_code == 409
        assert await site.evidence.sweep() == 1
        assert list(site.evidence.folder.iterdir()) == []
        assert [type(entry) for entry in register(site)][2:] == [Held, Deleted, Lifted, Deleted]


async def test_what_the_fleet_holds_outlives_its_time_and_a_lift_here_until_the_fleet_ends_it(
    tmp_path: Path,
) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site:
        site.clock.clock_quality = GOOD
        _, kept = await thrown(site)
        await site.evidence.adopt(kept)
        sha, clip = kept.manifest_sha256, kept.manifest.file("clip.mp4").sha256
        await site.evidence.hold_afar(clip, actor=SYSTEM, reason="法院", settle=site.ledger.settle)
        assert all(item["legal_hold"] for item in (await site.alarm("throw.object_falling")).evidence)
        with pytest.raises(NoEvidenceError, match="lifted there"):
            await site.evidence.lift(sha, actor=SYSTEM, reason="x")
        await site.evidence.hold(sha, actor=SYSTEM, reason="派出所")
        await site.evidence.lift(sha, actor=SYSTEM, reason="案件终结")
        site.clock.shift_s = 30.01 * DAY_S
        assert await site.evidence.sweep() == 0
        said = [(type(entry), entry.reason) for entry in register(site)[1:]]
        # Whoever reads `lifted` ends every hold: what still stands is said again.
        assert said == [(Held, "法院"), (Held, "派出所"), (Lifted, "案件终结"), (Held, "法院")]
        await site.evidence.lift_afar(clip, actor=SYSTEM, reason="结案", settle=site.ledger.settle)
        assert await site.evidence.sweep() == 1


async def test_a_deletion_cut_short_is_finished_at_the_next_look(tmp_path: Path, monkeypatch) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site:
        site.clock.clock_quality = GOOD
        _, kept = await thrown(site)
        await site.evidence.adopt(kept)
        await site.evidence.sweep()
        site.clock.shift_s = 31 * DAY_S
        with monkeypatch.context() as patch:
            patch.setattr(drawer, "remove", lambda *_: (_ for _ in ()).throw(OSError("the disk is away")))
            assert await site.evidence.sweep() == 0
        assert site.evidence.stored() == []  # nobody is shown what the journal calls deleted
        assert await site.evidence.sweep() == 1
        assert list(site.evidence.folder.iterdir()) == []
        assert sum(isinstance(entry, Deleted) for entry in register(site)) == 1
        with pytest.raises(NoEvidenceError):
            await site.evidence.hold(kept.manifest_sha256, actor=SYSTEM, reason="too late")


def now_at(wall_days: float, service_days: float, *, synced: bool = True) -> Now:
    return Now(
        wall=MADE_AT + timedelta(days=wall_days),
        service_s=service_days * DAY_S,
        boot="b",
        mono_ns=0,
        clock=structs.replace(GOOD, synced=synced),
    )


STORED = Stored(
    manifest_sha256="0" * 64, event_id="e", camera_id="c", alarm_id="", captured_at=MADE_AT, kept_s=0.0, files=()
)  # fmt: skip


@pytest.mark.parametrize(
    ("wall_days", "service_days", "synced", "steady_days", "goes"),
    [
        (29.9, 29.9, True, 20, False),
        (30.1, 30.1, True, 20, True),
        (400, 1, True, 0.5, False),  # the clock jumped ahead
        (400, 1, True, 1.1, True),  # and stayed there: the gateway had been off for a year
        (30.1, 30.1, False, None, False),  # nobody knows the time
        (61, 61, False, None, True),  # … and nobody ever will
        (-20000, 40, True, 0.1, False),  # 1972
        (-20000, 61, False, None, True),
        (10, 45, True, 9, False),  # the service scale was carried ahead by a wrong clock at a start
    ],
)  # fmt: skip
def test_a_clock_that_jumps_deletes_nothing(wall_days, service_days, synced, steady_days, goes) -> None:
    now = now_at(wall_days, service_days, synced=synced)
    steady_s = None if steady_days is None else steady_days * DAY_S
    assert is_due(STORED, now, days=30, steady_s=steady_s) is goes
    hold = Hold(by="x", role="admin", reason="y", at=MADE_AT)
    assert not is_due(structs.replace(STORED, hold=hold), now, days=30, steady_s=steady_s)
    assert is_due(structs.replace(STORED, hold=hold, is_going=True), now, days=30, steady_s=steady_s)


def test_an_impossible_capture_time_counts_from_when_it_was_kept() -> None:
    odd = structs.replace(STORED, captured_at=MADE_AT.replace(year=1970))
    assert not is_due(odd, now_at(1, 1), days=30, steady_s=5 * DAY_S)
    assert is_due(odd, now_at(31, 31), days=30, steady_s=5 * DAY_S)


@given(
    st.lists(
        st.tuples(st.floats(60, 7200), st.sampled_from([0.0, 0.0, 0.0, -1e8, 5e6, 300.0]), st.booleans()),
        max_size=30,
    )
)
def test_nothing_younger_than_its_time_goes_whatever_the_clock_does(steps) -> None:
    """True time passes in looks of at most two hours; the wall clock jumps and is sometimes not synchronised."""
    steadiness, true_s, wrong_s = Steadiness(), 0.0, 0.0
    wrong_since_s = 0.0
    for passed_s, jump_s, synced in steps:
        true_s += passed_s
        if jump_s:
            wrong_s, wrong_since_s = wrong_s + jump_s, true_s
        now = Now(
            wall=MADE_AT + timedelta(seconds=true_s + wrong_s),
            service_s=true_s,
            boot="b",
            mono_ns=0,
            clock=structs.replace(GOOD, synced=synced),
        )
        if is_due(STORED, now, days=30, steady_s=steadiness.see(now)):
            assert true_s >= 30 * DAY_S or true_s - wrong_since_s >= BELIEVED_AFTER_S


async def test_a_masked_copy_made_while_its_clip_goes_goes_too(tmp_path: Path, monkeypatch) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site:
        site.clock.clock_quality = GOOD
        _, kept = await thrown(site)
        await site.evidence.adopt(kept)
        await site.evidence.sweep()

        async def slow(clip: Path, track: Path, output: Path, **_: bool) -> None:
            output.write_bytes(b"a copy")
            site.clock.shift_s = 31 * DAY_S
            assert await site.evidence.sweep() == 1

        monkeypatch.setattr("gatehouse_edge.evidence_desk.mask_apart", slow)
        with pytest.raises(NoEvidenceError):
            await site.evidence.masked(kept.manifest_sha256)
        assert list(site.evidence.folder.iterdir()) == []


async def test_no_room_for_a_masked_copy_is_said_and_nobody_sees_the_original_instead(
    tmp_path: Path, monkeypatch
) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site, site.person("operator") as browser:
        _, kept = await thrown(site)
        await site.evidence.adopt(kept)
        with monkeypatch.context() as patch:
            patch.setattr("gatehouse_edge.evidence.drafts.RESERVE_BYTES", 1 << 60)
            answer = await look(browser, kept.manifest_sha256)
        assert (answer.status_code, answer.json()["reason"]) == (409, "not_maskable")
        assert "kept for alarms" in answer.json()["title_en"]
        track = drawer.path_of(site.evidence.folder, kept.manifest.file("track.json"))
        track.write_bytes(b"{}")
        answer = await look(browser, kept.manifest_sha256)
        assert (answer.status_code, answer.json()["reason"]) == (409, "not_maskable")
        assert [type(entry) for entry in register(site)] == [Kept]
        assert not list(site.evidence.folder.glob(".*"))
