"""`gatehouse-fleet case`: people at the server look at cases and import tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from gatehouse_fleet.cases.policy import shipped
from gatehouse_fleet.cli import main

if TYPE_CHECKING:
    from conftest import Scene  # type: ignore[import-not-found]  # pytest loads it


@pytest.fixture
def config(scene: Scene, tmp_path: Path) -> str:
    path = tmp_path / "fleet.yaml"
    url = str(scene.store.url.render_as_string(hide_password=False))
    path.write_text(yaml.safe_dump({"directory": str(tmp_path / "fleet"), "database": {"url": url}}))
    return str(path)


async def command(*words: str) -> int:
    """Run it as the program does: in a thread without a loop of its own."""
    import asyncio

    return await asyncio.to_thread(main, list(words))


async def test_cases_are_listed_and_shown(
    scene: Scene, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alarm_id, found = await scene.raise_alarm()
    assert found
    assert await command("case", "--config", config, "--json", "list") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["id"], row["step"], row["code"]) for row in rows] == [(found.id, "任务派遣", "sos.pressed")]
    assert await command("case", "--config", config, "--json", "show", str(found.id)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["alarms"] == [alarm_id]
    assert told["deadlines"][0]["row"] == "sos.pressed/taking"
    assert await command("case", "--config", config, "show", str(found.id)) == 0
    assert "what=dispatched" in capsys.readouterr().out


async def test_a_case_that_is_not_there_is_said_so(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command("case", "--config", config, "show", "99") == 1
    assert "没有案件 99" in capsys.readouterr().err


async def test_a_table_with_faults_is_refused_with_every_place(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        shipped()
        .text.replace("match: gas.low_alarm", "match: gas.lwo_alarm")
        .replace("yellow_from: 0.75", "yellow_from: 7")
    )
    (tmp_path / "table.yaml").write_text(text)
    assert await command("case", "--config", config, "policy", str(tmp_path / "table.yaml")) == 1
    said = capsys.readouterr().err
    assert "lights.yellow_from" in said
    assert "gas.lwo_alarm" in said


async def test_a_table_and_a_year_are_imported_and_counted_by(
    scene: Scene, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.move(days=36)
    _, found = await scene.raise_alarm("throw-1", "throw.object_falling")
    assert found
    (tmp_path / "2027.yaml").write_text(
        "year: 2027\nprovenance: 示例 invented for tests, no notice\n"
        "holidays: [{name: 元旦, first: 2027-01-01, last: 2027-01-03}]\n"
    )
    assert (
        await command(
            "case", "--config", config, "--json", "calendar", str(tmp_path / "2027.yaml"), "--city", "city"
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["recounted"] == 1
    assert not (await scene.running(found.id))["handling"].is_provisional
    (tmp_path / "table.yaml").write_text(shipped().text.replace("name: 示例市", "name: 另一示例市"))
    assert (
        await command("case", "--config", config, "policy", str(tmp_path / "table.yaml"), "--city", "nowhere")
        == 1
    )
    assert "没有城市 nowhere" in capsys.readouterr().err
    assert (
        await command("case", "--config", config, "policy", str(tmp_path / "table.yaml"), "--city", "city")
        == 0
    )
    async with scene.office.work() as work:
        assert (await work.shelf.rules(work.db, 1)).policy.name == "另一示例市"
