"""What is refused, and how cheaply: nothing of it is stored, and the next honest batch goes through."""

from __future__ import annotations

import asyncio
import gzip
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import zstandard

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import (
    GATEWAY_HEADER,
    Gateway,
    post,
    register,
    running_ingest,
    services_for,
    stored,
)

from gatehouse_events.chain import Lane
from gatehouse_events.clock import ClockQuality
from gatehouse_events.fleet_api import GatewayStatus, LaneStatus, StatusAnswer, gateway_path, journal_path
from gatehouse_events.replication import MAX_MESSAGE_BYTES, Accepted, batch_of
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.ingest import body as body_module
from gatehouse_fleet.ingest.body import Budget, read_body
from gatehouse_fleet.ingest.sealed import seal
from gatehouse_fleet.ingest.service import vault_of
from gatehouse_fleet.ingest.writer import MAX_QUEUED_BATCHES, BusyError, Writer
from gatehouse_fleet.store import Store
from gatehouse_fleet.web.problems import ProblemError

OTHER = "wh-371002-0009-gw1"
ZSTD, GZIP = {"Content-Encoding": "zstd"}, {"Content-Encoding": "gzip"}


@pytest.fixture
def database_kind() -> str:
    """SQLite only: nothing here gets as far as a database."""
    return "sqlite"


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path / "gw1")
    gateway.write(3)
    yield gateway
    gateway.close()


