"""What a batch is to a fleet that stands where it stands: which entries are new, which of them to believe. Pure.

Nothing an authenticated gateway sends is ever thrown away: what cannot be believed is stored with its `doubt`. New
entries go behind everything stored before, in the lane's present run (`epoch.number`); a second story about numbers
that were already told opens a run of its own, so no reader can miss it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_events.chain import ZERO_HASH, EntryKind, Lane, body_hash
from gatehouse_events.records import Epoch, RecordError, decode
from gatehouse_events.replication import Accepted, Answer, Doubt, Gap, Unverified, WireEntry
from gatehouse_fleet.ingest.sealed import Sealed
from gatehouse_fleet.ingest.signatures import Cover, cover, is_vouched

_MAX_REASON: Final = 256


class LaneState(Struct, frozen=True, kw_only=True):
    """One row of `lane_cursor`."""

    epoch: str = ""
    """Empty: nothing has come yet."""
    seq: int = 0
    hash: bytes = ZERO_HASH
    doubt: Doubt | None = None
    """Why nothing more of this epoch is believed."""
    number: int = 0
    """The run that is being written."""
    last_seq: int = 0
    """Last entry of that run; 0: none."""


class Known(Struct, frozen=True):
    """An entry that is stored, as far as a repeat has to agree with it."""

    seq: int
    at_us: int
    boot: str
    mono_ns: int
    kind: str
    body_hash: bytes
    prev_hash: bytes
    altered_body: bytes | None = None
    """The body, where it does not have its hash; None: it has, or it is erased."""

    def is_told_by(self, entry: WireEntry) -> bool:
        """Return whether `entry` says nothing that is not stored."""
        header = (entry.at_us, entry.boot, entry.mono_ns, entry.kind, entry.body_hash, entry.prev_hash)
        if header != (self.at_us, self.boot, self.mono_ns, self.kind, self.body_hash, self.prev_hash):
            return False
        return self.altered_body is None or entry.body is None or entry.body == self.altered_body


class Found(Struct, frozen=True, kw_only=True):
    """What the store knows that concerns one batch."""

    state: LaneState = LaneState()
    is_known_epoch: bool = False
    """The batch's epoch is, or was once, this lane's epoch."""
    removed_through: int = 0
    """Entries of that epoch up to here were stored once and are gone by retention."""
    known: Mapping[int, Sequence[Known]] = {}
    """Stored entries of that epoch that the batch may repeat, by number."""
    keys: frozenset[str] = frozenset()
    """Public keys of the gateway, hex; looked up when `Sealed.needs_keys`."""

    def has(self, entry: WireEntry) -> bool:
        """Return whether `entry` is stored, or was."""
        if entry.seq <= self.removed_through:
            return True
        return any(known.is_told_by(entry) for known in self.known.get(entry.seq, ()))


class Run(Struct, frozen=True, kw_only=True):
    """A new row of `epoch`."""

    number: int
    epoch: str
    first_seq: int
    reason: str = ""


class Span(Struct, frozen=True, kw_only=True):
    """Entries of the batch to store: indexes `first` to `last`, both included."""

    first: int
    last: int
    number: int
    doubt: Doubt | None


class Verdict(Struct, frozen=True, kw_only=True):
    """What to store and what to answer once it is committed."""

    answer: Answer
    state: LaneState
    spans: tuple[Span, ...] = ()
    runs: tuple[Run, ...] = ()
    integrity: Doubt | None = None
    """A fault of the gateway's history, to be shown."""


class _Advance(Struct, kw_only=True):
    """How far the entries behind the cursor carry."""

    seq: int
    hash: bytes
    doubt: Doubt | None
    noted: Doubt | None = None
    taken: list[tuple[int, Doubt | None]] = []
    gap: Gap | None = None


def judge(sealed: Sealed, found: Found) -> Verdict:
    """Return what becomes of a batch."""
    state, batch = found.state, sealed.batch
    if is_plain(sealed, state):
        return plain(sealed, state)
    is_present = batch.epoch == state.epoch
    is_past = not is_present and found.is_known_epoch
    behind = [
        index
        for index, entry in enumerate(batch.entries)
        if is_past or (is_present and entry.seq <= state.seq)
    ]
    late = [index for index in behind if not found.has(batch.entries[index])]
    if is_past:
        return _past(sealed, state, late)
    start = state if is_present else LaneState(epoch=batch.epoch)
    way = _Advance(seq=start.seq, hash=start.hash, doubt=start.doubt or (Doubt.HISTORY if late else None))
    _advance(way, sealed, found, range(len(behind), len(batch.entries)), starts=not is_present)
    return _settled(way, sealed, state, late, starts=not is_present)


