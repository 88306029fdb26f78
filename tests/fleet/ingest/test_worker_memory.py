"""What a worker remembers of its lanes on PostgreSQL saves round trips and decides nothing: stale, lost or right, the same is stored."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import Gateway, register, services_for, stored

from gatehouse_events.chain import Entry, EntryKind
from gatehouse_events.replication import Accepted, Answer, Unverified, batch_of
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.ingest.postgres import PostgresVault
from gatehouse_fleet.ingest.sealed import seal
from gatehouse_fleet.ingest.service import vault_of
from gatehouse_fleet.ingest.vault import Submission, VaultLostError
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema import METADATA
from gatehouse_hil.postgres import PostgresCluster

LANES = 3
LENGTH = 30


@pytest.fixture
def gateways(tmp_path: Path) -> Iterator[list[Gateway]]:
    with contextlib.ExitStack() as stack:
        found = [Gateway(tmp_path / f"gw{n}", f"wh-371002-{n:04d}-gw1") for n in range(1, LANES + 1)]
        for one in found:
            stack.callback(one.close)
            one.write(LENGTH, kind=EntryKind.AUDIT)
        yield found


@pytest.fixture
async def store(cluster: PostgresCluster, clock: SetClock, gateways: list[Gateway]) -> AsyncIterator[Store]:
    opened = Store.open(cluster.url(cluster.create_database()))
    await opened.create_all()
    await register(opened, clock, *gateways)
    yield opened
    await opened.close()


@contextlib.asynccontextmanager
async def workers(store: Store, clock: SetClock, count: int) -> AsyncIterator[list[PostgresVault]]:
    made = [vault_of(services_for(store, clock)) for _ in range(count)]
    found = [vault for vault in made if isinstance(vault, PostgresVault)]
    yield found
    for vault in found:
        await vault.close()


def submission(one: Gateway, gateway_no: int, entries: Sequence[Entry]) -> Submission:
    return Submission(sealed=seal(batch_of(one.id, entries), gateway_no=gateway_no, size_bytes=0))


async def put(vault: PostgresVault, *group: Submission) -> list[Answer]:
    return [verdict.answer for verdict in await vault.commit(group, at_us=1)]


@contextlib.asynccontextmanager
async def statements(vault: PostgresVault) -> AsyncIterator[list[str]]:
    seen: list[str] = []

    def note(told: Any) -> None:
        seen.append(told.query)

    assert vault._connection is not None
    vault._connection.add_query_logger(note)
    yield seen
    vault._connection.remove_query_logger(note)


def run(one: Gateway, low: int, high: int) -> list[Entry]:
    """Entries `low` to `high` as an uplink sends them; those with checkpoints never go the short way."""
    return one.entries(after=low - 1, limit=high - low + 1)


def plain_runs(one: Gateway) -> list[tuple[int, int]]:
    """Batches of up to five entries between the checkpoints of the journal, and each checkpoint by itself."""
    runs: list[tuple[int, int]] = []
    for entry in one.entries():
        is_apart = entry.kind in {EntryKind.CHECKPOINT, EntryKind.EPOCH}
        if is_apart or not runs or runs[-1][1] - runs[-1][0] == 4 or entry.seq - 1 in apart(one):
            runs.append((entry.seq, entry.seq))
        else:
            runs[-1] = (runs[-1][0], entry.seq)
    return runs


def apart(one: Gateway) -> set[int]:
    return {entry.seq for entry in one.entries() if entry.kind in {EntryKind.CHECKPOINT, EntryKind.EPOCH}}


async def test_the_ordinary_batch_is_one_statement(
    store: Store, clock: SetClock, gateways: list[Gateway]
) -> None:
    (one, *_), runs = gateways, plain_runs(gateways[0])
    async with workers(store, clock, 1) as (vault,):
        await put(vault, submission(one, 1, run(one, *runs[0])))
        first = next(index for index in range(1, len(runs)) if runs[index][0] not in apart(one))
        for before in runs[1:first]:
            await put(vault, submission(one, 1, run(one, *before)))
        async with statements(vault) as seen:
            (answer,) = await put(vault, submission(one, 1, run(one, *runs[first])))
            await asyncio.sleep(0)  # the driver tells a little later
        assert isinstance(answer, Accepted)
        assert answer.cursor == runs[first][1]
        assert len(seen) == 1, seen
    assert [row.seq for row in await stored(store)] == list(range(1, runs[first][1] + 1))


async def test_a_lane_that_another_worker_has_moved_is_looked_at(
    store: Store, clock: SetClock, gateways: list[Gateway]
) -> None:
    """The stale lane costs the whole group a look, and nobody a batch."""
    (one, other, _), runs = gateways, plain_runs(gateways[0])
    async with workers(store, clock, 2) as (first, second):
        for low, high in runs[:2]:
            await put(
                first, submission(one, 1, run(one, low, high)), submission(other, 2, run(other, low, high))
            )
        await put(second, submission(one, 1, run(one, *runs[2])))
        repeated, gone_on = await put(
            first, submission(one, 1, run(one, *runs[2])), submission(other, 2, run(other, *runs[2]))
        )
        for answer in (repeated, gone_on):
            assert isinstance(answer, Accepted)
            assert answer.cursor == runs[2][1]
        again = run(one, *runs[2])
        forged = [msgspec.structs.replace(again[0], mono_ns=7), *again[1:]]
        await put(second, submission(one, 1, run(one, *runs[3])))
        (doubted,) = await put(first, submission(one, 1, forged))
        assert isinstance(doubted, Unverified)
    for gateway_no, last in ((1, runs[3][1]), (2, runs[2][1])):
        rows = [row for row in await stored(store, 1, gateway_no) if row.doubt is None]
        assert [row.seq for row in rows] == list(range(1, last + 1))


async def test_a_connection_that_is_lost_takes_the_memory_of_its_group_with_it(
    store: Store, clock: SetClock, gateways: list[Gateway]
) -> None:
    (one, *_), runs = gateways, plain_runs(gateways[0])
    async with workers(store, clock, 1) as (vault,):
        for low, high in runs[:2]:
            await put(vault, submission(one, 1, run(one, low, high)))
        vault._connection.terminate()
        with contextlib.suppress(VaultLostError):
            await put(vault, submission(one, 1, run(one, *runs[2])))
        for low, high in runs[2:4]:
            (answer,) = await put(vault, submission(one, 1, run(one, low, high)))
            assert isinstance(answer, Accepted)
            assert answer.cursor == high
    assert [row.seq for row in await stored(store)] == list(range(1, runs[3][1] + 1))


SENDS = st.lists(
    st.tuples(st.integers(0, 1), st.lists(st.integers(0, LANES - 1), min_size=1, max_size=LANES, unique=True), st.integers(-2, 0)),
    min_size=4,
    max_size=20,
)  # fmt: skip
"""Which worker, whose next batches, and how many batches back they begin (an answer that was lost)."""


def test_whatever_two_workers_remember_the_same_is_stored(
    cluster: PostgresCluster, clock: SetClock, gateways: list[Gateway]
) -> None:
    runs = [plain_runs(one) for one in gateways]
    url = cluster.url(cluster.create_database())

    async def live(
        sends: Sequence[tuple[int, list[int], int]], *, remembers: bool
    ) -> tuple[list[Any], list[Any]]:
        store = Store.open(url)
        await store.create_all()
        async with store.begin() as db:
            names = ", ".join(table.name for table in METADATA.sorted_tables)
            await db.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
        await register(store, clock, *gateways)
        at, answers = [0] * LANES, []
        async with workers(store, clock, 2) as vaults:
            for worker, lanes, back in sends:
                if not remembers:
                    vaults[worker]._left.clear()
                group = []
                for lane in lanes:
                    index = max(0, min(at[lane] + back, len(runs[lane]) - 1))
                    group.append(
                        submission(gateways[lane], lane + 1, run(gateways[lane], *runs[lane][index]))
                    )
                    at[lane] = max(at[lane], index + 1)
                answers += await put(vaults[worker], *group)
        rows = [tuple(row) for lane in range(LANES) for row in await stored(store, 1, lane + 1)]
        await store.close()
        return answers, rows

    @settings(max_examples=max(3, settings().max_examples // 20), phases=(Phase.explicit, Phase.generate))
    @given(SENDS)
    def check(sends: list[tuple[int, list[int], int]]) -> None:
        assert asyncio.run(live(sends, remembers=True)) == asyncio.run(live(sends, remembers=False))

    check()
