"""What gateway and fleet say to each other about a journal: batches up, cursors down.

The fleet commits a batch and answers with its cursor. Everything is idempotent on `(gateway, epoch, lane, seq)`.
A gap is answered with the cursor that is wanted. Where hash, signature or history disagree, the entries are
stored all the same, marked unverified, and the gateway opens a new epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from gatehouse_events.chain import (
    MAX_BODY_BYTES,
    ZERO_HASH,
    ChainError,
    Entry,
    Lane,
    Position,
    body_hash,
    canonical,
    entry_hash,
    microseconds,
    moment,
)
from gatehouse_events.records import RecordError, Trimmed
from gatehouse_events.records import decode as decode_record

MAX_BATCH_ENTRIES: Final = 500
"""The gain of a larger one is lost in noise (measured: 20 to 200 entries are best)."""
MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024
MAX_HOLES: Final = 64

_Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
_Epoch = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
_Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[\x20-\x7e]+$")]


class MessageError(ValueError):
    """Bytes from the other side are not the message they should be."""


class WireEntry(Struct, frozen=True, kw_only=True, array_like=True):
    """One entry on the way, as a JSON array in this order; hashes and body in base64."""

    seq: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    at_us: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    boot: _Name
    mono_ns: _Seq
    kind: _Name
    body_hash: _Hash
    prev_hash: _Hash
    body: Annotated[bytes, Meta(max_length=MAX_BODY_BYTES)] | None


class ReplicationBatch(Struct, frozen=True, kw_only=True, tag="batch", tag_field="message"):
    """Entries of one lane and one epoch that follow the fleet's cursor."""

    gateway: _Name
    epoch: _Epoch
    lane: Lane
    entries: Annotated[tuple[WireEntry, ...], Meta(max_length=MAX_BATCH_ENTRIES)]
    holes: Annotated[tuple[Annotated[bytes, Meta(max_length=4096)], ...], Meta(max_length=MAX_HOLES)] = ()
    """Bodies of the signed `trimmed` entries that explain gaps inside or before this batch."""
    cannot_fill: bool = False
    """The fleet has asked for what is missing before this batch, and it is not there: take the batch as it is."""


class Doubt(StrEnum):
    """Why entries are stored as unverified."""

    HASH = "hash"
    SIGNATURE = "signature"
    HISTORY = "history"
    """The same sequence number was stored before with other content."""
    UNFILLABLE_GAP = "unfillable_gap"


class Accepted(Struct, frozen=True, kw_only=True, tag="accepted", tag_field="message"):
    """Everything up to `cursor` is committed at the fleet."""

    epoch: _Epoch
    lane: Lane
    cursor: _Seq


class Gap(Struct, frozen=True, kw_only=True, tag="gap", tag_field="message"):
    """Nothing was stored: the fleet wants what follows `wanted` first."""

    epoch: _Epoch
    lane: Lane
    wanted: _Seq


class Unverified(Struct, frozen=True, kw_only=True, tag="unverified", tag_field="message"):
    """Stored, shown and forwarded, but marked; the gateway opens a new epoch."""

    epoch: _Epoch
    lane: Lane
    cursor: _Seq
    first_doubtful: _Seq
    doubt: Doubt
    detail: Annotated[str, Meta(max_length=256)] = ""


Answer = Accepted | Gap | Unverified

_BATCHES: Final = msgspec.json.Decoder(ReplicationBatch)
_ANSWERS: Final[msgspec.json.Decoder[Answer]] = msgspec.json.Decoder(Answer)
_T = TypeVar("_T")


class Follows(Struct, frozen=True, kw_only=True):
    """The batch continues the chain; the fleet stands here once it has stored it."""

    head: Position


class Missing(Struct, frozen=True, kw_only=True):
    """Entries between the cursor and the batch are missing and no signed hole explains them."""

    wanted: int


class Disagrees(Struct, frozen=True, kw_only=True):
    """An entry is not what its hashes say."""

    first_doubtful: int
    detail: str