def is_plain(sealed: Sealed, state: LaneState) -> bool:
    """The ordinary case: the batch goes on where the fleet stands, nothing to look up."""
    first = sealed.batch.entries[0]
    return (
        first.seq == state.seq + 1
        and first.prev_hash == state.hash
        and sealed.batch.epoch == state.epoch
        and sealed.is_linked
        and not sealed.altered
        and not sealed.has_checkpoints
        and state.doubt is None
    )


def plain(sealed: Sealed, state: LaneState) -> Verdict:
    """Return what becomes of a batch in the ordinary case."""
    last = sealed.batch.entries[-1].seq
    return Verdict(
        answer=Accepted(epoch=state.epoch, lane=sealed.batch.lane, cursor=last),
        state=LaneState(
            epoch=state.epoch, seq=last, hash=sealed.hashes[-1], number=state.number, last_seq=last
        ),
        spans=(Span(first=0, last=len(sealed.hashes) - 1, number=state.number, doubt=None),),
    )


def _past(sealed: Sealed, state: LaneState, late: list[int]) -> Verdict:
    """Entries of an epoch that is over: repeats, or a story nobody has told before."""
    lane = sealed.batch.lane
    if not late:
        return Verdict(answer=Accepted(epoch=state.epoch, lane=lane, cursor=state.seq), state=state)
    first = sealed.batch.entries[late[0]].seq
    number = state.number + 1
    return Verdict(
        answer=Unverified(
            epoch=state.epoch,
            lane=lane,
            cursor=state.seq,
            first_doubtful=first,
            doubt=Doubt.HISTORY,
            detail="that epoch is over, and these entries are new",
        ),
        # The lane goes on behind the late story, in a run of its own.
        state=msgspec.structs.replace(state, number=number + 1, last_seq=0),
        spans=_spans([(index, Doubt.HISTORY) for index in late], number),
        runs=(
            Run(number=number, epoch=sealed.batch.epoch, first_seq=first, reason="told after its epoch"),
            Run(number=number + 1, epoch=state.epoch, first_seq=state.seq + 1, reason="goes on"),
        ),
        integrity=Doubt.HISTORY,
    )


def _advance(way: _Advance, sealed: Sealed, found: Found, indexes: range, *, starts: bool) -> None:
    for index in indexes:
        entry = sealed.batch.entries[index]
        flaw = _link(way, sealed, found, entry, starts=starts)
        if isinstance(flaw, Gap):
            if way.taken or not sealed.batch.cannot_fill:
                way.gap = flaw
                return
            flaw = Doubt.UNFILLABLE_GAP
            way.noted = flaw
            if starts and entry.prev_hash == ZERO_HASH:
                flaw = None  # the new epoch is whole; what came before it is not
        if flaw is None and index in sealed.altered:
            flaw = Doubt.HASH
        if flaw is None and sealed.has_checkpoints and entry.kind == EntryKind.CHECKPOINT:
            flaw = None if is_vouched(entry, sealed.batch.epoch, found.keys) else Doubt.SIGNATURE
        way.doubt = way.doubt or flaw
        way.taken.append((index, way.doubt))
        way.seq, way.hash, starts = entry.seq, sealed.hashes[index], False


def _link(
    way: _Advance, sealed: Sealed, found: Found, entry: WireEntry, *, starts: bool
) -> Doubt | Gap | None:
    """Return what is wrong between `entry` and what comes before it."""
    batch = sealed.batch
    if starts and entry.prev_hash == ZERO_HASH:
        return _tail(entry, batch.lane, found.state)
    if not starts and entry.seq == way.seq + 1:
        if entry.prev_hash == way.hash:
            return None
        return Doubt.HASH if way.taken else Doubt.HISTORY
    after = None if starts else way.seq
    match cover(batch.holes, entry, batch.lane, after=after, keys=found.keys):
        case Cover.SIGNED:
            return None
        case Cover.UNSIGNED:
            return Doubt.SIGNATURE
        case Cover.NONE:
            return Gap(epoch=batch.epoch, lane=batch.lane, wanted=way.seq)


