"""The audit log: nothing is changed, dropped, swapped or added later without being noticed; nothing young is cut off."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.people import audit as table

NOW = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
LI = Actor(name="li", role="guard", unit="示例物业", station="192.0.2.1")


async def write(
    store: Store, count: int, *, start: datetime = NOW, every: timedelta = timedelta(minutes=1)
) -> None:
    async with store.begin() as db:
        for number in range(count):
            await audit.append(
                db, LI, "clip.view", f"clip {number}", at=start + number * every, detail={"n": number}
            )


async def broken_at(store: Store) -> int | None:
    async with store.read() as db:
        return (await audit.verify(db)).broken_at


async def test_what_is_written_is_a_whole_chain(store: Store) -> None:
    await write(store, 5)
    async with store.read() as db:
        found = await audit.verify(db)
    assert (found.entries, found.head_seq, found.broken_at) == (5, 5, None)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "wang"),
        ("role", "auditor"),
        ("unit", "x"),
        ("station", "x"),
        ("action", "clip.delete"),
        ("subject", "clip 9"),
        ("node_id", 7),
        ("detail", "{}"),
        ("outcome", 0),
        ("at", NOW),
        ("hash", bytes(32)),
        ("prev_hash", bytes(32)),
    ],
)
async def test_a_changed_field_is_noticed_where_it_was_changed(
    store: Store, column: str, value: object
) -> None:
    await write(store, 5)
    async with store.begin() as db:
        await db.execute(update(table).where(table.c.seq == 3).values({column: value}))
    assert await broken_at(store) == 3


async def test_a_missing_entry_is_noticed(store: Store) -> None:
    await write(store, 5)
    async with store.begin() as db:
        await db.execute(delete(table).where(table.c.seq == 3))
    assert await broken_at(store) == 3


async def test_a_chain_rewritten_as_a_whole_has_another_head_than_the_exported_one(store: Store) -> None:
    await write(store, 3)
    async with store.read() as db:
        kept = (await audit.verify(db)).head_hash
    async with store.begin() as db:
        await db.execute(delete(table))
    await write(store, 3, start=NOW + timedelta(seconds=1))
    async with store.read() as db:
        found = await audit.verify(db)
    assert found.broken_at is None
    assert found.head_hash != kept


async def test_writers_at_once_make_one_chain_without_gaps(store: Store) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(write(store, 2, start=NOW + timedelta(hours=number)), name=f"writer {number}")
    async with store.read() as db:
        found = await audit.verify(db)
    assert (found.entries, found.head_seq, found.broken_at) == (40, 40, None)


async def test_what_is_undone_leaves_no_entry(store: Store) -> None:
    await write(store, 1)

    async def fail() -> None:
        async with store.begin() as db:
            await audit.append(db, LI, "x", "y", at=NOW)
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        await fail()
    await write(store, 1)
    async with store.read() as db:
        assert (await audit.verify(db)).head_seq == 2


async def test_retention_cuts_the_old_front_off_and_the_rest_still_proves_itself(store: Store) -> None:
    await write(store, 10, start=NOW - timedelta(days=1000), every=timedelta(days=100))
    async with store.begin() as db:
        gone = await audit.prune(db, before=NOW - timedelta(days=450), now=NOW)
    assert gone == 6
    assert await broken_at(store) is None
    async with store.begin() as db:
        await db.execute(delete(table).where(table.c.seq == 7))
    assert await broken_at(store) == 7, "the anchor tells where the chain must go on"


async def test_nothing_younger_than_six_months_is_ever_cut_off(store: Store) -> None:
    await write(store, 10, start=NOW - timedelta(days=250), every=timedelta(days=10))
    async with store.begin() as db:
        await audit.prune(db, before=NOW, now=NOW)
    async with store.read() as db:
        oldest = (await db.execute(select(func.min(table.c.at)))).scalar_one()
    assert oldest == NOW - timedelta(days=200)


async def test_an_empty_log_after_pruning_goes_on_where_it_was(store: Store) -> None:
    await write(store, 3, start=NOW - timedelta(days=900))
    async with store.begin() as db:
        assert await audit.prune(db, before=NOW, now=NOW) == 3
    await write(store, 1)
    async with store.read() as db:
        found = await audit.verify(db)
    assert (found.head_seq, found.broken_at) == (4, None)


async def test_a_clock_that_jumped_tears_no_hole(store: Store) -> None:
    await write(store, 1, start=NOW)
    await write(store, 1, start=NOW - timedelta(days=900))
    await write(store, 1, start=NOW)
    async with store.begin() as db:
        assert await audit.prune(db, before=NOW - timedelta(days=300), now=NOW) == 0
    assert await broken_at(store) is None


async def test_the_export_can_be_checked_without_us(store: Store) -> None:
    from hashlib import sha256

    await write(store, 3)
    async with store.read() as db:
        lines = [json.loads(line) async for line in audit.export(db)]
    prev = "00" * 32
    names = ("actor", "role", "unit", "station", "action", "subject", "node_id", "detail", "outcome")
    for line in lines:
        at = datetime.fromisoformat(line["at"])
        at_us = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        fields = [line["seq"], at_us, *(line[name] for name in names), prev]
        raw = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
        assert sha256(raw).hexdigest() == line["hash"]
        prev = line["hash"]
    assert len(lines) == 3


@settings(max_examples=settings().max_examples // 10)
@given(name=st.text(max_size=200), subject=st.text(max_size=400), note=st.text(max_size=6000))
async def test_any_text_can_be_written_down_bounded_and_without_control_characters(
    tmp_path_factory, name: str, subject: str, note: str
) -> None:
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('audit')}/fleet.db")
    await store.create_all()
    actor = Actor(name=name, role="guard", unit=name, station=name)
    async with store.begin() as db:
        await audit.append(db, actor, "x.y", subject, at=NOW, detail={"note": note})
    async with store.read() as db:
        row = (await db.execute(select(table))).one()
        assert (await audit.verify(db)).broken_at is None
    assert len(row.actor) <= 64
    assert row.subject.isprintable()
    assert len(row.detail) <= audit.MAX_DETAIL
    await store.close()


async def test_the_same_refusal_again_and_again_is_one_entry(store: Store, clock) -> None:
    from gatehouse_fleet.people.refusals import QUIET_S, Refusals, stranger

    refusals = Refusals(store, clock)
    for _ in range(50):
        await refusals.note(stranger("192.0.2.1"), "gateway.refused", "gw1", reason="revoked")
    clock.move_to(clock.now() + timedelta(seconds=QUIET_S + 1))
    await refusals.note(stranger("192.0.2.1"), "gateway.refused", "gw1", reason="revoked")
    async with store.read() as db:
        details = list((await db.execute(select(table.c.detail).order_by(table.c.seq))).scalars())
    assert details == ['{"reason":"revoked"}', '{"reason":"revoked","same_before":49}']


async def test_a_flood_of_different_refusals_is_bounded_and_its_size_written_down(
    store: Store, clock
) -> None:
    from gatehouse_fleet.people.refusals import MAX_PER_MINUTE, Refusals, stranger

    refusals = Refusals(store, clock)
    for number in range(MAX_PER_MINUTE + 40):
        await refusals.note(stranger(f"192.0.2.{number}"), "login", "zhou", reason="password")
    clock.move_to(clock.now() + timedelta(minutes=2))
    await refusals.note(stranger("198.51.100.1"), "login", "zhou", reason="password")
    async with store.read() as db:
        details = list((await db.execute(select(table.c.detail).order_by(table.c.seq))).scalars())
    assert len(details) == MAX_PER_MINUTE + 1
    assert json.loads(details[-1])["others_not_written"] == 40
