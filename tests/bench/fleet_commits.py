# it prints
"""What the arithmetic of docs/scale.md stands on: entries a second through one vault in large groups, and one empty commit.

No HTTP, no verification of bodies beyond what the vault itself does: batches are sealed beforehand.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

import asyncpg

sys.path.insert(0, str(Path(__file__).parent))
from fleet_load import Source, gateway_id, prepare

from gatehouse_events.replication import batch_of
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.ingest.sealed import Sealed, seal
from gatehouse_fleet.ingest.service import vault_of
from gatehouse_fleet.ingest.vault import Submission
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake
from gatehouse_hil.postgres import PostgresCluster

GATEWAYS = 10
EVENTS = 200
"""Of each gateway in a group: 2 000 entries, what the writer takes at most."""
GROUPS = 15
COMMITS = 100


def groups() -> list[list[Sealed]]:
    sources = [Source(n) for n in range(1, GATEWAYS + 1)]
    return [
        [
            seal(batch_of(gateway_id(one.number), one.entries(EVENTS)), gateway_no=one.number, size_bytes=0)
            for one in sources
        ]
        for _ in range(GROUPS)
    ]


UPDATE = "UPDATE gateway SET alarm_backlog = coalesce(alarm_backlog, 0) + 1 WHERE no = 1"
"""Something to sync: a transaction that changes nothing costs nothing on either."""


def bare_sqlite(url: str) -> list[float]:
    db = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    db.execute("PRAGMA synchronous = FULL")
    found = []
    for _ in range(COMMITS):
        db.execute("BEGIN IMMEDIATE")
        assert db.execute(UPDATE).rowcount == 1
        began_s = time.monotonic()
        db.execute("COMMIT")
        found.append((time.monotonic() - began_s) * 1e3)
    db.close()
    return found


async def bare_postgres(url: str) -> list[float]:
    db = await asyncpg.connect(url)
    found = []
    for _ in range(COMMITS):
        await db.execute("BEGIN")
        assert await db.execute(UPDATE) == "UPDATE 1"
        began_s = time.monotonic()
        await db.execute("COMMIT")
        found.append((time.monotonic() - began_s) * 1e3)
    await db.close()
    return found


async def measure(name: str, url: str) -> None:
    await prepare(url, GATEWAYS)
    store = Store.open(url)
    services = Services(settings=FleetSettings(), store=store, clock=SystemClock(), wake=Wake())
    vault = vault_of(services)
    rates = []
    for group in groups():
        began_s = time.monotonic()
        await vault.commit([Submission(sealed=one) for one in group], at_us=1)
        rates.append(GATEWAYS * EVENTS / (time.monotonic() - began_s))
    await vault.close()
    await store.close()
    commits_ms = bare_sqlite(url) if store.is_sqlite else await bare_postgres(url)
    print(
        f"{name}: {statistics.median(rates):,.0f} entries/s in groups of {GATEWAYS * EVENTS:,} (median of {GROUPS}); "
        f"commit of one row p50 {statistics.median(commits_ms):.2f} ms, p99 {sorted(commits_ms)[-2]:.2f} ms",
        flush=True,
    )


def main() -> None:
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure("SQLite", f"sqlite:///{folder}/commits.db"))
    with PostgresCluster(is_durable=True) as cluster:
        asyncio.run(measure("PostgreSQL", cluster.url(cluster.create_database())))
    print(f"load of the machine after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
