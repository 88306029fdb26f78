"""SQLite under SQLAlchemy with one change of threads for each statement, and connections that end when they are cut off.

SQLAlchemy's own adapter asks aiosqlite's thread four times for each SELECT (cursor, execute, fetch, close); on a busy machine
each time waits for its turn on a core. And it ends a cut-off connection twice: the second end waits for an answer that the
thread does not give any more, which is a task that never ends (seen whenever a screen left in the middle of a read).
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Self

import aiosqlite
from msgspec import Struct
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_dbapi,
)
from sqlalchemy.util.concurrency import await_
from typing_extensions import override


class _Done(Struct, frozen=True):
    """What a statement left behind; its cursor is closed."""

    description: Any = None
    rows: Sequence[Any] = ()
    rowcount: int = -1
    lastrowid: int | None = None


class _Cursor:
    """A DB-API cursor that runs a statement and reads its rows in one go."""

    def __init__(self, connection: _Connection) -> None:
        self._connection: Final = connection
        self._rows: deque[Any] = deque()
        self._done = _Done()
        self.arraysize = 1

    @property
    def description(self) -> Any:  # noqa: ANN401  # DB-API
        """Columns of the result; None: there is none."""
        return self._done.description

    @property
    def rowcount(self) -> int:
        """Rows that were changed."""
        return self._done.rowcount

    @property
    def lastrowid(self) -> int | None:
        """Number of the row that was put in last."""
        return self._done.lastrowid

    def execute(self, operation: str, parameters: Any = ()) -> Self:  # noqa: ANN401  # DB-API
        """Run one statement."""
        self._done = self._connection.run(partial(_run, operation=operation, parameters=parameters or ()))
        self._rows = deque(self._done.rows)
        return self

    def executemany(self, operation: str, parameters: Any) -> None:  # noqa: ANN401  # DB-API
        """Run one statement for each set of parameters."""
        self._done = self._connection.run(partial(_run_many, operation=operation, parameters=parameters))
        self._rows.clear()

    def fetchone(self) -> Any:  # noqa: ANN401  # DB-API
        """Return the next row; None: no more."""
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return the next rows."""
        return [self._rows.popleft() for _ in range(min(size or self.arraysize, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        """Return the rest."""
        rows = list(self._rows)
        self._rows.clear()
        return rows

    def setinputsizes(self, *_sizes: Any) -> None:  # noqa: ANN401  # DB-API
        """SQLite needs none."""

    def close(self) -> None:
        """Forget the rows; SQLite's cursor is closed already."""
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """SQLAlchemy asks for this before it gives a result to the caller."""


class _Connection(AsyncAdapt_aiosqlite_connection):
    """Ends at once when it is cut off: no task stays behind, SQLite undoes what was open."""

    __slots__ = ()

    @override
    def cursor(self, server_side: bool = False) -> Any:  # as the parent has it
        """Return a cursor."""
        return _Cursor(self)

    def run(self, work: Callable[[sqlite3.Connection], _Done]) -> _Done:
        """Do `work` in the connection's thread."""
        try:
            return await_(self._in_thread(work))
        except Exception as error:  # noqa: BLE001  # the parent's one place to translate them
            self._handle_exception(error)

    @override
    def terminate(self) -> None:
        """Close behind whatever the thread is doing; waits for nothing."""
        self._terminate_force_close()

    async def _in_thread(self, work: Callable[[sqlite3.Connection], _Done]) -> _Done:
        # aiosqlite has no public way to do several calls in one go.
        connection: Any = self._connection
        done: _Done = await connection._execute(work, connection._conn)  # noqa: SLF001  # see above
        return done


class Driver(AsyncAdapt_aiosqlite_dbapi):
    """The DB-API module of one engine; knows the threads of its connections."""

    def __init__(self) -> None:
        super().__init__(aiosqlite, sqlite3)
        self._threads: Final[weakref.WeakSet[threading.Thread]] = weakref.WeakSet()

    def join(self, timeout_s: float) -> None:
        """Wait until the threads of closed connections have ended: their last answer must not meet a closed event loop. Blocks."""
        for thread in list(self._threads):
            thread.join(timeout_s)

    @override
    def connect(self, *arg: Any, **kw: Any) -> AsyncAdapt_aiosqlite_connection:  # as the parent has it
        connection: Any = aiosqlite.connect(*arg, **kw)
        connection._thread.daemon = True  # noqa: SLF001  # as SQLAlchemy does: a hanging disk must not keep the process
        self._threads.add(connection._thread)  # noqa: SLF001  # see above
        return _Connection(self, await_(connection))


def _run(db: sqlite3.Connection, *, operation: str, parameters: Any) -> _Done:  # noqa: ANN401  # DB-API parameters
    cursor = db.execute(operation, parameters)
    try:
        rows = cursor.fetchall() if cursor.description else ()
        return _Done(cursor.description, rows, cursor.rowcount, cursor.lastrowid)
    finally:
        cursor.close()


def _run_many(db: sqlite3.Connection, *, operation: str, parameters: Any) -> _Done:  # noqa: ANN401  # DB-API parameters
    cursor = db.executemany(operation, parameters)
    try:
        return _Done(cursor.description, (), cursor.rowcount, cursor.lastrowid)
    finally:
        cursor.close()
