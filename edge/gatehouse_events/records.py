"""Bodies of the entries by which a journal speaks about itself: checkpoint, trimmed, erased, epoch, clock.

Signed text (Ed25519), big-endian: `GHS1`, then the entry's kind as u8 length + ASCII, then the canonical JSON
of the record with `signature` empty. The gateway that signs and the fleet that checks share this one function.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from gatehouse_events.chain import Lane, canonical, moment

_MAGIC: Final = b"GHS1"


class RecordError(ValueError):
    """A body is not the record its kind promises."""


class Head(Struct, frozen=True, kw_only=True):
    """The last entry of a lane at some moment."""

    seq: int
    hash: str
    """Hex of the entry's hash; 64 zeros when the epoch has no entry yet."""


class Checkpoint(Struct, frozen=True, kw_only=True):
    """Signed heads of both lanes: everything up to them is vouched for."""

    epoch: str
    alarm: Head
    """The entry just before the checkpoint itself."""
    telemetry: Head
    key: str
    """Ed25519 public key, hex."""
    signature: str = ""


class Trimmed(Struct, frozen=True, kw_only=True, rename={"first": "from", "last": "to"}):
    """Signed declaration that the entries `first` to `last` of a lane are gone on purpose (or by a power cut)."""

    lane: Lane
    first: int
    last: int
    last_hash: str
    """What the `prev_hash` of entry `last + 1` must be."""
    reason: str
    key: str
    signature: str = ""


class Erased(Struct, frozen=True, kw_only=True):
    """Bodies taken out of a lane (retention, privacy); the headers and the chain stay."""

    lane: Lane
    ranges: tuple[tuple[int, int], ...]
    """First and last sequence number of each run, both included."""
    reason: str


class LaneStart(Struct, frozen=True, kw_only=True):
    """Where one lane goes on in a new epoch."""

    first: int
    """Sequence number of the lane's first entry in this epoch."""
    previous: Head
    """Last entry of the epoch before, as far as it could be read."""


class Epoch(Struct, frozen=True, kw_only=True):
    """First entry of a journal's new life. Sequence numbers go on; the chain starts afresh."""

    epoch: str
    previous: str | None
    reason: str
    is_damage: bool
    """True when something was lost or doubtful; False for a first start."""
    alarm: LaneStart
    telemetry: LaneStart
    lost: tuple[tuple[int, int], ...] = ()
    """Runs of alarm entries of earlier epochs that could not be read again."""


class ClockCorrection(Struct, frozen=True, kw_only=True):
    """What the true time of one boot was. Corrected time of an entry = `zero_us` + its `mono_ns` / 1000."""

    boot: str
    zero_us: int
    """True time, in microseconds since 1970, at which that boot's CLOCK_BOOTTIME stood at 0."""
    error_ms: float | None = None
    """Estimated error; None: unknown."""

    def corrected(self, mono_ns: int) -> datetime:
        """Return the true time at `mono_ns` of this boot."""
        return moment(self.zero_us + mono_ns // 1000)


_Any = TypeVar("_Any")


def signed_bytes(kind: str, body: bytes) -> bytes:
    """Return the bytes that the signature inside `body` covers (layout above).

    Works on the JSON as it stands, so a field this version does not know is covered all the same.

    Raises:
        RecordError: the body is not a JSON object.
    """
    fields = decode(body, dict[str, object])
    name = kind.encode("ascii")
    return _MAGIC + bytes([len(name)]) + name + canonical({**fields, "signature": ""})


def decode(body: bytes, record: type[_Any]) -> _Any:
    """Return `body` as a `record`; unknown fields are stepped over.

    Raises:
        RecordError: the body is not one.
    """
    try:
        return msgspec.json.decode(body, type=record)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RecordError(f"not the record it should be: {error}") from error
