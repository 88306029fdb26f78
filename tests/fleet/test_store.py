"""The store: transactions mean the same on both databases, and a wake is never lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, insert, select

from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.store import Store, StoreError, Wake
from gatehouse_fleet.store.schema.metadata import Moment
from gatehouse_fleet.store.schema.org import org_node


def city(clock: SetClock, code: str = "weihai") -> dict[str, object]:
    return {"kind": "city", "path": f"/{code}/", "code": code, "name": "示例市", "created_at": clock.now()}


async def test_what_is_committed_is_read_back_with_its_time(store: Store, clock: SetClock) -> None:
    async with store.begin() as db:
        await db.execute(insert(org_node).values(city(clock)))
    async with store.read() as db:
        row = (await db.execute(select(org_node))).one()
    assert (row.code, row.created_at) == ("weihai", clock.now())


async def test_an_exception_undoes_the_whole_transaction(store: Store, clock: SetClock) -> None:
    async def fail_half_way() -> None:
        async with store.begin() as db:
            await db.execute(insert(org_node).values(city(clock)))
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        await fail_half_way()
    async with store.read() as db:
        assert (await db.execute(select(func.count()).select_from(org_node))).scalar_one() == 0


async def test_writers_wait_for_each_other_and_none_is_lost(store: Store, clock: SetClock) -> None:
    async def add(n: int) -> None:
        async with store.begin() as db:
            count = (await db.execute(select(func.count()).select_from(org_node))).scalar_one()
            await db.execute(insert(org_node).values(city(clock, f"c{n}-{count}")))

    async with asyncio.TaskGroup() as tasks:
        for n in range(20):
            tasks.create_task(add(n), name=f"writer {n}")
    async with store.read() as db:
        assert (await db.execute(select(func.count()).select_from(org_node))).scalar_one() == 20


def test_an_unknown_database_is_refused_with_what_is_possible() -> None:
    with pytest.raises(StoreError, match="sqlite or postgresql"):
        Store.open("mysql://somewhere/fleet")
    with pytest.raises(StoreError, match="sqlite:///FILE"):
        Store.open("fleet.db")


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=8))])))
def test_a_time_comes_back_exactly(at: datetime) -> None:
    from sqlalchemy.dialects.sqlite import dialect

    kept = Moment().process_bind_param(at, dialect())
    assert Moment().process_result_value(kept, dialect()) == at


async def test_a_wake_between_look_and_wait_is_not_lost() -> None:
    wake = Wake()
    seen = wake.count("alarm")
    wake.notify("alarm")
    assert await wake.wait("alarm", seen, timeout_s=30)


async def test_a_wake_reaches_everybody_who_waits_for_that_topic_only() -> None:
    wake = Wake()
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(wake.wait("alarm", 0, timeout_s=30), name=f"w{n}") for n in range(3)]
        other = tasks.create_task(wake.wait("orders:gw1", 0, timeout_s=0.05), name="other")
        await asyncio.sleep(0)
        wake.notify("alarm")
    assert [task.result() for task in waiting] == [True, True, True]
    assert other.result() is False
