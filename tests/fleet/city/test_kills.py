"""kill -9 of the platform, of the delivering server and of PostgreSQL, at random, while alarms come: each once, in order."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import targets
from city_fleet import Fleet
from city_process import CityProcess, city
from delivering import received

from gatehouse_events.ids import new_id
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.store import Store, Wake
from gatehouse_hil.postgres import PostgresCluster

PARALLEL = "parallel: 4\nretry: {first_s: 0.05, most_s: 0.1}\n"


class Deliverer:
    """The delivering server's process."""

    def __init__(self, url: str, file: Path) -> None:
        self._command = [sys.executable, str(Path(__file__).parent / "deliverer.py"), url, str(file)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"delivering\n"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            assert self._process.stdout is not None
            self._process.stdout.close()


@pytest.fixture
def durable() -> Iterator[PostgresCluster]:
    with PostgresCluster() as cluster:
        yield cluster


async def test_every_alarm_is_at_the_city_once_and_in_order_whatever_is_killed(
    durable: PostgresCluster, tmp_path: Path, rounds: Callable[[int], int]
) -> None:
    url = durable.url(durable.create_database())
    store = Store.open(url)
    await store.create_all()
    fleet = Fleet(store, SystemClock(), Wake())
    dice = random.Random(20261125)
    numbers = [await fleet.gateway(f"gw-{n}") for n in range(3)]
    told: defaultdict[int, list[str]] = defaultdict(list)
    with city(tmp_path) as platform:
        file = tmp_path / "t.yaml"
        file.write_text(targets.CLOUDEVENTS.replace("http://127.0.0.1:9", platform.url) + PARALLEL)
        server = Deliverer(url, file)
        server.start()
        try:
            for _ in range(rounds(50)):
                for no in numbers:
                    alarm_id = new_id(fleet.clock.now())
                    words = ["raised", "updated", "cleared"]
                    await fleet.tell(
                        no,
                        *[fleet.change(word, alarm_id=alarm_id, seq=n + 1) for n, word in enumerate(words)],
                    )
                    told[no] += [f"{alarm_id}-{n}" for n in (1, 2, 3)]
                await asyncio.sleep(dice.random() * 0.1)  # somewhere in the middle of it
                await kill_one(dice, platform, server, durable)
            if not platform.is_running:
                platform.end()
                platform.start()
            await platform.behave()
            await received(fleet, "weihai", sum(map(len, told.values())), within_s=90)
        finally:
            server.kill()
        kept = platform.kept()
    stored = [line["id"] for line in kept if line["verdict"] == "stored"]
    assert sorted(stored) == sorted(event for events in told.values() for event in events)
    assert [line["id"] for line in kept if line["verdict"] == "late"] == []
    for events in told.values():
        assert [one for one in stored if one in set(events)] == events
    assert await fleet.parked("weihai") == []
    await store.close()


async def kill_one(
    dice: random.Random, platform: CityProcess, server: Deliverer, database: PostgresCluster
) -> None:
    if not platform.is_running:
        platform.end()
        platform.start()
    match dice.choice(["platform", "server", "server", "both", "crash", "database"]):
        case "platform":
            platform.kill()
            platform.start()
        case "server":
            server.kill()
            server.start()
        case "both":
            platform.kill()
            server.kill()
            server.start()
            platform.start()
        case "crash":  # it stores one more, answers nothing and is gone; started again in a later round
            await platform.behave(crash_after=1)
        case "database":
            database.kill()
            database.start()
