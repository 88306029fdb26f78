"""kill -9 of the whole gateway at random moments while somebody calls for help: a lit lamp is a promise."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import pytest

from gatehouse_journal import Reader

if TYPE_CHECKING:
    from conftest import Site

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]


async def test_every_call_whose_lamp_was_lit_stands_once_and_its_revisions_have_no_gap(
    site: Site, rounds: Callable[[int], int]
) -> None:
    chance = random.Random(7)
    names = list(site.estate.buttons)
    promised: set[str] = set()
    for number in range(rounds(20)):
        name = names[number % len(names)]
        button = site.estate.buttons[name]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(button.press())
            await asyncio.sleep(chance.uniform(0.0, 1.2))
            await site.end(signal.SIGKILL)
            await site.start()
        if button.led_lit:
            promised.add(name)
        await site.until(lambda number=number: len(site.entries("start")) == number + 2)  # type: ignore[misc]
    # Its lamp is not asked for: the simulated bluetoothd keeps the connections of clients that were killed.
    await site.play("sos", names[0])
    await site.has_raised(names[0], "sos.pressed")
    changes = [msgspec.json.decode(entry.body or b"")["alarm"] for entry in site.entries("alarm")]
    calls = [alarm for alarm in changes if alarm["code"] == "sos.pressed"]
    revisions: dict[str, list[int]] = {}
    for alarm in calls:
        revisions.setdefault(alarm["alarm_id"], []).append(alarm["seq"])
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in revisions.values()), revisions
    for name in promised | {names[0]}:
        assert len({alarm["alarm_id"] for alarm in calls if alarm["device_id"] == name}) == 1
        assert site.state(name, "sos.pressed") == "unack"
    with Reader.open(site.storage) as reader:
        report = reader.verify()
    assert report.is_intact, report.faults
