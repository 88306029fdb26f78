"""What a gateway has signed: checkpoints, and holes it declares. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import TypeVar

from gatehouse_events.chain import EntryKind, Lane
from gatehouse_events.records import Checkpoint, RecordError, Trimmed, decode, signed_bytes
from gatehouse_events.replication import MessageError, WireEntry, decode_hole
from gatehouse_journal.signer import is_signed

_Record = TypeVar("_Record", Checkpoint, Trimmed)


class Cover(Enum):
    """How holes explain that entries are missing."""

    SIGNED = auto()
    UNSIGNED = auto()
    """They would, but no key we know has signed them."""
    NONE = auto()


def is_vouched(entry: WireEntry, epoch: str, keys: frozenset[str]) -> bool:
    """Return whether a `checkpoint` entry is signed by a known key and tells of the entry before it.

    One without body vouches for nothing and breaks nothing.
    """
    if entry.body is None:
        return True
    try:
        record = decode(entry.body, Checkpoint)
    except RecordError:
        return False
    tells = (record.epoch, record.alarm.seq, record.alarm.hash)
    return tells == (epoch, entry.seq - 1, entry.prev_hash.hex()) and _is_signed(
        EntryKind.CHECKPOINT, entry.body, record, keys
    )


def cover(
    holes: Sequence[bytes], entry: WireEntry, lane: Lane, *, after: int | None, keys: frozenset[str]
) -> Cover:
    """Return whether `holes` explain that nothing stands between number `after` and `entry`.

    Args:
        holes: `trimmed` bodies as they came with the batch.
        entry: the first entry behind the gap; it names the hash of the last one that is gone.
        lane: lane of both.
        after: last number before the gap; None: the lane begins with the hole (an epoch new to us).
        keys: public keys of the gateway, hex.
    """
    declared = list(_declared(holes, lane))
    if _covers([record for _, record in declared], entry, after) is False:
        return Cover.NONE
    signed = [record for raw, record in declared if _is_signed(EntryKind.TRIMMED, raw, record, keys)]
    return Cover.SIGNED if _covers(signed, entry, after) else Cover.UNSIGNED


def _declared(holes: Sequence[bytes], lane: Lane) -> Iterator[tuple[bytes, Trimmed]]:
    for raw in holes:
        with contextlib.suppress(MessageError):
            record = decode_hole(raw)
            if record.lane is lane:
                yield raw, record


def _covers(records: Sequence[Trimmed], entry: WireEntry, after: int | None) -> bool:
    reached = after
    ends_right = False
    for record in sorted(records, key=lambda record: record.first):
        if record.last >= entry.seq:
            continue
        if record.last == entry.seq - 1 and record.last_hash == entry.prev_hash.hex():
            ends_right = True
        if reached is not None and record.first <= reached + 1:
            reached = max(reached, record.last)
    return ends_right and (reached is None or reached == entry.seq - 1)


def _is_signed(kind: EntryKind, body: bytes, record: _Record, keys: frozenset[str]) -> bool:
    return record.key in keys and is_signed(
        signed_bytes(kind, body), signature=record.signature, key=record.key
    )
