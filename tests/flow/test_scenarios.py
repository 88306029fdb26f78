"""Every scenario of the play list, all at once on one estate: each ends in its named state at the desk, none hides another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gatehouse_hil.scenarios import SCENARIOS

if TYPE_CHECKING:
    from conftest import Site

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240), pytest.mark.slow]

ELSEWHERE = {"leak", "sos", "ebike", "mains-loss", "camera-frozen", "throw", "look"}
"""Played by `test_estate.py`; `look` only prints."""
HERE = {
    "sensor-fault": ("gas-3-2-502", "gas.sensor_fault"),
    "over-range": ("gas-boiler-1", "gas.over_range"),
    "warm-up": ("gas-3-2-601", "gas.warming_up"),
    "dead-unit": ("gas-3-2-602", "gas.offline"),
    "trapped": ("lift-3-1", "lift.trapped_off_level"),
    "lift-fault": ("lift-3-2", "lift.trapped"),
    "replay": (None, "gateway.replay_refused"),
    "camera-black": ("cam-3-n", "throw.camera_black"),
}


async def test_every_scenario_is_either_played_here_or_in_the_other_module() -> None:
    assert set(HERE) | ELSEWHERE | {"unplug", "noise", "camera-lost", "calm"} == set(SCENARIOS)


async def wanted(site: Site, device_id: str | None, code: str) -> None:
    await site.until(
        lambda: any(key[1].startswith(code) and device_id in {None, key[0]} for key in site.alarms())
    )


async def test_all_that_can_go_wrong_at_once_is_named_one_by_one(site: Site) -> None:
    slow = {"trapped", "replay"}
    async with asyncio.TaskGroup() as stage:
        for scenario in HERE:
            stage.create_task(site.play(scenario), name=scenario)
        for scenario in HERE.keys() - slow:
            await wanted(site, *HERE[scenario])
        await site.play("camera-lost")
        await site.has_raised("cam-3-n", "throw.camera_lost")
        stage.create_task(site.play("unplug"), name="unplug")
        await site.has_raised("rs485-1", "gateway.bus_down")
        await site.until(lambda: not site.alarms()["rs485-1", "gateway.bus_down"]["is_active"])
        await site.play("noise")
    for scenario in slow:
        await wanted(site, *HERE[scenario])
    alarms = site.alarms()
    assert alarms["btn-3-2-102", "sos.pressed"]["repeats"] == 0, "a recording is no second call"
    assert not {code for _, code in alarms} & {"gas.low_alarm", "gas.high_alarm"}, "noise is no gas"


async def test_calm_ends_every_cause_and_what_is_latched_waits_for_a_person(site: Site) -> None:
    await site.play("calm")
    for scenario in HERE.keys() - {
        "replay",
        "lift-fault",
        "dead-unit",
    }:  # a dead unit is asked less and less often
        await site.until(lambda key=HERE[scenario]: not site.alarms()[key]["is_active"])  # type: ignore[misc]  # bound now
    assert site.state("lift-3-1", "lift.trapped_off_level") == "unack"
