"""A fleet server for tests that kill it: ingest and projection behind real HTTP, in a process of its own.

server.py URL PORT                       serve the gateways that the database knows; prints the port
server.py URL PORT --enter ID KEY        enter a gateway first (a database nobody else can reach)
server.py URL PORT --fill FILE BYTES     take that much of the disk first; SIGUSR1 gives it back

SIGTERM ends it in order and prints the sequence numbers of the alarm lane.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop
from sqlalchemy import insert, select

sys.path.insert(0, str(Path(__file__).parents[1]))
from fleet_site import START, HeaderIdentity, no_downlink, nothing_else, serving

from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.ingest.app import front
from gatehouse_fleet.ingest.identity import GatewayIdentity
from gatehouse_fleet.ingest.service import Ingest
from gatehouse_fleet.projection.service import Projector
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.gateways import gateway, journal_key
from gatehouse_fleet.store.schema.journal import entry
from gatehouse_fleet.store.schema.org import org_node


async def enter(store: Store, gateway_id: str, key: str) -> None:
    await store.create_all()
    async with store.begin() as db:
        await db.execute(
            insert(org_node).values(
                id=1, kind="community", path="/1/", code="c", name="示例", created_at=START
            )
        )
        await db.execute(
            insert(gateway).values(no=1, id=gateway_id, node_id=1, state="deployed", created_at=START)
        )
        await db.execute(insert(journal_key).values(gateway_no=1, key=bytes.fromhex(key), added_at=START))


async def known_gateways(store: Store) -> list[GatewayIdentity]:
    query = select(gateway.c.no, gateway.c.id, gateway.c.node_id, org_node.c.path).join(
        org_node, org_node.c.id == gateway.c.node_id
    )
    async with store.read() as db:
        rows = (await db.execute(query)).all()
    return [GatewayIdentity(no=no, id=name, node_id=node, node_path=path) for no, name, node, path in rows]


async def main(args: argparse.Namespace) -> None:
    store = Store.open(args.url)
    if args.enter:
        await enter(store, *args.enter)
    services = Services(settings=FleetSettings(), store=store, clock=SystemClock(), wake=Wake())
    projector = Projector(services, steps=())
    ingest = Ingest(
        services,
        identify=HeaderIdentity(await known_gateways(store)),
        find_downlink=no_downlink,
        on_committed=projector.committed,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if args.fill:
        filler = Path(args.fill[0])
        fill(filler, int(args.fill[1]))
        loop.add_signal_handler(signal.SIGUSR1, filler.unlink)
    async with asyncio.TaskGroup() as tasks:
        parts = [
            tasks.create_task(ingest.run(), name="ingest"),
            tasks.create_task(projector.run(), name="projection"),
        ]
        async with serving(front(ingest.app, nothing_else), port=args.port) as url:
            os.write(1, f"{url}\n".encode())
            await stop.wait()
        for part in parts:
            part.cancel()
    async with store.read() as db:
        rows = await db.execute(select(entry.c.seq).where(entry.c.lane == 1).order_by(entry.c.seq))
        os.write(1, msgspec.json.encode(list(rows.scalars())) + b"\n")
    await store.close()


def fill(file: Path, keep_free: int) -> None:
    """Write zeros until only `keep_free` bytes are left."""
    free = os.statvfs(file.parent).f_bavail * os.statvfs(file.parent).f_frsize
    file.write_bytes(bytes(max(0, free - keep_free)))


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("port", type=int)
    parser.add_argument("--enter", nargs=2)
    parser.add_argument("--fill", nargs=2)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    uvloop.run(main(parsed(sys.argv[1:])))
