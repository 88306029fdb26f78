"""Proving a journal: every hash, every link, every hole declared, every signature good.

Only reads, a few hundred entries at a time, so it may run beside the writer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gatehouse_events.chain import ZERO_HASH, ChainError, Entry, EntryKind, Lane, body_hash, entry_hash
from gatehouse_events.records import Checkpoint, Epoch, Erased, RecordError, Trimmed, decode, signed_bytes
from gatehouse_journal import tables
from gatehouse_journal.errors import JournalError
from gatehouse_journal.faults import SQL_ERRORS
from gatehouse_journal.lane import read_kind
from gatehouse_journal.signer import is_signed

if TYPE_CHECKING:
    from gatehouse_journal.reader import Reader

_BATCH: Final = 500
_MAX_FAULTS: Final = 1000
"""A file that is wrong all over is not described entry by entry."""

Progress = Callable[[int, int], None]


class Fault(Struct, frozen=True, kw_only=True):
    """One thing that is not as it was written."""

    lane: Lane
    seq: int | None
    """None: not about one entry."""
    what: str


class LaneReport(Struct, frozen=True, kw_only=True):
    """What one lane holds."""

    entries: int
    first: int | None
    last: int | None
    erased: int
    """Bodies taken out, as declared."""
    holes: int
    """Runs of entries that are gone and declared."""


class Report(Struct, frozen=True, kw_only=True):
    """The outcome of a verification."""

    epoch: str
    """The present one."""
    epochs: int
    """Lives of this journal that can still be seen; more than one means something once went wrong."""
    lanes: dict[Lane, LaneReport]
    checkpoints: int
    signed_through: int
    """Last alarm entry a good signature vouches for."""
    faults: tuple[Fault, ...]
    notices: tuple[str, ...]
    """Losses that the journal itself declared."""

    @property
    def is_intact(self) -> bool:
        """Whether everything is as it was written."""
        return not self.faults


class _Declared(Struct, kw_only=True):
    """What the alarm lane says about holes, erasures and epochs."""

    trimmed: dict[Lane, list[Trimmed]]
    erased: dict[Lane, list[tuple[int, int]]]
    epochs: dict[str, Epoch]
    order: dict[str, int]
    """Epoch -> the alarm sequence number at which it began."""
    checkpoints: list[tuple[int, Checkpoint]]


def verify(reader: Reader, *, keys: tuple[str, ...], progress: Progress | None = None) -> Report:
    """Verify the journal behind `reader`; see `Reader.verify`."""
    run = _Run(reader, keys, progress)
    lanes = {lane: run.lane(lane) for lane in Lane}
    signed_through = run.checkpoints()
    run.small_tables()
    run.structure()
    epoch = run.present_epoch()
    return Report(
        epoch=epoch,
        epochs=len(run.epochs_seen),
        lanes=lanes,
        checkpoints=len(run.declared.checkpoints),
        signed_through=signed_through,
        faults=tuple(run.faults),
        notices=tuple(run.notices),
    )


class _Run:
    def __init__(self, reader: Reader, keys: tuple[str, ...], progress: Progress | None) -> None:
        self._reader: Final = reader
        self._keys: Final = frozenset(keys)
        self._progress: Final = progress
        self.faults: list[Fault] = []
        self.notices: list[str] = []
        self.epochs_seen: set[str] = set()
        self._done = 0
        self._total = sum(self._count(lane) for lane in Lane)
        self.declared = self._declarations(self._fault)

    # --- one lane

    def lane(self, lane: Lane) -> LaneReport:
        """Walk one lane from its first entry to its last."""
        first: int | None = None
        last, previous, epoch = 0, ZERO_HASH, ""
        entries = erased = holes = 0
        for found in self._rows(lane):
            if isinstance(found, int):
                self._fault(lane, found, "cannot be read")
                last, previous = found, b""
                continue
            entry, stored = found
            entries += 1
            first = entry.seq if first is None else first
            holes += self._link(entry, last, previous, epoch)
            erased += self._own(entry, stored)
            last, previous, epoch = entry.seq, stored, entry.epoch
            self.epochs_seen.add(epoch)
        return LaneReport(entries=entries, first=first, last=last or None, erased=erased, holes=holes)

    def _own(self, entry: Entry, stored: bytes) -> int:
        """Check an entry by itself; return 1 when its body was erased as declared."""
        try:
            is_sound = entry_hash(entry) == stored
        except ChainError:
            is_sound = False
        if not is_sound:
            self._fault(entry.lane, entry.seq, "header altered: its hash does not match")
        if entry.body is not None:
            if body_hash(entry.body) != entry.body_hash:
                self._fault(entry.lane, entry.seq, "body altered: its hash does not match")
            return 0
        if any(low <= entry.seq <= high for low, high in self.declared.erased[entry.lane]):
            return 1
        if self._is_before_damage(entry.epoch):
            self.notices.append(f"{entry.lane} {entry.seq}: body lost in declared damage")
        else:
            self._fault(entry.lane, entry.seq, "body missing without a declaration")
        return 0

    def _link(self, entry: Entry, last: int, previous: bytes, epoch: str) -> int:
        """Check that `entry` follows what came before; return 1 over a declared hole."""
        if not previous:
            return 0  # the one before could not be read, which is a fault already
        if entry.prev_hash == ZERO_HASH and entry.epoch != epoch:
            if not self._is_epoch_start(entry):
                self._fault(entry.lane, entry.seq, "begins an epoch that nothing declares")
            return int(entry.seq != last + 1)
        if entry.seq == last + 1 and last:
            if entry.prev_hash != previous:
                self._fault(entry.lane, entry.seq, "does not follow the entry before it")
            elif entry.epoch != epoch:
                self._fault(entry.lane, entry.seq, "changes the epoch without starting a chain")
            return 0
        if self._is_declared_hole(entry, last):
            return 1
        self.declared = self._declarations(lambda *_: None)  # the writer may have trimmed meanwhile
        if self._is_declared_hole(entry, last):
            return 1
        self._fault(
            entry.lane, entry.seq, f"entries {last + 1} to {entry.seq - 1} are missing without a declaration"
        )
        return 0

    def _is_declared_hole(self, entry: Entry, last: int) -> bool:
        for record in self.declared.trimmed[entry.lane]:
            reaches = last == 0 or record.first <= last + 1
            if record.last == entry.seq - 1 and reaches and record.last_hash == entry.prev_hash.hex():
                return True
        if entry.lane is Lane.ALARM:
            for epoch in self.declared.epochs.values():
                if any(low <= last + 1 and entry.seq - 1 <= high for low, high in epoch.lost):
                    self.notices.append(f"alarm {last + 1} to {entry.seq - 1}: lost in declared damage")
                    return True
        return False

    def _is_epoch_start(self, entry: Entry) -> bool:
        record = self.declared.epochs.get(entry.epoch)
        if record is None:
            # Its declaration was pruned with everything before it.
            return entry.lane is Lane.TELEMETRY and self._first(Lane.ALARM) > 1
        start = record.alarm if entry.lane is Lane.ALARM else record.telemetry
        return entry.seq == start.first

    def _is_before_damage(self, epoch: str) -> bool:
        began = self.declared.order.get(epoch, 0)
        return any(
            record.is_damage and self.declared.order[name] > began
            for name, record in self.declared.epochs.items()
        )

    # --- the whole

    def checkpoints(self) -> int:
        """Check what each signed checkpoint vouches for; return the last alarm entry vouched for."""
        through = 0
        for seq, record in self.declared.checkpoints:
            for lane, head in ((Lane.ALARM, record.alarm), (Lane.TELEMETRY, record.telemetry)):
                row = (
                    self._reader.database(lane)
                    .execute("SELECT hash, epoch FROM entry WHERE seq = ?", (head.seq,))
                    .fetchone()
                )
                if row is None or head.hash == ZERO_HASH.hex():
                    continue
                if bytes(row[0]).hex() != head.hash:
                    self._fault(lane, head.seq, f"is not the entry that checkpoint {seq} signed")
            if record.telemetry.seq > self._last(Lane.TELEMETRY) and not self._is_gone(record.telemetry.seq):
                self._fault(Lane.TELEMETRY, record.telemetry.seq, f"signed by checkpoint {seq} but missing")
            through = max(through, record.alarm.seq)
        return through

    def present_epoch(self) -> str:
        """Return the epoch of the last alarm entry, empty when not even that can be read."""
        try:
            return self._reader.head(Lane.ALARM).epoch
        except JournalError:
            return ""

    def small_tables(self) -> None:
        """Check the CRCs of state, counters and the journal's own facts."""
        db = self._reader.database(Lane.ALARM)
        try:
            damaged = {
                "state": tables.read_state(db).damaged,
                "counter": tables.read_counters(db).damaged,
                "meta": tables.read_meta_rows(db).damaged,
            }
        except SQL_ERRORS as error:
            self._fault(Lane.ALARM, None, f"state and counters cannot be read: {error}")
            return
        for table, keys in damaged.items():
            for key in keys:
                self._fault(Lane.ALARM, None, f"{table} row {key} altered")

    def structure(self) -> None:
        """Have SQLite check the files themselves."""
        for lane in Lane:
            try:
                rows = self._reader.database(lane).execute("PRAGMA integrity_check(5)").fetchall()
            except SQL_ERRORS as error:
                rows = [(str(error),)]
            for (verdict,) in rows:
                if verdict != "ok":
                    self._fault(lane, None, f"file damaged: {verdict}")

    # --- reading

    def _rows(self, lane: Lane) -> Iterator[tuple[Entry, bytes] | int]:
        """Yield every entry with its stored hash, or the number of one that cannot be read."""
        after = 0
        while True:
            try:
                batch: list[tuple[Entry, bytes] | int] = list(self._reader.read_rows(lane, after, _BATCH))
            except SQL_ERRORS:
                batch = list(self._one_by_one(lane, after))
            if not batch:
                return
            yield from batch
            end = batch[-1]
            after = end if isinstance(end, int) else end[0].seq
            self._done += len(batch)
            if self._progress is not None:
                self._progress(min(self._done, self._total), self._total)

    def _one_by_one(self, lane: Lane, after: int) -> Iterator[tuple[Entry, bytes] | int]:
        for seq in range(after + 1, min(after + _BATCH, self._last(lane)) + 1):
            try:
                row = self._reader.read_rows(lane, seq - 1, 1)
            except SQL_ERRORS:
                yield seq
                continue
            if row and row[0][0].seq == seq:
                yield row[0]

    def _declarations(self, report: Callable[[Lane, int | None, str], None]) -> _Declared:
        found = _Declared(
            trimmed={lane: [] for lane in Lane},
            erased={lane: [] for lane in Lane},
            epochs={},
            order={},
            checkpoints=[],
        )
        for kind in (EntryKind.TRIMMED, EntryKind.ERASED, EntryKind.EPOCH, EntryKind.CHECKPOINT):
            try:
                entries = read_kind(self._reader.database(Lane.ALARM), Lane.ALARM, kind)
            except SQL_ERRORS as error:
                report(Lane.ALARM, None, f"{kind} entries cannot be read: {error}")
                continue
            for entry in entries:
                try:
                    self._declare(found, entry)
                except RecordError as error:
                    report(Lane.ALARM, entry.seq, str(error))
        return found

    def _declare(self, found: _Declared, entry: Entry) -> None:
        body = entry.body
        if body is None:
            return
        if entry.kind == EntryKind.ERASED:
            erased = decode(body, Erased)
            found.erased[erased.lane] += erased.ranges
        elif entry.kind == EntryKind.EPOCH:
            epoch = decode(body, Epoch)
            found.epochs[epoch.epoch] = epoch
            found.order[epoch.epoch] = entry.seq
        elif entry.kind == EntryKind.TRIMMED:
            trimmed = decode(body, Trimmed)
            self._check_signature(entry, body, trimmed.signature, trimmed.key)
            found.trimmed[trimmed.lane].append(trimmed)
        else:
            checkpoint = decode(body, Checkpoint)
            self._check_signature(entry, body, checkpoint.signature, checkpoint.key)
            found.checkpoints.append((entry.seq, checkpoint))

    def _check_signature(self, entry: Entry, body: bytes, signature: str, key: str) -> None:
        if key not in self._keys:
            raise RecordError(f"{entry.kind} signed with a key that is not known: {key[:16]}")
        if not is_signed(signed_bytes(entry.kind, body), signature=signature, key=key):
            raise RecordError(f"{entry.kind}: the signature is not good")

    def _is_gone(self, seq: int) -> bool:
        return any(
            record.first <= seq <= record.last for record in self.declared.trimmed[Lane.TELEMETRY]
        ) or any(
            record.is_damage and seq < record.telemetry.first for record in self.declared.epochs.values()
        )

    def _count(self, lane: Lane) -> int:
        return self._number(lane, "count(*)")

    def _first(self, lane: Lane) -> int:
        return self._number(lane, "min(seq)")

    def _last(self, lane: Lane) -> int:
        return self._number(lane, "max(seq)")

    def _number(self, lane: Lane, what: str) -> int:
        try:
            row = self._reader.database(lane).execute(f"SELECT coalesce({what}, 0) FROM entry").fetchone()  # noqa: S608  # three constants of this module
        except SQL_ERRORS:
            return 0
        return int(row[0])

    def _fault(self, lane: Lane, seq: int | None, what: str) -> None:
        if len(self.faults) < _MAX_FAULTS:
            self.faults.append(Fault(lane=lane, seq=seq, what=what))
