"""A whole district with faults: what its gateways wrote is at the fleet and at the city, once, whatever befell them.

The peers are real: the fleet server in a process, gateways with journals, certificates and HTTP of a second implementation, and a city
platform in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gatehouse_events.alarm import Change
from gatehouse_events.states import Kind
from gatehouse_fleet.clock import SystemClock
from gatehouse_hil.light import Community, Fault, LightGateway, LinkError
from gatehouse_hil.light.district import District

NAMES = ("calm", "offline", "wrong_clock", "wiped", "flapping")


def free_port_pair() -> int:
    """Two ports side by side: the server's and the city platform's."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports side by side")


@pytest.fixture
async def district(tmp_path: Path) -> AsyncIterator[District]:
    communities = [Community(number) for number in range(1, len(NAMES) + 1)]
    async with District(
        tmp_path, port=free_port_pair(), communities=communities, now=SystemClock().now
    ) as district:
        yield district


async def raise_some(gateway: LightGateway, count: int) -> list[Change]:
    """Write alarms with a whole life, each revision an entry; return all of them."""
    changes = []
    for _ in range(count):
        for change in _life(gateway):
            await gateway.write(change)
            changes.append(change)
    return changes


def _life(gateway: LightGateway) -> list[Change]:
    story, at = gateway.story, gateway.now()
    raised = story.raise_alarm(at, kind=Kind.ALARM)
    return [raised, story.acknowledge(raised.alarm.alarm_id, at)]


async def clock_offset_ms(district: District, gateway: LightGateway) -> float | None:
    rows = await district.fleet.every("/gateways")
    (found,) = (row["clock_offset_ms"] for row in rows if row["id"] == gateway.gateway_id)
    return None if found is None else float(found)


async def until_known(district: District, wanted: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Wait until the fleet shows every alarm at its revision."""
    async with asyncio.timeout(90):
        while True:
            shown = {row["alarm_id"]: row for row in await district.fleet.every("/alarms")}
            if all(alarm in shown and shown[alarm]["revision"] >= seq for alarm, seq in wanted.items()):
                return shown
            await asyncio.sleep(0.3)


@pytest.mark.timeout(300)
async def test_whatever_befalls_a_gateway_its_alarms_reach_the_fleet_and_the_city_once(
    district: District,
) -> None:
    calm, offline, wrong, wiped, flapping = district.lights.gateways
    told: list[Change] = []

    async def tell(gateway: LightGateway, count: int = 2) -> None:
        told.extend(await raise_some(gateway, count))

    for gateway in district.lights.gateways:
        await tell(gateway, 1)
        await gateway.send()
    await district.lights.afflict(offline, Fault.OFFLINE)
    await tell(offline, 3)
    with pytest.raises(LinkError):
        await offline.send()
    await district.lights.afflict(wrong, Fault.WRONG_CLOCK)
    await tell(wrong)
    await wrong.send()
    await wrong.report()
    await wiped.wipe()
    await wiped.renew()
    await tell(wiped)
    await wiped.send()
    for turn in range(6):
        flapping.is_online = turn % 2 == 1
        await tell(flapping, 1)
        if flapping.is_online:
            await flapping.send()
        else:
            await flapping.hang_up()
    await district.lights.afflict(offline, Fault.NONE)
    await offline.send()
    await calm.send()
    await calm.send()  # nothing is left, and sending nothing harms nobody

    wanted = {change.alarm.alarm_id: change.alarm.seq for change in told}
    shown = await until_known(district, wanted)
    assert set(shown) == set(wanted)
    assert {row["is_verified"] for row in shown.values()} == {True}
    by_gateway = Counter(row["gateway_id"] for row in shown.values())
    assert by_gateway == {
        calm.gateway_id: 1, offline.gateway_id: 4, wrong.gateway_id: 3, wiped.gateway_id: 3, flapping.gateway_id: 7
    }  # fmt: skip
    at_1970 = [row for row in shown.values() if row["raised_at"].startswith("1970")]
    assert {row["gateway_id"] for row in at_1970} == {wrong.gateway_id}
    assert all(row["committed_at"].startswith("20") for row in at_1970)
    async with asyncio.timeout(30):  # what gateways say of themselves is written together, once a second
        while (offset_ms := await clock_offset_ms(district, wrong)) is None:
            await asyncio.sleep(0.2)
    assert abs(offset_ms) > 1e12

    received = await at_the_city(district, {f"{c.alarm.alarm_id}-{c.alarm.seq}" for c in told})
    assert max(received.values()) == 1


async def at_the_city(district: District, wanted: set[str]) -> Counter[str]:
    """Wait until the city platform has every event; return how often it stored each."""
    async with asyncio.timeout(90):
        while True:
            lines = district.city.received.read_text(encoding="utf-8").splitlines()
            stored = Counter(row["id"] for row in map(json.loads, lines) if row["verdict"] == "stored")
            if wanted <= set(stored):
                return stored
            await asyncio.sleep(0.3)
