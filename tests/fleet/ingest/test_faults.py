"""Servers, databases and disks die while gateways send: what was acknowledged is there, once and in order."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import (
    GATEWAY_HEADER,
    Acked,
    Gateway,
    alarm_change,
    drain,
    post,
    register,
    running_ingest,
    services_for,
    stored,
)

from gatehouse_events.chain import EntryKind, Lane
from gatehouse_events.fleet_api import journal_path
from gatehouse_events.replication import Accepted
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.ingest.identity import GatewayIdentity
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.alarms import alarm_revision, feed
from gatehouse_hil.postgres import PostgresCluster

SERVER = [sys.executable, str(Path(__file__).parent / "server.py")]
GATEWAYS = 3
ALARMS_A_ROUND = 15
SIZE = 2
"""Entries of a request: small, so that something is always on its way."""


class Process:
    """The server as a process that can be killed and started again on the same port."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> str:
        self._process = await asyncio.create_subprocess_exec(
            *SERVER, self._url, str(self.port), stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(90):
            address = (await self._process.stdout.readline()).decode().strip()
        assert address.startswith("http://"), "the server does not start"
        self.port = int(address.rpartition(":")[2])
        return address

    async def end(self, how: signal.Signals) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(how)
        await self._process.communicate()


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[list[Gateway]]:
    found = [Gateway(tmp_path / f"gw{n}", f"wh-371002-000{n}-gw1") for n in range(GATEWAYS)]
    yield found
    for one in found:
        one.close()


def write_round(one: Gateway, number: int) -> None:
    """What one gateway has to tell in one round: alarms of a tenth as many things, readings."""
    for n in range(ALARMS_A_ROUND):
        name = f"01JD{one.id[13]}{number:06d}{n // 5:015d}"
        one.write(body=alarm_change(name, n % 5 + 1))
    one.measure(30)


@asynccontextmanager
async def sending(
    address: str, gateways: Sequence[Gateway], acked: dict[tuple[str, Lane], Acked]
) -> AsyncIterator[None]:
    """All gateways send both lanes, up to their present heads; the end of the block waits for them."""
    async with (
        httpx.AsyncClient(base_url=address, timeout=10, trust_env=False) as client,
        asyncio.TaskGroup() as tasks,
    ):
        for one in gateways:
            for lane in Lane:
                goal = one.journal.head(lane).seq
                tasks.create_task(
                    drain(client, one, lane, acked[one.id, lane], size=SIZE, goal=goal),
                    name=f"{one.id} {lane}",
                )
        yield


async def at_random(
    dice: random.Random, acked: dict[tuple[str, Lane], Acked], gateways: Sequence[Gateway]
) -> None:
    """Wait until a random part of what is being sent has been acknowledged: in the middle of the load, on any machine."""
    total = sum(one.journal.head(lane).seq for one in gateways for lane in Lane)
    before = _count(acked)
    goal = dice.randrange(before, total)
    async with asyncio.timeout(60):
        while _count(acked) < goal:
            await asyncio.sleep(0.001)
    await asyncio.sleep(dice.uniform(0.0, 0.005))


def _count(acked: dict[tuple[str, Lane], Acked]) -> int:
    return sum(max(one.seqs.values(), default=0) for one in acked.values())


async def assert_acknowledged(
    store: Store, known: Sequence[GatewayIdentity], acked: dict[tuple[str, Lane], Acked]
) -> None:
    """Everything acknowledged is there; everything there is there once, in order, believed."""
    # What is acknowledged from here on may not be in the rows that are read now.
    promised = {lane: max(one.seqs.values(), default=0) for lane, one in acked.items()}
    for identity in known:
        for number, lane in enumerate(Lane, 1):
            rows = await stored(store, number, identity.no)
            seqs = [row.seq for row in rows]
            assert seqs == list(range(1, len(seqs) + 1))
            assert {row.doubt for row in rows} <= {None}
            assert len(seqs) >= promised[identity.id, lane]


async def assert_whole(store: Store, gateways: Sequence[Gateway], known: Sequence[GatewayIdentity]) -> None:
    """Every journal is there word for word, and every revision was shown once, in its gateway's order."""
    async with store.read() as db:
        for one, identity in zip(gateways, known, strict=True):
            for number, lane in enumerate(Lane, 1):
                rows = await stored(store, number, identity.no)
                assert [(row.seq, row.body) for row in rows] == [(e.seq, e.body) for e in one.entries(lane)]
        told = (await db.execute(select(func.count()).select_from(alarm_revision))).scalar_one()
        lines = (
            await db.execute(select(feed).where(feed.c.topic == "alarm").order_by(feed.c.position))
        ).all()
    alarms = [e for one in gateways for e in one.entries() if e.kind == EntryKind.ALARM]
    assert told == len(alarms)
    shown: dict[str, list[int]] = {}
    for line in lines:
        shown.setdefault(line.subject, []).append(msgspec.json.decode(line.body)["revision"])
    assert set(map(tuple, shown.values())) == {(1, 2, 3, 4, 5)}
    assert sum(map(len, shown.values())) == len(alarms)


async def projected(store: Store, gateways: Sequence[Gateway]) -> None:
    """Wait until the projection has shown everything."""
    alarms = sum(e.kind == EntryKind.ALARM for one in gateways for e in one.entries())
    async with asyncio.timeout(60):
        while True:
            async with store.read() as db:
                told = (await db.execute(select(func.count()).select_from(alarm_revision))).scalar_one()
            if told >= alarms:
                return
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_server_killed_at_random_loses_nothing_it_has_acknowledged(
    store: Store,
    clock: SetClock,
    store_url: str,
    gateways: list[Gateway],
    rounds: Callable[[int], int],
) -> None:
    known = await register(store, clock, *gateways)
    acked = {(one.id, lane): Acked() for one in gateways for lane in Lane}
    dice = random.Random(20261125)
    server = Process(store_url)
    address = await server.start()
    # The two databases share the rounds.
    for number in range(rounds(50) // 2):
        for one in gateways:
            write_round(one, number)
        async with sending(address, gateways, acked):
            await at_random(dice, acked, gateways)
            await server.end(signal.SIGKILL)
            await assert_acknowledged(store, known, acked)
            await server.start()
    await projected(store, gateways)
    await server.end(signal.SIGTERM)
    await assert_whole(store, gateways, known)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_database_that_dies_at_random_loses_nothing_that_was_acknowledged(
    clock: SetClock, gateways: list[Gateway], rounds: Callable[[int], int]
) -> None:
    dice = random.Random(20261126)
    acked = {(one.id, lane): Acked() for one in gateways for lane in Lane}
    with PostgresCluster(is_durable=True) as cluster:
        url = cluster.url(cluster.create_database())
        store = Store.open(url)
        await store.create_all()
        known = await register(store, clock, *gateways)
        server = Process(url)
        address = await server.start()
        for number in range(rounds(50) // 2):
            for one in gateways:
                write_round(one, number)
            async with sending(address, gateways, acked):
                await at_random(dice, acked, gateways)
                await asyncio.to_thread(cluster.kill)
                await asyncio.to_thread(cluster.start)
                await store.engine.dispose()
                await assert_acknowledged(store, known, acked)
        await projected(store, gateways)
        await server.end(signal.SIGTERM)
        await assert_whole(store, gateways, known)
        await store.close()


async def test_two_workers_with_the_same_batches_store_them_once(
    clock: SetClock, cluster: PostgresCluster, gateways: list[Gateway]
) -> None:
    url = cluster.url(cluster.create_database())
    stores = [Store.open(url), Store.open(url)]
    await stores[0].create_all()
    known = await register(stores[0], clock, *gateways)
    for number in range(4):
        for one in gateways:
            write_round(one, number)
    async with (
        running_ingest(services_for(stores[0], clock), known) as first,
        running_ingest(services_for(stores[1], clock), known) as second,
    ):
        for one in gateways:
            for low in range(0, 60, 12):
                raw = one.batch(one.entries(after=low, limit=12))
                async with asyncio.TaskGroup() as tasks:
                    same = [
                        tasks.create_task(post(client, one, raw), name="post")
                        for client in (first, second, first, second)
                    ]
                cursors = {answer.cursor for task in same if isinstance(answer := task.result(), Accepted)}
                assert cursors == {low + 12}
    for identity in known:
        rows = await stored(stores[0], 1, identity.no)
        assert [(row.seq, row.doubt) for row in rows] == [(seq, None) for seq in range(1, 61)]
    for store in stores:
        await store.close()


@pytest.mark.slow
async def test_a_full_disk_acknowledges_nothing_and_room_lets_everything_in(tmp_path: Path) -> None:
    probe = await asyncio.create_subprocess_exec("unshare", "-rm", "true", stderr=subprocess.DEVNULL)
    if await probe.wait() != 0:
        pytest.skip("this kernel lets no ordinary user mount a tmpfs of his own")
    one = Gateway(tmp_path / "gw1")
    one.write(400, kind=EntryKind.AUDIT, body={"text": "示例" * 400})
    place = tmp_path / "small"
    place.mkdir()
    script = 'mount -t tmpfs -o size=12m tmpfs "$0" && exec "$@"'
    url, filler = f"sqlite:///{place}/fleet.db", f"{place}/filler"
    options = ["0", "--enter", one.id, one.signer.public_key, "--fill", filler, "600000"]
    process = await asyncio.create_subprocess_exec(
        "unshare", "-rm", "sh", "-c", script, str(place), *SERVER, url, *options, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(90):
        address = (await process.stdout.readline()).decode().strip()
    statuses: list[int] = []
    after = 0
    async with httpx.AsyncClient(base_url=address, timeout=30, trust_env=False) as client:
        while entries := one.entries(after=after, limit=40):
            response = await client.post(
                journal_path(one.id, Lane.ALARM), content=one.batch(entries), headers={GATEWAY_HEADER: one.id}
            )
            statuses.append(response.status_code)
            if response.status_code == 200:
                after = entries[-1].seq
            elif statuses.count(507) == 3:
                assert response.headers["retry-after"] == "15"
                process.send_signal(signal.SIGUSR1)
            else:
                assert len(statuses) < 200
    process.terminate()
    output, _ = await process.communicate()
    told = [entry.seq for entry in one.entries()]
    one.close()
    assert statuses.count(507) >= 3
    assert set(statuses) == {200, 507}
    assert msgspec.json.decode(output) == told
