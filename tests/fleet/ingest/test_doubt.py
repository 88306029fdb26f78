"""History that cannot be believed: stored, marked, answered with doubt, and never in the way of an alarm."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import delete, select

sys.path.insert(0, str(Path(__file__).parents[1]))  # importlib mode: a neighbour is found through its folder
from fleet_site import Gateway, alarm_change, hand_in, register, services_for, stamp, stored

from gatehouse_events.chain import Entry, Lane, microseconds
from gatehouse_events.replication import Accepted, Answer, Doubt, Gap, Unverified, batch_of
from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.ingest.identity import GatewayIdentity
from gatehouse_fleet.ingest.sealed import seal
from gatehouse_fleet.ingest.service import vault_of
from gatehouse_fleet.ingest.vault import Submission, Vault
from gatehouse_fleet.ingest.verdict import GapTold
from gatehouse_fleet.projection.service import Projector
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.gateways import gateway, journal_key
from gatehouse_fleet.store.schema.journal import entry, epoch, lane_cursor, reader_cursor

GAS = "01JDEXAMPLE0000000000000G1"


class Link:
    """Commits batches one after the other, remembering the gap that was told, as the writer does."""

    def __init__(self, vault: Vault, identity: GatewayIdentity, clock: SetClock) -> None:
        self._vault = vault
        self._identity = identity
        self._clock = clock
        self._told: GapTold | None = None

    async def send(self, entries: list[Entry], *, holes: list[bytes] | None = None) -> Answer:
        sealed = seal(
            batch_of(self._identity.id, entries, holes=holes or []),
            gateway_no=self._identity.no,
            size_bytes=0,
        )
        submission = Submission(sealed=sealed, told=self._told)
        (verdict,) = await self._vault.commit([submission], at_us=microseconds(self._clock.now()))
        self._told = verdict.told
        return verdict.answer


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Gateway]:
    found = Gateway(tmp_path / "gw1")
    yield found
    found.close()


@pytest.fixture
async def identity(store: Store, clock: SetClock, one: Gateway) -> GatewayIdentity:
    return (await register(store, clock, one))[0]


@pytest.fixture
async def link(store: Store, clock: SetClock, identity: GatewayIdentity) -> AsyncIterator[Link]:
    vault = vault_of(services_for(store, clock))
    yield Link(vault, identity, clock)
    await vault.close()


async def fault_of(store: Store) -> str | None:
    async with store.read() as db:
        return (await db.execute(select(gateway.c.integrity_fault))).scalar_one()


def doubts(rows: list[object]) -> list[tuple[int, str | None]]:
    return [(row.seq, row.doubt) for row in rows]


async def test_a_gap_is_answered_with_what_is_wanted_and_nothing_is_stored(
    store: Store, one: Gateway, link: Link
) -> None:
    one.write(6)
    entries = one.entries()
    await link.send(entries[:2])
    assert await link.send(entries[4:]) == Gap(epoch=one.journal.epoch, lane=Lane.ALARM, wanted=2)
    assert len(await stored(store)) == 2
    assert isinstance(await link.send(entries[2:]), Accepted)
    assert doubts(await stored(store)) == [(n, None) for n in range(1, 8)]


async def test_a_gap_that_comes_again_cannot_be_filled_and_holds_nothing_up(
    store: Store, one: Gateway, link: Link
) -> None:
    one.write(6)
    entries = one.entries()
    await link.send(entries[:2])
    await link.send(entries[4:])
    answer = await link.send(entries[4:])
    assert isinstance(answer, Unverified)
    assert (answer.doubt, answer.first_doubtful, answer.cursor) == (Doubt.UNFILLABLE_GAP, 5, 7)
    assert await fault_of(store) == Doubt.UNFILLABLE_GAP
    # The missing ones turn up after all: behind the rest, in a run of their own, and marked.
    await link.send(entries[2:4])
    assert doubts(await stored(store)) == [
        (1, None),
        (2, None),
        (5, "unfillable_gap"),
        (6, "unfillable_gap"),
        (7, "unfillable_gap"),
        (3, "history"),
        (4, "history"),
    ]


async def test_doubt_ends_with_the_epoch(store: Store, one: Gateway, link: Link) -> None:
    one.write(3)
    entries = one.entries()
    bad = msgspec.structs.replace(entries[2], body=b'{"n":"other"}')
    answer = await link.send([*entries[:2], bad])
    assert isinstance(answer, Unverified)
    assert (answer.doubt, answer.first_doubtful, answer.cursor) == (Doubt.HASH, 3, 3)
    more = one.entries(after=3)
    assert isinstance(await link.send(more), Unverified)
    one.journal.new_epoch("the fleet does not believe us", stamp(9))
    one.write(2)
    fresh = one.entries(after=more[-1].seq)
    assert await link.send(fresh) == Accepted(epoch=one.journal.epoch, lane=Lane.ALARM, cursor=fresh[-1].seq)
    assert doubts(await stored(store)) == [
        (1, None), (2, None), (3, "hash"), (4, "hash"), (5, None), (6, None), (7, None),
    ]  # fmt: skip


async def test_a_disk_put_back_from_a_copy_tells_another_story_and_both_are_kept(
    store: Store, clock: SetClock, one: Gateway, link: Link, tmp_path: Path
) -> None:
    one.write(3)
    one.close()
    shutil.copytree(one.folder, tmp_path / "copy")
    first = Gateway(tmp_path / "copy")
    first.number = 3
    first.write(body=alarm_change(GAS, 1))
    first.write(3)
    await link.send(first.entries())
    first.close()
    shutil.rmtree(tmp_path / "copy")
    shutil.copytree(one.folder, tmp_path / "copy")
    second = Gateway(tmp_path / "copy")
    second.number = 50
    second.write(body=alarm_change("01JDEXAMPLE0000000000000F2", 1, code="lift.trapped"))
    answer = await link.send(second.entries())
    assert isinstance(answer, Unverified)
    # The cursor stands before what this disk has, so its gateway notices and begins a new epoch.
    assert (answer.doubt, answer.first_doubtful, answer.cursor) == (Doubt.HISTORY, 5, 8)
    assert await fault_of(store) == Doubt.HISTORY
    await Projector(services_for(store, clock), steps=()).follower.catch_up()
    async with store.read() as db:
        shown = {row.code: row.is_verified for row in (await db.execute(select(alarm))).all()}
    assert (shown["gas.high_alarm"], shown["lift.trapped"]) == (True, False)
    # Told again word for word it is a repeat, not a third story.
    count = len(await stored(store))
    assert isinstance(await link.send(second.entries()), Unverified)
    assert len(await stored(store)) == count
    second.journal.new_epoch("put back from a copy", stamp(60))
    fresh = [e for e in second.entries() if e.epoch == second.journal.epoch]
    assert isinstance(await link.send(fresh), Accepted)
    second.close()


async def test_a_fleet_put_back_from_a_backup_is_filled_up_again(
    store: Store, one: Gateway, link: Link
) -> None:
    one.write(20)
    entries = one.entries()
    await link.send(entries[:8])
    async with store.read() as db:
        old = (await db.execute(select(lane_cursor))).one()
    await link.send(entries[8:])
    async with store.begin() as db:  # what a restored database knows: the first eight
        await db.execute(delete(entry).where(entry.c.seq > old.seq))
        await db.execute(lane_cursor.update().values(dict(old._mapping)))
        await db.execute(delete(reader_cursor))
    assert await link.send(entries[15:]) == Gap(epoch=one.journal.epoch, lane=Lane.ALARM, wanted=8)
    assert isinstance(await link.send(entries[8:]), Accepted)
    assert doubts(await stored(store)) == [(e.seq, None) for e in entries]


async def test_a_hole_is_stepped_over_only_when_a_known_key_has_signed_it(
    store: Store, clock: SetClock, one: Gateway, identity: GatewayIdentity, link: Link
) -> None:
    one.measure(50)
    first = one.entries(Lane.TELEMETRY)[:3]
    await link.send(first)
    for number in range(5):
        one.journal.trim(stamp(100 + number))
    left = one.entries(Lane.TELEMETRY)
    assert left[0].seq > 10
    assert isinstance(await link.send(left[:5], holes=one.holes()), Accepted)
    async with store.begin() as db:
        await db.execute(delete(journal_key))
    for number in range(3):
        one.journal.trim(stamp(200 + number))
    beyond = [e for e in one.entries(Lane.TELEMETRY) if e.seq > left[4].seq + 1]
    answer = await link.send(beyond, holes=one.holes())
    assert isinstance(answer, Unverified)
    assert answer.doubt is Doubt.SIGNATURE
    assert len(await stored(store, 2)) == 3 + 5 + len(beyond)


async def test_a_checkpoint_nobody_known_has_signed_is_doubted(
    store: Store, one: Gateway, link: Link
) -> None:
    async with store.begin() as db:
        await db.execute(delete(journal_key))
    one.write(2)
    one.journal.checkpoint(stamp(5))
    answer = await link.send(one.entries())
    assert isinstance(answer, Unverified)
    assert (answer.doubt, answer.first_doubtful) == (Doubt.SIGNATURE, 4)


async def test_the_end_of_an_epoch_is_asked_for_once(store: Store, one: Gateway, link: Link) -> None:
    one.write(4)
    entries = one.entries()
    await link.send(entries[:3])
    one.journal.new_epoch("示例", stamp(9))
    fresh = one.entries(after=entries[-1].seq)
    assert await link.send(fresh) == Gap(epoch=entries[0].epoch, lane=Lane.ALARM, wanted=3)
    assert isinstance(await link.send(fresh), Accepted)
    assert await fault_of(store) == Doubt.UNFILLABLE_GAP
    # What was missing comes late: marked, in a run of its own, and the present epoch goes on behind it.
    assert isinstance(await link.send(entries[3:]), Unverified)
    one.write(1)
    assert isinstance(await link.send(one.entries(after=fresh[-1].seq)), Accepted)
    async with store.read() as db:
        runs = (await db.execute(select(epoch.c.number, epoch.c.epoch).order_by(epoch.c.number))).all()
    old, new = bytes.fromhex(entries[0].epoch), bytes.fromhex(one.journal.epoch)
    assert [tuple(run) for run in runs] == [(1, old), (2, new), (3, old), (4, new)]


async def test_a_wiped_disk_begins_anew_at_number_one(
    store: Store, clock: SetClock, one: Gateway, identity: GatewayIdentity, link: Link, tmp_path: Path
) -> None:
    one.write(10)
    await link.send(one.entries())
    fresh = Gateway(tmp_path / "wiped")
    fresh.write(2)
    assert await link.send(fresh.entries()) == Accepted(epoch=fresh.journal.epoch, lane=Lane.ALARM, cursor=3)
    assert doubts(await stored(store))[-3:] == [(1, None), (2, None), (3, None)]
    fresh.close()


async def test_a_lane_that_begins_with_a_signed_hole_is_believed(
    store: Store, clock: SetClock, one: Gateway, identity: GatewayIdentity
) -> None:
    one.measure(60)
    one.journal.trim(stamp(70))
    answers = await hand_in(store, clock, identity, one, lane=Lane.TELEMETRY)
    assert all(isinstance(answer, Accepted) for answer in answers)
    assert (await stored(store, 2))[0].seq > 1
