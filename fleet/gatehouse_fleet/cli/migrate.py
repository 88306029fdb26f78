"""`gatehouse-fleet migrate`: bring the database to this release."""

from __future__ import annotations

import argparse
import asyncio
from typing import Final

from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.migrate import migrate, newest, revision

NAME: Final = "migrate"
HELP: Final = "bring the database to this release's schema; make a backup first"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "--check", action="store_true", help="only say whether it is needed (exit code 1: yes)"
    )


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    before, after = asyncio.run(_migrate(args.settings, is_check=args.check))
    is_current = after == newest()
    words = f"{before or 'empty'} -> {after or 'empty'}" + ("" if is_current else f"; needs {newest()}")
    out.fact({"before": before, "after": after, "newest": newest()}, words)
    return 0 if is_current else 1


async def _migrate(settings: FleetSettings, *, is_check: bool) -> tuple[str | None, str | None]:
    settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store.open(settings.database_url, pool_size=2)
    try:
        before = await revision(store)
        return before, before if is_check else await migrate(store)
    finally:
        await store.close()
