"""Opening the database and its transactions.

SQLite: WAL, `synchronous=FULL`, one writing transaction at a time in the process (an asyncio lock instead of SQLite's
sleeping busy handler), so one worker only. PostgreSQL: as many workers as wanted. Hot paths take a driver connection
through `write_lock` (SQLite) or the pool (PostgreSQL) and speak plain SQL; everything else uses SQLAlchemy Core.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.store.schema import METADATA
from gatehouse_fleet.store.sqlite_driver import Driver

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

_WRITES: Final = "gatehouse_writes"
_END_S: Final = 2.0
"""A connection that was cut off in the middle of a statement ends within this; a hanging disk keeps nobody longer."""
_BUSY_MS: Final = 10_000
"""Only another process (backup, a person with sqlite3) can make us wait."""
_FRESH_S: Final = 0.2
"""A connection that was used within this is taken to be alive; one that rested longer is asked first. PostgreSQL needs longer
than this to end and start again, so nobody is handed a connection of its former life."""
_RESTS_SINCE: Final = "rests_since_s"


class StoreError(FleetError):
    """The database cannot be opened or used."""


class Store:
    """One open database. Make it with `Store.open`; end it with `close`."""

    def __init__(self, engine: AsyncEngine, url: URL) -> None:
        self.engine: Final = engine
        self.url: Final = url
        self.is_sqlite: Final = url.get_backend_name() == "sqlite"
        self.write_lock: Final = asyncio.Lock()
        """SQLite only: held by whoever writes."""
        # One trip to PostgreSQL for each statement that reads, instead of three: READ COMMITTED shows every statement its
        # own moment anyway.
        self._reading: Final = (
            engine if self.is_sqlite else engine.execution_options(isolation_level="AUTOCOMMIT")
        )

    @classmethod
    def open(cls, text: str, *, pool_size: int = 10) -> Store:
        """Open `sqlite:///path/fleet.db` or `postgresql://user@host/name` (the driver is chosen here).

        Raises:
            StoreError: not such an address.
        """
        try:
            url = make_url(text)
        except ArgumentError as error:
            raise StoreError(
                "database address is not sqlite:///FILE or postgresql://USER@HOST/NAME"
            ) from error
        match url.get_backend_name():
            case "sqlite":
                engine = create_async_engine(
                    url.set(drivername="sqlite+aiosqlite"), module=Driver(), pool_size=4, max_overflow=4
                )
                _prepare_sqlite(engine)
            case "postgresql":
                engine = create_async_engine(
                    url.set(drivername="postgresql+asyncpg"),
                    pool_size=pool_size,
                    max_overflow=pool_size,
                )
                _ask_the_rested(engine)
            case other:
                raise StoreError(f"{other} is not a database this server knows; use sqlite or postgresql")
        return cls(engine, url)

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Open a writing transaction: committed at the end of the block, undone by an exception."""
        if not self.is_sqlite:
            async with self.engine.begin() as db:
                yield db
            return
        async with self.write_lock, self.engine.connect() as plain:
            db = await plain.execution_options(**{_WRITES: True})
            async with db.begin():
                yield db

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open the database for reading, which waits for nobody: SQLite gives one picture, PostgreSQL one for each statement."""
        async with self._reading.connect() as db:
            yield db

    async def create_all(self) -> None:
        """Make every table that is missing; for tests and throw-away servers. `migrate` is the product's way."""
        async with self.begin() as db:
            await db.run_sync(METADATA.create_all)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
        driver = self.engine.dialect.dbapi
        if isinstance(driver, Driver):
            await asyncio.to_thread(driver.join, _END_S)


def _ask_the_rested(engine: AsyncEngine) -> None:
    """Ask a connection that has rested whether it lives; SQLAlchemy's own pre-ping costs every transaction a round trip."""

    @event.listens_for(engine.sync_engine, "checkout")
    def taken(raw: DBAPIConnection, record: ConnectionPoolEntry, _proxy: Any) -> None:  # noqa: ANN401  # SQLAlchemy's own
        if time.monotonic() - record.info.get(_RESTS_SINCE, time.monotonic()) > _FRESH_S:
            try:
                engine.sync_engine.dialect.do_ping(raw)
            except Exception as error:
                raise InvalidatePoolError from error

    @event.listens_for(engine.sync_engine, "checkin")
    def given_back(_raw: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info[_RESTS_SINCE] = time.monotonic()


def _prepare_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(raw: DBAPIConnection, _record: Any) -> None:  # noqa: ANN401  # SQLAlchemy's own signature
        # We say BEGIN ourselves: the driver's late implicit BEGIN would read outside the transaction.
        raw.isolation_level = None
        cursor = raw.cursor()
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            f"busy_timeout = {_BUSY_MS}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def began(db: Connection) -> None:
        db.exec_driver_sql("BEGIN IMMEDIATE" if db.get_execution_options().get(_WRITES) else "BEGIN")
