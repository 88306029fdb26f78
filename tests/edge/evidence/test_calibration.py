"""Calibration over the console's API: stills, drawings, what is wrong with them, versions, the way back."""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import cv2
import msgspec
import numpy as np
import pytest
from console_site import CAMERA, SETTINGS, running_site, write_config
from film import AT, HEIGHT, WIDTH, calibration, promised, wall
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gatehouse_edge import cli
from gatehouse_edge.calibration import CalibrationStore, FaultyDrawingError, StaleVersionError, sha_of
from gatehouse_edge.doctor import examine
from gatehouse_edge.drivers.clip_keep import keep
from gatehouse_edge.drivers.clip_recode import jpeg
from gatehouse_edge.evidence import drawer
from gatehouse_edge.vision.facade import CalibrationError, checked, faults_of, floor_of, line_of
from gatehouse_edge.vision.origin import floors_at
from gatehouse_events.chain import EntryKind, Lane

STILL = jpeg(wall())
DEVICES = [*SETTINGS["devices"], CAMERA]
WAY = "/api/v1/cameras/cam-1"


def drawing(still: str, *, based_on: int = 0, **changes):
    return {
        "based_on": based_on,
        "still_sha256": still,
        "calibration": msgspec.to_builtins(calibration(**changes)),
        "note": "示例",
    }


async def test_a_technician_takes_a_still_draws_and_goes_back(tmp_path: Path) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site, site.person("technician") as browser:
        assert (await browser.get("/api/v1/cameras")).json()["cameras"] == [
            {"id": "cam-1", "place": "", "version": 0}
        ]
        dark = await browser.post(f"{WAY}/still")
        assert (dark.status_code, dark.json()["reason"]) == (409, "no_picture")
        site.stills["cam-1"] = STILL
        taken = (await browser.post(f"{WAY}/still")).json()
        seen = await browser.get(taken["url"])
        assert (seen.content, seen.headers["content-type"]) == (STILL, "image/jpeg")
        first = (await browser.put(f"{WAY}/calibration", json=drawing(taken["sha256"]))).json()
        assert (first["version"], first["by"]) == (1, "示例technician")
        changed = drawing(taken["sha256"], based_on=1, columns=9)
        assert (await browser.put(f"{WAY}/calibration", json=changed)).json()["version"] == 2
        stale = await browser.put(f"{WAY}/calibration", json=changed)
        assert (stale.status_code, stale.json()["reason"]) == (409, "stale")
        back = (await browser.post(f"{WAY}/calibration/restore", json={"based_on": 2, "version": 1})).json()
        assert (back["version"], back["calibration"]["columns"]) == (3, 6)
        now = (await browser.get(f"{WAY}/calibration")).json()
        assert (now["versions"], now["current"]) == ([1, 2, 3], back)
        assert (await browser.get(f"{WAY}/calibration/2")).json()["calibration"]["columns"] == 9
        assert (await browser.get(f"{WAY}/calibration/7")).status_code == 404
        store = CalibrationStore(site.directory / "calibration")
        drawn = store.get("cam-1").drawn()
        assert (drawn.version, drawn.sha256) == (3, back["sha256"])
        told = [e.body for e in site.reader.read(Lane.ALARM, 0, 1000) if e.kind == EntryKind.AUDIT]
        assert sum(b"calibrated" in body and back["sha256"].encode() in body for body in told) == 1


WRONG = [
    ({"facade": ((40, 10), (290, 220), (280, 12), (30, 222))}, "facade", "four corners"),
    ({"landing": (((-5, 0), (9, 0), (9, 9)),)}, "landing", "leaves the picture"),
    ({"shield": (((5, 5), (5, 5), (5, 5)),)}, "shield", "no area"),
    ({"columns": 0}, "columns", ">= 1"),
    ({"floors": ()}, "floors", "length >= 2"),
    ({"width_px": "wide"}, "width_px", "Expected `int`"),
    ({"extra": 1}, "calibration", "unknown field"),
]


