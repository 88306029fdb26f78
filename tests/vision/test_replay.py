"""`gatehouse-edge vision replay` on small clips, and models that are missing, changed, foreign or no models."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_video import WriteVideo, falling

from gatehouse_edge.cli import main
from gatehouse_edge.vision.classifier import Classifier
from gatehouse_edge.vision.detector import OnnxDetector
from gatehouse_edge.vision.release import ModelError, load_manifest, released, watch_maker

IDENTITY = base64.b64decode(
    "CAg6PwoQCgF4EgF5IghJZGVudGl0eRIBZ1oTCgF4Eg4KDAgBEggKAggBCgIIA2ITCgF5Eg4KDAgBEggKAggBCgIIA0IECgAQEQ=="
)
"""A valid ONNX file that is nobody's throw detector: one Identity of three numbers."""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A copy of the release, to be spoiled."""
    folder = released()
    assert folder is not None
    return Path(shutil.copytree(folder, tmp_path / "models"))


def test_each_clip_ends_with_a_line_that_says_what_was_looked_at(
    write_video: WriteVideo, capsys: pytest.CaptureFixture[str]
) -> None:
    ticks = [tick for n in range(20) for tick in (40 * n, 40 * n + 20)]
    twice = [frame for frame in falling(21)[1:] for _ in range(2)]
    path = write_video("a.mkv", twice, ticks=ticks)
    assert main(["vision", "replay", str(path), "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["clip"] == "a.mkv"
    assert last["frames"] == 40
    assert last["repeats_dropped"] == 20
    assert last["has_time_stamps"] is True
    assert last["undecodable"] == 0
    assert last["ms_per_frame"] > 0


def test_every_event_is_one_json_line_with_its_boxes(
    write_video: WriteVideo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_video("fall.mkv", falling(30, width=320, height=480))
    calibration = tmp_path / "drawn.json"
    floors = [{"floor": n, "left": [0, 480 - 40 * n], "right": [319, 480 - 40 * n]} for n in range(1, 11)]
    drawn = {
        "width_px": 320,
        "height_px": 480,
        "facade": [[0, 0], [319, 0], [319, 479], [0, 479]],
        "floors": floors,
        "columns": 4,
    }
    calibration.write_text(json.dumps(drawn))
    # Threshold 0: every path is told, so that the shape of a line does not hang on what the models think of a dot.
    arguments = [
        "vision",
        "replay",
        str(path),
        "--json",
        "--threshold",
        "0",
        "--calibration",
        str(calibration),
    ]
    assert main(arguments) == 0
    *events, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert last["events"] == len(events) > 0
    event = max(events, key=lambda one: len(one["boxes"]))
    assert list(map(int, event["boxes"])) == list(range(event["first_frame"], event["last_frame"] + 1))
    assert all(len(box) == 4 for box in event["boxes"].values())
    assert 0 <= event["probability"] <= 1
    assert event["last_time_s"] > event["first_time_s"] >= 0
    assert event["origin"]["floor_low"] <= event["origin"]["floor_high"]
    assert event["origin"]["column"] == 1


def test_without_json_a_person_reads_a_sentence(
    write_video: WriteVideo, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vision", "replay", str(write_video("a.mkv"))]) == 0
    assert "a.mkv: 30 frames" in capsys.readouterr().out


def test_a_clip_that_is_none_is_named_and_the_others_are_played(
    write_video: WriteVideo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    assert main(["vision", "replay", str(tmp_path / "bad.mp4"), str(write_video("a.mkv")), "--json"]) == 1
    told = capsys.readouterr()
    assert "bad.mp4 cannot be read" in told.err
    assert json.loads(told.out)["clip"] == "a.mkv"


def test_the_classical_path_needs_a_classifier_of_its_own_and_no_detector(
    models: Path, write_video: WriteVideo, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "detector.onnx").unlink()
    arguments = ["vision", "replay", str(write_video("a.mkv")), "--models", str(models), "--classical"]
    assert main(arguments) == 0
    manifest = json.loads((models / "manifest.json").read_text())
    del manifest["fallback"]
    (models / "manifest.json").write_text(json.dumps(manifest))
    assert main(arguments) == 1
    assert "no classifier for the classical path" in capsys.readouterr().err


def spoil_missing(folder: Path) -> None:
    (folder / "detector.onnx").unlink()


def spoil_hash(folder: Path) -> None:
    path = folder / "detector.onnx"
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


def spoil_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"version": 1}')


def spoil_no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_missing, "detector.onnx cannot be read"),
        (spoil_hash, "it was changed or is another one"),
        (spoil_manifest, "is not a manifest"),
        (spoil_no_manifest, "--models"),
    ],
)
def test_a_spoilt_release_is_a_named_fault(
    models: Path, write_video: WriteVideo, capsys: pytest.CaptureFixture[str], spoil: object, said: str
) -> None:
    assert callable(spoil)
    spoil(models)
    assert main(["vision", "replay", str(write_video("a.mkv")), "--models", str(models)]) == 1
    assert said in capsys.readouterr().err


def test_a_strangers_onnx_file_is_refused_by_its_shape(tmp_path: Path, models: Path) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(IDENTITY)
    with pytest.raises(ModelError, match="not a throw detector"):
        OnnxDetector(path)
    with pytest.raises(ModelError, match="not a path classifier"):
        Classifier(path)
    with pytest.raises(ModelError, match="not a throw detector"):
        OnnxDetector(models / "classifier.onnx")
    with pytest.raises(ModelError, match="not a path classifier"):
        Classifier(models / "detector.onnx")


@given(octets=st.binary(max_size=200), cut=st.integers(0, len(IDENTITY)))
def test_what_is_no_onnx_file_is_a_named_fault(tmp_path: Path, octets: bytes, cut: int) -> None:
    path = tmp_path / "junk.onnx"
    path.write_bytes(IDENTITY[:cut] + octets)
    with pytest.raises(ModelError, match=r"junk\.onnx"):
        OnnxDetector(path)


def test_the_release_is_what_its_manifest_says() -> None:
    folder = released()
    assert folder is not None
    manifest = load_manifest(folder)
    assert len(manifest.sha256) == 64
    watch_maker(folder, is_classical=False)(360)
    # A model that has not proved itself must not raise alarms; the card says when this may change.
    assert manifest.for_alarms is False


def test_bench_tells_what_a_clip_costs(write_video: WriteVideo, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vision", "bench", str(write_video("a.mkv")), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["frames"] > 1
    assert min(told["decode_ms"], told["chain_ms"], told["mog2_ms"], told["streams_a_core"]) > 0
    assert 20 < told["resident_mib"] <= told["peak_mib"]
    assert main(["vision", "bench", "/no/such/clip.mp4"]) == 1
    assert "not a file" in capsys.readouterr().err
