"""A server that does nothing but deliver: `deliverer.py DATABASE_URL TARGET_FILE`, until it is killed."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from gatehouse_fleet.city.courier import Courier
from gatehouse_fleet.city.service import adapter
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.store import Store, Wake


async def main(url: str, file: str) -> None:
    clock = SystemClock()
    made = adapter(Path(file), clock)
    courier = Courier(
        made.target,
        envelope=made.envelope,
        transport=made.transport,
        store=Store.open(url),
        wake=Wake(),
        clock=clock,
        dice=random.Random(),
        look_every_s=0.05,
    )
    sys.stdout.write("delivering\n")
    sys.stdout.flush()
    await courier.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
