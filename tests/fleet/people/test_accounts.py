"""Who may appoint whom, as a table and as a rule; and what two people at once cannot do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from gatehouse_fleet.people import accounts, sessions
from gatehouse_fleet.people.accounts import APPOINTS, NewUser, UserChange, may_appoint
from gatehouse_fleet.people.passwords import AccountError, check_password
from gatehouse_fleet.people.roles import RIGHTS, Actor, Caller, Right, Role
from gatehouse_fleet.registry import org
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.people import session, user

NOW = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)


def caller(role: Role, path: str, *, is_contractor: bool = False) -> Caller:
    actor = Actor(name="li", role=role.value, unit="示例", station="")
    return Caller(user_id=1, actor=actor, role=role, scope_id=1, scope_path=path, is_contractor=is_contractor)


@given(
    st.sampled_from(Role),
    st.sampled_from(Role),
    st.sampled_from(["/1/", "/1/2/", "/1/20/", "/1/2/3/", "/2/"]),
    st.sampled_from(["/1/", "/1/2/", "/1/20/", "/1/2/3/", "/2/"]),
    st.booleans(),
    st.booleans(),
)
def test_nobody_appoints_beyond_reach_table_or_flag(
    own: Role, other: Role, here: str, there: str, is_contractor: bool, makes_contractor: bool
) -> None:
    who = caller(own, here, is_contractor=is_contractor)
    may = may_appoint(who, other, there, is_contractor=makes_contractor)
    assert may == (
        other in APPOINTS[own] and there.startswith(here) and (makes_contractor or not is_contractor)
    )


@pytest.mark.parametrize("role", list(Role))
def test_only_those_who_manage_people_appoint_and_only_the_city_its_own_equals(role: Role) -> None:
    assert bool(APPOINTS[role]) == (Right.MANAGE_PEOPLE in RIGHTS[role])
    assert (role in APPOINTS[role]) == (role is Role.CITY_OPERATOR)
    for appointed in APPOINTS[role] - {Role.TECHNICIAN}:
        assert RIGHTS[appointed] <= RIGHTS[role], "nobody hands out more than he has"


@pytest.mark.parametrize(
    ("password", "is_good"),
    [
        ("gatehouse 示例", True),
        ("门岗守望小区平安示例一", True),
        ("short", False),
        ("aaaaaaaaaaaaaaaa", False),
        ("my name is ZHOU, you know", False),
        ("x" * 50 + "abcd" * 20, False),
    ],
)
def test_a_password_is_long_and_not_given_away_by_a_look(password: str, is_good: bool) -> None:
    if is_good:
        check_password("zhou", password)
    else:
        with pytest.raises(AccountError):
            check_password("zhou", password)


def new(name: str, scope: int = 1, **more: object) -> NewUser:
    fields = {"full_name": "示例", "unit": "示例", "role": Role.CITY_OPERATOR}
    return NewUser(name=name, scope_id=scope, **(fields | more))


async def make(store: Store, wanted: NewUser) -> accounts.User:
    async with store.begin() as db:
        return await accounts.make(db, wanted, "hash", at=NOW)


async def city(store: Store) -> None:
    async with store.begin() as db:
        await org.ensure_city(db, code="shili", name="示例市", at=NOW)


async def test_of_two_first_users_at_once_there_is_one(store: Store) -> None:
    async def first(name: str) -> None:
        async with store.begin() as db:
            await accounts.lock_users(db)
            if await accounts.has_users(db):
                raise AccountError("has_users")
            await org.ensure_city(db, code="shili", name="示例市", at=NOW)
            await accounts.make(db, new(name), "hash", at=NOW)

    done = await asyncio.gather(first("zhou"), first("eve"), return_exceptions=True)
    assert [type(one) for one in done if one is not None] == [AccountError]
    async with store.read() as db:
        assert (await db.execute(select(func.count()).select_from(user))).scalar_one() == 1


async def test_of_two_last_operators_who_shut_each_other_out_one_stays(store: Store) -> None:
    await city(store)
    people = [await make(store, new(name)) for name in ("zhou", "wang")]

    async def shut_out(one: accounts.User) -> None:
        async with store.begin() as db:
            await accounts.change(db, one, UserChange(is_active=False))

    done = await asyncio.gather(*(shut_out(one) for one in people), return_exceptions=True)
    assert [one.reason for one in done if isinstance(one, AccountError)] == ["last_operator"]


async def test_one_login_and_one_subject_are_one_person(store: Store) -> None:
    await city(store)
    await make(store, new("zhou", oidc_subject="u-1"))
    for wanted, reason in (
        (new("zhou"), "name_taken"),
        (new("wang", oidc_subject="u-1"), "subject_taken"),
        (new("wang", scope=99), "scope"),
    ):
        with pytest.raises(AccountError) as refused:
            await make(store, wanted)
        assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        (UserChange(role=Role.GUARD), True),
        (UserChange(is_contractor=True), True),
        (UserChange(is_active=False), True),
        (UserChange(full_name="示例二"), False),
    ],
)
async def test_what_changes_rights_ends_the_sessions(store: Store, change: UserChange, ends: bool) -> None:
    await city(store)
    await make(store, new("boss"))
    one = await make(store, new("zhou"))
    async with store.begin() as db:
        token = await sessions.start(db, one.id, station="", at=NOW)
        await accounts.change(db, one, change)
        assert (await sessions.find(db, token, station="", at=NOW) is None) == ends


async def test_somebody_has_ten_sessions_at_most_and_the_newest_stay(store: Store) -> None:
    from datetime import timedelta

    await city(store)
    one = await make(store, new("zhou"))
    async with store.begin() as db:
        tokens = [
            await sessions.start(db, one.id, station="", at=NOW + timedelta(seconds=n)) for n in range(15)
        ]
        later = NOW + timedelta(minutes=1)
        live = [await sessions.find(db, token, station="", at=later) is not None for token in tokens]
        assert live == [False] * 5 + [True] * 10
        assert (await db.execute(select(func.count()).select_from(session))).scalar_one() == 10
