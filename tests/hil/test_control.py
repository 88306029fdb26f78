"""The estate's control socket: one request, many answers, refusals by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatehouse_hil.control import ControlError, Request, Say, ask, serve


async def _player(request: Request, say: Say) -> None:
    if request.play != "leak":
        raise KeyError(f"no scenario {request.play}")
    await say("gas rises")
    await say("valve closes")


async def test_a_scenario_reports_each_step_then_ends(tmp_path: Path) -> None:
    async with serve(tmp_path / "c.sock", _player):
        assert [line async for line in ask(tmp_path / "c.sock", Request("leak"))] == [
            "gas rises",
            "valve closes",
        ]


async def test_an_unknown_scenario_is_refused_by_name(tmp_path: Path) -> None:
    async with serve(tmp_path / "c.sock", _player):
        with pytest.raises(ControlError, match="no scenario nonsense"):
            _ = [line async for line in ask(tmp_path / "c.sock", Request("nonsense"))]


async def test_without_an_estate_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="make run"):
        _ = [line async for line in ask(tmp_path / "none.sock", Request("leak"))]


async def test_the_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    async with serve(tmp_path / "c.sock", _player):
        assert (tmp_path / "c.sock").stat().st_mode & 0o077 == 0