async def test_what_cannot_be_a_front_is_refused_with_its_field(tmp_path: Path) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site, site.person("technician") as browser:
        site.stills["cam-1"] = STILL
        taken = (await browser.post(f"{WAY}/still")).json()
        for changes, at, words in WRONG:
            order = drawing(taken["sha256"])
            order["calibration"] |= msgspec.to_builtins(changes)
            for answer in (
                await browser.put(f"{WAY}/calibration", json=order),
                await browser.post(f"{WAY}/calibration/preview", json={"calibration": order["calibration"]}),
            ):
                assert answer.status_code == 422, answer.text
                (fault,) = answer.json()["errors"]
                assert fault["at"] == at
                assert words in fault["message"]
        assert (await browser.get(f"{WAY}/calibration")).json()["versions"] == []
        strange = drawing("0" * 64)
        assert (await browser.put(f"{WAY}/calibration", json=strange)).json()["reason"] == "no_still"


async def test_a_preview_tells_every_floor_and_what_a_point_means(tmp_path: Path) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site, site.person("supervisor") as browser:
        body = {"calibration": msgspec.to_builtins(calibration()), "points": [[160, 100], [5, 5]]}
        told = (await browser.post(f"{WAY}/calibration/preview", json=body)).json()
        assert [row["floor"] for row in told["floors"]] == list(range(-1, 9))
        inside, outside = told["points"]
        assert inside["floor_low"] <= inside["floor"] <= inside["floor_high"] + 1
        assert inside["column"] == 4
        assert outside["column"] is None


async def test_only_who_may_calibrate_sees_stills(tmp_path: Path) -> None:
    async with running_site(tmp_path, devices=DEVICES) as site:
        site.stills["cam-1"] = STILL
        for role in ("viewer", "operator"):
            async with site.person(role) as browser:
                assert (await browser.post(f"{WAY}/still")).status_code == 403
                assert (await browser.get(f"{WAY}/stills/{'0' * 64}")).status_code == 403
        async with site.person("admin") as browser:
            assert (await browser.post("/api/v1/cameras/cam-9/still")).json()["reason"] == "no_camera"
            assert (await browser.get(f"{WAY}/stills/{'0' * 64}")).json()["reason"] == "no_still"


def test_versions_are_never_changed_and_spare_stills_go(tmp_path: Path) -> None:
    store = CalibrationStore(tmp_path)
    used = store.put_still("cam-1", STILL)
    at = AT
    first = store.put("cam-1", calibration(), based_on=0, still_sha256=used, by="x", at=at)
    raw = (tmp_path / "cam-1/000001.json").read_bytes()
    for number in range(8):
        store.put_still("cam-1", STILL + bytes([number]))
    assert store.still("cam-1", used) is not None
    assert len(list((tmp_path / "cam-1").glob("*.jpg"))) == 5
    with pytest.raises(StaleVersionError):
        store.put("cam-1", calibration(), based_on=0, still_sha256=used, by="x", at=at)
    with pytest.raises(FaultyDrawingError):
        store.put("cam-1", calibration(facade=((0, 0),) * 4), based_on=1, still_sha256=used, by="x", at=at)
    with pytest.raises(ValueError, match="JPEG"):
        store.put_still("cam-1", b"GIF89a")
    with pytest.raises(ValueError, match="camera"):
        store.newest("../x")
    assert (tmp_path / "cam-1/000001.json").read_bytes() == raw
    assert store.get("cam-1") == first
    assert sha_of(first) == sha256(raw).hexdigest()
    (tmp_path / "cam-1/000002.json").write_bytes(raw[:-9])  # a torn version is none
    assert store.get("cam-1") is None
    assert store.get("cam-1", 1) == first


@given(st.floats(-1, 9), st.floats(0, 1))
def test_a_floors_line_lies_where_that_floor_is(floor: float, share: float) -> None:
    drawn = calibration()
    (x0, y0), (x1, y1) = line_of(drawn, floor)
    x = x0 + (x1 - x0) * share
    assert floor_of(drawn, x, y0 + (y1 - y0) * share) == pytest.approx(floor, abs=0.06)
    low, high = floors_at(drawn, x, y0 + (y1 - y0) * share)
    assert low <= floor + 0.1
    assert high >= floor - 1.5


