"""A gateway's journal arrives at the fleet: over real HTTP, from a real journal, into both databases."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import (
    GATEWAY_HEADER,
    Gateway,
    post,
    register,
    replicate,
    running_ingest,
    services_for,
    stored,
)

from gatehouse_events.chain import Lane
from gatehouse_events.fleet_api import Cursor, journal_path
from gatehouse_events.replication import Accepted
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.store import Store


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path / "gw1")
    yield gateway
    gateway.close()


@pytest.fixture
async def client(store: Store, clock: SetClock, one: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    known = await register(store, clock, one)
    async with running_ingest(services_for(store, clock), known) as client:
        yield client


async def cursor(client: httpx.AsyncClient, one: Gateway, lane: Lane = Lane.ALARM) -> Cursor:
    response = await client.get(journal_path(one.id, lane), headers={GATEWAY_HEADER: one.id})
    return msgspec.json.decode(response.content, type=Cursor)


async def test_a_whole_journal_arrives_and_the_cursor_says_so(
    store: Store, client: httpx.AsyncClient, one: Gateway
) -> None:
    one.write(35)
    one.measure(20)
    assert await cursor(client, one) == Cursor(lane=Lane.ALARM, epoch="", seq=0)
    answer = await replicate(client, one)
    await replicate(client, one, Lane.TELEMETRY)
    entries = one.entries()
    assert answer == Accepted(epoch=one.journal.epoch, lane=Lane.ALARM, cursor=entries[-1].seq)
    rows = await stored(store)
    assert [(row.seq, row.kind, row.body, row.doubt) for row in rows] == [
        (entry.seq, entry.kind, entry.body, None) for entry in entries
    ]
    assert len(await stored(store, 2)) == 20
    assert await cursor(client, one) == Cursor(lane=Lane.ALARM, epoch=one.journal.epoch, seq=entries[-1].seq)


async def test_what_comes_twice_is_stored_once(store: Store, client: httpx.AsyncClient, one: Gateway) -> None:
    one.write(5)
    raw = one.batch(one.entries())
    answers = [await post(client, one, raw) for _ in range(3)]
    assert len(set(map(repr, answers))) == 1
    assert len(await stored(store)) == 6
