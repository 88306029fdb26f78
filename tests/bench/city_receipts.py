# a benchmark prints and waits
"""From the fleet's commit of an alarm to the stored receipt of a healthy city platform, on both databases.

The platform is a process of its own that checks every event against the schema and syncs it to its disk before it answers.
20 gateways, one alarm every 50 ms in turn; then a backlog of 1000 that waited while the target was paused. Goal: p99 <= 500 ms (live).
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fleet/city"))

import targets
from city_fleet import Fleet
from city_process import CityProcess, city
from delivering import delivering, received
from sqlalchemy import select

from gatehouse_events.chain import moment
from gatehouse_fleet.city.courier import Courier
from gatehouse_fleet.city.service import adapter
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.city import city_receipt
from gatehouse_fleet.store.schema.journal import entry
from gatehouse_hil.postgres import PostgresCluster

GATEWAYS = 20
ALARMS = 200
EVERY_S = 0.05
BACKLOG = 1000


async def measure(name: str, url: str, platform: CityProcess, folder: Path) -> None:
    """Run one database and print its line."""
    await platform.fresh()
    store = Store.open(url)
    await store.create_all()
    fleet = Fleet(store, SystemClock(), Wake())
    file = folder / f"{name}.yaml"
    file.write_text(targets.CLOUDEVENTS.replace("http://127.0.0.1:9", platform.url), encoding="utf-8")
    numbers = [await fleet.gateway(f"gw-{n}") for n in range(GATEWAYS)]
    async with delivering(courier(fleet, file)):
        for n in range(ALARMS):
            await fleet.tell(numbers[n % GATEWAYS], fleet.change())
            await asyncio.sleep(EVERY_S)
        await received(fleet, "weihai", ALARMS)
    live = await latencies_ms(store)
    for n in range(BACKLOG // 20):
        await fleet.tell(numbers[n % GATEWAYS], *[fleet.change() for _ in range(20)])
    async with delivering(courier(fleet, file)):
        began_s = time.perf_counter()
        await received(fleet, "weihai", ALARMS + BACKLOG, within_s=600)
        drained_s = time.perf_counter() - began_s
    p50, p99 = statistics.median(live), statistics.quantiles(live, n=100)[98]
    print(
        f"  {name:<12} commit to receipt p50 {p50:6.1f} ms  p99 {p99:6.1f} ms  max {max(live):6.1f} ms"
        f"   backlog {BACKLOG / drained_s:5.0f} events/s"
    )
    await store.close()


def courier(fleet: Fleet, file: Path) -> Courier:
    """Return a courier as the server makes it."""
    made = adapter(file, fleet.clock)
    return Courier(
        made.target,
        envelope=made.envelope,
        transport=made.transport,
        store=fleet.store,
        wake=fleet.wake,
        clock=fleet.clock,
        dice=random.Random(),
    )


async def latencies_ms(store: Store) -> list[float]:
    """Return how long each alarm took from the commit's time to the receipt's."""
    query = select(entry.c.received_us, city_receipt.c.receipt_at).where(
        entry.c.gateway_no == city_receipt.c.gateway_no, entry.c.seq == city_receipt.c.seq, entry.c.lane == 1
    )
    async with store.read() as db:
        rows = (await db.execute(query)).all()
    return [(row.receipt_at - moment(row.received_us)) / timedelta(milliseconds=1) for row in rows]


async def main() -> None:
    """Measure SQLite, then PostgreSQL."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        platform = stack.enter_context(city(folder))
        await measure("SQLite", f"sqlite:///{folder}/fleet.db", platform, folder)
        cluster = stack.enter_context(PostgresCluster())
        await measure("PostgreSQL", cluster.url(cluster.create_database()), platform, folder)


if __name__ == "__main__":
    asyncio.run(main())
