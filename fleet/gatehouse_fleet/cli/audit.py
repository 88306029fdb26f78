"""`gatehouse-fleet audit`: prove the log whole, export it."""

from __future__ import annotations

import argparse
from typing import Final

from gatehouse_fleet.cli.local import operator, with_store
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.people import audit
from gatehouse_fleet.store import Store

NAME: Final = "audit"
HELP: Final = "prove the audit log whole, export it as lines of JSON"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("verify", help="follow the whole chain (exit code 1: broken)")
    export = what.add_parser("export", help="print the entries, oldest first")
    export.add_argument("--after", type=int, default=0, help="last sequence number you have already")


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    if args.what == "export":
        with_store(args.settings, lambda store: _export(store, args.after, out))
        return 0
    found = with_store(args.settings, _verify)
    facts = {
        "is_whole": found.broken_at is None,
        "entries": found.entries,
        "head_seq": found.head_seq,
        "head_hash": found.head_hash.hex(),
        "broken_at": found.broken_at,
    }
    state = "whole" if found.broken_at is None else f"BROKEN at {found.broken_at}"
    out.fact(facts, f"{state}: {found.entries} entries, head {found.head_seq} {found.head_hash.hex()}")
    return 0 if found.broken_at is None else 1


async def _verify(store: Store) -> audit.Verdict:
    async with store.read() as db:
        return await audit.verify(db)


async def _export(store: Store, after: int, out: Output) -> None:
    async with store.begin() as db:
        now = SystemClock().now()
        await audit.append(db, operator(), "audit.export", f"after {after}", at=now)
    async with store.read() as db:
        async for line in audit.export(db, after=after):
            out.raw(line.decode())
