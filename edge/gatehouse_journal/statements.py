"""What a journal says about itself: written signed, and read back only as it was written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from gatehouse_events.chain import EntryKind, Lane, Position, body_hash, canonical
from gatehouse_events.records import Checkpoint, Head, RecordError, Trimmed, decode, signed_bytes
from gatehouse_journal.faults import DamagedRowError
from gatehouse_journal.lane import LaneFile
from gatehouse_journal.signer import Signer

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Statements:
    """Makes the signed bodies."""

    def __init__(self, signer: Signer) -> None:
        self._signer: Final = signer

    def checkpoint(self, epoch: str, heads: Mapping[Lane, Position]) -> bytes:
        """Return the body that vouches for everything up to `heads`."""
        told = {lane: Head(seq=head.seq, hash=head.hash.hex()) for lane, head in heads.items()}
        record = Checkpoint(
            epoch=epoch, alarm=told[Lane.ALARM], telemetry=told[Lane.TELEMETRY], key=self._signer.public_key
        )
        return self._signed(EntryKind.CHECKPOINT, record)

    def trimmed(self, lane: Lane, run: tuple[int, int], last_hash: bytes, reason: str) -> bytes:
        """Return the body that declares the entries of `run` (both included) gone."""
        record = Trimmed(
            lane=lane,
            first=run[0],
            last=run[1],
            last_hash=last_hash.hex(),
            reason=reason,
            key=self._signer.public_key,
        )
        return self._signed(EntryKind.TRIMMED, record)

    def again(self, record: Trimmed) -> bytes:
        """Return an earlier declaration, signed with today's key."""
        return self._signed(
            EntryKind.TRIMMED, msgspec.structs.replace(record, signature="", key=self._signer.public_key)
        )

    def _signed(self, kind: EntryKind, record: Checkpoint | Trimmed) -> bytes:
        signature = self._signer.sign(signed_bytes(kind, canonical(record)))
        return canonical(msgspec.structs.replace(record, signature=signature))


def records(file: LaneFile, kind: EntryKind, record: type[_T], *, upto: int | None = None) -> list[_T]:
    """Return what the journal once said, oldest first, up to and with entry `upto`.

    Raises:
        DamagedRowError: a body was altered; it is never obeyed.
    """
    found = []
    for entry in file.of_kind(kind, upto=upto):
        if entry.body is None:
            continue
        if body_hash(entry.body) != entry.body_hash:
            raise DamagedRowError(f"the body of entry {entry.seq} was altered")
        try:
            found.append(decode(entry.body, record))
        except RecordError as error:
            # As written, but not by this version (after a rollback to an older one): not ours to act on.
            _log.warning("%s entry %d is stepped over: %s", kind, entry.seq, error)
    return found


def declared(file: LaneFile, lane: Lane, *, upto: int | None = None) -> list[Trimmed]:
    """Return the declared holes of `lane`; `file` is the alarm file.

    Raises:
        DamagedRowError: a body was altered.
    """
    return [record for record in records(file, EntryKind.TRIMMED, Trimmed, upto=upto) if record.lane is lane]
