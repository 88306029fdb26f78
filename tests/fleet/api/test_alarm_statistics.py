"""Alarm statistics over HTTP: drills left out, names only for who may read them, a table that opens."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gatehouse_events.states import AlarmState, Kind
from gatehouse_fleet.api import alarm_statistics

if TYPE_CHECKING:
    from conftest import Town  # type: ignore[import-not-found]  # pytest loads it


async def test_figures_of_ones_reach_without_drills(town: Town) -> None:
    now = town.clock.now()
    acked = now - timedelta(minutes=19)
    await town.raise_alarm(
        ago=timedelta(minutes=20), state=AlarmState.ACKED, acked_at=acked, acked_by="王示例"
    )
    await town.raise_alarm("wh-3", ago=timedelta(minutes=5))
    await town.raise_alarm(ago=timedelta(minutes=4), kind=Kind.TEST)
    span = {"start": (now - timedelta(hours=1)).isoformat(), "days": 1}
    whole = (await town.get("/alarm-statistics", **span)).json()
    assert (whole["alarms"], whole["periods"]) == (2, [0, 0, 0, 0, 1, 1])
    assert whole["answered"][0]["mean_s"] == 60.0
    assert [one["name"] for one in whole["people"]] == ["王示例"]
    assert whole["actors"][0]["label"] == "燃气高报"
    east = (await town.get("/alarm-statistics", "east", **span)).json()
    assert east["alarms"] == 1
    for who in ("auditor", "contractor"):
        assert (await town.get("/alarm-statistics", who, **span)).json()["people"] == []
    assert (await town.get("/alarm-statistics", "guard", **span)).status_code == 403
    assert (await town.get("/alarm-statistics", "east", node_id=town.nodes["c3"], **span)).status_code == 404


async def test_the_table_says_the_same(town: Town) -> None:
    await town.raise_alarm(ago=timedelta(minutes=5))
    start = (town.clock.now() - timedelta(hours=1)).isoformat()
    table = (await town.get("/alarm-statistics.csv", start=start)).text
    assert table.startswith("\ufeff")
    assert "翠湖（示例）,wh-1,gas-1,gas.high_alarm,1" in table


async def test_too_much_is_refused_rather_than_answered_in_part(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm_statistics, "MAX_ALARMS", 1)
    start = (town.clock.now() - timedelta(hours=1)).isoformat()
    await town.raise_alarm(ago=timedelta(minutes=5))
    assert (await town.get("/alarm-statistics", start=start)).status_code == 200
    await town.raise_alarm(ago=timedelta(minutes=4))
    assert (await town.get("/alarm-statistics", start=start)).json()["reason"] == "too_many"
