# it prints
"""Committed events a second through real HTTP, beside the bare database with the same rows, keys and group size.

Rounds alternate (bare, believing, verifying), so a busy machine slows all three; the median of the rounds' ratios is what to
read. Client and server share the machine's cores; the bare database has them for itself.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import asyncpg
import uvloop

sys.path.insert(0, str(Path(__file__).parent))
from fleet_load import Source, closed_loop, prepare, serving

from gatehouse_events.chain import Entry, microseconds
from gatehouse_fleet.ingest.vault import ENTRY_COLUMNS
from gatehouse_fleet.ingest.writer import GROUP_ENTRIES
from gatehouse_hil.postgres import PostgresCluster

CONNECTIONS = 64
ROUNDS = 2
SIZES = {20: 40, 200: 8}
"""Events of a request: requests of each connection in one run."""
Row = tuple[object, ...]


def rows_of(sources: Sequence[tuple[int, list[Entry]]], size: int) -> Iterator[list[Row]]:
    """The rows that the server's groups would have: one batch of each gateway, at most `GROUP_ENTRIES` rows."""
    step = max(1, GROUP_ENTRIES // size)
    for low in range(0, len(sources[0][1]), size):
        for first in range(0, len(sources), step):
            yield [
                (number, 2, 1, e.seq, microseconds(e.at), e.boot, e.mono_ns, e.kind, e.body_hash, e.prev_hash, e.body, None, 0)
                for number, entries in sources[first : first + step]
                for e in entries[low : low + size]
            ]  # fmt: skip


def bare_sqlite(url: str, groups: Sequence[list[Row]]) -> float:
    db = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    places = ", ".join("?" * len(ENTRY_COLUMNS))
    statement = f"INSERT INTO entry ({', '.join(ENTRY_COLUMNS)}) VALUES ({places})"  # noqa: S608  # constants
    began_s = time.monotonic()
    for rows in groups:
        db.execute("BEGIN IMMEDIATE")
        db.executemany(statement, rows)
        db.execute("COMMIT")
    took_s = time.monotonic() - began_s
    db.close()
    return took_s


async def bare_postgres(url: str, groups: Sequence[list[Row]]) -> float:
    db = await asyncpg.connect(url)
    began_s = time.monotonic()
    for rows in groups:
        async with db.transaction():
            await db.copy_records_to_table("entry", records=rows, columns=ENTRY_COLUMNS)
    took_s = time.monotonic() - began_s
    await db.close()
    return took_s


def one_round(size: int, databases: Iterator[str]) -> dict[str, float]:
    """Events a second of each way, once."""
    count = size * SIZES[size]
    chains = [Source(n) for n in range(1, CONNECTIONS + 1)]
    told = [(source.number, source.entries(count)) for source in chains]
    requests = [
        [source.request(entries[low : low + size]) for low in range(0, count, size)]
        for source, (_, entries) in zip(chains, told, strict=True)
    ]
    groups = list(rows_of(told, size))
    events = count * CONNECTIONS
    found = {}
    url = next(databases)
    asyncio.run(prepare(url, CONNECTIONS))
    is_sqlite = url.startswith("sqlite")
    found["bare"] = events / (
        bare_sqlite(url, groups) if is_sqlite else asyncio.run(bare_postgres(url, groups))
    )
    for name, options in (("believing", ("--trusting",)), ("verifying", ())):
        url = next(databases)
        asyncio.run(prepare(url, CONNECTIONS))
        with serving(url, *options) as port:
            took_s, errors = uvloop.run(closed_loop(port, requests))
        assert errors == 0, f"{errors} requests failed"
        found[name] = events / took_s
    return found


def table(name: str, databases: Iterator[str]) -> None:
    for size in SIZES:
        rounds = [one_round(size, databases) for _ in range(ROUNDS)]
        bare = statistics.median(found["bare"] for found in rounds)
        print(
            f"{name}, {size} events a request, {CONNECTIONS} gateways: bare {bare:,.0f} events/s (median of {ROUNDS})"
        )
        for way, target in (("believing", {20: 0.45, 200: 0.55}), ("verifying", {20: 0.30, 200: 0.45})):
            rate = statistics.median(found[way] for found in rounds)
            ratio = statistics.median(found[way] / found["bare"] for found in rounds)
            wanted = target[size] if name == "SQLite" else 0.5
            print(f"   {way}: {rate:,.0f} events/s, ratio {ratio:.2f} (target {wanted:.2f})", flush=True)


def sqlite_files(folder: Path) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield f"sqlite:///{folder}/{number}.db"


def main() -> None:
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        table("SQLite", sqlite_files(Path(folder) / "db"))
    with PostgresCluster(is_durable=True) as cluster:
        table("PostgreSQL (COPY)", iter(lambda: cluster.url(cluster.create_database()), None))
    print(f"load of the machine after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
