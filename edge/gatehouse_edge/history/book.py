"""The index file and the questions it answers. Blocking; the console asks from a thread, one question at a time.

| table | row | indexes |
|---|---|---|
| alarm | one alarm, its latest revision in short, and `words` to search in | raised_us; closed_us |
| revision | one entry of kind `alarm` | alarm; at_us |
| deed | one entry of another kind that a person may ask about | at_us; subject |
| place | where the reading of the journal stands, and which journal that is | |

Every question has a bound: pages of alarms and deeds, revisions of one alarm, open alarms of one moment. Only searching in words
walks over the alarms of the asked time; at 100 000 of them that takes a tenth of a second (docs/benchmarks.md).
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gatehouse_edge.history import fold
from gatehouse_edge.history.rows import (
    FOREVER,
    Cursor,
    Deed,
    Moment,
    PastAlarm,
    Revision,
    Tally,
    Wanted,
    microseconds,
    said_of,
    words_of,
)
from gatehouse_events.alarm import Alarm, Change
from gatehouse_events.chain import Entry, EntryKind, Lane
from gatehouse_events.drill import DrillReport
from gatehouse_events.records import ClockCorrection, Erased, RecordError, decode
from gatehouse_journal import Reader

FILE: Final = "history.db"
MAX_PAGE: Final = 500
MAX_OPEN: Final = 500
"""Open alarms of one moment that are shown."""
MAX_REVISIONS: Final = 500
_BATCH: Final = 2000
_VERSION: Final = 3
"""Of the tables; another one is built anew from the journal."""
_SCHEMA: Final = """
CREATE TABLE place (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, proof BLOB NOT NULL) STRICT;
CREATE TABLE alarm (
  alarm_id TEXT PRIMARY KEY, device_id TEXT NOT NULL, code TEXT NOT NULL, category TEXT NOT NULL, kind TEXT NOT NULL,
  priority TEXT NOT NULL, state TEXT NOT NULL, raised_us INTEGER NOT NULL, changed_us INTEGER NOT NULL,
  closed_us INTEGER NOT NULL, acked_by TEXT NOT NULL, acked_us INTEGER, disposition TEXT NOT NULL, times INTEGER NOT NULL,
  evidence INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, closed_seq INTEGER NOT NULL,
  words TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX alarm_raised ON alarm (raised_us, alarm_id);
CREATE INDEX alarm_closed ON alarm (closed_us);
CREATE INDEX alarm_closed_seq ON alarm (closed_seq);
CREATE TABLE revision (
  seq INTEGER PRIMARY KEY, alarm_id TEXT NOT NULL, at_us INTEGER NOT NULL, boot TEXT NOT NULL, mono_ns INTEGER NOT NULL,
  is_settled INTEGER NOT NULL, what TEXT NOT NULL, state TEXT NOT NULL, actor TEXT NOT NULL, role TEXT NOT NULL,
  station TEXT NOT NULL, wait_s REAL NOT NULL, text TEXT NOT NULL) STRICT;
CREATE INDEX revision_alarm ON revision (alarm_id, seq);
CREATE INDEX revision_at ON revision (at_us, seq);
CREATE INDEX revision_boot ON revision (boot, mono_ns) WHERE NOT is_settled;
CREATE TABLE deed (
  seq INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, boot TEXT NOT NULL, mono_ns INTEGER NOT NULL, is_settled INTEGER NOT NULL,
  kind TEXT NOT NULL, what TEXT NOT NULL, actor TEXT NOT NULL, station TEXT NOT NULL, subject TEXT NOT NULL,
  text TEXT NOT NULL) STRICT;
CREATE INDEX deed_at ON deed (at_us, seq);
CREATE INDEX deed_node ON deed (seq) WHERE what = 'node_updated';
CREATE INDEX deed_drill ON deed (seq) WHERE kind = 'drill';
CREATE INDEX deed_subject ON deed (subject, seq);
CREATE INDEX deed_boot ON deed (boot, mono_ns) WHERE NOT is_settled;
CREATE TABLE correction (boot TEXT PRIMARY KEY, zero_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
_ALARM_COLUMNS: Final = (
    "alarm_id, device_id, code, kind, priority, state, raised_us, changed_us, closed_us, acked_by, acked_us, disposition,"
    " times, evidence, first_seq, last_seq"
)
_log = logging.getLogger(__name__)


class Progress(Struct, frozen=True, kw_only=True):
    """How far the journal has been read."""

    seq: int
    behind: int
    """Entries not read yet; 0: everything."""


class History:
    """The index over one journal. Thread safe: one question at a time."""

    def __init__(self, path: Path, reader: Reader) -> None:
        """Open or make the index.

        Args:
            path: of its file; the folder exists.
            reader: of the journal, for this index alone.
        """
        self._path: Final = path
        self._reader: Final = reader
        self._lock: Final = threading.Lock()
        self._db = self._connect()

    def close(self) -> None:
        """Close the file; the reader is its owner's."""
        with self._lock:
            self._db.close()

    def catch_up(self, *, budget_s: float) -> Progress:
        """Read what is new in the journal, for about this long, and say how much is left.

        Raises:
            JournalError: the journal cannot be read.
            sqlite3.Error: the index cannot be written (a full disk).
        """
        with self._lock:
            ends = time.monotonic() + budget_s
            try:
                self._check_journal()
                while self._read_on() and time.monotonic() < ends:
                    pass
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                _log.warning("the index over the journal is damaged and is made anew: %s", error)
                self._begin_anew()
            seq = self._seq()
            return Progress(seq=seq, behind=max(0, self._reader.head(Lane.ALARM).seq - seq))

    def alarms(
        self, wanted: Wanted, *, after: Cursor | None = None, limit: int = 100
    ) -> tuple[list[PastAlarm], Cursor | None]:
        """Return a page of alarms, newest first, and where the next page begins (None: this was the last)."""
        where, values = _where(wanted)
        if after is not None:
            where.append("(raised_us, alarm_id) < (?, ?)")
            values += [after.raised_us, after.alarm_id]
        count = min(limit, MAX_PAGE)
        rows = self._ask(
            f"SELECT {_ALARM_COLUMNS} FROM alarm WHERE {' AND '.join(where)}"  # noqa: S608  # conditions of our own, values bound
            " ORDER BY raised_us DESC, alarm_id DESC LIMIT ?",
            [*values, count + 1],
        )
        found = [_past(row) for row in rows[:count]]
        return found, Cursor(found[-1].raised_us, found[-1].alarm_id) if len(rows) > count else None

    def alarm(self, alarm_id: str) -> PastAlarm | None:
        """Return one alarm, None if the index has none of this id."""
        rows = self._ask(f"SELECT {_ALARM_COLUMNS} FROM alarm WHERE alarm_id = ?", [alarm_id])  # noqa: S608  # a constant
        return _past(rows[0]) if rows else None

    def tallies(self, wanted: Wanted, *, bucket_us: int) -> list[Tally]:
        """Return how many of the alarms were raised in each stretch of the asked time; at most 500 stretches."""
        where, values = _where(wanted, is_raised_within=True)
        width = max(bucket_us, (wanted.to_us - wanted.from_us) // 500 + 1, 1)
        rows = self._ask(
            "SELECT category, priority, (raised_us - ?) / ? AS bucket, count(*) FROM alarm"  # noqa: S608  # as above
            f" WHERE {' AND '.join(where)} GROUP BY category, priority, bucket ORDER BY category, priority, bucket",
            [wanted.from_us, width, *values],
        )
        return [Tally(category=row[0], priority=row[1], bucket=row[2], count=row[3]) for row in rows]

    def story(self, alarm_id: str, *, after: int = 0) -> list[Revision]:
        """Return what happened to one alarm, oldest first, at most `MAX_REVISIONS` after a sequence number."""
        rows = self._ask(
            "SELECT seq, alarm_id, at_us, what, state, actor, role, station, wait_s, text FROM revision"
            " WHERE alarm_id = ? AND seq > ? ORDER BY seq LIMIT ?",
            [alarm_id, after, MAX_REVISIONS],
        )
        return [_revision(row) for row in rows]

    def revisions(self, from_us: int, to_us: int, *, what: str, limit: int) -> list[Revision]:
        """Return what happened to alarms in [from, to) of one sort (`acknowledged`), oldest first."""
        rows = self._ask(
            "SELECT seq, alarm_id, at_us, what, state, actor, role, station, wait_s, text FROM revision"
            " WHERE at_us >= ? AND at_us < ? AND what = ? ORDER BY at_us, seq LIMIT ?",
            [from_us, to_us, what, limit],
        )
        return [_revision(row) for row in rows]

    def deeds(
        self,
        from_us: int,
        to_us: int,
        *,
        after: int | None = None,
        kinds: Sequence[str] = (),
        limit: int = 100,
    ) -> list[Deed]:
        """Return what else happened in [from, to), newest first; `after`: the `seq` where the last page ended."""
        marks = ",".join("?" * len(kinds))
        rows = self._ask(
            "SELECT seq, at_us, kind, what, actor, station, subject, text FROM deed"  # noqa: S608  # marks only
            f" WHERE at_us >= ? AND at_us < ? AND seq < ?{f' AND kind IN ({marks})' if kinds else ''} ORDER BY seq DESC LIMIT ?",
            [from_us, to_us, FOREVER if after is None else after, *kinds, min(limit, MAX_PAGE)],
        )
        return [_deed(row) for row in rows]

    def deeds_of(self, subject: str, *, limit: int = 100) -> list[Deed]:
        """Return what was done about one alarm, device or output besides the alarm's own revisions, oldest first."""
        rows = self._ask(
            "SELECT seq, at_us, kind, what, actor, station, subject, text FROM deed WHERE subject = ? ORDER BY seq LIMIT ?",
            [subject, min(limit, MAX_PAGE)],
        )
        return [_deed(row) for row in rows]

    def firmware(self) -> dict[str, str]:
        """Return the version that each node took last over its bus; nothing for nodes nobody has updated."""
        rows = self._ask("SELECT subject, text FROM deed WHERE what = 'node_updated' ORDER BY seq", ())
        return {str(device_id): str(version) for device_id, version in rows}

    def drills(self, *, before: int | None = None, limit: int = 20) -> list[tuple[int, DrillReport]]:
        """Return the reports of drills with their sequence numbers, newest first; `before`: where the last page ended."""
        with self._lock:
            rows = self._db.execute(
                "SELECT seq FROM deed WHERE kind = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
                (EntryKind.DRILL.value, FOREVER if before is None else before, min(limit, MAX_PAGE)),
            ).fetchall()
            entries = [entry for (seq,) in rows for entry in self._reader.read(Lane.ALARM, seq - 1, 1)]
        reports = [(entry.seq, fold.drill_of(entry)) for entry in entries]
        return [(seq, report) for seq, report in reports if report is not None]

    def revision(self, seq: int) -> Alarm | None:
        """Return an alarm as one entry of the journal has it, None if that is not there any more."""
        with self._lock:
            change = self._change(seq)
        return None if change is None else change.alarm

    def moment(self, at_us: int) -> Moment:
        """Return what the screen knew at one moment: every alarm open then, as it stood then."""
        with self._lock:
            row = self._db.execute(
                "SELECT seq, at_us FROM revision WHERE at_us <= ? ORDER BY at_us DESC, seq DESC LIMIT 1",
                (at_us,),
            ).fetchone()
            if row is None:
                return Moment(at_us=at_us, seq=0, alarms=(), service_s=0.0, is_whole=True)
            last, last_us = int(row[0]), int(row[1])
            seqs = self._db.execute(
                "SELECT (SELECT max(seq) FROM revision r WHERE r.alarm_id = a.alarm_id AND r.seq <= ?) FROM alarm a"
                " WHERE closed_seq > ? AND first_seq <= ? LIMIT ?",
                (last, last, last, MAX_OPEN + 1),
            ).fetchall()
            changes = [self._change(int(seq)) for (seq,) in seqs[:MAX_OPEN] if seq is not None]
            newest = self._change(last)
        alarms = tuple(change.alarm for change in changes if change is not None)
        service_s = 0.0 if newest is None else newest.alarm.changed_s + (at_us - last_us) / 1e6
        return Moment(
            at_us=at_us, seq=last, alarms=alarms, service_s=service_s, is_whole=len(seqs) <= MAX_OPEN
        )

    # --- reading the journal

    def _change(self, seq: int) -> Change | None:
        found = self._reader.read(Lane.ALARM, seq - 1, 1)
        return fold.change_of(found[0]) if found and found[0].seq == seq else None

    def _connect(self) -> sqlite3.Connection:
        try:
            return _open(self._path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            _log.warning("the index over the journal cannot be read and is made anew: %s", error)
            _remove(self._path)
            return _open(self._path)

    def _begin_anew(self) -> None:
        self._db.close()
        _remove(self._path)
        self._db = _open(self._path)

    def _seq(self) -> int:
        row = self._db.execute("SELECT seq FROM place").fetchone()
        return 0 if row is None else int(row[0])

    def _check_journal(self) -> None:
        """Begin anew when this is the index of another journal, and let go what the journal no longer holds."""
        row = self._db.execute("SELECT seq, proof FROM place").fetchone()
        if row is None:
            return
        found = self._reader.read(Lane.ALARM, int(row[0]) - 1, 1)
        if not found or found[0].seq != row[0] or _proof(found[0]) != row[1]:
            _log.info("the journal is another one: its index is made anew")
            self._begin_anew()
            return
        first = self._reader.read(Lane.ALARM, 0, 1)[0].seq
        oldest = self._db.execute("SELECT min(seq) FROM revision").fetchone()[0]
        if oldest is not None and oldest < first:
            with self._transaction():
                self._db.execute("DELETE FROM revision WHERE seq < ?", (first,))
                self._db.execute("DELETE FROM deed WHERE seq < ?", (first,))
                self._db.execute("DELETE FROM alarm WHERE last_seq < ?", (first,))

    def _read_on(self) -> bool:
        """Take one batch of entries; return whether there may be more."""
        entries = self._reader.read(Lane.ALARM, self._seq(), _BATCH)
        if not entries:
            return False
        with self._transaction():
            zeros = dict(self._db.execute("SELECT boot, zero_us FROM correction").fetchall())
            for entry in entries:
                self._take(entry, zeros)
            last = entries[-1]
            self._db.execute("INSERT OR REPLACE INTO place VALUES (1, ?, ?)", (last.seq, _proof(last)))
        return len(entries) == _BATCH

    def _take(self, entry: Entry, zeros: dict[str, int]) -> None:
        zero_us = zeros.get(entry.boot)
        at_us = entry.at_us if zero_us is None else zero_us + entry.mono_ns // 1000
        match entry.kind:
            case EntryKind.ALARM:
                change = fold.change_of(entry)
                if change is not None:
                    self._take_change(entry, change, at_us)
            case EntryKind.CLOCK:
                self._correct(entry, zeros)
            case EntryKind.ERASED:
                self._forget(entry)
            case _:
                deed = fold.deed_of(entry, at_us)
                if deed is not None and deed.what == fold.KEPT:
                    self._db.execute(
                        "UPDATE alarm SET evidence = max(evidence, 1) WHERE alarm_id = ?", (deed.subject,)
                    )
                if deed is not None:
                    self._db.execute(
                        "INSERT OR REPLACE INTO deed VALUES (?,?,?,?,0,?,?,?,?,?,?)",
                        (
                            deed.seq, at_us, entry.boot, entry.mono_ns, deed.kind, deed.what, deed.actor, deed.station,
                            deed.subject, deed.text,
                        ),
                    )  # fmt: skip

    def _take_change(self, entry: Entry, change: Change, at_us: int) -> None:
        alarm, actor = change.alarm, change.actor
        text = said_of(change)
        self._db.execute(
            "INSERT OR REPLACE INTO revision VALUES (?,?,?,?,?,0,?,?,?,?,?,?,?)",
            (
                entry.seq, alarm.alarm_id, at_us, entry.boot, entry.mono_ns, change.what.value, alarm.state.value, actor.name,
                actor.role, actor.station, max(0.0, alarm.changed_s - alarm.unack_since_s), text[:500],
            ),
        )  # fmt: skip
        is_open = alarm.is_open
        self._db.execute(
            "INSERT INTO alarm VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (alarm_id) DO UPDATE SET"
            " state = excluded.state, changed_us = excluded.changed_us, closed_us = excluded.closed_us,"
            " acked_by = excluded.acked_by, acked_us = excluded.acked_us, disposition = excluded.disposition,"
            " times = excluded.times, evidence = excluded.evidence, last_seq = excluded.last_seq,"
            " closed_seq = excluded.closed_seq, words = excluded.words",
            (
                alarm.alarm_id, alarm.device_id, alarm.code, alarm.category, alarm.kind.value, alarm.priority.value,
                alarm.state.value, at_us, at_us, FOREVER if is_open else at_us, alarm.acked_by or "",
                microseconds(alarm.acked_at), alarm.disposition.value if alarm.disposition else "", alarm.times,
                len(alarm.evidence), entry.seq, entry.seq, FOREVER if is_open else entry.seq, words_of(alarm),
            ),
        )  # fmt: skip

    def _correct(self, entry: Entry, zeros: dict[str, int]) -> None:
        """Set the times of everything that this boot wrote and that no clock entry has settled yet."""
        try:
            correction = decode(entry.body or b"", ClockCorrection)
        except RecordError:
            return
        boot, zero_us = correction.boot, correction.zero_us
        zeros[boot] = zero_us
        self._db.execute("INSERT OR REPLACE INTO correction VALUES (?, ?)", (boot, zero_us))
        touched = self._db.execute(
            "SELECT DISTINCT alarm_id FROM revision WHERE boot = ? AND NOT is_settled AND mono_ns <= ?",
            (boot, entry.mono_ns),
        ).fetchall()
        for table in ("revision", "deed"):
            self._db.execute(
                f"UPDATE {table} SET at_us = ? + mono_ns / 1000, is_settled = 1"  # noqa: S608  # a constant
                " WHERE boot = ? AND NOT is_settled AND mono_ns <= ?",
                (zero_us, boot, entry.mono_ns),
            )
        self._db.executemany(
            "UPDATE alarm SET raised_us = coalesce((SELECT at_us FROM revision WHERE seq = first_seq), raised_us),"
            " changed_us = coalesce((SELECT at_us FROM revision WHERE seq = last_seq), changed_us),"
            " closed_us = coalesce((SELECT at_us FROM revision WHERE seq = closed_seq), closed_us) WHERE alarm_id = ?",
            touched,
        )

    def _forget(self, entry: Entry) -> None:
        """Bodies were erased from the journal: what the index has of them goes as well."""
        try:
            erased = decode(entry.body or b"", Erased)
        except RecordError:
            return
        if erased.lane is not Lane.ALARM:
            return
        for table in ("revision", "deed"):
            self._db.executemany(f"DELETE FROM {table} WHERE seq BETWEEN ? AND ?", erased.ranges)  # noqa: S608  # a constant
        self._db.executemany("DELETE FROM alarm WHERE last_seq BETWEEN ? AND ?", erased.ranges)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _ask(self, sql: str, values: Iterable[object]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, tuple(values)).fetchall()


def _where(wanted: Wanted, *, is_raised_within: bool = False) -> tuple[list[str], list[object]]:
    """Return the conditions of a question and their values."""
    where, values = ["raised_us < ?"], list[object]([wanted.to_us])
    if is_raised_within:
        where.append("raised_us >= ?")
        values.append(wanted.from_us)
    else:
        where.append("closed_us >= ?")
        values.append(wanted.from_us)
    for column, among in (
        ("category", wanted.categories),
        ("priority", wanted.priorities),
        ("kind", wanted.kinds),
        ("device_id", wanted.devices),
    ):
        if among:
            where.append(f"{column} IN (SELECT value FROM json_each(?))")  # noqa: S608  # columns of our own
            values.append(_list(among))
    for term in wanted.terms:
        where.append("(instr(words, ?) > 0 OR device_id IN (SELECT value FROM json_each(?)))")
        values += [term.text, _list(term.devices)]
    if wanted.has_evidence:
        where.append("evidence > 0")
    return where, values


def _list(values: Sequence[str]) -> str:
    """Return a list as one value of a question, however long it is."""
    return msgspec.json.encode(values).decode()


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        known = db.execute("PRAGMA user_version").fetchone()[0]
        if known not in {0, _VERSION}:
            raise sqlite3.DatabaseError("tables of another version")  # noqa: TRY301  # as damaged as any
        if known == 0:
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    except BaseException:
        db.close()
        raise
    return db


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _proof(entry: Entry) -> bytes:
    return bytes.fromhex(entry.epoch) + entry.prev_hash + entry.body_hash


def _past(row: tuple[Any, ...]) -> PastAlarm:
    fields = dict(zip(PastAlarm.__struct_fields__, row, strict=True))
    if fields["closed_us"] == FOREVER:
        fields["closed_us"] = None
    return PastAlarm(**fields)


def _revision(row: tuple[Any, ...]) -> Revision:
    return Revision(**dict(zip(Revision.__struct_fields__, row, strict=True)))


def _deed(row: tuple[Any, ...]) -> Deed:
    return Deed(**dict(zip(Deed.__struct_fields__, row, strict=True)))
