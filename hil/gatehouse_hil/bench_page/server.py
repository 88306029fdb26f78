"""`gatehouse-bench page`: opens the port, prints the address with its one-time token, serves until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import webbrowser
from types import FrameType
from typing import Final

import uvicorn
from typing_extensions import override

from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.workplace import Workplace
from gatehouse_hil.bench_page.app import create_app
from gatehouse_hil.bench_page.commands import Setup
from gatehouse_hil.bench_page.door import Door
from gatehouse_hil.bench_page.workshop import Workshop

LOOPBACK: Final = "127.0.0.1"


async def serve(place: Workplace, setup: Setup, *, port: int, opens_browser: bool, as_json: bool) -> None:
    """Serve the page on loopback until Ctrl-C or SIGTERM.

    Raises:
        BenchError: PORT_BUSY, another program listens there.
    """
    listener = _listen(port)
    port = listener.getsockname()[1]
    hosts = frozenset(f"{name}:{port}" for name in (LOOPBACK, "localhost"))
    door = Door(place.directory / "page" / "sessions.json")
    place.archive  # noqa: B018  # the bench's key is made before four commands want it at once
    stopping = asyncio.Event()
    app = create_app(
        Workshop(place, setup), door, hosts=hosts, cookie=f"gatehouse-bench-{port}", stopping=stopping
    )
    config = uvicorn.Config(
        app, ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=3, server_header=False
    )
    server = _Server(config, stopping)
    address = f"http://{LOOPBACK}:{port}/open?token={door.fresh_token()}"
    told = (
        json.dumps({"ok": True, "address": address})
        if as_json
        else f"  {place.words('out.page', address=address)}"
    )
    sys.stdout.write(told + "\n")
    sys.stdout.flush()
    if opens_browser:
        await asyncio.to_thread(webbrowser.open, address)
    with listener:
        await server.serve(sockets=[listener])
    going_on = app.state.workshop.going_on
    if going_on:
        sys.stderr.write(f"  {place.words('out.goes_on', count=going_on)}\n")


class _Server(uvicorn.Server):
    """Tells the streams to end before it waits for them."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping: Final = stopping
        self._loop: Final = asyncio.get_running_loop()

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End streams, then the server; the signal is not raised again afterwards: it has done what it was for."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self.should_exit = True


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen()  # a browser that is quicker than the server waits
    except OSError as error:
        listener.close()
        raise BenchError(Fault.PORT_BUSY, port=f"{LOOPBACK}:{port}") from error
    return listener
