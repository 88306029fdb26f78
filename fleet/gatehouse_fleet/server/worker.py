"""One worker process: opens everything, runs application and parts, stops in order within five seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

from gatehouse_fleet.api.desk import Desk
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.people import accounts
from gatehouse_fleet.people.refusals import stranger
from gatehouse_fleet.pki.authority import FOLDER, Authority
from gatehouse_fleet.server.compose import Built, build
from gatehouse_fleet.server.listen import Listener, context_of
from gatehouse_fleet.services import Services
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake

_MAX_HANDSHAKES: Final = 100
_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def open_services(settings: FleetSettings, clock: Clock) -> AsyncIterator[tuple[Services, Desk]]:
    """Open database, keys and codes of one worker; everything is closed at the end."""
    settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store.open(settings.database_url, pool_size=settings.database.pool_size)
    try:
        authority = Authority.open(settings.directory / FOLDER, at=clock.now())
        services = Services(settings=settings, store=store, clock=clock, wake=Wake())
        desk = Desk.open(services, authority)
        try:
            yield services, desk
        finally:
            desk.identifier.close()
    finally:
        await store.close()


async def first_code(services: Services, desk: Desk) -> str | None:
    """Return the one-time code for the first user; None: there is somebody already."""
    async with services.store.read() as db:
        if await accounts.has_users(db):
            desk.first_code.drop()
            return None
    return desk.first_code.ensure()


async def run_worker(services: Services, desk: Desk, sock: socket.socket, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    built = build(services, desk)
    handshakes: asyncio.Queue[str] = asyncio.Queue(_MAX_HANDSHAKES)

    def refused(why: str) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            handshakes.put_nowait(why)

    async def note_handshakes() -> None:
        while True:
            why = await handshakes.get()
            await desk.refusals.note(stranger(""), "gateway.refused", "tls", reason=why)

    listener = Listener(built.app, sock, context_of(services, desk.authority, on_refused=refused))
    async with asyncio.TaskGroup() as parts:
        running = [
            parts.create_task(built.keeper.keep(part.name, part.run), name=part.name) for part in built.parts
        ]
        running.append(
            parts.create_task(built.keeper.keep("refused handshakes", note_handshakes), name="handshakes")
        )
        await _serve(listener, built, stop)
        # Requests are answered before what they wait for is taken away.
        for task in running:
            task.cancel()


async def _serve(listener: Listener, built: Built, stop: asyncio.Event) -> None:
    async def stop_listener() -> None:
        await stop.wait()
        built.close()
        listener.stop()

    async with asyncio.TaskGroup() as tasks:
        stopper = tasks.create_task(stop_listener(), name="stop")
        await listener.run()
        stopper.cancel()
    _log.info("stopped; %d parts end now", len(built.parts))


@contextlib.contextmanager
def stopping_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` on SIGTERM and SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
