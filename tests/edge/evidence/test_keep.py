"""Keeping the evidence of a throw: what is in it, and that no end of a process and no full disk leaves half of it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

sys.path.insert(0, str(Path(__file__).parent))
import av
import cv2
import numpy as np
import pytest
from film import AT, BASE_PTS, FALL_AT_S, FALL_S, FPS, MADE_AT, calibration, film, pictures, promised
from msgspec import structs

from gatehouse_edge.drivers import clip_keep
from gatehouse_edge.drivers.clip_keep import KeepError, cut_of, keep, promise, recover
from gatehouse_edge.evidence import drafts, drawer
from gatehouse_edge.evidence.masking import zone_mask
from gatehouse_events.evidence import Manifest

PACKETS, SHAPE = film()
EVERYTHING = {"clip.mp4", "release.jpg", "landing.jpg", "track.json", "overlay.svg"}


def payload(path: Path) -> list[bytes]:
    """The picture data of every packet, without start codes, lengths and parameter sets."""
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            octets, units = bytes(packet), []
            while octets:
                size = int.from_bytes(octets[:4], "big")
                units.append(octets[4 : 4 + size])
                octets = octets[4 + size :]
            found.append(b"".join(unit for unit in units if is_picture(unit)))
    return [part for part in found if part]


def is_picture(unit: bytes) -> bool:
    if SHAPE.codec == "h264":
        return unit[0] & 31 in {1, 5}
    return unit[0] >> 1 & 63 < 32


def sent(packet) -> bytes:
    import re

    units = [part for part in re.split(rb"\x00\x00\x00?\x01", packet.octets) if part]
    return b"".join(unit for unit in units if is_picture(unit))


def reddest(picture) -> tuple[int, int]:
    redness = picture[..., 2].astype(int) - picture[..., :2].max(axis=2)
    y, x = np.unravel_index(redness.argmax(), redness.shape)
    return int(x), int(y)


def lies_in(point: tuple[int, int], box: dict) -> bool:
    x, y = point
    is_beside = box["x"] - 2 <= x <= box["x"] + box["width_px"] + 2
    return is_beside and box["y"] - 2 <= y <= box["y"] + box["height_px"] + 2


def check_whole(folder: Path, sha: str) -> Manifest:
    manifest = drawer.read_manifest(folder, sha)
    for file in manifest.files:
        raw = drawer.path_of(folder, file).read_bytes()
        assert len(raw) == file.size_bytes
        assert hashlib.sha256(raw).hexdigest() == file.sha256
        assert file.sm3 is None or len(file.sm3) == 64
    return manifest


def test_a_throw_is_kept_with_everything_and_every_packet_is_the_cameras_own(tmp_path: Path) -> None:
    kept = keep(promised(alarm_id="01KB0000000000000000000000"), PACKETS, SHAPE, tmp_path, made_at=MADE_AT)
    manifest = check_whole(tmp_path, kept.manifest_sha256)
    assert manifest == kept.manifest
    assert {file.name for file in manifest.files} == EVERYTHING
    assert manifest.missing == ()
    assert manifest.alarm_id == "01KB0000000000000000000000"
    clip = manifest.clip
    assert clip is not None
    assert clip.is_original
    assert clip.pre_s >= 10
    assert clip.post_s >= 5
    assert (manifest.first_seen_at - clip.first_at).total_seconds() == pytest.approx(clip.pre_s, abs=1e-3)
    path = drawer.path_of(tmp_path, manifest.file("clip.mp4"))
    cut = cut_of(promised(), PACKETS)
    assert payload(path) == [sent(packet) for packet in cut]
    assert not list(tmp_path.glob(".draft*"))


def test_the_layers_stand_in_step_with_the_clip(tmp_path: Path) -> None:
    kept = keep(promised(), PACKETS, SHAPE, tmp_path, made_at=MADE_AT)
    track = json.loads(drawer.path_of(tmp_path, kept.manifest.file("track.json")).read_bytes())
    with av.open(str(drawer.path_of(tmp_path, kept.manifest.file("clip.mp4")))) as container:
        frames = {
            round(frame.time, 3): frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)
        }
    for box in track["boxes"]:
        assert lies_in(reddest(frames[round(box["t_s"], 3)]), box)
    assert track["clip_s"] == pytest.approx(max(frames), abs=0.11)
    svg = ET.fromstring(drawer.path_of(tmp_path, kept.manifest.file("overlay.svg")).read_bytes())  # noqa: S314  # our own
    assert svg.get("viewBox") == "0 0 320 240"
    words = " ".join(node.text or "" for node in svg.iter())
    assert "5-6层" in words
    assert "6F" in words
    for name, t_s in (("release.jpg", FALL_AT_S), ("landing.jpg", FALL_AT_S + FALL_S)):
        raw = np.frombuffer(drawer.path_of(tmp_path, kept.manifest.file(name)).read_bytes(), np.uint8)
        still = cv2.imdecode(raw, cv2.IMREAD_COLOR)
        truth = list(pictures(FALL_AT_S + FALL_S + 0.1))[round(t_s * FPS)]
        assert np.abs(still.astype(int) - truth).mean() < 12
        assert lies_in(reddest(still), track["boxes"][0 if name == "release.jpg" else -1])


def test_h265_is_kept_as_it_came(tmp_path: Path) -> None:
    packets, shape = film(14.5, codec="libx265", form="hevc")
    kept = keep(promised(), packets, shape, tmp_path, made_at=MADE_AT)
    manifest = check_whole(tmp_path, kept.manifest_sha256)
    assert manifest.clip is not None
    assert manifest.clip.codec == "hevc"
    assert any("after it was last seen" in words for words in manifest.missing)


def test_a_stream_without_times_counts_by_arrival(tmp_path: Path) -> None:
    bare = [
        type(packet)(
            octets=packet.octets, pts=None, dts=round((packet.arrived_s - 1000) * 90_000), duration=None,
            time_base=packet.time_base, is_key=packet.is_key, arrived_s=packet.arrived_s,
        )
        for packet in PACKETS
    ]  # fmt: skip
    found = promised()
    boxes = tuple(structs.replace(box, pts_s=None) for box in found.boxes)
    kept = keep(structs.replace(found, boxes=boxes), bare, SHAPE, tmp_path, made_at=MADE_AT)
    track = json.loads(drawer.path_of(tmp_path, kept.manifest.file("track.json")).read_bytes())
    assert kept.manifest.clip.pre_s == pytest.approx(track["boxes"][0]["t_s"], abs=1e-3)
    assert track["boxes"][-1]["t_s"] - track["boxes"][0]["t_s"] == pytest.approx(FALL_S, abs=1e-3)


def test_what_the_ring_did_not_hold_is_said(tmp_path: Path) -> None:
    late = [packet for packet in PACKETS if packet.arrived_s > 1000 + FALL_AT_S - 4]
    gap = [p for p in late if not 1000 + FALL_AT_S + 2 < p.arrived_s < 1000 + FALL_AT_S + 3.5]
    kept = keep(promised(), gap, SHAPE, tmp_path, made_at=MADE_AT)
    words = " ".join(kept.manifest.missing)
    assert "before it was first seen" in words
    assert "no picture for 1.6 s" in words
    nothing = keep(promised(event_id="cam-1-b"), [], SHAPE, tmp_path, made_at=MADE_AT)
    assert {file.name for file in nothing.manifest.files} == {"track.json", "overlay.svg"}
    assert "the ring held no picture" in nothing.manifest.missing[0]


def test_shielded_zones_never_touch_the_disk(tmp_path: Path) -> None:
    zone = ((200.0, 40.0), (300.0, 40.0), (300.0, 160.0), (200.0, 160.0))
    kept = keep(promised(drawn=calibration(shield=(zone,))), PACKETS, SHAPE, tmp_path, made_at=MADE_AT)
    manifest = check_whole(tmp_path, kept.manifest_sha256)
    assert manifest.clip is not None
    assert (manifest.clip.is_original, manifest.clip.shield_zones) == (False, 1)
    inner = zone_mask([((204, 44), (296, 44), (296, 156), (204, 156))], width_px=320, height_px=240)
    shown = 0
    with av.open(str(drawer.path_of(tmp_path, manifest.file("clip.mp4")))) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="bgr24")
            assert picture[inner].max() <= 12
            assert picture[~zone_mask([zone], width_px=320, height_px=240)].mean() > 60
            shown += 1
    assert shown == manifest.clip.pictures
    for name in ("release.jpg", "landing.jpg"):
        raw = np.frombuffer(drawer.path_of(tmp_path, manifest.file(name)).read_bytes(), np.uint8)
        assert cv2.imdecode(raw, cv2.IMREAD_COLOR)[inner].max() <= 24


class Killed(BaseException):
    """The process ends here."""


class Power:
    """Ends the process at the n-th call that changes the disk."""

    CALLS = ("open", "write", "fsync", "replace", "unlink", "rmdir", "mkdir")

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.at, self.calls = at, 0
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, call):
        def counted(*args, **kwargs):
            self.calls += 1
            if self.calls == self.at:
                raise Killed
            return call(*args, **kwargs)

        return counted


def test_a_kill_at_any_write_leaves_what_a_restart_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts, whole, at = 0, 0, 0
    while True:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        with monkeypatch.context() as patch:
            power = Power(patch, at)
            try:
                kept = keep(promised(), PACKETS, SHAPE, folder, made_at=MADE_AT)
            except Killed:
                kept = None
        if kept is not None and power.calls < at:
            break
        cuts += 1
        for sha in drawer.manifests(folder):
            check_whole(folder, sha)  # a manifest in the drawer has all its files, at any moment
        was_promised = any(folder.glob(".draft-*/promise.json")) or any(folder.glob(".draft-*/manifest.json"))
        found = recover(folder, made_at=MADE_AT, among=drafts.left_in(folder))
        again = recover(folder, made_at=MADE_AT, among=drafts.left_in(folder))
        assert again == []
        shas = drawer.manifests(folder)
        assert len(shas) == (1 if was_promised or shas else 0)
        assert not list(folder.glob(".draft*"))
        for sha in shas:
            manifest = check_whole(folder, sha)
            names = {file.name for file in manifest.files}
            assert names == EVERYTHING or any(words.startswith("clip.mp4:") for words in manifest.missing)
            whole += names == EVERYTHING
        assert {one.manifest_sha256 for one in found} <= set(shas)
    assert cuts > 30
    assert whole > 15


def test_kill_9_at_any_moment_leaves_what_a_restart_finishes(tmp_path: Path, rounds) -> None:
    """The same with real processes: FFmpeg's own writes are cut off too."""
    subprocess.run(
        [sys.executable, str(Path(__file__).with_name("keep_and_die.py")), str(tmp_path), str(rounds(40))],
        check=True,
        timeout=100,
    )
    finished = 0
    for folder in sorted(tmp_path.iterdir()):
        for sha in drawer.manifests(folder):
            check_whole(folder, sha)
            finished += 1
        was_promised = bool(list(folder.glob(".draft-*/*.json")))
        recover(folder, made_at=MADE_AT, among=drafts.left_in(folder))
        shas = drawer.manifests(folder)
        assert len(shas) == 1 or not was_promised
        for sha in shas:
            check_whole(folder, sha)
        assert not list(folder.glob(".draft*"))
    assert finished > 0