@pytest.fixture
async def client(
    store: Store, clock: SetClock, one: Gateway, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    other = Gateway(tmp_path / "gw2", OTHER)
    known = await register(store, clock, one, other)
    other.close()
    async with running_ingest(services_for(store, clock), known) as client:
        yield client


Send = Callable[[httpx.AsyncClient, Gateway], Awaitable[httpx.Response]]


def batch(
    raw: bytes | None = None, *, lane: str = "alarm", to: str = "", who: str = "", **headers: str
) -> Send:
    async def send(client: httpx.AsyncClient, one: Gateway) -> httpx.Response:
        path = f"/api/v1/gateways/{to or one.id}/journal/{lane}"
        content = one.batch(one.entries()) if raw is None else raw
        encoding = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.post(path, content=content, headers={GATEWAY_HEADER: who or one.id} | encoding)

    return send


async def another_lane(client: httpx.AsyncClient, one: Gateway) -> httpx.Response:
    return await client.post(
        journal_path(one.id, Lane.TELEMETRY),
        content=one.batch(one.entries()),
        headers={GATEWAY_HEADER: one.id},
    )


def changed(change: Callable[[Any], Any]) -> Send:
    async def send(client: httpx.AsyncClient, one: Gateway) -> httpx.Response:
        raw = msgspec.json.encode(change(msgspec.json.decode(one.batch(one.entries()))))
        return await batch(raw)(client, one)

    return send


def with_entries(change: Callable[[list[Any]], list[Any]]) -> Send:
    return changed(lambda message: message | {"entries": change(message["entries"])})


@pytest.mark.parametrize(
    ("send", "status", "reason"),
    [
        (batch(who="nobody"), 401, "certificate"),
        (batch(who=OTHER), 403, "foreign_gateway"),
        (batch(to=OTHER, who=OTHER), 400, "differs"),
        (batch(lane="sideways"), 404, "not_found"),
        (batch(lane="alarm/more"), 404, "not_found"),
        (another_lane, 400, "differs"),
        (batch(b"{"), 400, "malformed"),
        (batch(b"[" * 100_000), 400, "malformed"),
        (batch(b"\xff" * 300_000), 400, "malformed"),
        (batch(b""), 400, "malformed"),
        (batch(b"x", content_encoding="br"), 415, "encoding"),
        (batch(b"not zstd", content_encoding="zstd"), 400, "encoding"),
        (batch(b"not gzip", content_encoding="gzip"), 400, "encoding"),
        (batch(gzip.compress(b"{}")[:-4], content_encoding="gzip"), 400, "encoding"),
        (batch(zstandard.compress(bytes(MAX_MESSAGE_BYTES + 1)), content_encoding="zstd"), 413, "too_large"),
        (batch(gzip.compress(bytes(MAX_MESSAGE_BYTES + 1)), content_encoding="gzip"), 413, "too_large"),
        (with_entries(lambda entries: []), 400, "malformed"),
        (with_entries(lambda entries: entries[::-1]), 400, "malformed"),
        (with_entries(lambda entries: entries * 2), 400, "malformed"),
        (with_entries(lambda entries: [[*e[:1], 2**62, *e[2:]] for e in entries]), 400, "malformed"),
        (with_entries(lambda entries: [[*e[:4], "k" * 65, *e[5:]] for e in entries]), 400, "malformed"),
        (changed(lambda message: message | {"epoch": "0" * 31}), 400, "malformed"),
        (changed(lambda message: message | {"holes": ["e30="] * 65}), 400, "malformed"),
    ],
)  # fmt: skip
async def test_what_does_not_belong_here_is_refused_and_the_next_honest_batch_goes_through(
    store: Store, client: httpx.AsyncClient, one: Gateway, send: Send, status: int, reason: str
) -> None:
    response = await send(client, one)
    assert (response.status_code, response.json()["reason"]) == (status, reason)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["connection"] == "close"
    assert await stored(store) == []
    assert isinstance(await post(client, one, one.batch(one.entries())), Accepted)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(client: httpx.AsyncClient, one: Gateway, method: str) -> None:
    response = await client.request(
        method, journal_path(one.id, Lane.ALARM), headers={GATEWAY_HEADER: one.id}
    )
    assert response.status_code == 405


@pytest.mark.parametrize(("pack", "encoding"), [(zstandard.compress, "zstd"), (gzip.compress, "gzip")])
async def test_a_packed_batch_is_the_same_batch(
    store: Store, client: httpx.AsyncClient, one: Gateway, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    response = await batch(pack(one.batch(one.entries())), content_encoding=encoding)(client, one)
    assert response.status_code == 200
    assert [row.body for row in await stored(store)] == [entry.body for entry in one.entries()]


async def said_to(client: httpx.AsyncClient, one: Gateway, *, declared: int, body: bytes) -> bytes:
    """Send a request whose body is shorter than it declares; return the whole answer, up to the close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(
        f"POST {journal_path(one.id, Lane.ALARM)} HTTP/1.1\r\nHost: x\r\n{GATEWAY_HEADER}: {one.id}\r\n"
        f"Content-Length: {declared}\r\n\r\n".encode()
        + body
    )
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return answer


async def test_a_body_that_drips_is_cut_off(
    client: httpx.AsyncClient, one: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_module, "READ_LIMIT_S", 0.3)
    answer = await said_to(client, one, declared=5000, body=b"{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"too_slow" in answer


async def test_a_body_that_says_it_is_too_large_is_refused_unread(
    client: httpx.AsyncClient, one: Gateway
) -> None:
    answer = await said_to(client, one, declared=MAX_MESSAGE_BYTES + 1, body=b"")
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_without_end_is_cut_off_at_the_limit() -> None:
    received = 0

    async def receive() -> dict[str, object]:
        nonlocal received
        received += 1024 * 1024
        return {"type": "http.request", "body": bytes(1024 * 1024), "more_body": True}

    with Budget().hold() as take, pytest.raises(ProblemError) as refused:
        await read_body(receive, declared_bytes=None, take=take)
    assert (refused.value.status, received) == (413, MAX_MESSAGE_BYTES + 1024 * 1024)


async def test_all_bodies_together_stay_within_their_budget() -> None:
    budget = Budget(limit_bytes=1000)
    with budget.hold() as first:
        first(900)
        with budget.hold() as second, pytest.raises(ProblemError) as refused:
            second(200)
        assert refused.value.status == 503
    with budget.hold() as third:
        third(1000)


async def test_status_is_noted_and_answered(store: Store, clock: SetClock, one: Gateway) -> None:
    from sqlalchemy import select

    from gatehouse_fleet.store.schema.gateways import gateway

    known = await register(store, clock, one)
    status = GatewayStatus(
        sent_at=clock.now(), version="1.2.3", boot="b", epoch=one.journal.epoch, started_at=clock.now(),
        alarm=LaneStatus(head=9, acknowledged=4), telemetry=LaneStatus(head=3, acknowledged=3),
        clock=ClockQuality(synced=True, offset_ms=1.0), is_stopping=True,
    )  # fmt: skip
    async with running_ingest(services_for(store, clock), known) as client:
        response = await client.post(
            gateway_path(one.id, "status"),
            content=msgspec.json.encode(status),
            headers={GATEWAY_HEADER: one.id},
        )
        assert msgspec.json.decode(response.content, type=StatusAnswer).at == clock.now()
    async with store.read() as db:
        row = (await db.execute(select(gateway))).one()
    assert (row.version, row.alarm_backlog, row.telemetry_backlog, row.is_stopped) == ("1.2.3", 5, 0, True)
    assert (row.last_contact_at, row.status_at, row.clock_offset_ms) == (clock.now(), clock.now(), 0.0)


async def test_telemetry_may_fill_half_of_the_queue_and_alarms_the_rest(
    store: Store, clock: SetClock, one: Gateway
) -> None:
    """The writer is not running: everything waits."""
    one.measure(1)
    writer = Writer(vault_of(services_for(store, clock)), clock, on_committed=lambda _: None)
    alarm, reading = (seal(batch_of(one.id, one.entries(lane)), gateway_no=1, size_bytes=10) for lane in Lane)
    async with asyncio.TaskGroup() as tasks:
        waiting = [
            tasks.create_task(writer.submit(reading), name="reading") for _ in range(MAX_QUEUED_BATCHES // 2)
        ]
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await writer.submit(reading)
        waiting.append(tasks.create_task(writer.submit(alarm), name="alarm"))
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
