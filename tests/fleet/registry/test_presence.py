"""Whether a gateway lives, from its last contact alone; the SQL of the filter says the same as the function."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from gatehouse_fleet.registry import gateways, org
from gatehouse_fleet.registry.gateways import GatewayFilter
from gatehouse_fleet.registry.org import NewNode, NodeKind
from gatehouse_fleet.registry.presence import LABELS, Presence, presence
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.gateways import gateway

NOW = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago_s", "is_stopped", "expected"),
    [
        (None, False, Presence.NEVER),
        (None, True, Presence.NEVER),
        (0, False, Presence.ONLINE),
        (90, False, Presence.ONLINE),
        (90.000001, False, Presence.SILENT),
        (86_400, False, Presence.SILENT),
        (5, True, Presence.STOPPED),
        (86_400, True, Presence.STOPPED),
        (-30, False, Presence.ONLINE),  # the server's clock was put back
    ],
)
def test_presence_is_the_age_of_the_last_contact(ago_s, is_stopped, expected) -> None:
    heard = None if ago_s is None else NOW - timedelta(seconds=ago_s)
    assert presence(heard, is_stopped=is_stopped, now=NOW) is expected


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.booleans())
def test_silence_never_turns_back_into_life_by_waiting(
    ago_s: float, later_s: float, is_stopped: bool
) -> None:
    heard = NOW - timedelta(seconds=ago_s)
    if presence(heard, is_stopped=is_stopped, now=NOW) is Presence.SILENT:
        later = NOW + timedelta(seconds=later_s)
        assert presence(heard, is_stopped=is_stopped, now=later) is Presence.SILENT


def test_every_presence_has_a_name_in_both_languages() -> None:
    assert set(LABELS) == set(Presence)


async def test_the_filter_in_sql_says_the_same_as_the_function(store: Store) -> None:
    offsets = [None, -30, 0, 89.999999, 90, 90.000001, 3600]
    async with store.begin() as db:
        city = await org.ensure_city(db, code="shili", name="示例市", at=NOW)
        new = NewNode(kind=NodeKind.COMMUNITY, parent_id=city, code="yuan", name="示例花园")
        community = (await org.make(db, new, at=NOW)).id
        for number, ago_s in enumerate(offsets):
            for is_stopped in (False, True):
                values = {
                    "id": f"gw-{number}-{is_stopped}".lower(),
                    "node_id": community,
                    "state": "deployed",
                    "created_at": NOW,
                    "last_contact_at": None if ago_s is None else NOW - timedelta(seconds=ago_s),
                    "is_stopped": is_stopped,
                }
                await db.execute(insert(gateway).values(values))
    async with store.read() as db:
        rows = (await db.execute(gateways.query_gateways())).all()
        everything = {row.id: gateways.gateway_of(row).presence(NOW) for row in rows}
        for wanted in Presence:
            condition = gateways.conditions(GatewayFilter(presence=wanted), below_path=None, now=NOW)
            found = (await db.execute(gateways.query_gateways().where(condition))).all()
            assert {row.id for row in found} == {
                one for one, stands in everything.items() if stands is wanted
            }
    assert set(everything.values()) == set(Presence)
