"""The hash chain of the journal: what an entry is, which bytes are hashed, how a lane is proven whole.

Header of one entry, big-endian. Its SHA-256 is the entry's hash and the `prev_hash` of the entry after it:

| offset | type | name | meaning |
|---|---|---|---|
| 0 | 4 bytes | magic | `GHE1` |
| 4 | 16 bytes | epoch | the journal's life |
| 20 | u8 | lane | 1 alarm, 2 telemetry |
| 21 | u64 | seq | 1, 2, 3 ... without gaps |
| 29 | i64 | at | microseconds since 1970-01-01T00:00:00Z, as the wall clock said then |
| 37 | u64 | mono_ns | CLOCK_BOOTTIME of that boot |
| 45 | 32 bytes | body_hash | SHA-256 of the body; the body itself may be erased later |
| 77 | 32 bytes | prev_hash | hash of the entry before it; 32 zero bytes on the first entry of an epoch |
| 109 | u8 + n | boot | length, then ASCII |
| 110+n | u8 + m | kind | length, then ASCII |

What a signature covers (checkpoint, trimmed) is laid out in `gatehouse_events.records`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final, Protocol

import msgspec
from msgspec import Struct

MAX_BODY_BYTES: Final = 256 * 1024
"""Larger things are files beside the journal, named by their hash."""
MAX_NAME_LENGTH: Final = 64
"""Longest kind or boot id; one length byte would carry 255."""
_HASH_BYTES: Final = 32
ZERO_HASH: Final = bytes(_HASH_BYTES)

_MAGIC: Final = b"GHE1"
_FIXED: Final = struct.Struct(">4s16sBQqQ32s32s")
_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SORTED: Final = msgspec.json.Encoder(order="sorted")


class ChainError(ValueError):
    """An entry cannot be part of a chain: a field is out of range."""


class Lane(StrEnum):
    """The two lanes of a journal."""

    ALARM = "alarm"
    """Everything a person or the law may ask about; each commit is synced to the disk."""
    TELEMETRY = "telemetry"
    """Readings and health; capped, the oldest are trimmed."""


_LANE_BYTES: Final[dict[Lane, int]] = {Lane.ALARM: 1, Lane.TELEMETRY: 2}


class EntryKind(StrEnum):
    """What an entry is about. A closed list for the writer; readers step over kinds they do not know."""

    ALARM = "alarm"
    ESCALATION = "escalation"
    OUTCOME = "outcome"
    """Result of a command or an order."""
    AUDIT = "audit"
    CLOCK = "clock"
    CHECKPOINT = "checkpoint"
    TRIMMED = "trimmed"
    ERASED = "erased"
    EPOCH = "epoch"
    START = "start"
    STOP = "stop"
    CONFIG = "config"
    SECURITY = "security"
    OUTPUT = "output"
    DRILL = "drill"
    """What a drill or a self-test proved."""
    EVIDENCE = "evidence"
    """The register of clips: kept, viewed, held, deleted (`gatehouse_events.evidence`)."""
    READING = "reading"
    HEALTH = "health"


class Stamp(Struct, frozen=True, kw_only=True):
    """When something was written, on the two clocks that matter afterwards."""

    at: datetime
    """Aware; the wall clock as it stood. Never rewritten: a later `clock` entry corrects its boot."""
    boot: str
    """Kernel boot id."""
    mono_ns: int
    """CLOCK_BOOTTIME of that boot."""


class Entry(Struct, frozen=True, kw_only=True):
    """One line of a lane. `body` is None once it has been erased; the chain still verifies then."""

    epoch: str
    """32 hex digits."""
    lane: Lane
    seq: int
    at: datetime
    boot: str
    mono_ns: int
    kind: str
    body_hash: bytes
    prev_hash: bytes
    body: bytes | None

    @property
    def at_us(self) -> int:
        """When it was written, microseconds since 1970.

        Raises:
            ChainError: the time is naive.
        """
        return microseconds(self.at)

    @property
    def stamp(self) -> Stamp:
        """When it was written."""
        return Stamp(at=self.at, boot=self.boot, mono_ns=self.mono_ns)


class HeaderFields(Protocol):
    """What a header says of one entry beside its epoch and lane: an `Entry`, or one on the way."""

    @property
    def seq(self) -> int: ...  # noqa: D102  # see Entry
    @property
    def at_us(self) -> int: ...  # noqa: D102
    @property
    def boot(self) -> str: ...  # noqa: D102
    @property
    def mono_ns(self) -> int: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def body_hash(self) -> bytes: ...  # noqa: D102
    @property
    def prev_hash(self) -> bytes: ...  # noqa: D102


class Position(Struct, frozen=True):
    """Where a lane stands: its last entry. `seq` 0 and `ZERO_HASH` mean an empty epoch."""

    epoch: str
    seq: int
    hash: bytes


def canonical(value: object) -> bytes:
    """Return `value` as compact UTF-8 JSON with sorted keys: the one form in which bodies are stored and hashed."""
    return _SORTED.encode(value)


def microseconds(at: datetime) -> int:
    """Return an aware time as microseconds since 1970, exactly.

    Raises:
        ChainError: the time is naive.
    """
    if at.tzinfo is None:
        raise ChainError(f"a time without zone cannot be stored: {at.isoformat()}")
    return (at - _EPOCH_START) // _MICROSECOND


def moment(at_us: int) -> datetime:
    """Return the UTC time `at_us` microseconds after 1970.

    Raises:
        ChainError: outside what a calendar can say (years 1 to 9999).
    """
    try:
        return _EPOCH_START + timedelta(microseconds=at_us)
    except OverflowError as error:
        raise ChainError(f"{at_us} us is not a time") from error


def body_hash(body: bytes) -> bytes:
    """Return the SHA-256 of a body."""
    return sha256(body).digest()


def header_bytes(entry: Entry) -> bytes:
    """Return the canonical header of `entry` (byte table above).

    Raises:
        ChainError: a field is too long, out of range or not ASCII.
    """
    return _header(epoch_bytes(entry.epoch), entry.lane, entry)


def entry_hash(entry: Entry) -> bytes:
    """Return the hash of `entry`: SHA-256 of its header bytes."""
    return sha256(header_bytes(entry)).digest()


def hashes_in(epoch: bytes, lane: Lane, entries: Iterable[HeaderFields]) -> list[bytes]:
    """Return the hashes of entries whose epoch (16 bytes) and lane are known from what they came in.

    Raises:
        ChainError: a field is too long, out of range or not ASCII.
    """
    return [sha256(_header(epoch, lane, entry)).digest() for entry in entries]


def chain(previous: Position, lane: Lane, items: Iterable[tuple[str, bytes, Stamp]]) -> list[Entry]:
    """Return the entries that follow `previous`, one for each `(kind, body, stamp)`.

    Raises:
        ChainError: a body is too large or a field does not fit.
    """
    entries: list[Entry] = []
    seq, prev = previous.seq, previous.hash
    for kind, body, stamp in items:
        if len(body) > MAX_BODY_BYTES:
            raise ChainError(f"body of {len(body)} bytes; at most {MAX_BODY_BYTES} fit an entry")
        seq += 1
        entry = Entry(
            epoch=previous.epoch,
            lane=lane,
            seq=seq,
            at=stamp.at,
            boot=stamp.boot,
            mono_ns=stamp.mono_ns,
            kind=kind,
            body_hash=body_hash(body),
            prev_hash=prev,
            body=body,
        )
        prev = entry_hash(entry)
        entries.append(entry)
    return entries


def epoch_bytes(epoch: str) -> bytes:
    """Return the 16 bytes of an epoch.

    Raises:
        ChainError: it is not 32 hex digits.
    """
    try:
        raw = bytes.fromhex(epoch)
    except ValueError as error:
        raise ChainError(f"epoch is not hexadecimal: {epoch!r}") from error
    if len(raw) != 16:  # noqa: PLR2004  # byte table
        raise ChainError(f"epoch has {len(raw)} bytes, not 16")
    return raw


def _header(epoch: bytes, lane: Lane, entry: HeaderFields) -> bytes:
    # Once for every entry of a fleet: no call in here that can be saved.
    body, previous = entry.body_hash, entry.prev_hash
    if len(body) != _HASH_BYTES or len(previous) != _HASH_BYTES:
        raise ChainError(f"a hash of entry {entry.seq} does not have {_HASH_BYTES} bytes")
    try:
        fixed = _FIXED.pack(
            _MAGIC, epoch, _LANE_BYTES[lane], entry.seq, entry.at_us, entry.mono_ns, body, previous
        )
    except struct.error as error:
        raise ChainError(f"entry {entry.seq} of lane {lane} does not fit its header: {error}") from error
    return fixed + _name(entry.boot) + _name(entry.kind)


@lru_cache(maxsize=256)
def _name(text: str) -> bytes:
    if not text.isascii() or not 0 < len(text) <= MAX_NAME_LENGTH:
        raise ChainError(f"kind and boot id are 1 to {MAX_NAME_LENGTH} ASCII characters, not {text!r}")
    return bytes([len(text)]) + text.encode("ascii")
