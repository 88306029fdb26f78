"""However batches are cut, repeated, reordered or falsified: one true store, or doubt; never a loss, never silence."""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import START, Gateway, services_for, stamp, stored

from gatehouse_events.chain import Entry, Lane
from gatehouse_events.replication import (
    Answer,
    Doubt,
    Gap,
    MessageError,
    ReplicationBatch,
    Unverified,
    WireEntry,
    batch_of,
)
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.ingest.sealed import LANE_NUMBERS, seal
from gatehouse_fleet.ingest.service import vault_of
from gatehouse_fleet.ingest.vault import Submission, Vault
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.gateways import gateway, journal_key
from gatehouse_fleet.store.schema.org import org_node

EXAMPLES = max(20, settings().max_examples // 2)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A journal that has seen something: checkpoints, telemetry given up, a second epoch."""
    one = Gateway(tmp_path_factory.mktemp("told") / "gw1")
    for _ in range(12):
        one.write(2)
        one.measure(10)
    one.journal.trim(stamp(one.number))
    one.journal.new_epoch("restored from a copy 示例", stamp(one.number))
    for _ in range(8):
        one.write(2)
        one.measure(5)
    one.journal.checkpoint(stamp(one.number))
    one.write(1)
    yield one
    one.close()


@dataclass
class Fleet:
    """A store in which every example uses a gateway number of its own."""

    store: Store
    vault: Vault
    numbers: Iterator[int]

    async def enter(self, one: Gateway) -> int:
        no = next(self.numbers)
        async with self.store.begin() as db:
            await db.execute(
                insert(gateway).values(no=no, id=f"gw-{no}", node_id=1, state="deployed", created_at=START)
            )
            await db.execute(journal_key.delete())
            await db.execute(
                insert(journal_key).values(
                    gateway_no=no, key=bytes.fromhex(one.signer.public_key), added_at=START
                )
            )
        return no

    async def send(self, no: int, batches: Sequence[ReplicationBatch]) -> list[Answer | Doubt | None]:
        """Present the batches in this order, in rounds, until the cursor is past each; None: refused.

        A fault of integrity that is only noted at the gateway counts as an answer too.
        """
        told: Any = None
        answers: list[Answer | Doubt | None] = []
        pending = list(batches)
        asked: set[int] = set()  # a sender that was answered with a gap does not say the same again at once
        for _ in range(2 * len(batches) + 3):
            left, is_moving = [], False
            for batch in pending:
                if batch.entries[0].seq in asked:
                    left.append(batch)
                    continue
                try:
                    sealed = seal(batch, gateway_no=no, size_bytes=0)
                except MessageError:
                    answers.append(None)
                    continue
                (verdict,) = await self.vault.commit([Submission(sealed=sealed, told=told)], at_us=0)
                told = verdict.told
                answers += [verdict.answer, *([verdict.integrity] if verdict.integrity else [])]
                if isinstance(verdict.answer, Gap):
                    asked.add(batch.entries[0].seq)
                if verdict.spans:
                    is_moving = True
                    asked.clear()
                if _is_unfinished(batch, verdict.answer):
                    left.append(batch)
            # Nothing more to offer: the first one comes again, which says that what is missing is gone.
            asked = set() if is_moving else {batch.entries[0].seq for batch in left[1:]}
            pending = left
        assert pending == []
        return answers

    async def rows(self, no: int, lane: Lane) -> list[Any]:
        return await stored(self.store, LANE_NUMBERS[lane], no)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[Fleet]:
    # In memory where there is such a place: some thousand commits, and what a disk keeps is not the question here.
    memory = Path("/dev/shm")
    folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
    store = Store.open(f"sqlite:///{folder.name}/fleet.db")
    await store.create_all()
    async with store.begin() as db:
        await db.execute(
            insert(org_node).values(id=1, kind="city", path="/1/", code="c", name="示例市", created_at=START)
        )
    vault = vault_of(services_for(store, SetClock(START)))
    yield Fleet(store, vault, itertools.count(1))
    await vault.close()
    await store.close()
    folder.cleanup()


def _is_unfinished(batch: ReplicationBatch, answer: Answer) -> bool:
    if isinstance(answer, Gap):
        return True
    return answer.epoch == batch.epoch and answer.cursor < batch.entries[-1].seq


def header(one: Any) -> tuple[object, ...]:
    """What an entry says, wherever it stands."""
    return (one.seq, one.at_us, one.boot, one.mono_ns, one.kind, one.body_hash, one.prev_hash, one.body)


def cut(one: Gateway, entries: Sequence[Entry], cuts: Sequence[int]) -> list[ReplicationBatch]:
    """Cut a lane into batches at `cuts` and wherever the epoch changes."""
    bounds = sorted({0, len(entries), *(at % (len(entries) + 1) for at in cuts)})
    bounds += [i for i in range(1, len(entries)) if entries[i].epoch != entries[i - 1].epoch]
    bounds = sorted(set(bounds))
    holes = one.holes()
    runs = [entries[low:high] for low, high in itertools.pairwise(bounds)]
    pieces = [run[i : i + 500] for run in runs for i in range(0, len(run), 500)]
    return [batch_of(one.id, piece, holes=holes) for piece in pieces if piece]


LANES = st.sampled_from(list(Lane))
CUTS = st.lists(st.integers(0, 2000), max_size=6)


@pytest.mark.asyncio(loop_scope="module")
@settings(max_examples=EXAMPLES)
@given(lane=LANES, cuts=CUTS, other=CUTS, data=st.data())
async def test_any_cutting_repeating_and_reordering_ends_in_the_same_store(
    fleet: Fleet, told: Gateway, lane: Lane, cuts: list[int], other: list[int], data: st.DataObject
) -> None:
    no = await fleet.enter(told)
    entries = told.entries(lane)
    batches = cut(told, entries, cuts)
    extra = data.draw(st.lists(st.sampled_from(batches + cut(told, entries, other)), max_size=6))
    order = data.draw(st.permutations(batches + extra)) if lane is Lane.ALARM else batches + extra
    await fleet.send(no, _one_epoch_at_a_time(order, entries))
    rows = await fleet.rows(no, lane)
    assert [header(row) for row in rows] == [header(entry) for entry in entries]
    assert {row.doubt for row in rows} == {None}


def _one_epoch_at_a_time(
    order: Sequence[ReplicationBatch], entries: Sequence[Entry]
) -> list[ReplicationBatch]:
    """Reordering happens on the wire between retries; a gateway does not begin an epoch before the old one is sent."""
    epochs = list(dict.fromkeys(entry.epoch for entry in entries))
    return sorted(order, key=lambda batch: epochs.index(batch.epoch))


@pytest.mark.asyncio(loop_scope="module")
@settings(max_examples=EXAMPLES)
@given(cuts=CUTS, data=st.data())
async def test_what_is_altered_on_the_way_is_doubted_or_refused_and_nothing_is_lost(
    fleet: Fleet, told: Gateway, cuts: list[int], data: st.DataObject
) -> None:
    no = await fleet.enter(told)
    entries = told.entries()
    batches = cut(told, entries, cuts)
    # The very last entry is only proven by what comes after it.
    place = data.draw(st.integers(0, len(batches) - 1 - (len(batches[-1].entries) == 1)))
    victim = batches[place]
    last = len(victim.entries) - 1 - (place == len(batches) - 1)
    index = data.draw(st.integers(0, last))
    altered = data.draw(_altered(victim, index))
    sent = [*batches[:place], altered, *batches[place + 1 :]]
    answers = await fleet.send(no, sent)
    rows = await fleet.rows(no, Lane.ALARM)
    believed = {header(row) for row in rows if row.doubt is None}
    true = {header(entry) for entry in entries}
    is_noticed = None in answers or any(isinstance(answer, Unverified | Doubt) for answer in answers)
    assert believed <= true or is_noticed
    assert is_noticed or {header(row) for row in rows} == true
    # Whatever was not refused is there, word for word.
    kept = {header(row) for row in rows}
    for batch in sent if None not in answers else [b for b in sent if b is not altered]:
        assert {header(entry) for entry in batch.entries} <= kept
    # And when the gateway sends the truth again, the truth is there too.
    await fleet.send(no, batches)
    assert true <= {header(row) for row in await fleet.rows(no, Lane.ALARM)}


def _altered(batch: ReplicationBatch, index: int) -> st.SearchStrategy[ReplicationBatch]:
    entry = batch.entries[index]
    other = st.binary(min_size=32, max_size=32)
    changes: list[st.SearchStrategy[WireEntry | None]] = [
        st.integers(1, 2**40).map(lambda value: _with(entry, at_us=entry.at_us + value)),
        st.just(_with(entry, boot="another-boot")),
        st.integers(1, 2**40).map(lambda value: _with(entry, mono_ns=entry.mono_ns + value)),
        st.just(_with(entry, kind="reading")),
        other.map(lambda value: _with(entry, body_hash=value)),
        other.map(lambda value: _with(entry, prev_hash=value)),
        st.binary(max_size=50).map(lambda value: _with(entry, body=value + b"!")),
        st.integers(1, 400).map(lambda value: _with(entry, seq=entry.seq + value)),
    ]
    if len(batch.entries) > 1 and index > 0:
        changes.append(st.none())
    return st.one_of(changes).map(lambda found: _put(batch, index, found))


def _with(entry: WireEntry, **changes: object) -> WireEntry:
    return msgspec.structs.replace(entry, **changes)


def _put(batch: ReplicationBatch, index: int, found: WireEntry | None) -> ReplicationBatch:
    middle = () if found is None else (found,)
    return msgspec.structs.replace(batch, entries=batch.entries[:index] + middle + batch.entries[index + 1 :])


async def test_the_journal_of_these_tests_has_seen_something(told: Gateway) -> None:
    kinds = {entry.kind for entry in told.entries()}
    assert {"checkpoint", "trimmed", "epoch", "alarm"} <= kinds
    assert len({entry.epoch for entry in told.entries()}) == 2
    assert told.entries(Lane.TELEMETRY)[0].seq > 1
