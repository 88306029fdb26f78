"""The vault in PostgreSQL: the lanes' rows are locked, so two workers with one gateway's batches are correct.

The ordinary batch goes on where this worker left its lane. Such batches are stored in one round trip: a single statement
that does nothing unless every lane still stands there. Everything else, and whatever another worker has moved meanwhile,
goes the careful way: lock, look, judge, store.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import asyncpg

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
from gatehouse_fleet.ingest.verdict import Found, Known, LaneState, Verdict, is_plain, judge, plain
from gatehouse_fleet.store import Store

_CONNECT_LIMIT_S: Final = 10.0
_COMMAND_LIMIT_S: Final = 60.0
_MAKE: Final = (
    "INSERT INTO lane_cursor (gateway_no, lane, epoch, seq, hash, epoch_number, last_seq, moved_us)"
    " SELECT g, l, '', 0, decode(repeat('00', 32), 'hex'), 0, 0, 0 FROM unnest($1::bigint[], $2::smallint[]) AS w (g, l)"
    " ON CONFLICT DO NOTHING"
)
# Always in the same order: two workers with the same lanes wait for each other instead of for ever.
_LOCK: Final = (
    "SELECT gateway_no, lane, epoch, seq, hash, doubt, epoch_number, last_seq FROM lane_cursor"
    " JOIN unnest($1::bigint[], $2::smallint[]) AS w (g, l) ON gateway_no = g AND lane = l"
    " ORDER BY gateway_no, lane FOR UPDATE OF lane_cursor"
)
_MOVE: Final = (
    "UPDATE lane_cursor SET epoch = n.epoch, seq = n.seq, hash = n.hash, doubt = n.doubt,"
    " epoch_number = n.epoch_number, last_seq = n.last_seq, moved_us = $9"
    " FROM unnest($1::bigint[], $2::smallint[], $3::bytea[], $4::bigint[], $5::bytea[], $6::text[], $7::bigint[],"
    " $8::bigint[]) AS n (gateway_no, lane, epoch, seq, hash, doubt, epoch_number, last_seq)"
    " WHERE lane_cursor.gateway_no = n.gateway_no AND lane_cursor.lane = n.lane"
)
_RUNS: Final = "SELECT number, removed_through FROM epoch WHERE gateway_no = $1 AND lane = $2 AND epoch = $3 ORDER BY number"
_KNOWN: Final = (
    "SELECT seq, at_us, boot, mono_ns, kind, body_hash, prev_hash, CASE doubt WHEN 'hash' THEN body END FROM entry"
    " WHERE gateway_no = $1 AND lane = $2 AND epoch_number = $3 AND seq BETWEEN $4 AND $5"
)
_GO_ON: Final = (
    "WITH wanted AS MATERIALIZED (SELECT * FROM unnest($2::bigint[], $3::smallint[], $4::bytea[], $5::bigint[], $6::bytea[],"  # noqa: S608  # constants
    " $7::bigint[], $8::bigint[], $9::bytea[])"
    " AS w (gateway_no, lane, epoch, seq, hash, epoch_number, new_seq, new_hash)),"
    " held AS MATERIALIZED (SELECT w.* FROM lane_cursor c JOIN wanted w ON c.gateway_no = w.gateway_no AND c.lane = w.lane"
    " WHERE c.epoch = w.epoch AND c.seq = w.seq AND c.hash = w.hash AND c.epoch_number = w.epoch_number AND c.doubt IS NULL"
    " ORDER BY c.gateway_no, c.lane FOR UPDATE OF c),"
    " fits AS MATERIALIZED (SELECT (SELECT count(*) FROM held) = (SELECT count(*) FROM wanted) AS all_of_them),"
    " moved AS (UPDATE lane_cursor SET seq = h.new_seq, hash = h.new_hash, last_seq = h.new_seq, moved_us = $1 FROM held h"
    " WHERE (SELECT all_of_them FROM fits) AND lane_cursor.gateway_no = h.gateway_no AND lane_cursor.lane = h.lane),"
    f" stored AS (INSERT INTO entry ({', '.join(ENTRY_COLUMNS)}) SELECT e.*, $1::bigint"
    " FROM unnest($10::bigint[], $11::smallint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::text[], $16::bigint[],"
    " $17::text[], $18::bytea[], $19::bytea[], $20::bytea[], $21::text[]) AS e WHERE (SELECT all_of_them FROM fits))"
    " SELECT all_of_them FROM fits"
)
"""A lane that stands elsewhere: nothing is stored of the whole group."""
_AT_ONCE: Final = 512
"""Entries; of more, COPY costs less than the round trips do."""
_REMEMBERED: Final = 50_000
"""Lanes of which a worker remembers where it left them."""
_OPEN_RUN: Final = (
    "INSERT INTO epoch (gateway_no, lane, number, epoch, first_seq, reason, opened_us)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)"
)
_FAULT: Final = "UPDATE gateway SET integrity_fault = $1, integrity_at = $2 WHERE no = $3"


class PostgresVault:
    """One connection of its own for each worker; opened again when it is lost."""

    def __init__(self, store: Store) -> None:
        self._dsn: Final = store.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: Any = None
        self._left: Final[dict[tuple[int, int], LaneState]] = {}
        """Where this worker left each lane: a guess, other workers move them too."""

    async def commit(self, group: Sequence[Submission], *, at_us: int) -> list[Verdict]:
        """Store a group; see `Vault`."""
        try:
            db = await self._connected()
            ordinary = [one for one in group if self._goes_on(one)]
            if sum(len(one.sealed.hashes) for one in ordinary) > _AT_ONCE:
                ordinary = []
            told = {one.lane: verdict for one, verdict in await self._go_on(db, ordinary, at_us)}
            careful = [one for one in group if one.lane not in told]
            if careful:
                async with db.transaction():
                    verdicts = await _judged(db, careful)
                    await _store(db, careful, verdicts, at_us)
                told.update({one.lane: verdict for one, verdict in zip(careful, verdicts, strict=True)})
        except asyncpg.DiskFullError as error:
            raise VaultFullError("the disk of the database is full") from error
        except (
            asyncpg.PostgresConnectionError,
            asyncpg.OperatorInterventionError,
            asyncpg.InsufficientResourcesError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            OSError,  # TimeoutError is one
        ) as error:
            self._abandon()
            raise VaultLostError(f"the database is away: {type(error).__name__}") from error
        except BaseException:
            # Cancelled or a fault of ours: whatever state the connection is in, nobody shall inherit it.
            self._abandon()
            raise
        self._remember(told)
        return [told[one.lane] for one in group]

    async def close(self) -> None:
        """Close the connection."""
        db, self._connection = self._connection, None
        if db is not None:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await db.close(timeout=_CONNECT_LIMIT_S)

    def _goes_on(self, one: Submission) -> bool:
        state = self._left.get(one.lane)
        return state is not None and is_plain(one.sealed, state)

    async def _go_on(
        self,
        db: Any,  # noqa: ANN401  # asyncpg has no types
        group: Sequence[Submission],
        at_us: int,
    ) -> list[tuple[Submission, Verdict]]:
        """Store batches that go on where this worker left their lanes; nothing of them when one lane stands elsewhere by now."""
        if not group:
            return []
        states = [self._left.pop(one.lane) for one in group]
        verdicts = [plain(one.sealed, state) for one, state in zip(group, states, strict=True)]
        lanes = [
            (*one.lane, epoch_bytes(was.epoch), was.seq, was.hash, was.number, verdict.state.seq, verdict.state.hash)
            for one, was, verdict in zip(group, states, verdicts, strict=True)
        ]  # fmt: skip
        rows = [
            row[:-1]
            for one, verdict in zip(group, verdicts, strict=True)
            for row in entry_rows(one, verdict, at_us=at_us)
        ]
        is_stored = await db.fetchval(_GO_ON, at_us, *_columns(lanes), *_columns(rows))
        return list(zip(group, verdicts, strict=True)) if is_stored else []

    def _remember(self, told: Mapping[tuple[int, int], Verdict]) -> None:
        for lane, verdict in told.items():
            self._left.pop(lane, None)
            if verdict.state.epoch and verdict.state.doubt is None:
                self._left[lane] = verdict.state
        while len(self._left) > _REMEMBERED:
            del self._left[next(iter(self._left))]

    async def _connected(self) -> Any:  # noqa: ANN401  # asyncpg has no types
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn, timeout=_CONNECT_LIMIT_S, command_timeout=_COMMAND_LIMIT_S
            )
        return self._connection

    def _abandon(self) -> None:
        db, self._connection = self._connection, None
        if db is not None:
            db.terminate()


async def _judged(db: Any, group: Sequence[Submission]) -> list[Verdict]:  # noqa: ANN401  # asyncpg has no types
    gateways = [submission.lane[0] for submission in group]
    lanes = [submission.lane[1] for submission in group]
    rows = await db.fetch(_LOCK, gateways, lanes)
    if len(rows) < len(group):
        await db.execute(_MAKE, gateways, lanes)
        rows = await db.fetch(_LOCK, gateways, lanes)
    states = {(row[0], row[1]): state_of(tuple(row)[2:]) for row in rows}
    return [
        judge(submission.sealed, await _find(db, submission, states[submission.lane])) for submission in group
    ]


async def _find(db: Any, submission: Submission, state: LaneState) -> Found:  # noqa: ANN401  # asyncpg has no types
    sealed, lane = submission.sealed, submission.lane
    keys: frozenset[str] = frozenset()
    if sealed.needs_keys:
        rows = await db.fetch("SELECT key FROM journal_key WHERE gateway_no = $1", lane[0])
        keys = frozenset(bytes(row[0]).hex() for row in rows)
    numbers = repeats(submission, state)
    if numbers is None:
        return Found(state=state, keys=keys)
    runs = await db.fetch(_RUNS, *lane, sealed.epoch)
    known: dict[int, list[Known]] = {}
    for number, _ in runs:
        for stored in await db.fetch(_KNOWN, *lane, number, *numbers):
            known.setdefault(stored[0], []).append(Known(*stored))
    return Found(
        state=state,
        is_known_epoch=bool(runs),
        removed_through=max((removed for _, removed in runs), default=0),
        known=known,
        keys=keys,
    )


async def _store(
    db: Any,  # noqa: ANN401  # asyncpg has no types
    group: Sequence[Submission],
    verdicts: Sequence[Verdict],
    at_us: int,
) -> None:
    moved: list[tuple[int, int, bytes, int, bytes, str | None, int, int]] = []
    records: list[tuple[object, ...]] = []
    for submission, verdict in zip(group, verdicts, strict=True):
        lane, state = submission.lane, verdict.state
        for run in verdict.runs:
            await db.execute(
                _OPEN_RUN, *lane, run.number, epoch_bytes(run.epoch), run.first_seq, run.reason, at_us
            )
        if verdict.spans:
            records.extend(entry_rows(submission, verdict, at_us=at_us))
            doubt = None if state.doubt is None else state.doubt.value
            moved.append(
                (
                    *lane,
                    epoch_bytes(state.epoch),
                    state.seq,
                    state.hash,
                    doubt,
                    state.number,
                    state.last_seq,
                )
            )
        if verdict.integrity is not None:
            await db.execute(_FAULT, verdict.integrity.value, at_us, lane[0])
    if records:
        await db.copy_records_to_table("entry", records=records, columns=ENTRY_COLUMNS)
        await db.execute(_MOVE, *_columns(moved), at_us)


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
