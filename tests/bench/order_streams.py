# a benchmark prints, waits and compares with plain numbers
"""Memory of order streams that stand open, and how long an order takes to one of them.

    python tests/bench/order_streams.py [STREAMS]            (10000 by default; needs as many file descriptors in both processes)

The server is a process of its own: uvicorn with uvloop and httptools, SQLite, no TLS. Measured are its resident bytes before and
with all streams open, and the time from `issue` (in the server) to the bytes at the client, for orders to streams picked at random.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from datetime import timedelta
from pathlib import Path

import psutil

ORDERS = 200
BATCH = 200


async def serve(directory: Path, count: int) -> None:
    import uvicorn
    from sqlalchemy import insert

    from gatehouse_events.orders import Command, Issuer
    from gatehouse_fleet.clock import SystemClock
    from gatehouse_fleet.ingest.identity import GatewayIdentity
    from gatehouse_fleet.orders import issue, orders_topic
    from gatehouse_fleet.orders.downlink import OrderDownlink
    from gatehouse_fleet.store import Store, Wake
    from gatehouse_fleet.store.schema.gateways import gateway
    from gatehouse_fleet.store.schema.org import org_node

    store, wake, clock = Store.open(f"sqlite:///{directory}/fleet.db"), Wake(), SystemClock()
    await store.create_all()
    now = clock.now()
    async with store.begin() as db:
        place = {"id": 1, "kind": "community", "path": "/1/", "code": "c", "name": "示例", "created_at": now}
        await db.execute(insert(org_node).values(place))
        rows = [
            {"no": n, "id": f"gw-{n}", "node_id": 1, "state": "deployed", "created_at": now}
            for n in range(1, count + 1)
        ]
        await db.execute(insert(gateway), rows)

    async def who(_: object, name: str) -> GatewayIdentity:
        return GatewayIdentity(no=int(name.partition("-")[2]), id=name, node_id=1, node_path="/1/")

    downlink = OrderDownlink(store, wake, clock, who)
    issuer = Issuer(name="示例", role="bench", unit="示例")

    async def app(scope, receive, send) -> None:
        if scope["method"] == "POST":  # POST /NUMBER: give that gateway an order
            number = int(scope["path"][1:])
            async with store.begin() as db:
                given = await issue(
                    db, number, Command(name="report_status"), issuer=issuer,
                    expires_at=now + timedelta(hours=1), now=clock.now(),
                )  # fmt: skip
            wake.notify(orders_topic(given.gateway_id))
            body = b"%d" % time.monotonic_ns()
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-length", b"%d" % len(body))],
                }
            )
            await send({"type": "http.response.body", "body": body})
            return
        await downlink(scope, receive, send)

    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, http="httptools", loop="none", lifespan="off", log_level="error", ws="none",
        backlog=4096,
    )  # fmt: skip
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await server.main_loop()


async def open_stream(port: int, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
    writer.write(
        b"GET /api/v1/gateways/gw-%d/orders/stream?epoch=&after=0 HTTP/1.1\r\nHost: x\r\n\r\n" % number
    )
    await reader.readuntil(b": gatehouse orders\n\n")
    return reader, writer


async def give(port: int, number: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % number)
    await reader.read()
    writer.close()


async def measure(count: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as directory:
        process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "serve", directory, str(count), stdout=PIPE
        )
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        server = psutil.Process(process.pid)
        with contextlib.suppress(ConnectionError):
            _, first = await open_stream(port, 1)
            first.close()
        before = server.memory_info().rss
        streams = []
        for start in range(1, count + 1, BATCH):
            streams += await asyncio.gather(
                *(open_stream(port, n) for n in range(start, min(start + BATCH, count + 1)))
            )
        with_streams = server.memory_info().rss
        rng, times = random.Random(1), []
        for _ in range(ORDERS):
            number = rng.randrange(count)
            began = time.monotonic()
            async with asyncio.TaskGroup() as both:
                both.create_task(give(port, number + 1), name="order")
                both.create_task(streams[number][0].readuntil(b"data: "), name="stream")
            times.append((time.monotonic() - began) * 1000)
            await streams[number][0].readuntil(b"\n\n")
        for _, writer in streams:
            writer.close()
        process.terminate()
        await process.wait()
    times.sort()
    return {
        "streams": count,
        "rss_before_mib": round(before / 2**20, 1),
        "rss_with_streams_mib": round(with_streams / 2**20, 1),
        "more_mib": round((with_streams - before) / 2**20, 1),
        "kib_each": round((with_streams - before) / 1024 / count, 2),
        "order_p50_ms": round(statistics.median(times), 1),
        "order_p99_ms": round(times[int(len(times) * 0.99) - 1], 1),
    }


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(Path(sys.argv[2]), int(sys.argv[3])))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(json.dumps(asyncio.run(measure(count)), indent=1))


if __name__ == "__main__":
    main()