def _tail(entry: WireEntry, lane: Lane, state: LaneState) -> Gap | None:
    """Ask once for what the epoch before still had, unless the gateway says that it is lost."""
    if lane is not Lane.ALARM or entry.kind != EntryKind.EPOCH or entry.body is None:
        return None
    try:
        record = decode(entry.body, Epoch)
    except RecordError:
        return None
    last = record.alarm.previous.seq
    if record.previous != state.epoch or last <= state.seq:
        return None
    if any(low <= state.seq + 1 and last <= high for low, high in record.lost):
        return None
    return Gap(epoch=state.epoch, lane=lane, wanted=state.seq)


def _settled(way: _Advance, sealed: Sealed, state: LaneState, late: list[int], *, starts: bool) -> Verdict:
    """Put together what is stored and what is answered."""
    batch = sealed.batch
    stored = [(index, Doubt.HISTORY) for index in late] + way.taken
    if way.gap is not None and not stored:
        return Verdict(answer=way.gap, state=state)
    number, runs = state.number, tuple[Run, ...]()
    if late or starts:
        first = batch.entries[stored[0][0]].seq
        reason = "told late, or otherwise before" if late else _reason(batch.entries[0])
        number += 1
        runs = (Run(number=number, epoch=batch.epoch, first_seq=first, reason=reason),)
    last = batch.entries[stored[-1][0]].seq if stored else state.last_seq
    after = LaneState(
        epoch=batch.epoch, seq=way.seq, hash=way.hash, doubt=way.doubt, number=number, last_seq=last
    )
    return Verdict(
        answer=_answer(after, sealed, stored),
        state=after,
        spans=_spans(stored, number),
        runs=runs,
        integrity=(Doubt.HISTORY if late else None)
        or next((doubt for _, doubt in stored if doubt is not None), None)
        or way.noted
        or (_disowned(batch.entries[0], state) if starts else None),
    )


def _answer(state: LaneState, sealed: Sealed, stored: Sequence[tuple[int, Doubt | None]]) -> Answer:
    batch = sealed.batch
    if state.doubt is None:
        return Accepted(epoch=state.epoch, lane=batch.lane, cursor=state.seq)
    first = next((index for index, doubt in stored if doubt is not None), 0)
    return Unverified(
        epoch=state.epoch,
        lane=batch.lane,
        cursor=state.seq,
        first_doubtful=batch.entries[first].seq,
        doubt=state.doubt,
        detail=_DETAILS[state.doubt],
    )


_DETAILS: Final[dict[Doubt, str]] = {
    Doubt.HASH: "a body or header is not what was hashed",
    Doubt.SIGNATURE: "a checkpoint or hole is not signed by a key known here",
    Doubt.HISTORY: "these numbers were told otherwise before",
    Doubt.UNFILLABLE_GAP: "entries before these are missing and nothing signed explains it",
}


def _spans(stored: Sequence[tuple[int, Doubt | None]], number: int) -> tuple[Span, ...]:
    spans: list[Span] = []
    for index, doubt in stored:
        if spans and spans[-1].last == index - 1 and spans[-1].doubt == doubt:
            spans[-1] = Span(first=spans[-1].first, last=index, number=number, doubt=doubt)
        else:
            spans.append(Span(first=index, last=index, number=number, doubt=doubt))
    return tuple(spans)


def _reason(entry: WireEntry) -> str:
    """Return why the gateway began an epoch, in its own words."""
    if entry.kind != EntryKind.EPOCH or entry.body is None or body_hash(entry.body) != entry.body_hash:
        return ""
    try:
        return decode(entry.body, Epoch).reason[:_MAX_REASON]
    except RecordError:
        return ""


def _disowned(entry: WireEntry, state: LaneState) -> Doubt | None:
    """Say so when the gateway remembers the end of the epoch before otherwise than it is stored here (restored disk)."""
    if entry.kind != EntryKind.EPOCH or entry.body is None:
        return None
    try:
        record = decode(entry.body, Epoch)
    except RecordError:
        return None
    last = record.alarm.previous
    is_other = last.seq < state.seq or (last.seq == state.seq and last.hash != state.hash.hex())
    return Doubt.HISTORY if record.previous == state.epoch and is_other and state.doubt is None else None
