"""Falls planted into footage: they are where the annotation says, nothing else is changed, and footage that cannot take one is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from gatehouse_edge.drivers.clip import Clip, ClipError
from gatehouse_throw.__main__ import main
from gatehouse_throw.annotations import read
from gatehouse_throw.planted import FootageError, plant
from gatehouse_throw.scenes import Scene, SceneSpec, Setting, spec_of
from gatehouse_throw.scenes.codec import encode, shots


def yard(seconds: float) -> SceneSpec:
    """Return a small and sharp scene without a fall, in which somebody walks and of which every third frame is sent twice."""
    return replace(
        spec_of(3, setting=Setting.YARD, throws=0, seconds=seconds),
        width_px=640, height_px=360, fps=20.0, bitrate=4_000_000, repeats_every=3, drop_share=0.0, jitter_ms=0.0,
        is_night=False, weather="clear", shake_px=0.0, sway_px=0.0, distractors=("person", "hand"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("footage") / "yard.mkv"
    spec = yard(4.0)
    encode(spec, shots(Scene(spec)), path)
    return path


def lumas(path: Path) -> list[npt.NDArray[np.int16]]:
    return [frame.luma.astype(np.int16) for frame in Clip(path).frames()]


def test_a_fall_is_where_the_annotation_says_and_nothing_else_has_changed(
    footage: Path, tmp_path: Path
) -> None:
    out = tmp_path / "planted.mkv"
    told = plant(footage, out, seed=4)
    (fall,) = told.events
    assert read(out).events[0].boxes.keys() == fall.boxes.keys()
    before, after = lumas(footage), lumas(out)
    assert len(before) == len(after)
    inside, outside = [], []
    for number, (a, b) in enumerate(zip(before, after, strict=True)):
        change = abs(b - a)
        if number in fall.boxes:
            x, y, w, h = (round(value) for value in fall.boxes[number])
            inside.append(change[y : y + h, x : x + w].max())
            change[max(0, y - 8) : y + h + 8, max(0, x - 8) : x + w + 8] = 0
        outside.append(np.quantile(change, 0.999))
    assert np.median(inside) > 12
    assert np.median(outside) < 12


def test_repeats_stay_repeats(footage: Path, tmp_path: Path) -> None:
    out = tmp_path / "planted.mkv"
    fall = plant(footage, out, seed=4).events[0]
    # Every third frame of the footage is sent twice: numbers 3, 7, 11, … of the clip show their predecessor again.
    repeats = [n for n in fall.boxes if n % 4 == 3 and n - 1 in fall.boxes]
    assert len(repeats) > 2
    assert all(fall.boxes[n] == fall.boxes[n - 1] for n in repeats)
    others = [n for n in fall.boxes if n % 4 != 3 and n - 1 in fall.boxes]
    assert sum(fall.boxes[n] != fall.boxes[n - 1] for n in others) > 0.8 * len(others)


def test_the_same_seed_plants_the_same_fall_and_another_another(footage: Path, tmp_path: Path) -> None:
    first, again, other = (
        plant(footage, tmp_path / f"{n}.mkv", seed=seed).events[0] for n, seed in enumerate((4, 4, 5))
    )
    assert first == again
    assert first.boxes != other.boxes


def test_footage_too_short_and_what_is_no_clip_are_refused(tmp_path: Path) -> None:
    short, text = tmp_path / "short.mkv", tmp_path / "text.mp4"
    spec = yard(0.3)
    encode(spec, shots(Scene(spec)), short)
    text.write_text("no video")
    with pytest.raises(FootageError, match=r"short\.mkv has \d frames"):
        plant(short, tmp_path / "out.mkv", seed=1)
    with pytest.raises(ClipError, match=r"text\.mp4"):
        plant(text, tmp_path / "out.mkv", seed=1)


def test_the_command_plants_into_every_clip_and_says_what_it_left_out(
    footage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    out = tmp_path / "out"
    assert main(["plant", str(out), str(footage), str(text), "--count", "2", "--seconds", "3"]) == 1
    assert {path.name for path in out.glob("*.json")} == {"yard_0.json", "yard_1.json"}
    assert "left out: text.mp4" in capsys.readouterr().out
