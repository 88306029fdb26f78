"""Bringing a database to the schema of this release."""

from __future__ import annotations

from gatehouse_fleet.store.engine import Store


async def ensure_current(store: Store) -> None:
    """Migrate a SQLite database at start; a PostgreSQL one must have been migrated (several workers start at once)."""
    await store.create_all()