def test_a_technician_without_a_page_draws_on_a_ruler_and_looks_at_it(tmp_path: Path, capsys) -> None:
    still, ruler, picture = tmp_path / "still.jpg", tmp_path / "ruler.png", tmp_path / "seen.png"
    still.write_bytes(STILL)
    assert cli.main(["vision", "calibrate", "--still", str(still), "--picture", str(ruler)]) == 0
    begun = tmp_path / "begun.json"
    begun.write_text(capsys.readouterr().out, encoding="utf-8")
    assert cv2.imread(str(ruler)).shape == (HEIGHT, WIDTH, 3)
    assert cli.main(["vision", "calibrate", str(begun), "--still", str(still)]) == 0
    drawing = tmp_path / "drawing.json"
    shielded = calibration(shield=(((200, 40), (300, 40), (300, 160), (200, 160)),))
    drawing.write_bytes(msgspec.json.encode(shielded))
    store = ["--storage", str(tmp_path / "var"), "--camera", "cam-1", "--by", "tester"]
    command = ["vision", "calibrate", str(drawing), "--still", str(still), "--picture", str(picture)]
    capsys.readouterr()
    assert cli.main([*command, "--point", "160,100", *store, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["version"] == 1
    assert told["points"][0]["column"] == 4
    kept = CalibrationStore(tmp_path / "var/calibration").get("cam-1")
    assert (kept.by, kept.calibration) == ("tester", shielded)
    assert CalibrationStore(tmp_path / "var/calibration").still("cam-1", kept.still_sha256) is not None
    plain, drawn = cv2.imread(str(still)).astype(int), cv2.imread(str(picture)).astype(int)
    changed = np.abs(drawn - plain).max(axis=2) > 40
    assert changed[100, 250]  # the shield zone is tinted
    (x0, y0), (x1, y1) = line_of(shielded, 3)
    on_line = [changed[round(y0 + (y1 - y0) * (x - x0) / (x1 - x0)), x] for x in range(60, 280)]
    assert np.mean(on_line) > 0.9  # a floor's line lies where it should
    assert not changed[5:9, 200:300].any()  # nothing above the front
    assert cli.main(command) == 0
    drawing.write_bytes(msgspec.json.encode(calibration(width_px=640)))
    assert cli.main(command) == 1
    assert "the still has 320 x 240" in capsys.readouterr().err
    assert cli.main([*command, "--camera", "cam-1"]) == 2
    still.write_bytes(b"no picture")
    assert cli.main(command) == 1


def test_all_faults_are_told_at_once() -> None:
    bad = calibration(
        facade=((0, 0), (9, 9), (9, 0), (0, 9)),
        landing=(((0, 0), (WIDTH + 1.0, 0), (0, HEIGHT)),),
        floors=(
            structs.replace(calibration().floors[0], floor=5),
            structs.replace(calibration().floors[1], floor=4),
        ),
    )
    assert [at for at, _ in faults_of(bad)] == ["floors", "facade", "landing"]
    with pytest.raises(CalibrationError, match=r"above.*four corners.*leaves"):
        checked(bad)


def test_the_doctor_says_what_is_drawn_and_what_is_kept(tmp_path: Path) -> None:
    config = write_config(tmp_path, devices=DEVICES)
    storage = config.resolve(config.storage.directory)

    def found() -> dict[str, tuple[str, str]]:
        told = examine(tmp_path / "gateway.yaml")
        return {one.about: (one.verdict.value, one.text) for one in told}

    assert found()["calibration of cam-1"][0] == "warn"
    assert found()["evidence"] == ("ok", "0 kept, 0 MiB, 0 in the making")
    store = CalibrationStore(storage / "calibration")
    store.put("cam-1", calibration(), based_on=0, still_sha256="", by="x", at=AT)
    assert found()["calibration of cam-1"] == ("ok", "version 1, 6 floor lines, 0 shield zones")
    kept = keep(promised(), [], None, storage / "evidence", made_at=AT)
    assert found()["evidence"][0] == "ok"
    drawer.path_of(storage / "evidence", kept.manifest.files[0]).unlink()
    verdict, text = found()["evidence"]
    assert verdict == "fail"
    assert "1 without all their files" in text
