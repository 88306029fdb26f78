# it prints
"""How long things take at the fleet: posting by a thousand gateways, an alarm to a screen, a backlog beside news.

Latencies count from the moment a request was due, so a server that stalls is not flattered. Alarms are real `Change`s that go
through ingest, projection and feed to a console stream over HTTP.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import uvloop

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "fleet"))
from fleet_load import Connection, Source, connections, open_loop, percentile, prepare, serving
from fleet_site import alarm_change

from gatehouse_events.chain import Lane, canonical

GATEWAYS = 1000
EVENTS = 20
SECONDS = 8
ALARMS = 150
ALARM_EVERY_S = 0.05
BACKLOG_GATEWAYS = 100
BACKLOG_ALARMS = 200
BACKLOG_READINGS = 2000


def alarm_body(number: int) -> bytes:
    return canonical(alarm_change(f"01JD{number:022d}", 1))


class Screen(asyncio.Protocol):
    """A console's stream; notes when each alarm arrives."""

    def __init__(self) -> None:
        self.seen_s: dict[str, float] = {}
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(b"GET /api/v1/stream HTTP/1.1\r\nHost: fleet\r\n\r\n")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: {") and b"alarm_id" in line:
                self.seen_s.setdefault(msgspec.json.decode(line[6:])["alarm_id"], now_s)


async def raise_alarms(
    connection: Connection, requests: Sequence[tuple[str, bytes]], screen: Screen
) -> list[float]:
    """Post one alarm after the other; return how long each took to the screen, ms."""
    due_s: dict[str, float] = {}
    start_s = time.monotonic()
    for index, (name, request) in enumerate(requests):
        due_s[name] = start_s + index * ALARM_EVERY_S
        await asyncio.sleep(max(0.0, due_s[name] - time.monotonic()))
        await connection.ask(request)
    async with asyncio.timeout(60):
        while not due_s.keys() <= screen.seen_s.keys():
            await asyncio.sleep(0.01)
    return [(screen.seen_s[name] - at_s) * 1e3 for name, at_s in due_s.items()]


def alarms_of(source: Source, first: int, count: int) -> Iterator[tuple[str, bytes]]:
    for number in range(first, first + count):
        yield (
            f"01JD{number:022d}",
            source.request(source.entries(1, kind="alarm", bodies=[alarm_body(number)])),
        )


async def to_screen(port: int, source: Source, *, background: Sequence[Sequence[bytes]] = ()) -> list[float]:
    loop = asyncio.get_running_loop()
    requests = list(alarms_of(source, 1_000_000 * (1 + bool(background)), ALARMS))
    transport, screen = await loop.create_connection(Screen, "127.0.0.1", port)
    await asyncio.sleep(0.5)
    async with connections(port, 1 + len(background)) as made, asyncio.TaskGroup() as tasks:
        senders = [
            tasks.create_task(send_all(connection, mine))
            for connection, mine in zip(made[1:], background, strict=True)
        ]
        latencies = await raise_alarms(made[0], requests, screen)
        is_over = bool(senders) and all(sender.done() for sender in senders)
    transport.close()
    if is_over:
        print("   (the backlog was drained before the alarms ended)")
    return latencies


async def send_all(connection: Connection, requests: Sequence[bytes]) -> None:
    for request in requests:
        await connection.ask(request)


def show(what: str, latencies: Sequence[float], target: str) -> None:
    print(
        f"{what}: p50 {statistics.median(latencies):.0f} ms, p99 {percentile(latencies, 0.99):.0f} ms, "
        f"worst {max(latencies):.0f} ms (target {target})",
        flush=True,
    )


def thousand(url: str) -> None:
    asyncio.run(prepare(url, GATEWAYS))
    sources = [Source(n) for n in range(1, GATEWAYS + 1)]
    requests = [[source.request(source.entries(EVENTS)) for _ in range(SECONDS)] for source in sources]
    with serving(url) as port:
        latencies, errors, late_ms = uvloop.run(open_loop(port, requests, period_s=1.0))
    show(
        f"{GATEWAYS} gateways, {GATEWAYS * EVENTS:,} events/s for {SECONDS} s",
        latencies,
        "p99 50 ms, no errors",
    )
    print(f"   {errors} errors; the client itself was late by {late_ms:.0f} ms at p99")


def screens(url: str) -> None:
    asyncio.run(prepare(url, BACKLOG_GATEWAYS + 1))
    live = Source(BACKLOG_GATEWAYS + 1, Lane.ALARM)
    backlog: list[list[bytes]] = []
    for n in range(1, BACKLOG_GATEWAYS + 1):
        alarms, readings = Source(n, Lane.ALARM, timedelta(days=2)), Source(n, age=timedelta(days=2))
        bodies = [alarm_body(n * 1000 + index) for index in range(BACKLOG_ALARMS)]
        old = alarms.entries(len(bodies), kind="alarm", bodies=bodies)
        backlog.append(
            [alarms.request(old[low : low + 100]) for low in range(0, BACKLOG_ALARMS, 100)]
            + [readings.request(readings.entries(200)) for _ in range(BACKLOG_READINGS // 200)]
        )
    with serving(url) as port:
        show("alarm to console stream, quiet", uvloop.run(to_screen(port, live)), "p99 250 ms")
        show(
            f"the same while {BACKLOG_GATEWAYS} gateways drain {BACKLOG_ALARMS} alarm entries and {BACKLOG_READINGS} readings each",
            uvloop.run(to_screen(port, live, background=backlog)),
            "1000 ms",
        )


def main() -> None:
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        thousand(f"sqlite:///{folder}/thousand.db")
        screens(f"sqlite:///{folder}/screens.db")
    print(f"load of the machine after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
