"""Where batches are committed: the same steps on both databases.

    lock the lanes -> find what concerns each batch -> judge (pure) -> store -> commit

A group has at most one batch of each lane, so every verdict stands on what is in the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from msgspec import Struct

from gatehouse_events.replication import Doubt
from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.ingest.sealed import Sealed
from gatehouse_fleet.ingest.verdict import GapTold, LaneState, Verdict


class VaultFullError(FleetError):
    """The database has no space left; nothing was stored. The gateways keep what they have."""


class VaultLostError(FleetError):
    """The database does not answer, or did not say whether it has committed. Sending again is safe."""


class Submission(Struct, frozen=True, kw_only=True):
    """One batch on its way in."""

    sealed: Sealed
    told: GapTold | None = None

    @property
    def lane(self) -> tuple[int, int]:
        """Gateway number and lane number."""
        return self.sealed.gateway_no, self.sealed.lane_no


class Vault(Protocol):
    """Commits groups of batches."""

    async def commit(self, group: Sequence[Submission], *, at_us: int) -> list[Verdict]:
        """Store a group in one transaction; the verdicts hold once this returns.

        Raises:
            VaultFullError: no space.
            VaultLostError: the database is away.
        """
        ...

    async def close(self) -> None:
        """Give the connection back."""
        ...


EntryRow = tuple[int, int, int, int, int, str, int, str, bytes, bytes, bytes | None, str | None, int]
ENTRY_COLUMNS = (
    "gateway_no",
    "lane",
    "epoch_number",
    "seq",
    "at_us",
    "boot",
    "mono_ns",
    "kind",
    "body_hash",
    "prev_hash",
    "body",
    "doubt",
    "received_us",
)


def entry_rows(submission: Submission, verdict: Verdict, *, at_us: int) -> Iterable[EntryRow]:
    """Yield the rows of `entry` that a verdict asks for, in the order of `ENTRY_COLUMNS`."""
    gateway_no, lane = submission.lane
    for span in verdict.spans:
        number, doubt = span.number, None if span.doubt is None else span.doubt.value
        for entry in submission.sealed.batch.entries[span.first : span.last + 1]:
            yield (
                gateway_no, lane, number, entry.seq, entry.at_us, entry.boot, entry.mono_ns, entry.kind,
                entry.body_hash, entry.prev_hash, entry.body, doubt, at_us,
            )  # fmt: skip


def repeats(submission: Submission, state: LaneState) -> tuple[int, int] | None:
    """Return the numbers between which stored entries have to be looked at; None: the batch is all new."""
    entries = submission.sealed.batch.entries
    is_present = submission.sealed.batch.epoch == state.epoch
    last = min(entries[-1].seq, state.seq) if is_present else entries[-1].seq
    return (entries[0].seq, last) if entries[0].seq <= last else None


StateRow = tuple[bytes, int, bytes, str | None, int, int]
"""`epoch, seq, hash, doubt, epoch_number, last_seq` of `lane_cursor`."""


def state_of(row: StateRow) -> LaneState:
    """Return the state in a row."""
    epoch, seq, head, doubt, number, last_seq = row
    return LaneState(
        epoch=epoch.hex(),
        seq=seq,
        hash=head,
        doubt=None if doubt is None else Doubt(doubt),
        number=number,
        last_seq=last_seq,
    )
