"""What loads the fleet in the benchmarks: gateways as chains made beforehand, and a client that does little else than send.

Requests are bytes made before the clock starts; answers are looked at just enough to know that they accept.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import cast

from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).parents[1] / "fleet"))
from fleet_site import GATEWAY_HEADER, START

from gatehouse_events.chain import ZERO_HASH, Entry, Lane, Position, Stamp, canonical, chain, entry_hash
from gatehouse_events.fleet_api import journal_path
from gatehouse_events.replication import batch_of, encode
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node

SERVER = Path(__file__).with_name("fleet_server.py")
BODY_FILL = "x" * 120
"""Bodies of about 200 bytes, as in the measurements this is compared with."""


def gateway_id(number: int) -> str:
    return f"wh-371002-{number:05d}-gw1"


@dataclass
class Source:
    """One gateway: a chain that goes on."""

    number: int
    lane: Lane = Lane.TELEMETRY
    age: timedelta = timedelta()
    """How old its entries say they are."""
    head: Position = field(init=False)

    def __post_init__(self) -> None:
        self.head = Position(f"{self.number:032x}", 0, ZERO_HASH)

    def entries(self, count: int, *, kind: str = "reading", bodies: Sequence[bytes] = ()) -> list[Entry]:
        stamp = Stamp(at=SystemClock().now() - self.age, boot="b" * 32, mono_ns=self.head.seq)
        made = [
            canonical(
                {"device": f"gas-{n % 50}", "value": n * 0.1, "unit": "%LEL", "q": "good", "fill": BODY_FILL}
            )
            for n in range(0 if bodies else count)
        ]
        found = chain(self.head, self.lane, [(kind, body, stamp) for body in (bodies or made)])
        self.head = Position(self.head.epoch, found[-1].seq, entry_hash(found[-1]))
        return found

    def request(self, entries: Sequence[Entry]) -> bytes:
        body = encode(batch_of(gateway_id(self.number), entries))
        head = (
            f"POST {journal_path(gateway_id(self.number), self.lane)} HTTP/1.1\r\nHost: fleet\r\n"
            f"{GATEWAY_HEADER}: {gateway_id(self.number)}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


async def prepare(url: str, count: int) -> None:
    """Make the tables and enter so many gateways."""
    store = Store.open(url)
    await store.create_all()
    async with store.begin() as db:
        await db.execute(
            insert(org_node).values(
                id=1, kind="community", path="/1/", code="c", name="示例", created_at=START
            )
        )
        await db.execute(
            insert(gateway),
            [
                {"no": n, "id": gateway_id(n), "node_id": 1, "state": "deployed", "created_at": START}
                for n in range(1, count + 1)
            ],
        )
    await store.close()


@contextlib.contextmanager
def serving(url: str, *options: str) -> Iterator[int]:
    """Run the server process; gives its port."""
    with subprocess.Popen([sys.executable, str(SERVER), url, *options], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(20)


class Connection(asyncio.Protocol):
    """One keep-alive connection; `ask` sends bytes and returns when the answer is whole."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.errors = 0
        self._answer = b""
        self._waiting: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(body) < size:
            return
        self._answer = b""
        if not head.startswith(b"HTTP/1.1 200") or b'"accepted"' not in body:
            self.errors += 1
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(body)

    def connection_lost(self, error: Exception | None) -> None:
        self.errors += 1
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(b"")

    async def ask(self, request: bytes) -> bytes:
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._waiting


@contextlib.asynccontextmanager
async def connections(port: int, count: int) -> AsyncIterator[list[Connection]]:
    loop = asyncio.get_running_loop()
    made = [(await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(count)]
    try:
        yield made
    finally:
        for connection in made:
            connection.transport.abort()


async def closed_loop(port: int, requests: Sequence[Sequence[bytes]]) -> tuple[float, int]:
    """Every connection sends its requests one after the other; return seconds and errors."""
    async with connections(port, len(requests)) as made:

        async def send(connection: Connection, mine: Sequence[bytes]) -> None:
            for request in mine:
                await connection.ask(request)

        began_s = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for connection, mine in zip(made, requests, strict=True):
                tasks.create_task(send(connection, mine))
        return time.monotonic() - began_s, sum(connection.errors for connection in made)


async def open_loop(
    port: int, requests: Sequence[Sequence[bytes]], *, period_s: float
) -> tuple[list[float], int, float]:
    """Every connection sends one request each period, spread evenly.

    Returns:
        Latencies in ms from the scheduled time, errors, and how late the client itself was at p99, ms.
    """
    latencies: list[float] = []
    late: list[float] = []
    async with connections(port, len(requests)) as made:
        start_s = time.monotonic() + 0.5

        async def send(connection: Connection, mine: Sequence[bytes], offset_s: float) -> None:
            for index, request in enumerate(mine):
                due_s = start_s + offset_s + index * period_s
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                late.append((time.monotonic() - due_s) * 1e3)
                await connection.ask(request)
                latencies.append((time.monotonic() - due_s) * 1e3)

        async with asyncio.TaskGroup() as tasks:
            for index, (connection, mine) in enumerate(zip(made, requests, strict=True)):
                tasks.create_task(send(connection, mine, period_s * index / len(requests)))
        return latencies, sum(connection.errors for connection in made), percentile(late, 0.99)


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
