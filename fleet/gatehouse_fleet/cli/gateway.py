"""`gatehouse-fleet gateway`: register gateways, make enrolment codes, revoke."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.cli.local import CommandError, operator, with_store
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.people import audit
from gatehouse_fleet.pki import enrolment
from gatehouse_fleet.registry import gateways
from gatehouse_fleet.registry.gateways import Gateway
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.gateways import gateway

NAME: Final = "gateway"
HELP: Final = "list and register gateways, make one-time enrolment codes, revoke certificates"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("list", help="every gateway with its presence")
    add = what.add_parser("add", help="register a gateway of a community")
    add.add_argument("id", help="e.g. wh-371002-0007-gw1")
    add.add_argument("--node", type=int, required=True, help="id of its community")
    code = what.add_parser("code", help="make a one-time enrolment code; shown once")
    code.add_argument("id")
    code.add_argument("--hours", type=int, default=24, choices=range(1, 169), metavar="1..168")
    revoke = what.add_parser("revoke", help="shut a gateway out from its next request on")
    revoke.add_argument("id")
    revoke.add_argument("--reason", required=True)
    revoke.add_argument("--keep-key", action="store_true", help="the key may get another certificate")


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    match args.what:
        case "list":
            rows = with_store(args.settings, _list)
            columns = ("id", "community", "state", "presence", "last_contact", "version", "backlog", "tags")
            out.table(columns, rows)
        case "add":
            made = with_store(args.settings, lambda store: _add(store, args))
            out.fact(_row(made), f"registered {made.id}; next: gatehouse-fleet gateway code {made.id}")
        case "code":
            code = with_store(args.settings, lambda store: _code(store, args))
            out.fact({"id": args.id, "code": code, "hours": args.hours}, code)
        case _:
            count = with_store(args.settings, lambda store: _revoke(store, args))
            out.fact({"id": args.id, "certificates": count}, f"{count} certificate(s) of {args.id} revoked")
    return 0


async def _list(store: Store) -> list[dict[str, Any]]:
    async with store.read() as db:
        rows = (await db.execute(gateways.query_gateways().order_by(gateway.c.id))).all()
    return [_row(gateways.gateway_of(row)) for row in rows]


async def _add(store: Store, args: argparse.Namespace) -> Gateway:
    now = SystemClock().now()
    if not (3 <= len(args.id) <= 63 and set(args.id) <= _LETTERS and args.id[0] != "-"):  # noqa: PLR2004  # GatewayId
        raise CommandError("an id has 3 to 63 small letters, digits and hyphens")
    async with store.begin() as db:
        made = await gateways.make(db, args.id, args.node, at=now)
        await audit.append(db, operator(), "gateway.make", made.id, at=now, node_id=made.node_id)
    return made


async def _code(store: Store, args: argparse.Namespace) -> str:
    now, who = SystemClock().now(), operator()
    async with store.begin() as db:
        found = await _find(db, args.id)
        lasts = timedelta(hours=args.hours)
        code = await enrolment.issue_code(db, found.no, by=who.name, at=now, lasts=lasts)
        await audit.append(db, who, "gateway.code", found.id, at=now, node_id=found.node_id)
    return code


async def _revoke(store: Store, args: argparse.Namespace) -> int:
    now = SystemClock().now()
    async with store.begin() as db:
        found = await _find(db, args.id)
        count = await enrolment.revoke_all(db, found.no, args.reason, at=now, with_keys=not args.keep_key)
        await audit.append(
            db,
            operator(),
            "gateway.revoke",
            found.id,
            at=now,
            node_id=found.node_id,
            detail={"reason": args.reason, "certificates": count, "keys": not args.keep_key},
        )
    return count


async def _find(db: AsyncConnection, gateway_id: str) -> Gateway:
    found = await gateways.find(db, gateway_id)
    if found is None:
        raise CommandError(f"there is no gateway {gateway_id}")
    return found


def _row(one: Gateway) -> dict[str, Any]:
    return {
        "id": one.id,
        "community": one.node_name,
        "state": one.state.value,
        "presence": one.presence(SystemClock().now()).value,
        "last_contact": None
        if one.last_contact_at is None
        else one.last_contact_at.isoformat(" ", "seconds"),
        "version": one.version,
        "backlog": one.alarm_backlog,
        "tags": list(one.tags),
    }


_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
