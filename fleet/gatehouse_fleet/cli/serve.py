"""`gatehouse-fleet serve`: run the server until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import logging
import socket
from typing import Final

import uvloop

from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.server.listen import bind
from gatehouse_fleet.server.supervise import supervise
from gatehouse_fleet.server.worker import first_code, open_services, run_worker, stopping_signals
from gatehouse_fleet.settings import FleetSettings, ServerSettings
from gatehouse_fleet.store.migrate import ensure_current

NAME: Final = "serve"
HELP: Final = "run the server until SIGTERM"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument("--host", help="address to listen on instead of the configured one")
    parser.add_argument("--port", type=int, help="port to listen on; 0: any free one")
    parser.add_argument("--directory", help="database, keys and evidence, instead of the configured folder")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    parser.add_argument("--inherited-socket", type=int, help=argparse.SUPPRESS)


def run(args: argparse.Namespace, out: Output) -> int:
    """Run the server."""
    logging.basicConfig(level=args.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # Its debug lines carry the parameters of every statement: hashes of sessions, names of people.
    logging.getLogger("aiosqlite").setLevel(logging.INFO)
    settings = _settings(args)
    if args.inherited_socket is not None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(settings, socket.socket(fileno=args.inherited_socket)))
        return 0
    with (
        bind(settings.server.host, settings.server.port) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_announce(settings, listener, out))
        if settings.server.workers > 1:
            runner.run(supervise(args.config, settings, listener))
        else:
            runner.run(_work(settings, listener))
    return 0


async def _announce(settings: FleetSettings, listener: socket.socket, out: Output) -> None:
    """Bring database and keys up, and say where the server is and how to begin."""
    async with open_services(settings, SystemClock()) as (services, desk):
        await ensure_current(services.store)
        code = await first_code(services, desk)
        host, port = listener.getsockname()[:2]
        scheme = "http" if settings.server.tls == "off" else "https"
        shown = f"[{host}]" if ":" in host else host
        facts: dict[str, object] = {
            "url": f"{scheme}://{shown}:{port}",
            "ca_fingerprint": desk.authority.root_fingerprint,
            "first_user_code": code,
            "root_key_is_here": desk.authority.has_root_key,
        }
        words = [
            f"Gatehouse fleet 守望: {facts['url']}",
            f"CA {settings.directory / 'pki' / 'root.pem'}  SHA-256 {desk.authority.root_fingerprint}",
        ]
        if code is not None:
            words.append(f"first user: one-time code {code} (also in {desk.first_code.path})")
        if desk.authority.has_root_key:
            words.append("the root's key is still here: `gatehouse-fleet ca export-root` takes it away")
        out.fact(facts, "\n".join(words))


async def _work(settings: FleetSettings, listener: socket.socket) -> None:
    stop = asyncio.Event()
    with stopping_signals(stop):
        async with open_services(settings, SystemClock()) as (services, desk):
            await run_worker(services, desk, listener, stop)


def _settings(args: argparse.Namespace) -> FleetSettings:
    settings: FleetSettings = args.settings
    changed = {name: value for name in ("host", "port") if (value := getattr(args, name)) is not None}
    # Validated anew: `--host 0.0.0.0` with TLS off is refused as it would be in the file.
    server = ServerSettings.model_validate(settings.server.model_dump() | changed)
    update: dict[str, object] = {"server": server}
    if args.directory is not None:
        update["directory"] = args.directory
    return FleetSettings.model_validate(settings.model_dump() | update)
