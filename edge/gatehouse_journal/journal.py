"""The one writer of a gateway's journal.

Everything an alarm needs commits in one synced transaction of the alarm file: its entries, the state and the
counters. Telemetry has a file of its own; nothing that an alarm needs stands there.

Sequence numbers of a lane never go back while the directory lives, not even over a new epoch, so a reader's
cursor stays a plain number. A chain starts afresh with each epoch.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from gatehouse_events.chain import (
    ZERO_HASH,
    ChainError,
    Entry,
    EntryKind,
    Lane,
    Position,
    Stamp,
    canonical,
    chain,
    entry_hash,
)
from gatehouse_events.records import (
    Checkpoint,
    Epoch,
    Erased,
    Head,
    LaneStart,
)
from gatehouse_journal import opening, tables
from gatehouse_journal.ballast import Ballast
from gatehouse_journal.clockwork import ClockTable, prunable_through
from gatehouse_journal.errors import BadEntryError, JournalBrokenError, JournalError, StorageFullError
from gatehouse_journal.faults import (
    SQL_ERRORS,
    SqlError,
    code,
    is_corruption,
    is_out_of_space,
)
from gatehouse_journal.health import FILLING_AT, Health, Limits
from gatehouse_journal.lane import LaneFile, head_position
from gatehouse_journal.lock import WriterLock
from gatehouse_journal.opening import Care
from gatehouse_journal.salvage import NEARLY_FULL_BYTES
from gatehouse_journal.signer import Signer
from gatehouse_journal.statements import Statements, declared, records

_log = logging.getLogger(__name__)

_RESERVE: Final = 65_536
"""Telemetry sequence numbers reserved at a time: one synced write each so many readings."""
_TRIM_SHARE: Final = 10
"""A full telemetry lane gives up a tenth of its entries, so trimming is rare and cheap."""
_PRUNE_AT_ONCE: Final = 5_000
"""An alarm must never wait long for old entries to go."""
_FULL_CODES: Final = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL})

_T = TypeVar("_T")


class NewEntry(Struct, frozen=True, kw_only=True):
    """Something to be written down."""

    kind: str
    body: bytes
    """Canonical JSON (`canonical`)."""
    stamp: Stamp


class Batch(Struct, frozen=True, kw_only=True):
    """What goes into the alarm file together or not at all."""

    entries: Sequence[NewEntry] = ()
    state: Mapping[str, bytes | None] = {}
    """None deletes the key."""
    counters: Mapping[str, int] = {}


class Journal:
    """The writer. One call at a time, from any thread; every call may block on the disk."""

    def __init__(  # `open` is the way in
        self, directory: Path, *, limits: Limits, signer: Signer, lock: WriterLock, ballast: Ballast
    ) -> None:
        self.directory: Final = directory
        self._limits: Final = limits
        self._signer: Final = signer
        self._statements: Final = Statements(signer)
        self._lock: Final = lock
        self._ballast: Final = ballast
        self._alarm: LaneFile
        self._telemetry: LaneFile
        self._epoch = ""
        self._heads: dict[Lane, Position] = {}
        self._reserved = 0
        self._unsigned = 0
        self._integrity: list[str] = []
        self._telemetry_refused = 0
        self._is_broken = False
        self._is_closed = False

    @classmethod
    def open(cls, directory: Path, *, limits: Limits, signer: Signer, stamp: Stamp) -> Journal:
        """Open the journal in `directory`, creating or repairing it.

        Damage never refuses the start: what cannot be trusted is moved to `damaged/`, what can be read is kept,
        a new epoch begins and `health().integrity` says so.

        Raises:
            JournalLockedError: another process writes it.
            StorageFullError: not even the ballast leaves room to start.
            JournalBrokenError: the disk refuses.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = WriterLock.take(directory)
        journal = cls(
            directory,
            limits=limits,
            signer=signer,
            lock=lock,
            ballast=Ballast(directory, limits.ballast_bytes),
        )
        try:
            journal._begin(stamp)  # its own constructor
        except BaseException:
            journal._abandon()  # its own constructor
            raise
        journal._ballast.hold()  # its own constructor
        return journal

    @property
    def epoch(self) -> str:
        """This journal's life, 32 hex digits."""
        return self._epoch

    def head(self, lane: Lane) -> Position:
        """Return the last entry of `lane`."""
        return self._heads[lane]

    def commit(self, batch: Batch) -> list[Entry]:
        """Write `batch` and return its entries once they are on the disk; all of it or nothing.

        Raises:
            BadEntryError: an entry cannot be stored.
            StorageFullError: no space, the ballast included.
            JournalBrokenError: the disk refused; restart the process.
        """
        items = [(new.kind, new.body, new.stamp) for new in batch.entries]

        def work() -> list[Entry]:
            entries = self._extend(items)
            tables.write_state(self._alarm.db, batch.state)
            tables.write_counters(self._alarm.db, batch.counters)
            return entries

        entries = self._write(work)
        if self._unsigned >= self._limits.checkpoint_every and batch.entries:
            try:
                self.checkpoint(batch.entries[-1].stamp)
            except JournalError as error:
                # The batch is on the disk; the caller must not hear otherwise. The next commit tries again.
                _log.warning("checkpoint put off: %s", error)
        return entries

    def append_telemetry(self, entries: Sequence[NewEntry]) -> list[Entry]:
        """Write telemetry; a power cut (not a crash) may take the newest, and that is declared afterwards.

        Over its quota the lane gives up its oldest tenth, declared in the alarm lane first.

        Raises:
            BadEntryError: an entry cannot be stored.
            StorageFullError: no space; the ballast is for alarms only. The refusal is counted.
            JournalBrokenError: the disk refused; restart the process.
        """
        if not entries:
            return []
        if not self._hold_ballast():
            self._telemetry_refused += len(entries)
            raise StorageFullError("the disk was full: what room there is is kept for alarms")
        items = [(new.kind, new.body, new.stamp) for new in entries]
        last = self._heads[Lane.TELEMETRY].seq + len(items)
        if last > self._reserved:
            self._set_meta({tables.TELEMETRY_RESERVED: str(last + _RESERVE)})
            self._reserved = last + _RESERVE
        stamp = entries[-1].stamp
        try:
            chained = self._store_telemetry(items)
        except SQL_ERRORS as error:
            chained = self._after_telemetry_fault(error, items, stamp)
        if self._guard(self._telemetry.used_bytes) > self._limits.telemetry_quota_bytes:
            try:
                self.trim(stamp)
            except StorageFullError as error:
                _log.warning("telemetry trimming put off: %s", error)
        return chained

    def load_state(self, prefix: str = "") -> dict[str, bytes]:
        """Return the state keys that start with `prefix`. Damaged rows are left out and named in `health()`."""
        loaded = self._guard(lambda: tables.read_state(self._alarm.db))
        self._note_damaged("state", loaded.damaged)
        return {key: value for key, value in loaded.values.items() if key.startswith(prefix)}

    def load_counters(self) -> dict[str, int]:
        """Return all counters. Damaged rows are left out and named in `health()`."""
        loaded = self._guard(lambda: tables.read_counters(self._alarm.db))
        self._note_damaged("counter", loaded.damaged)
        return loaded.values

    def checkpoint(self, stamp: Stamp) -> Entry:
        """Sign the heads of both lanes; telemetry is settled on the disk first.

        Raises:
            StorageFullError: no space, the ballast included.
            JournalBrokenError: the disk refused.
        """
        self._guard(self._telemetry.settle)
        entry = self._write(lambda: self._extend([self._checkpoint(stamp)]))[0]
        self._unsigned = 0
        return entry

    def trim(self, stamp: Stamp) -> Entry | None:
        """Give up the oldest tenth of telemetry; the signed declaration is on the disk before the first row goes.

        A declaration also covers the holes just before it, so that a fleet far behind needs only the newest one.

        Returns:
            The `trimmed` entry, None when the lane is empty.
        """
        first, newest = self._guard(self._telemetry.first_seq), self._guard(self._telemetry.head)
        if first is None or newest is None:
            return None
        last = first + (newest[0].seq - first) // _TRIM_SHARE
        last_hash = self._guard(lambda: self._hash_through(last))
        since = self._guard(lambda: self._hole_start(Lane.TELEMETRY, first))
        item = self._trimmed(Lane.TELEMETRY, (since, last), last_hash, "quota", stamp)
        head = self._heads[Lane.TELEMETRY]
        # A new epoch and a power cut begin far behind the newest row: no trim takes that back.
        floor = head if head.seq > newest[0].seq else Position(self._epoch, last, last_hash)

        def work() -> list[Entry]:
            tables.write_meta(self._alarm.db, tables.floor_at(floor))
            return self._extend([item])

        entry = self._write(work)[0]
        self._guard(lambda: self._drop_telemetry(last))
        return entry

    def prune(self, *, receipt_seq: int, stamp: Stamp, is_clock_synced: bool) -> Entry | None:
        """Remove alarm entries that are signed for, received and older than the retention; all three.

        A few thousand at a time: call again while something went.

        Args:
            receipt_seq: the last entry whose receipt (city or fleet) is stored.
            stamp: now.
            is_clock_synced: an unsynchronised clock prunes nothing, wherever it stands.

        Returns:
            The `trimmed` entry, None when nothing may go.
        """
        if not is_clock_synced:
            return None
        last = self._guard(lambda: self._prunable(receipt_seq, stamp))
        first = self._guard(self._alarm.first_seq)
        if last is None or first is None or last < first:
            return None

        def work() -> list[Entry]:
            last_hash = self._alarm.hash_at(last) or ZERO_HASH
            since = self._hole_start(Lane.ALARM, first)
            items = [self._trimmed(Lane.ALARM, (since, last), last_hash, "retention", stamp)]
            items += [(str(EntryKind.TRIMMED), body, stamp) for body in self._still_needed(last)]
            entries = self._extend(items)
            self._alarm.delete_through(last)
            return entries

        entry = self._write(work)[0]
        self._guard(self._alarm.shrink)
        return entry

    def erase(self, lane: Lane, ranges: Sequence[tuple[int, int]], *, reason: str, stamp: Stamp) -> Entry:
        """Empty the bodies of runs of entries (first and last, both included); chain and headers stay.

        The declaration commits first, so a power cut never leaves an erasure undeclared.

        Raises:
            BadEntryError: the runs are empty, reversed or end behind the lane's head.
        """
        head = self._heads[lane].seq
        if not ranges or any(not 0 < first <= last <= head for first, last in ranges):
            raise BadEntryError(f"these are not runs of entries of lane {lane} up to {head}: {ranges!r}")
        body = canonical(Erased(lane=lane, ranges=tuple(ranges), reason=reason))
        file = self._alarm if lane is Lane.ALARM else self._telemetry
        entry = self._write(lambda: self._extend([(str(EntryKind.ERASED), body, stamp)]))[0]
        self._guard(lambda: self._erase(file, ranges))
        return entry

    def new_epoch(self, reason: str, stamp: Stamp, *, floor: Mapping[Lane, int] | None = None) -> Entry:
        """Begin a new life: history and fleet disagree, or the disk was restored from a copy.

        Args:
            reason: for whoever reads the journal later.
            stamp: now.
            floor: sequence numbers that somebody else has seen in each lane; none up to them is used again.

        Raises:
            StorageFullError: no space, the ballast included; nothing has changed.
            JournalBrokenError: the disk refused.
        """
        entry = self._begin_epoch(reason, stamp, is_damage=True, floor=floor)
        self._integrity.append(reason)
        return entry

    def health(self) -> Health:
        """Return how full and how sound the journal is; takes its ballast back when there is room again."""
        is_held = self._hold_ballast()
        free = self._ballast.free_bytes()
        used = self._guard(self._alarm.used_bytes)
        quota = self._limits.alarm_quota_bytes
        # What the alarm lane may still grow by is the smaller of quota and disk.
        room = max(0, min(quota - used, free))
        fill = used / (used + room) if used + room else 1.0
        return Health(
            alarm_head=self._heads[Lane.ALARM],
            telemetry_head=self._heads[Lane.TELEMETRY],
            alarm_bytes=used,
            telemetry_bytes=self._guard(self._telemetry.used_bytes),
            free_bytes=free,
            fill=fill,
            is_filling=fill >= FILLING_AT,
            is_ballast_held=is_held,
            integrity=tuple(self._integrity),
            unsigned_entries=self._unsigned,
            telemetry_refused=self._telemetry_refused,
        )

    def close(self) -> None:
        """Settle both files and give the lock back; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_broken:
            self._abandon()
            return
        try:
            self._telemetry.settle()
            left = self._telemetry.head()
            self._set_meta({tables.CLEAN: "1", tables.TELEMETRY_LEFT: str(left[0].seq if left else 0)})
        except (*SQL_ERRORS, JournalError) as error:
            _log.warning("journal closed without settling: %s", error)
        self._abandon()

    # --- start

    def _begin(self, stamp: Stamp) -> None:
        """Start; damage that only shows on the way leads to a second and a third look (`Care`)."""
        least = Care.THOROUGH if opening.is_suspect(self.directory) else Care.QUICK
        for care in Care:
            if care < least:
                continue
            self._is_broken = False
            try:
                self._with_room(lambda care=care: self._guard(lambda: self._start(stamp, care)))  # type: ignore[misc]
            except JournalBrokenError:
                if care is Care.REBUILD or not opening.is_suspect(self.directory):
                    raise
            else:
                opening.clear_suspicion(self.directory)
                return

    def _start(self, stamp: Stamp, care: Care) -> None:
        self._close_files()
        self._integrity.clear()
        found = opening.open_files(self.directory, care)
        self._alarm, self._telemetry = found.alarm, found.telemetry
        meta = tables.read_meta(self._alarm.db)
        self._epoch = meta.get(tables.EPOCH, "")
        alarm_head, telemetry_head = self._alarm.head(), self._telemetry.head()
        self._reserved = max(tables.reserved(meta), telemetry_head[0].seq if telemetry_head else 0)
        faults = [*found.faults, *opening.doubts(found, self._epoch, meta, self._signer)]
        if alarm_head is not None and not self._epoch:
            faults.append("the journal no longer knows its epoch")
        self._integrity += faults
        self._heads = {
            Lane.ALARM: head_position(alarm_head, self._epoch),
            Lane.TELEMETRY: max(
                head_position(telemetry_head, self._epoch),
                tables.floor(meta, self._epoch),
                key=lambda head: head.seq,
            ),
        }
        if not self._epoch or faults:
            is_first = not self._epoch and not faults
            reason = "first start" if is_first else "; ".join(faults)
            self._begin_epoch(
                reason,
                stamp,
                is_damage=not is_first,
                lost=found.lost,
                floor=opening.highest_cursor(self.directory),
            )
        elif meta.get(tables.CLEAN) != "1" and meta.get(tables.BOOT) != stamp.boot:
            self._declare_power_cut(stamp)
        self._finish_trim()
        self._unsigned = self._count_unsigned()
        self._set_meta({tables.CLEAN: "0", tables.BOOT: stamp.boot})

    def _begin_epoch(
        self,
        reason: str,
        stamp: Stamp,
        *,
        is_damage: bool,
        lost: tuple[tuple[int, int], ...] = (),
        floor: Mapping[Lane, int] | None = None,
    ) -> Entry:
        epoch = secrets.token_hex(16)
        before = dict(self._heads)
        known = floor or {}
        after = {
            Lane.ALARM: max(before[Lane.ALARM].seq, known.get(Lane.ALARM, 0)),
            Lane.TELEMETRY: max(
                before[Lane.TELEMETRY].seq, known.get(Lane.TELEMETRY, 0), self._reserved if is_damage else 0
            ),
        }
        starts = {
            lane: LaneStart(first=after[lane] + 1, previous=Head(seq=head.seq, hash=head.hash.hex()))
            for lane, head in before.items()
        }
        body = canonical(
            Epoch(
                epoch=epoch,
                previous=self._epoch or None,
                reason=reason,
                is_damage=is_damage,
                alarm=starts[Lane.ALARM],
                telemetry=starts[Lane.TELEMETRY],
                lost=lost,
            )
        )
        fresh = {lane: Position(epoch, seq, ZERO_HASH) for lane, seq in after.items()}

        def work() -> list[Entry]:
            entries = chain(fresh[Lane.ALARM], Lane.ALARM, [(str(EntryKind.EPOCH), body, stamp)])
            self._alarm.insert(entries)
            tables.write_meta(self._alarm.db, {tables.EPOCH: epoch, **tables.floor_at(fresh[Lane.TELEMETRY])})
            return entries

        entry = self._write(work)[0]
        self._epoch = epoch
        self._heads[Lane.TELEMETRY] = fresh[Lane.TELEMETRY]
        if is_damage:
            _log.error("journal begins a new epoch: %s", reason, extra={"epoch": epoch})
        return entry

    def _declare_power_cut(self, stamp: Stamp) -> None:
        """Telemetry numbers that a reader may have seen but the disk no longer has are never used again."""
        head = self._heads[Lane.TELEMETRY]
        if self._reserved <= head.seq:
            return
        item = self._trimmed(Lane.TELEMETRY, (head.seq + 1, self._reserved), head.hash, "power cut", stamp)
        beyond = Position(head.epoch, self._reserved, head.hash)

        def work() -> list[Entry]:
            tables.write_meta(self._alarm.db, tables.floor_at(beyond))
            return self._extend([item])

        self._write(work)
        self._heads[Lane.TELEMETRY] = beyond

    def _finish_trim(self) -> None:
        """A power cut between declaration and removal leaves rows that are declared gone; remove them now."""
        first = self._telemetry.first_seq()
        for record in declared(self._alarm, Lane.TELEMETRY):
            if record.reason == "quota" and first is not None and first <= record.last:
                self._drop_telemetry(record.last)
        for erased in records(self._alarm, EntryKind.ERASED, Erased):
            self._erase(self._alarm if erased.lane is Lane.ALARM else self._telemetry, erased.ranges)

    def _count_unsigned(self) -> int:
        signed = self._alarm.of_kind(EntryKind.CHECKPOINT)
        return self._heads[Lane.ALARM].seq - (signed[-1].seq if signed else 0)

    # --- writing

    def _extend(self, items: Sequence[tuple[str, bytes, Stamp]]) -> list[Entry]:
        entries = chain(self._heads[Lane.ALARM], Lane.ALARM, items)
        self._alarm.insert(entries)
        return entries

    def _write(self, work: Callable[[], list[Entry]]) -> list[Entry]:
        """Run `work` in one synced transaction; only then does the head move."""

        def attempt() -> list[Entry]:
            with self._alarm.transaction():
                return work()

        entries = self._with_room(lambda: self._guard(attempt))
        if entries:
            self._heads[Lane.ALARM] = Position(entries[-1].epoch, entries[-1].seq, entry_hash(entries[-1]))
            self._unsigned += len(entries)
        return entries

    def _set_meta(self, changes: Mapping[str, str]) -> None:
        def work() -> list[Entry]:
            tables.write_meta(self._alarm.db, changes)
            return []

        self._write(work)

    def _with_room(self, work: Callable[[], _T]) -> _T:
        """Run `work`; on a full disk make room, least loss first, and run it again."""
        for make_room in (self._settle_both, self._give_up_ballast):
            try:
                return work()
            except StorageFullError:
                if not make_room():
                    raise
        return work()

    def _settle_both(self) -> bool:
        """Write both WALs home: up to 4 MiB of them is then free again."""
        for file in (getattr(self, "_telemetry", None), getattr(self, "_alarm", None)):
            if file is None:
                continue
            try:
                file.settle()
            except SQL_ERRORS as error:
                _log.warning("%s cannot be settled: %s", file.path.name, error)
        return True

    def _give_up_ballast(self) -> bool:
        if not self._ballast.give_up():
            return False
        _log.error("disk full: the ballast has been given up so that alarms are still accepted")
        if hasattr(self, "_alarm"):
            self._alarm.be_sparing(is_sparing=True)
        return self._settle_both()

    def _hold_ballast(self) -> bool:
        """Take the ballast back when there is room; return whether it is held (or none is wanted)."""
        if self._limits.ballast_bytes == 0:
            return True
        was_held = self._ballast.is_held
        is_held = self._ballast.hold()
        if is_held and not was_held:
            self._alarm.be_sparing(is_sparing=False)
            _log.warning("there is room on the disk again: the ballast is back")
        return is_held

    def _guard(self, work: Callable[[], _T]) -> _T:
        """Run `work` and turn what SQLite and the chain say into this package's errors."""
        if self._is_broken:
            raise JournalBrokenError("the disk refused an earlier write; restart the process")
        try:
            return work()
        except ChainError as error:
            raise BadEntryError(str(error)) from error
        except SQL_ERRORS as error:
            raise self._named(error) from error

    def _named(self, error: SqlError) -> JournalError:
        if is_out_of_space(error) or (
            code(error) in _FULL_CODES and self._ballast.free_bytes() < NEARLY_FULL_BYTES
        ):
            return StorageFullError(f"no space left for the journal in {self.directory}")
        self._is_broken = True
        if is_corruption(error):
            # The next start finds the mark and repairs the file; see opening.py.
            opening.mark_suspect(self.directory)
        return JournalBrokenError(f"the journal in {self.directory} cannot be used any more: {error}")

    # --- telemetry

    def _store_telemetry(self, items: Sequence[tuple[str, bytes, Stamp]]) -> list[Entry]:
        try:
            entries = chain(self._heads[Lane.TELEMETRY], Lane.TELEMETRY, items)
        except ChainError as error:
            raise BadEntryError(str(error)) from error
        with self._telemetry.transaction():
            self._telemetry.insert(entries)
        self._heads[Lane.TELEMETRY] = Position(self._epoch, entries[-1].seq, entry_hash(entries[-1]))
        return entries

    def _after_telemetry_fault(
        self, error: SqlError, items: Sequence[tuple[str, bytes, Stamp]], stamp: Stamp
    ) -> list[Entry]:
        """Full: refuse and count. Damaged: start the file afresh, declared as a new epoch, and store."""
        if not is_corruption(error):
            self._telemetry_refused += len(items)
            raise self._named(error) from error
        fault = f"telemetry file damaged while running: {error}"
        self._integrity.append(fault)
        self._telemetry.close()
        self._telemetry = opening.replace_telemetry(self.directory)
        self._begin_epoch(fault, stamp, is_damage=True)
        return self._guard(lambda: self._store_telemetry(items))

    def _drop_telemetry(self, last: int) -> None:
        with self._telemetry.transaction():
            self._telemetry.delete_through(last)
        self._telemetry.shrink()

    def _hash_through(self, last: int) -> bytes:
        """Return what the entry after `last` must name as its predecessor."""
        following = self._telemetry.rows(last, 1)
        if following:
            return following[0][0].prev_hash
        return self._heads[Lane.TELEMETRY].hash

    def _erase(self, file: LaneFile, ranges: Sequence[tuple[int, int]]) -> None:
        with file.transaction():
            count = file.erase_bodies(ranges)
        if count:
            file.settle()  # the WAL still held the erased text

    # --- what the journal says about itself

    def _checkpoint(self, stamp: Stamp) -> tuple[str, bytes, Stamp]:
        return EntryKind.CHECKPOINT, self._statements.checkpoint(self._epoch, self._heads), stamp

    def _trimmed(
        self, lane: Lane, run: tuple[int, int], last_hash: bytes, reason: str, stamp: Stamp
    ) -> tuple[str, bytes, Stamp]:
        return EntryKind.TRIMMED, self._statements.trimmed(lane, run, last_hash, reason), stamp

    def _hole_start(self, lane: Lane, first: int) -> int:
        """Return where the declared hole begins that ends just before `first`; `first` when there is none."""
        for record in reversed(declared(self._alarm, lane)):
            if record.first < first <= record.last + 1:
                first = record.first
        return first

    def _still_needed(self, last: int) -> list[bytes]:
        """Declarations that are about to be pruned though the telemetry behind their hole is still here."""
        first = self._telemetry.first_seq()
        head = self._heads[Lane.TELEMETRY].seq
        oldest = head if first is None else first
        return [
            self._statements.again(record)
            for record in declared(self._alarm, Lane.TELEMETRY, upto=last)
            if record.last + 1 >= oldest
        ]

    def _prunable(self, receipt_seq: int, stamp: Stamp) -> int | None:
        signed = records(self._alarm, EntryKind.CHECKPOINT, Checkpoint)
        if not signed:
            return None
        first = self._alarm.first_seq() or 1
        bound = min(receipt_seq, max(record.alarm.seq for record in signed), first + _PRUNE_AT_ONCE)
        cutoff = stamp.at - timedelta(days=self._limits.alarm_retention_days)
        return prunable_through(
            self._alarm, ClockTable.of(self._alarm.of_kind(EntryKind.CLOCK)), bound, cutoff
        )

    def _note_damaged(self, table: str, keys: tuple[str, ...]) -> None:
        for key in keys:
            fault = f"{table} row {key} is damaged"
            if fault not in self._integrity:
                self._integrity.append(fault)

    def _abandon(self) -> None:
        self._close_files()
        self._lock.release()

    def _close_files(self) -> None:
        for file in (getattr(self, "_alarm", None), getattr(self, "_telemetry", None)):
            if file is not None:
                file.close()
