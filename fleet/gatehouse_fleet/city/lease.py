"""One server at a time delivers to one target: on PostgreSQL a session lock that dies with its holder.

A platform may allow one login only (text frames), and order per gateway needs one sender. Should two ever send, nothing
breaks: the cursor moves only from where its mover saw it, and the platform knows every event by its id.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.store import Store


class Lease:
    """Held while its block runs."""

    def __init__(self, db: AsyncConnection | None) -> None:
        self._db = db

    async def check(self) -> None:
        """Prove that the lock is still held.

        Raises:
            SQLAlchemyError: it is not.
        """
        if self._db is not None:
            await self._db.execute(select(1))


@contextlib.asynccontextmanager
async def lease(store: Store, name: str) -> AsyncIterator[Lease | None]:
    """Open the lease called `name`; gives None when another server has it."""
    if store.is_sqlite:  # one process only
        yield Lease(None)
        return
    async with store.engine.connect() as plain:
        db = await plain.execution_options(isolation_level="AUTOCOMMIT")
        key = func.hashtextextended(name, 0)
        if not (await db.execute(select(func.pg_try_advisory_lock(key)))).scalar_one():
            yield None
            return
        try:
            yield Lease(db)
        finally:
            # A dead connection cannot be asked to let go, and has let go already.
            with contextlib.suppress(SQLAlchemyError):
                await db.execute(select(func.pg_advisory_unlock(key)))
