"""`gatehouse-fleet bench`: let technicians' benches in, shut them out, and the key they seal device keys for."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from gatehouse_fleet.bench import tokens
from gatehouse_fleet.bench.tokens import MAX_DAYS, BenchToken, NewToken
from gatehouse_fleet.bench.wrapping import WrappingPair
from gatehouse_fleet.cli.local import CommandError, operator, with_store
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.people import audit
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.bench import bench_token

NAME: Final = "bench"
HELP: Final = "make and revoke tokens of technicians' benches, print the key they seal device keys for"
_MAX_KEY_FILE: Final = 4096
_MAX_NAME: Final = 64


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("list", help="every token, without the token")
    token = what.add_parser("token", help="make a token for a bench; shown once")
    token.add_argument("name", help="of the bench, as people say it")
    token.add_argument("--node", type=int, required=True, help="id of the place whose devices it makes")
    token.add_argument("--key", type=Path, required=True, help="the bench's var/bench/bench.pub")
    token.add_argument(
        "--days", type=int, default=365, choices=range(1, MAX_DAYS + 1), metavar=f"1..{MAX_DAYS}"
    )
    revoke = what.add_parser("revoke", help="shut a bench out from its next request on")
    revoke.add_argument("id", type=int)
    revoke.add_argument("--reason", required=True)
    what.add_parser("key", help="print the wrapping key; it is the rig's wrap_key_file")


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    match args.what:
        case "list":
            rows = with_store(args.settings, _list)
            out.table(("id", "name", "node", "expires", "revoked", "used", "kept_bytes"), rows)
        case "token":
            made, secret = with_store(args.settings, lambda store: _make(store, args))
            out.fact(_row(made) | {"token": secret}, secret)
        case "revoke":
            ended = with_store(args.settings, lambda store: _revoke(store, args))
            out.fact(_row(ended), f"token {ended.id} of {ended.name} is revoked")
        case _:
            pair = WrappingPair.open(args.settings.directory)
            if out.is_json:
                out.json({"pem": pair.public_pem, "fingerprint": pair.fingerprint})
            else:
                out.raw(pair.public_pem)
                out.note(f"SHA-256 {pair.fingerprint}")
    return 0


async def _list(store: Store) -> list[dict[str, Any]]:
    async with store.read() as db:
        rows = (await db.execute(tokens.query_tokens().order_by(bench_token.c.id))).all()
    return [_row(tokens.token_of(row)) for row in rows]


async def _make(store: Store, args: argparse.Namespace) -> tuple[BenchToken, str]:
    now, who = SystemClock().now(), operator()
    if not (args.name.isprintable() and args.name.strip() and len(args.name) <= _MAX_NAME):
        raise CommandError(f"a bench's name has 1 to {_MAX_NAME} printable characters")
    with args.key.open("rb") as file:
        key = tokens.read_key(file.read(_MAX_KEY_FILE).decode("ascii", "replace"))
    new = NewToken(name=args.name, node_id=args.node, public_key=key, lasts=timedelta(days=args.days))
    async with store.begin() as db:
        made, secret = await tokens.make(db, new, by=who.name, at=now)
        await audit.append(
            db, who, "bench.token", made.name, at=now, node_id=made.node_id, detail={"id": made.id}
        )
    return made, secret


async def _revoke(store: Store, args: argparse.Namespace) -> BenchToken:
    now = SystemClock().now()
    async with store.begin() as db:
        found = await tokens.get(db, args.id)
        ended = await tokens.revoke(db, found, at=now)
        detail: dict[str, str | int | bool | None] = {"id": found.id, "reason": args.reason}
        await audit.append(
            db, operator(), "bench.revoke", found.name, at=now, node_id=found.node_id, detail=detail
        )
    return ended


def _row(one: BenchToken) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "node": one.node_id,
        "expires": one.expires_at.isoformat(" ", "seconds"),
        "revoked": None if one.revoked_at is None else one.revoked_at.isoformat(" ", "seconds"),
        "used": None if one.used_at is None else one.used_at.isoformat(" ", "seconds"),
        "kept_bytes": one.kept_bytes,
    }
