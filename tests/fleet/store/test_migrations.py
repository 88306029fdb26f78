"""What the migrations make is what the tables say, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, inspect, text

from gatehouse_fleet.store import Store, StoreError
from gatehouse_fleet.store.migrate import ensure_current, migrate, newest, revision
from gatehouse_fleet.store.migrations import renew
from gatehouse_fleet.store.schema import METADATA


def differences(db: Connection) -> list[object]:
    return compare_metadata(MigrationContext.configure(db, opts={"compare_type": True}), METADATA)


def checks(db: Connection) -> set[str]:
    found = inspect(db)
    return {str(one["name"]) for table in METADATA.tables for one in found.get_check_constraints(table)}


async def test_a_migrated_database_has_exactly_the_tables(database_url: str) -> None:
    store = Store.open(database_url)
    assert await revision(store) is None
    assert await migrate(store) == newest()
    async with store.read() as db:
        assert await db.run_sync(differences) == []
        wanted = {
            str(one.name)
            for table in METADATA.tables.values()
            for one in table.constraints
            if isinstance(one, CheckConstraint)
        }
        assert await db.run_sync(checks) == wanted
    assert await migrate(store) == newest(), "a second time does nothing"
    await store.close()


async def test_the_comparison_notices_a_missing_column(database_url: str) -> None:
    store = Store.open(database_url)
    await migrate(store)
    async with store.begin() as db:
        await db.execute(text("ALTER TABLE gateway DROP COLUMN tags"))
    async with store.read() as db:
        assert len(await db.run_sync(differences)) == 1
    await store.close()


async def test_sqlite_is_migrated_at_start_and_postgresql_when_a_person_says_so(database_url: str) -> None:
    store = Store.open(database_url)
    if store.is_sqlite:
        await ensure_current(store)
    else:
        with pytest.raises(StoreError, match="gatehouse-fleet migrate"):
            await ensure_current(store)
        await migrate(store)
        await ensure_current(store)
    assert await revision(store) == newest()
    await store.close()


def test_the_initial_migration_is_the_one_that_renew_writes(tmp_path: Path) -> None:
    import subprocess
    import sys

    fresh = tmp_path / "initial.py"
    fresh.write_text(renew.render(), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--quiet", "--line-length", "110", str(fresh)], check=True
    )
    assert fresh.read_text() == renew.TARGET.read_text(), (
        "run python -m gatehouse_fleet.store.migrations.renew"
    )