def test_a_second_call_after_a_kill_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        Power(patch, 12)
        with pytest.raises(Killed):
            keep(promised(), PACKETS, SHAPE, tmp_path, made_at=MADE_AT)
    kept = keep(promised(), PACKETS, SHAPE, tmp_path, made_at=MADE_AT)
    assert {file.name for file in kept.manifest.files} == EVERYTHING


def test_a_full_disk_is_named_leaves_nothing_half_and_keeps_the_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = promise(promised(), tmp_path)
    (draft.folder / ".clip.mp4.part").symlink_to("/dev/full")  # the kernel itself says ENOSPC
    with pytest.raises(KeepError) as told:
        keep(promised(), PACKETS, SHAPE, tmp_path, made_at=MADE_AT)
    assert told.value.is_full
    assert sorted(path.name for path in draft.folder.iterdir()) == ["cut.json", "promise.json"]
    assert not list(tmp_path.glob("*.*"))[1:]  # the draft and nothing else
    with monkeypatch.context() as patch:
        patch.setattr(drafts, "RESERVE_BYTES", 1 << 60)
        with pytest.raises(KeepError, match="kept for alarms") as told:
            keep(promised(), PACKETS, SHAPE, tmp_path, made_at=MADE_AT)
    assert told.value.is_full
    kept = keep(promised(), PACKETS, SHAPE, tmp_path, made_at=MADE_AT)  # there is room again
    assert {file.name for file in kept.manifest.files} == EVERYTHING


