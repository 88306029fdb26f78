"""What a journal hands to its uplink: whoever stands anywhere in it can follow, whatever was trimmed or began anew."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse_events.chain import ZERO_HASH, Entry, Position, entry_hash
from gatehouse_events.records import Trimmed
from gatehouse_events.replication import ReplicationBatch, decode_hole, entries_of
from gatehouse_journal import Batch, Journal, Lane, NewEntry, Reader, Signer, canonical
from gatehouse_journal.outgoing import Outgoing

Opener = Callable[..., Journal]


class Fleet:
    """Stands somewhere in a lane and takes a batch only when chain, epoch start or declared hole carry on from there."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self.came: list[int] = []

    def take(self, batch: ReplicationBatch) -> None:
        holes = sorted((decode_hole(hole) for hole in batch.holes), key=lambda hole: hole.first)
        for entry in entries_of(batch):
            assert self._follows(entry, holes), (entry.seq, self.position, holes)
            self.position = Position(entry.epoch, entry.seq, entry_hash(entry))
            self.came.append(entry.seq)

    def _follows(self, entry: Entry, holes: list[Trimmed]) -> bool:
        is_new = entry.epoch != self.position.epoch
        if is_new and entry.prev_hash == ZERO_HASH:
            return True
        if not is_new and entry.seq == self.position.seq + 1:
            return entry.prev_hash == self.position.hash
        reached = self.position.seq
        for hole in holes:
            reached = max(reached, hole.last) if hole.first <= reached + 1 else reached
        ends = any(hole.last == entry.seq - 1 and hole.last_hash == entry.prev_hash.hex() for hole in holes)
        return ends and (is_new or reached >= entry.seq - 1)


def sent(directory: Path, lane: Lane, *, after: Position | None = None, max_entries: int = 200) -> list[int]:
    """Return what comes to a fleet that stands at `after`."""
    fleet = Fleet(after or Position("", 0, ZERO_HASH))
    with Reader.open(directory) as reader:
        outgoing = Outgoing(reader, "gw-1")
        while (batch := outgoing.batch(lane, fleet.position.seq, max_entries=max_entries)) is not None:
            fleet.take(batch)
    return fleet.came


def test_nothing_is_left_out_and_nothing_comes_twice(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    for number in range(1, 60):
        journal.commit(writer.batch(number))
    journal.new_epoch("test", writer.stamp(61))
    journal.commit(writer.batch(61))
    head = journal.head(Lane.ALARM).seq
    assert sent(directory, Lane.ALARM, max_entries=7) == list(range(1, head + 1))


def test_large_bodies_make_small_batches_and_a_giant_travels_alone(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    entries = [
        NewEntry(kind="alarm", body=canonical("x" * size), stamp=writer.stamp(1))
        for size in (200_000, 10, 200_000, 10)
    ]
    journal.commit(Batch(entries=entries))
    with Reader.open(directory) as reader:
        outgoing = Outgoing(reader, "gw-1")
        after = journal.head(Lane.ALARM).seq - 4
        batch = outgoing.batch(Lane.ALARM, after, max_bytes=100_000)
        assert batch is not None
        assert len(batch.entries) == 1
        batch = outgoing.batch(Lane.ALARM, after + 1, max_bytes=200_010)
        assert batch is not None
        assert len(batch.entries) == 1


@settings(max_examples=settings().max_examples // 5)
@given(seed=st.integers(0, 2**32))
def test_a_fleet_that_was_away_follows_over_every_declared_hole(
    tmp_path_factory: object, writer: ModuleType, seed: int
) -> None:
    rng = random.Random(seed)
    directory = tmp_path_factory.mktemp("journal")  # type: ignore[attr-defined]
    journal = Journal.open(
        directory, limits=writer.LIMITS, signer=Signer.load_or_create(directory), stamp=writer.stamp(0)
    )
    try:
        seen = [Position("", 0, ZERO_HASH)] * 3
        for number in range(1, 40):
            act = rng.randrange(5)
            if act == 0:
                journal.trim(writer.stamp(number))
            elif act == 1 and rng.random() < 0.3:
                journal.new_epoch("test", writer.stamp(number))
            else:
                journal.append_telemetry(writer.telemetry(number))
                seen.append(journal.head(Lane.TELEMETRY))
        with Reader.open(directory) as reader:
            there = [entry.seq for entry in reader.read(Lane.TELEMETRY, 0, 10_000)]
        assert sent(directory, Lane.TELEMETRY, max_entries=rng.randint(1, 30)) == there
        for position in rng.sample(seen, 3):
            assert sent(directory, Lane.TELEMETRY, after=position) == [n for n in there if n > position.seq]
    finally:
        journal.close()


def test_an_epoch_of_long_ago_is_known_and_a_foreign_one_is_not(
    directory: Path, open_journal: Opener, writer: ModuleType
) -> None:
    journal = open_journal()
    first = journal.epoch
    for number in range(3):
        journal.new_epoch("test", writer.stamp(number))
    with Reader.open(directory) as reader:
        outgoing = Outgoing(reader, "gw-1")
        assert outgoing.knows(first)
        assert outgoing.knows(journal.epoch)
        assert not outgoing.knows("f" * 32)
        assert outgoing.count_after(Lane.ALARM, 1) == 3
