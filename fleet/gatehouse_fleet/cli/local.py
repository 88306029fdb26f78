"""What the commands share: the database of the settings, and who sits at the machine."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store

T = TypeVar("T")


class CommandError(FleetError):
    """The command cannot do what was asked; the text says why."""


@contextlib.asynccontextmanager
async def open_store(settings: FleetSettings) -> AsyncIterator[Store]:
    """Open the database of the settings; a running server may go on.

    Raises:
        CommandError: there is no database yet.
    """
    store = Store.open(settings.database_url, pool_size=2)
    try:
        if store.is_sqlite and not Path(store.url.database or "").exists():
            raise CommandError(
                f"{store.url.database} does not exist: start `gatehouse-fleet serve` or run `migrate`"
            )
        yield store
    finally:
        await store.close()


def with_store(settings: FleetSettings, work: Callable[[Store], Awaitable[T]]) -> T:
    """Do `work` on the database and return what it returns."""

    async def run() -> T:
        async with open_store(settings) as store:
            return await work(store)

    return asyncio.run(run())


def operator() -> Actor:
    """Return who sits at this machine, as the audit log writes it down."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        name = "unknown"
    return Actor(name=name, role="local", unit="", station="server console")


def ask_password() -> str:
    """Return a password: typed twice at a terminal, or one line of standard input; never an argument."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("password: ")
    if getpass.getpass("again: ") != first:
        raise CommandError("the two passwords differ")
    return first
