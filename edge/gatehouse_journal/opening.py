"""Opening the files of a journal, whatever state the last process, the power or the disk left them in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Final

from msgspec import Struct

from gatehouse_events.chain import ZERO_HASH, ChainError, Lane, body_hash, entry_hash
from gatehouse_journal import salvage, tables
from gatehouse_journal.cursors import Cursors
from gatehouse_journal.errors import JournalBrokenError, JournalError, StorageFullError
from gatehouse_journal.faults import SQL_ERRORS, SqlError, is_of_the_disk, is_out_of_space
from gatehouse_journal.lane import LaneFile
from gatehouse_journal.signer import Signer

_log = logging.getLogger(__name__)

ALARM_FILE: Final = "alarm.db"
TELEMETRY_FILE: Final = "telemetry.db"
_SUSPECT: Final = "suspect"
"""Left by a process that met damage while running: the next start reads the whole file, not its end only."""
_TAIL: Final = 200
_BATCH: Final = 500


class Care(IntEnum):
    """How far to trust what is there."""

    QUICK = 0
    """Look at the end, and after an unclean stop at the structure."""
    THOROUGH = 1
    """Read everything: the last process met damage."""
    REBUILD = 2
    """Even so it failed: copy out what can be read."""


class Opened(Struct, frozen=True, kw_only=True):
    """The two files, and what had to be done to have them."""

    alarm: LaneFile
    telemetry: LaneFile
    is_telemetry_new: bool
    """There was no telemetry file."""
    faults: tuple[str, ...]
    lost: tuple[tuple[int, int], ...]


def open_files(directory: Path, care: Care) -> Opened:
    """Open both files; move damaged ones aside and rebuild them.

    Raises:
        StorageFullError: no room.
        JournalBrokenError: the disk refuses.
    """
    try:
        return _open_files(directory, care)
    except SQL_ERRORS as error:
        raise _named(error, directory) from error
    except OSError as error:
        raise JournalBrokenError(f"the journal in {directory} cannot be opened: {error}") from error


def replace_telemetry(directory: Path) -> LaneFile:
    """Move the telemetry file aside and start an empty one."""
    salvage.quarantine(directory / TELEMETRY_FILE)
    return LaneFile.open(directory / TELEMETRY_FILE, Lane.TELEMETRY)


def mark_suspect(directory: Path) -> None:
    """Have the next start read the alarm file from end to end."""
    try:
        (directory / _SUSPECT).touch()
    except OSError as error:
        _log.warning("cannot leave a mark for the next start: %s", error)


def is_suspect(directory: Path) -> bool:
    """Return whether the last process met damage."""
    return (directory / _SUSPECT).exists()


def clear_suspicion(directory: Path) -> None:
    """Forget the mark: this start went well."""
    (directory / _SUSPECT).unlink(missing_ok=True)


def doubts(found: Opened, epoch: str, meta: Mapping[str, str], signer: Signer) -> list[str]:
    """Return reasons for a new epoch that lie in what the files say, not in how they are."""
    reasons = []
    cursors = highest_cursor(found.alarm.path.parent)
    head = found.alarm.head()
    if epoch and cursors[Lane.ALARM] > (head[0].seq if head else 0):
        reasons.append(
            "a reader's cursor is ahead of the alarm lane: the file was restored from an older copy"
        )
    if signer.is_replacement and epoch:
        reasons.append("the signing key was lost and a new one made")
    telemetry = found.telemetry.head()
    if epoch and telemetry is not None and tables.TELEMETRY_RESERVED not in meta:
        reasons.append("telemetry is there that the alarm file knows nothing of")
    if found.is_telemetry_new and tables.TELEMETRY_RESERVED in meta:
        reasons.append("the telemetry file was missing")
    left = meta.get(tables.TELEMETRY_LEFT) if meta.get(tables.CLEAN) == "1" else None
    if left is not None and left != str(telemetry[0].seq if telemetry else 0):
        reasons.append("the telemetry file is not as it was left")
    return reasons


def highest_cursor(directory: Path) -> dict[Lane, int]:
    """Return the furthest cursor of any reader in each lane."""
    with Cursors.open(directory) as cursors:
        return {lane: cursors.highest(lane) for lane in Lane}


def _open_files(directory: Path, care: Care) -> Opened:
    path = directory / ALARM_FILE
    is_telemetry_new = not (directory / TELEMETRY_FILE).exists()
    salvage.finish_interrupted(path)
    faults: list[str] = []
    lost: tuple[tuple[int, int], ...] = ()
    is_thorough = care is not Care.QUICK
    alarm: LaneFile | str = "it failed again after a repair"
    if care is not Care.REBUILD:
        alarm = _sound(path, Lane.ALARM, is_thorough=is_thorough)
    if isinstance(alarm, str):
        salvaged = salvage.rebuild(path)
        faults.append(f"alarm file damaged: {alarm}")
        faults += [f"state row {key} is damaged" for key in salvaged.state_lost]
        lost = salvaged.lost
        alarm = LaneFile.open(path, Lane.ALARM)
    try:
        is_clean = tables.read_meta(alarm.db).get(tables.CLEAN) == "1"
        telemetry = _sound(
            directory / TELEMETRY_FILE,
            Lane.TELEMETRY,
            is_thorough=is_thorough,
            is_clean=is_clean and not faults,
        )
        if isinstance(telemetry, str):
            faults.append(f"telemetry file damaged: {telemetry}")
            telemetry = replace_telemetry(directory)
    except BaseException:
        alarm.close()
        raise
    return Opened(
        alarm=alarm, telemetry=telemetry, is_telemetry_new=is_telemetry_new, faults=tuple(faults), lost=lost
    )


def _sound(path: Path, lane: Lane, *, is_thorough: bool, is_clean: bool = False) -> LaneFile | str:
    """Return the open file, or what is wrong with it.

    Raises:
        sqlite3.Error: a fault of the disk, not of the file.
    """
    try:
        file = LaneFile.open(path, lane)
    except SQL_ERRORS as error:
        return _damage(error)
    try:
        fault = _fault(file, is_thorough=is_thorough, is_clean=is_clean)
    except BaseException:
        file.close()
        raise
    if fault is not None:
        file.close()
        return fault
    return file


def _fault(file: LaneFile, *, is_thorough: bool, is_clean: bool) -> str | None:
    try:
        if file.lane is Lane.ALARM:
            tables.read_state(file.db)
            tables.read_counters(file.db)
            is_clean = tables.read_meta(file.db).get(tables.CLEAN) == "1"
        if is_thorough or not is_clean:
            structural = file.structural_fault(is_thorough=is_thorough)
            if structural is not None:
                return structural
        return _chain_fault(file, from_start=is_thorough)
    except SQL_ERRORS as error:
        return _damage(error)
    except ChainError as error:
        return str(error)


def _chain_fault(file: LaneFile, *, from_start: bool) -> str | None:
    """Return what is wrong with the chain at its end (or all along), None when nothing is."""
    head = file.head()
    if head is None:
        return None
    after = 0 if from_start else max(0, head[0].seq - _TAIL)
    previous: bytes | None = None
    while rows := file.rows(after, _BATCH):
        for entry, stored in rows:
            fault = _entry_fault(entry.seq, entry_hash(entry) == stored, entry.body, entry.body_hash)
            if fault is not None:
                return fault
            if previous is not None and entry.prev_hash not in (previous, ZERO_HASH):
                return f"entry {entry.seq} does not follow the one before it"
            previous = stored
        after = rows[-1][0].seq
    return None


def _entry_fault(seq: int, is_sound: bool, body: bytes | None, hashed: bytes) -> str | None:  # table row
    if not is_sound:
        return f"entry {seq} was altered"
    if body is not None and body_hash(body) != hashed:
        return f"the body of entry {seq} was altered"
    return None


def _damage(error: SqlError) -> str:
    if is_of_the_disk(error):
        raise error
    return str(error)


def _named(error: SqlError, directory: Path) -> JournalError:
    if is_out_of_space(error) or salvage.free_bytes(directory) < salvage.NEARLY_FULL_BYTES:
        return StorageFullError(f"no space to open the journal in {directory}")
    return JournalBrokenError(f"the journal in {directory} cannot be opened: {error}")
