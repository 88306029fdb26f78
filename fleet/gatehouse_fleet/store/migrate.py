"""Bringing a database to the schema of this release."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from gatehouse_fleet.store.engine import Store, StoreError

_PG_LOCK = 0x6761746575640002
"""pg_advisory_xact_lock: two `migrate` at once wait for each other."""


async def migrate(store: Store) -> str:
    """Apply what is missing, in one transaction; return the revision the database now has."""
    async with store.begin() as db:
        if not store.is_sqlite:
            await db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PG_LOCK})
        await db.run_sync(_upgrade)
        return await db.run_sync(_revision) or ""


async def revision(store: Store) -> str | None:
    """Return the revision a database has; None: it is empty."""
    async with store.read() as db:
        return await db.run_sync(_revision)


def newest() -> str:
    """Return the revision of this release."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None  # noqa: S101  # there is always the initial one
    return head


async def ensure_current(store: Store) -> None:
    """Migrate a SQLite database at start, before anything else uses it.

    Raises:
        StoreError: a PostgreSQL database is not at this release's revision: several workers and servers start at
            once, so a person says when.
    """
    if store.is_sqlite:
        await migrate(store)
        return
    found = await revision(store)
    if found != newest():
        raise StoreError(
            f"the database has revision {found}, this release needs {newest()}: run `gatehouse-fleet migrate`"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "gatehouse_fleet.store:migrations")
    return config


def _upgrade(db: Connection) -> None:
    config = _config()
    config.attributes["connection"] = db
    command.upgrade(config, "head")


def _revision(db: Connection) -> str | None:
    return MigrationContext.configure(db).get_current_revision()