def batch_of(gateway: str, entries: Sequence[Entry], *, holes: Sequence[bytes] = ()) -> ReplicationBatch:
    """Return `entries` (one lane, one epoch, at least one) as a batch.

    Raises:
        MessageError: they are of several lanes or epochs, or too many.
    """
    if not 0 < len(entries) <= MAX_BATCH_ENTRIES:
        raise MessageError(f"a batch has 1 to {MAX_BATCH_ENTRIES} entries, not {len(entries)}")
    first = entries[0]
    if any((entry.epoch, entry.lane) != (first.epoch, first.lane) for entry in entries):
        raise MessageError("a batch is of one lane and one epoch")
    return ReplicationBatch(
        gateway=gateway,
        epoch=first.epoch,
        lane=first.lane,
        entries=tuple(_to_wire(entry) for entry in entries),
        holes=tuple(holes),
    )


def entries_of(batch: ReplicationBatch) -> list[Entry]:
    """Return the entries of a batch.

    Raises:
        MessageError: a time is outside the calendar.
    """
    try:
        return [_from_wire(batch, wire) for wire in batch.entries]
    except ChainError as error:
        raise MessageError(str(error)) from error


def follow(
    batch: ReplicationBatch, cursor: Position, *, holes: Sequence[Trimmed] = ()
) -> Follows | Missing | Disagrees:
    """Return what a batch is to somebody who stands at `cursor` of the same lane. Pure.

    Entries at or before the cursor are repeats and stepped over. `holes` are declarations whose signatures the
    caller has checked; a batch of another epoch than the cursor's starts a chain at its first entry.

    Raises:
        MessageError: a time is outside the calendar.
    """
    seq, head = cursor.seq, cursor.hash
    is_new_epoch = batch.epoch != cursor.epoch
    for entry in entries_of(batch):
        if entry.seq <= seq:
            continue
        starts = is_new_epoch and entry.prev_hash == ZERO_HASH
        if not starts:
            expected = head if entry.seq == seq + 1 else _hash_behind_hole(entry, seq, holes)
            if expected is None:
                return Missing(wanted=seq)
            if entry.prev_hash != expected:
                return Disagrees(first_doubtful=entry.seq, detail="does not follow the entry before it")
        if entry.body is not None and body_hash(entry.body) != entry.body_hash:
            return Disagrees(first_doubtful=entry.seq, detail="body and its hash disagree")
        seq, head, is_new_epoch = entry.seq, entry_hash(entry), False
    return Follows(head=Position(batch.epoch, seq, head))


def encode(message: ReplicationBatch | Answer) -> bytes:
    """Return a message for sending."""
    return canonical(message)


def decode_batch(raw: bytes) -> ReplicationBatch:
    """Return the batch in `raw`; unknown fields are stepped over.

    Raises:
        MessageError: too large, not JSON, or out of range.
    """
    return _decoded(raw, _BATCHES)


def decode_answer(raw: bytes) -> Answer:
    """Return the fleet's answer in `raw`.

    Raises:
        MessageError: too large, not JSON, or out of range.
    """
    return _decoded(raw, _ANSWERS)


def decode_hole(raw: bytes) -> Trimmed:
    """Return a declared hole of a batch; the caller checks its signature.

    Raises:
        MessageError: it is not a `trimmed` record.
    """
    try:
        return decode_record(raw, Trimmed)
    except RecordError as error:
        raise MessageError(str(error)) from error


def _decoded(raw: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    if len(raw) > MAX_MESSAGE_BYTES:
        raise MessageError(f"{len(raw)} bytes; a message has at most {MAX_MESSAGE_BYTES}")
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise MessageError(str(error)) from error


def _hash_behind_hole(entry: Entry, seq: int, holes: Sequence[Trimmed]) -> bytes | None:
    for hole in holes:
        if hole.lane is entry.lane and hole.first <= seq + 1 and hole.last == entry.seq - 1:
            return bytes.fromhex(hole.last_hash)
    return None


def _to_wire(entry: Entry) -> WireEntry:
    return WireEntry(
        seq=entry.seq,
        at_us=microseconds(entry.at),
        boot=entry.boot,
        mono_ns=entry.mono_ns,
        kind=entry.kind,
        body_hash=entry.body_hash,
        prev_hash=entry.prev_hash,
        body=entry.body,
    )


def _from_wire(batch: ReplicationBatch, wire: WireEntry) -> Entry:
    return Entry(
        epoch=batch.epoch,
        lane=batch.lane,
        seq=wire.seq,
        at=moment(wire.at_us),
        boot=wire.boot,
        mono_ns=wire.mono_ns,
        kind=wire.kind,
        body_hash=wire.body_hash,
        prev_hash=wire.prev_hash,
        body=wire.body,
    )
