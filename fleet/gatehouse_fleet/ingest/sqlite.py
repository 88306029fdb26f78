"""The vault in SQLite: a connection and a thread of its own, plain SQL, one synced commit for each group."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from gatehouse_events.chain import epoch_bytes
from gatehouse_fleet.ingest.vault import (
    ENTRY_COLUMNS,
    Submission,
    VaultFullError,
    VaultLostError,
    entry_rows,
    repeats,
    state_of,
)
from gatehouse_fleet.ingest.verdict import Found, Known, LaneState, Verdict, judge
from gatehouse_fleet.store import Store

_BUSY_S: Final = 10.0
_FULL: Final = frozenset({sqlite3.SQLITE_FULL})
_INSERT: Final = (
    f"INSERT INTO entry ({', '.join(ENTRY_COLUMNS)}) VALUES ({', '.join('?' * len(ENTRY_COLUMNS))})"  # noqa: S608  # constants
)
_STATE: Final = "SELECT epoch, seq, hash, doubt, epoch_number, last_seq FROM lane_cursor WHERE gateway_no = ? AND lane = ?"
_MOVE: Final = (
    "INSERT INTO lane_cursor (gateway_no, lane, epoch, seq, hash, doubt, epoch_number, last_seq, moved_us)"
    " VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (gateway_no, lane) DO UPDATE SET epoch = excluded.epoch,"
    " seq = excluded.seq, hash = excluded.hash, doubt = excluded.doubt, epoch_number = excluded.epoch_number,"
    " last_seq = excluded.last_seq, moved_us = excluded.moved_us"
)
_RUNS: Final = "SELECT number, removed_through FROM epoch WHERE gateway_no = ? AND lane = ? AND epoch = ? ORDER BY number"
_KNOWN: Final = (
    "SELECT seq, at_us, boot, mono_ns, kind, body_hash, prev_hash, CASE doubt WHEN 'hash' THEN body END FROM entry"
    " WHERE gateway_no = ? AND lane = ? AND epoch_number = ? AND seq BETWEEN ? AND ?"
)
_OPEN_RUN: Final = (
    "INSERT INTO epoch (gateway_no, lane, number, epoch, first_seq, reason, opened_us) VALUES (?,?,?,?,?,?,?)"
)
_FAULT: Final = "UPDATE gateway SET integrity_fault = ?, integrity_at = ? WHERE no = ?"


class SqliteVault:
    """One writer; `Store.write_lock` is held while it writes."""

    def __init__(self, store: Store) -> None:
        self._store: Final = store
        self._thread: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest")
        self._db: sqlite3.Connection | None = None

    async def commit(self, group: Sequence[Submission], *, at_us: int) -> list[Verdict]:
        """Store a group; see `Vault`."""
        async with self._store.write_lock:
            work = asyncio.get_running_loop().run_in_executor(self._thread, self._commit, group, at_us)
            try:
                await asyncio.wait([work])
            finally:
                # Cancelled meanwhile: the thread still writes, and nobody else may until it is done.
                if not work.done():
                    await asyncio.wait([work])
            return work.result()

    async def close(self) -> None:
        """Close the connection behind whatever is being written."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)

    def _commit(self, group: Sequence[Submission], at_us: int) -> list[Verdict]:
        try:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                verdicts = [judge(submission.sealed, _find(db, submission)) for submission in group]
                _store(db, group, verdicts, at_us)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode in _FULL:
                raise VaultFullError("the disk of the database is full") from error
            self._close()
            raise VaultLostError(f"the database cannot be written: {error}") from error
        return verdicts

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            db = sqlite3.connect(
                str(self._store.url.database), timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            self._db = db
        return self._db

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()


def _find(db: sqlite3.Connection, submission: Submission) -> Found:
    sealed, lane = submission.sealed, submission.lane
    row = db.execute(_STATE, lane).fetchone()
    state = LaneState() if row is None else state_of(row)
    keys: frozenset[str] = frozenset()
    if sealed.needs_keys:
        rows = db.execute("SELECT key FROM journal_key WHERE gateway_no = ?", lane[:1])
        keys = frozenset(bytes(key).hex() for (key,) in rows)
    numbers = repeats(submission, state)
    if numbers is None:
        return Found(state=state, keys=keys, told=submission.told)
    runs = db.execute(_RUNS, (*lane, sealed.epoch)).fetchall()
    known: dict[int, list[Known]] = {}
    for number, _ in runs:
        for stored in db.execute(_KNOWN, (*lane, number, *numbers)):
            known.setdefault(stored[0], []).append(Known(*stored))
    return Found(
        state=state,
        is_known_epoch=bool(runs),
        removed_through=max((removed for _, removed in runs), default=0),
        known=known,
        keys=keys,
        told=submission.told,
    )


def _store(
    db: sqlite3.Connection, group: Sequence[Submission], verdicts: Sequence[Verdict], at_us: int
) -> None:
    for submission, verdict in zip(group, verdicts, strict=True):
        lane, state = submission.lane, verdict.state
        for run in verdict.runs:
            db.execute(
                _OPEN_RUN,
                (*lane, run.number, epoch_bytes(run.epoch), run.first_seq, run.reason, at_us),
            )
        if verdict.spans:
            db.executemany(_INSERT, entry_rows(submission, verdict, at_us=at_us))
            db.execute(
                _MOVE,
                (
                    *lane, epoch_bytes(state.epoch), state.seq, state.hash,
                    None if state.doubt is None else state.doubt.value, state.number, state.last_seq, at_us,
                ),
            )  # fmt: skip
        if verdict.integrity is not None:
            db.execute(_FAULT, (verdict.integrity.value, at_us, lane[0]))
