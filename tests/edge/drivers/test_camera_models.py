"""Model files that are not ours, through the process of a camera: named, and the camera is seen and its ring filled all the same."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "vision"))
from camera_desk import Desk, Watch, watching
from onnx_octets import FLOAT, UINT8, field, tensor

from gatehouse_edge.reading import CameraReading, Flaw, PictureState
from gatehouse_edge.vision.release import MANIFEST, Manifest, ModelFile, load_manifest, released
from gatehouse_edge.vision.stack import LAYERS, TILE_PX
from gatehouse_hil.camera_player import CameraPlayer
from gatehouse_hil.facade import Facade


def _node(kind: str, taken: str, made: str, attribute: str, value: int) -> bytes:
    told = field(1, attribute) + field(3, value) + field(20, 2)  # AttributeProto: name, i, type INT
    return field(1, taken) + field(2, made) + field(4, kind) + field(5, told)


def passes_for_a_detector() -> bytes:
    """A valid network whose input and outputs are called as ours are and that answers a picture with one number (onnx.proto3)."""
    sides = ("n", LAYERS, TILE_PX, TILE_PX)
    graph = (
        field(1, _node("Cast", "tiles", "heat", "to", FLOAT))
        + field(1, _node("ReduceSum", "heat", "boxes", "keepdims", 0))
        + field(2, "somebody else's")
        + field(11, tensor("tiles", UINT8, *sides))
        + field(12, tensor("heat", FLOAT, *sides))
        + field(12, tensor("boxes", FLOAT))
    )
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))


def release(folder: Path, *, detector: bytes | None = None, classifier: bytes | None = None) -> Path:
    """Lay down our release with other files in its roles; the manifest names their right hashes."""
    source = released()
    assert source is not None
    manifest = load_manifest(source)
    folder.mkdir()
    roles = {}
    for role, octets in {"detector": detector, "classifier": classifier}.items():
        ours: ModelFile = getattr(manifest, role)
        content = octets or (source / ours.file).read_bytes()
        (folder / ours.file).write_bytes(content)
        roles[role] = ModelFile(file=ours.file, sha256=hashlib.sha256(content).hexdigest())
    told: Manifest = structs.replace(manifest, fallback=None, **roles)
    (folder / MANIFEST).write_bytes(msgspec.json.encode(told))
    return folder


@pytest.fixture
def strangers(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """Camera -> its release, and what must be said of it."""
    ours = load_manifest(released())
    detector, classifier = ((released() / one.file).read_bytes() for one in (ours.detector, ours.classifier))
    changed = release(tmp_path / "changed")
    with (changed / "detector.onnx").open("ab") as model:
        model.write(b"x")
    return {
        "changed": (changed, "detector.onnx has SHA-256"),
        "not-onnx": (release(tmp_path / "page", detector=b"<html>404</html>"), "not a usable ONNX file"),
        "shape": (release(tmp_path / "shape", detector=classifier), "not a throw detector"),
        "role": (release(tmp_path / "role", classifier=detector), "not a path classifier"),
        "fails": (release(tmp_path / "fails", detector=passes_for_a_detector()), "fail on a picture"),
    }


async def test_models_of_a_stranger_are_named_and_neither_frames_nor_ring_nor_a_neighbour_suffer(
    strangers: dict[str, tuple[Path, str]],
) -> None:
    desk = Desk()
    async with CameraPlayer(facade=Facade(480, 272, floors=10, columns=8, fps=12)) as player:
        limits = {"detect": "watch", "lost_after_s": 60.0, "read_limit_s": 30.0, "frozen_after_s": 60.0}
        cameras = [
            watching(player.url, desk, camera_id=name, models=str(folder), **limits)
            for name, (folder, _) in strangers.items()
        ]
        cameras.append(watching(player.url, desk, camera_id="good", **limits))
        async with Watch(*cameras), asyncio.TaskGroup() as beside:
            falling = beside.create_task(_falling(player), name="falling")
            async with asyncio.TaskGroup() as tasks:
                for name, (_, words) in strangers.items():
                    tasks.create_task(_named_and_seen(desk, name, words), name=name)
                await desk.wait(lambda desk: (mine := desk.of("good")[-1:]) and mine[0].figures.models)
            good = await _later(desk, "good", desk.of("good")[-1])
            falling.cancel()
    assert good.flaws[Flaw.DETECTOR] == ""
    for reading in desk.readings:
        assert reading.picture is PictureState.OK
        assert reading.figures.openings == 1
        assert reading.figures.undecodable == 0


async def _named_and_seen(desk: Desk, name: str, words: str) -> None:
    said = await desk.flaw(Flaw.DETECTOR, name)
    named = desk.of(name)[-1]
    assert "install the models again" in said
    assert words in said
    assert (await _later(desk, name, named)).flaws[Flaw.DETECTOR] == said


async def _later(desk: Desk, name: str, since: CameraReading) -> CameraReading:
    """Return a report with more frames decoded and a longer ring than one before."""

    def more(desk: Desk) -> CameraReading | None:
        now, before = desk.of(name)[-1].figures, since.figures
        grown = now.frames > before.frames + 12 and now.ring_s > before.ring_s + 1
        return desk.of(name)[-1] if grown else None

    return await desk.wait(more)


async def _falling(player: CameraPlayer) -> None:
    """Something to look at: a network is asked only where something moves."""
    while True:
        player.throw(floor=9, column=4)
        await asyncio.sleep(1.5)
