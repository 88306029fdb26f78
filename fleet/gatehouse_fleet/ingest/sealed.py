"""What can be said of a batch by itself: its hashes, and which entries are not what they claim. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from msgspec import Struct

from gatehouse_events.chain import ChainError, EntryKind, Lane, epoch_bytes, hashes_in, microseconds
from gatehouse_events.replication import MessageError, ReplicationBatch

LANE_NUMBERS: Final[dict[Lane, int]] = {Lane.ALARM: 1, Lane.TELEMETRY: 2}
"""How the tables name a lane."""

_CHECKPOINT: Final = EntryKind.CHECKPOINT.value
_EARLIEST_US: Final = microseconds(datetime.min.replace(tzinfo=UTC))
_LATEST_US: Final = microseconds(datetime.max.replace(tzinfo=UTC))


class Sealed(Struct, frozen=True, kw_only=True):
    """A batch with its hashes computed; judged against the store later (`verdict.judge`)."""

    gateway_no: int
    batch: ReplicationBatch
    lane_no: int
    epoch: bytes
    hashes: tuple[bytes, ...]
    """Hash of each entry, as its header says."""
    altered: frozenset[int]
    """Indexes of entries whose body does not have the hash in their header."""
    is_linked: bool
    """Each entry follows the one before it: next number, right hash."""
    has_checkpoints: bool
    size_bytes: int

    @property
    def needs_keys(self) -> bool:
        """Whether signatures have to be checked."""
        return self.has_checkpoints or bool(self.batch.holes)


def seal(batch: ReplicationBatch, *, gateway_no: int, size_bytes: int) -> Sealed:
    """Compute the hashes of a batch. Its entries ascend; their times are in the calendar.

    Raises:
        MessageError: they are not, or there are none.
    """
    epoch, lane = epoch_bytes(batch.epoch), batch.lane
    try:
        hashes = hashes_in(epoch, lane, batch.entries)
    except ChainError as error:
        raise MessageError(str(error)) from error
    altered: list[int] = []
    last, previous, is_linked, has_checkpoints = 0, b"", True, False
    for index, entry in enumerate(batch.entries):
        seq, body = entry.seq, entry.body
        if seq <= last:
            raise MessageError(f"entry {seq} stands behind entry {last}")
        if not _EARLIEST_US <= entry.at_us <= _LATEST_US:
            raise MessageError(f"{entry.at_us} us is not a time")
        if index and (seq != last + 1 or entry.prev_hash != previous):
            is_linked = False
        if body is not None and sha256(body).digest() != entry.body_hash:
            altered.append(index)
        if entry.kind == _CHECKPOINT:
            has_checkpoints = True
        last, previous = seq, hashes[index]
    if not hashes:
        raise MessageError("a batch without entries")
    return Sealed(
        gateway_no=gateway_no,
        batch=batch,
        lane_no=LANE_NUMBERS[lane],
        epoch=epoch,
        hashes=tuple(hashes),
        altered=frozenset(altered),
        is_linked=is_linked,
        has_checkpoints=has_checkpoints and lane is Lane.ALARM,
        size_bytes=size_bytes,
    )
