"""docs/city.md: every example is run, every shipped table is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatehouse_fleet.city import codemap
from gatehouse_fleet.city.service import adapter
from gatehouse_fleet.clock import SystemClock

TEXT = (Path(__file__).parents[3] / "docs/city.md").read_text(encoding="utf-8")
TARGETS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("text", TARGETS, ids=lambda text: re.search(r"id: (\S+)", text)[1])
def test_an_example_target_is_accepted_with_everything_it_names(text: str, tmp_path: Path) -> None:
    for name in re.findall(r"_file: ([\w.]+)", text):
        (tmp_path / name).write_text("sixteen letters of a key")
    (tmp_path / "t.yaml").write_text(text, encoding="utf-8")
    assert adapter(tmp_path / "t.yaml", SystemClock()).target.title.endswith("（示例）")


def test_there_is_an_example_of_every_dialect() -> None:
    kinds = {kind for text in TARGETS for kind in re.findall(r"kind: (\w+)", text)}
    assert {"cloudevents", "one_hot", "text_frames", "gbt26875", "http", "mqtt", "tcp"} <= kinds


def test_the_example_code_map_is_accepted() -> None:
    (raw,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert codemap.parse(raw.encode(), where="city.md").rows[0].says == "A-101"


@pytest.mark.parametrize("name", codemap.shipped())
def test_every_shipped_table_is_named(name: str) -> None:
    assert f"`{name}`" in TEXT