def test_recovery_of_one_camera_leaves_the_others_alone(tmp_path: Path) -> None:
    promise(promised(event_id="a"), tmp_path)
    promise(promised(event_id="b", camera_id="cam-2"), tmp_path)
    (tmp_path / ".draft-c").mkdir()
    assert [kept.manifest.event_id for kept in recover(tmp_path, "cam-1", made_at=MADE_AT)] == ["a"]
    assert (tmp_path / ".draft-c").exists()  # perhaps another camera is about to promise there
    left = drafts.left_in(tmp_path)
    promise(promised(event_id="a"), tmp_path)  # of this life: not among what was left
    assert [k.manifest.camera_id for k in recover(tmp_path, made_at=MADE_AT, among=left)] == ["cam-2"]
    assert [path.name for path in tmp_path.glob(".draft*")] == [".draft-a"]
    assert len(recover(tmp_path, "cam-1", made_at=MADE_AT)) == 1
    assert not list(tmp_path.glob(".draft*"))


def test_an_unknown_codec_is_said_and_the_rest_kept(tmp_path: Path) -> None:
    shape = clip_keep.StreamShape(
        codec="mjpeg", width_px=320, height_px=240, extradata=b"", time_base=SHAPE.time_base
    )
    kept = keep(promised(), PACKETS, shape, tmp_path, made_at=MADE_AT)
    assert "mjpeg is not a codec" in kept.manifest.missing[0]
    assert kept.manifest.clip is None
    assert kept.manifest.captured_at == AT


@pytest.mark.parametrize("zones", [(), (((200.0, 40.0), (300.0, 40.0), (300.0, 160.0), (200.0, 160.0)),)])
def test_time_stamps_that_shake_stick_or_crowd_are_kept_as_they_come(tmp_path: Path, zones) -> None:
    rng = np.random.default_rng(7)
    steps = rng.choice(
        [0, 1, 900, 3600, 5400, 9000, 18_000], len(PACKETS), p=[0.05, 0.05, 0.1, 0.2, 0.2, 0.3, 0.1]
    )
    shaken = [
        replace(packet, pts=BASE_PTS + int(at), dts=BASE_PTS + int(at))
        for packet, at in zip(PACKETS, np.cumsum(steps), strict=True)
    ]
    kept = keep(promised(drawn=calibration(shield=zones)), shaken, SHAPE, tmp_path, made_at=MADE_AT)
    chosen = cut_of(promised(), shaken)
    with av.open(str(drawer.path_of(tmp_path, kept.manifest.file("clip.mp4")))) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    assert len(shown) == len(chosen)
    wanted = [(packet.pts - chosen[0].pts) / 90_000 for packet in chosen]
    assert np.abs(np.array(shown) - wanted).max() < 0.002  # a repeated stamp is moved by one tick
