"""Every store test runs on SQLite and on a PostgreSQL cluster that the tests start themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.store import Store
from gatehouse_hil.postgres import PostgresCluster

MORNING = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def cluster() -> Iterator[PostgresCluster]:
    """One cluster for all tests of this process; without fsync: what survives a kill has tests of its own."""
    with PostgresCluster(is_durable=False) as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/fleet.db"
    cluster: PostgresCluster = request.getfixturevalue("cluster")
    return cluster.url(cluster.create_database())


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """A store with every table."""
    store = Store.open(database_url)
    await store.create_all()
    yield store
    await store.close()


@pytest.fixture
def clock() -> SetClock:
    return SetClock(MORNING)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> Callable[[str], str]:
    return lambda name="fleet": f"sqlite:///{tmp_path}/{name}.db"
