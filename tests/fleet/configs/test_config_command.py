"""`gatehouse-fleet config` from the server's own machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from sqlalchemy import select

from gatehouse_events.orders import OrderResult
from gatehouse_fleet.cli import main
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.store.schema.people import audit

if TYPE_CHECKING:
    from conftest import Yard  # type: ignore[import-not-found]  # pytest loads it

TEXT = """\
gateway: {id: wh-gw1}
site:
  division_code: "371002002"
  division_standard: stats_gov
  community_id: wh-0007
  estate: 示例小区
  position: {lon: 122.1, lat: 37.5, crs: CGCS2000}
fleet: {url: "https://fleet.example:8460"}
"""
Desk = Callable[..., Awaitable[tuple[int, Any, str]]]


@pytest.fixture
def database_kind() -> str:
    """The statements are those of `test_clockwork`, which asks both databases."""
    return "sqlite"


@pytest.fixture
def desk(yard: Yard, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Runs a command; gives its status, its JSON and what it complained of."""
    path = tmp_path / "fleet.yaml"
    url = yard.store.url.render_as_string(hide_password=False)
    path.write_text(yaml.safe_dump({"directory": str(tmp_path / "fleet"), "database": {"url": url}}))

    async def run(*words: str) -> tuple[int, Any, str]:
        status = await asyncio.to_thread(main, ["config", *words, "--config", str(path), "--json"])
        said = capsys.readouterr()
        return status, json.loads(said.out) if said.out else None, said.err

    return run


async def test_a_file_becomes_a_version_is_brought_out_and_taken_back(
    yard: Yard, desk: Desk, tmp_path: Path
) -> None:
    file = tmp_path / "gateway.yaml"
    put = ("put", "wh-gw1", str(file), "--reason", "示例")
    file.write_text(TEXT.replace("crs: CGCS2000", "crs: WGS72"), encoding="utf-8")
    status, _, said = await desk(*put)
    assert (status, "line 7: site.position.crs" in said) == (1, True)
    yard.clock.move_to(SystemClock().now())
    await yard.says("wh-gw1")
    for n, estate in enumerate(("示例小区", "示例二期"), start=1):
        file.write_text(TEXT.replace("示例小区", estate), encoding="utf-8")
        assert (await desk(*put, "--check"))[1] == {"fits": True, "files": []}
        assert (await desk(*put))[1]["number"] == n
        rollout = (await desk("rollout", "wh-gw1", "--reason", "示例", "--stage", "50%"))[1]["id"]
        assert (await desk("pause", str(rollout)))[1]["phase"] == "paused"
        assert await yard.tick() == 0
        assert (await desk("resume", str(rollout)))[1]["phase"] == "running"
        yard.clock.move_to(SystemClock().now())  # commands go by the machine's clock
        assert await yard.tick() == 1
        await yard.answers("wh-gw1", OrderResult.DONE)
        await yard.tick()
    assert [one["number"] for one in (await desk("list", "wh-gw1"))[1]] == [2, 1]
    assert [one["phase"] for one in (await desk("list"))[1]] == ["done", "done"]
    assert (await desk("show", "wh-gw1", "1"))[1]["text"] == TEXT
    assert [one["path"] for one in (await desk("diff", "wh-gw1", "1", "2"))[1]] == ["site.estate"]
    assert (await desk("rollback", str(rollout)))[1]["phase"] == "rolling_back"
    yard.move(seconds=1)
    await yard.tick()
    await yard.answers("wh-gw1", OrderResult.DONE)
    await yard.tick()
    shown = (await desk("show", "--rollout", str(rollout)))[1]
    assert (shown["phase"], shown["gateways"][0]["standing"]) == ("rolled_back", "returned")
    async with yard.store.read() as db:
        done = set((await db.execute(select(audit.c.action))).scalars())
    assert done >= {"config.put", "config.rollout", "config.pause", "config.resume", "config.roll_back"}


async def test_what_is_not_there_is_said(desk: Desk) -> None:
    for words, said in (
        (("show", "wh-gw1"), "wh-gw1 has no version"),
        (("list", "wh-gw9"), "there is no gateway wh-gw9"),
        (("pause", "7"), "there is no rollout 7"),
        (("rollout", "--reason", "x"), "name gateways or a --template"),
        (("diff", "wh-gw1"), "runs its local file"),
    ):
        status, _, error = await desk(*words)
        assert (status, said in error) == (1, True), error
