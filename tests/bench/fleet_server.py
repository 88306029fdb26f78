# it prints
"""The fleet's ingest, projection and console stream in a process of its own, for the benchmarks beside it.

fleet_server.py URL [--trusting]     prints its address; `--trusting` leaves the verification of hashes out
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from pathlib import Path

import uvicorn
import uvloop
from fastapi import Request

sys.path.insert(0, str(Path(__file__).parents[1] / "fleet"))
sys.path.insert(0, str(Path(__file__).parents[1] / "fleet" / "ingest"))
from fleet_site import HeaderIdentity, no_downlink
from server import known_gateways

from gatehouse_events.chain import epoch_bytes, hashes_in
from gatehouse_events.fleet_api import KEEP_ALIVE_S
from gatehouse_events.replication import ReplicationBatch
from gatehouse_fleet.api.app import create_app
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.ingest.app import IngestApp, front
from gatehouse_fleet.ingest.contact import Contacts
from gatehouse_fleet.ingest.sealed import LANE_NUMBERS, Sealed, seal
from gatehouse_fleet.ingest.service import vault_of
from gatehouse_fleet.ingest.writer import Writer
from gatehouse_fleet.people import roles
from gatehouse_fleet.people.roles import Caller, Role
from gatehouse_fleet.projection.service import Projector
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake


def trusting(batch: ReplicationBatch, *, gateway_no: int, size_bytes: int) -> Sealed:
    """What ingest would be without verification: only the head's hash, which the cursor needs."""
    if batch.entries[0].seq == 1:
        return seal(
            batch, gateway_no=gateway_no, size_bytes=size_bytes
        )  # how an epoch begins is always looked at
    epoch, last = epoch_bytes(batch.epoch), batch.entries[-1]
    return Sealed(
        gateway_no=gateway_no, batch=batch, lane_no=LANE_NUMBERS[batch.lane], epoch=epoch,
        hashes=(b"",) * (len(batch.entries) - 1) + tuple(hashes_in(epoch, batch.lane, [last])),
        altered=frozenset(), is_linked=True, has_checkpoints=False, size_bytes=size_bytes,
    )  # fmt: skip


async def operator(request: Request) -> Caller:
    actor = roles.Actor(name="wang", role="city_operator", unit="示例", station="bench")
    return Caller(user_id=1, actor=actor, role=Role.CITY_OPERATOR, scope_id=1, scope_path="/")


async def main(url: str, *, is_trusting: bool) -> None:
    services = Services(settings=FleetSettings(), store=Store.open(url), clock=SystemClock(), wake=Wake())
    projector = Projector(services, steps=())
    writer = Writer(vault_of(services), services.clock, on_committed=projector.committed)
    contacts = Contacts(services.store, services.clock, services.wake)
    ingest = IngestApp(
        writer, store=services.store, clock=services.clock,
        identify=HeaderIdentity(await known_gateways(services.store)), contacts=contacts,
        find_downlink=no_downlink, sealer=trusting if is_trusting else seal,
    )  # fmt: skip
    config = uvicorn.Config(
        front(ingest, create_app(services, operator)), host="127.0.0.1", port=0, http="httptools", loop="none", lifespan="off",
        log_config=None, access_log=False, ws="none", timeout_keep_alive=KEEP_ALIVE_S, backlog=2048,
    )  # fmt: skip
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    gc.collect()
    gc.freeze()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.run())
        tasks.create_task(contacts.run())
        tasks.create_task(projector.run())
        tasks.create_task(server.main_loop())


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    uvloop.run(main(sys.argv[1], is_trusting="--trusting" in sys.argv))
