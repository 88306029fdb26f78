"""`gatehouse-fleet city`: check a target's file, send a test event, see and switch targets, deal with what is parked."""

from __future__ import annotations

import argparse
import asyncio
import getpass
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import select

from gatehouse_fleet.city import parking, switch
from gatehouse_fleet.city.api import view
from gatehouse_fleet.city.errors import CityError
from gatehouse_fleet.city.rehearsal import rehearse
from gatehouse_fleet.city.service import adapter, find
from gatehouse_fleet.city.switch import TargetState
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.city import city_parked, city_target
from gatehouse_fleet.store.schema.gateways import gateway

NAME: Final = "city"
HELP: Final = "targets of the city platform: check, test, list, pause, resume, parked, park, retry, give-up"
_COLUMNS: Final = (
    "id",
    "state",
    "trouble",
    "gateways_behind",
    "entries_behind",
    "parked",
    "received",
    "last_receipt_at",
)
_PARKED: Final = ("event_id", "gateway_id", "parked_at", "reason", "detail", "tries")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("check", help="read a target's file and everything it names")
    one.add_argument("file", type=Path)
    one = verbs.add_parser("test", help="send a marked test event and show the exchange")
    one.add_argument("target")
    one.add_argument("--unmarked", action="store_true", help="also where the dialect cannot mark a test")
    verbs.add_parser("list", help="how every target stands")
    one = verbs.add_parser("parked", help="what stands aside at a target")
    one.add_argument("target")
    for verb, about in (("pause", "stop telling a target"), ("resume", "let it go on where it stood")):
        one = verbs.add_parser(verb, help=about)
        one.add_argument("target")
        one.add_argument("--reason", required=True)
    one = verbs.add_parser("park", help="take what stands first in a gateway's line out of the way")
    one.add_argument("target")
    one.add_argument("gateway")
    one = verbs.add_parser("retry", help="try parked events again")
    one.add_argument("target")
    one.add_argument("event", nargs="?", help="one event; without: all of the target")
    one = verbs.add_parser("give-up", help="take a parked event off the list for good")
    one.add_argument("target")
    one.add_argument("event")
    one.add_argument("--reason", required=True)


def run(args: argparse.Namespace, out: Output) -> int:
    """Run one verb."""
    return asyncio.run(_VERBS[args.verb](args, out))


async def _check(args: argparse.Namespace, out: Output) -> int:
    made = adapter(args.file, SystemClock())
    target = made.target
    out.fact(
        {"id": target.id, "envelope": target.envelope.kind, "transport": target.transport.kind},
        f"{target.id}: {target.envelope.kind} over {target.transport.kind}, told of {', '.join(target.send.categories)}",
    )
    return 0


async def _test(args: argparse.Namespace, out: Output) -> int:
    settings: FleetSettings = args.settings
    path = find(settings.directory / settings.city.targets, args.target)
    clock = SystemClock()
    found = await rehearse(adapter(path, clock), clock, may_be_unmarked=args.unmarked)
    out.fact(
        msgspec.to_builtins(found),
        f"-> {found.event_id} {found.code} {found.path} ({found.content_type})\n{found.sent}\n"
        f"<- {found.outcome} after {found.took_ms} ms: {found.answer}",
    )
    return 0 if found.outcome == "receipt" else 1


async def _list(args: argparse.Namespace, out: Output) -> int:
    async with _open(args) as store, store.read() as db:
        ids = (await db.execute(select(city_target.c.id).order_by(city_target.c.id))).scalars().all()
        rows = [(await view(db, target_id)).model_dump(mode="json") for target_id in ids]
    out.table(_COLUMNS, rows)
    return 0


async def _parked(args: argparse.Namespace, out: Output) -> int:
    query = (
        select(city_parked, gateway.c.id.label("gateway_id"))
        .join(gateway, gateway.c.no == city_parked.c.gateway_no)
        .where(city_parked.c.target == args.target, city_parked.c.resolved_at.is_(None))
        .order_by(city_parked.c.parked_at)
    )
    async with _open(args) as store, store.read() as db:
        rows = [dict(row) for row in (await db.execute(query)).mappings()]
    out.table(_PARKED, [{name: row[name] for name in _PARKED} for row in rows])
    return 0


async def _pause(args: argparse.Namespace, out: Output) -> int:
    return await _turn(args, out, TargetState.PAUSED)


async def _resume(args: argparse.Namespace, out: Output) -> int:
    return await _turn(args, out, TargetState.RUNNING)


async def _turn(args: argparse.Namespace, out: Output, state: TargetState) -> int:
    now, who = SystemClock().now(), _me()
    async with _open(args) as store, store.begin() as db:
        if not await switch.turn(db, args.target, state, reason=args.reason, by=who.name, now=now):
            raise CityError(f"no target {args.target} has been started on this server")
        await audit.append(db, who, f"city.{state}", args.target, at=now, detail={"reason": args.reason})
    out.fact({"id": args.target, "state": state}, f"{args.target}: {state}")
    return 0


async def _park(args: argparse.Namespace, out: Output) -> int:
    now, who = SystemClock().now(), _me()
    async with _open(args) as store, store.begin() as db:
        number = (
            await db.execute(select(gateway.c.no).where(gateway.c.id == args.gateway))
        ).scalar_one_or_none()
        if number is None or await switch.standing(db, args.target) is None:
            raise CityError(f"no target {args.target} or no gateway {args.gateway}")
        event_id = await parking.set_first_aside(
            db, args.target, f"city:{args.target}", number, by=who.name, now=now
        )
        if event_id is None:
            raise CityError(f"nothing of {args.gateway} waits for {args.target}")
        await audit.append(db, who, "city.park", f"{args.target} {event_id}", at=now)
    out.fact({"event_id": event_id}, f"{event_id} stands aside; what is behind it goes on at its next try")
    return 0


async def _retry(args: argparse.Namespace, out: Output) -> int:
    now, who = SystemClock().now(), _me()
    async with _open(args) as store, store.begin() as db:
        wanted = await parking.ask_again(db, args.target, args.event, by=who.name)
        await audit.append(
            db, who, "city.retry", f"{args.target} {args.event or 'all'}", at=now, detail={"events": wanted}
        )
    out.fact({"wanted": wanted}, f"{wanted} events are tried again")
    return 0 if wanted or args.event is None else 1


async def _give_up(args: argparse.Namespace, out: Output) -> int:
    now, who = SystemClock().now(), _me()
    async with _open(args) as store, store.begin() as db:
        if await parking.give_up(db, args.target, args.event, by=who.name, now=now) == 0:
            raise CityError(f"{args.event} is not parked at {args.target}")
        await audit.append(
            db, who, "city.give_up", f"{args.target} {args.event}", at=now, detail={"reason": args.reason}
        )
    out.fact({"event_id": args.event}, f"{args.event}: given up")
    return 0


_VERBS: Final[dict[str, Callable[[argparse.Namespace, Output], Coroutine[Any, Any, int]]]] = {
    "check": _check,
    "test": _test,
    "list": _list,
    "parked": _parked,
    "pause": _pause,
    "resume": _resume,
    "park": _park,
    "retry": _retry,
    "give-up": _give_up,
}


@asynccontextmanager
async def _open(args: argparse.Namespace) -> AsyncIterator[Store]:
    settings: FleetSettings = args.settings
    store = Store.open(settings.database_url)
    try:
        yield store
    finally:
        await store.close()


def _me() -> Actor:
    return Actor(name=getpass.getuser(), role="machine", unit="", station="command line")
