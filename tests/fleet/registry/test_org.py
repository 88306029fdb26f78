"""The tree of places: moving takes everything along, deleting takes nothing, and no two moves make a ring."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from gatehouse_fleet.registry import gateways, org
from gatehouse_fleet.registry.divisions import LENGTHS, DivisionStandard, check_division, shipped
from gatehouse_fleet.registry.org import ORDER, NewNode, Node, NodeChange, NodeFacts, NodeKind, OrgError
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.org import org_node

NOW = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)


async def make(store: Store, kind: NodeKind, parent: Node | None, code: str, **more: object) -> Node:
    async with store.begin() as db:
        parent_id = None if parent is None else parent.id
        new = NewNode(kind=kind, parent_id=parent_id, code=code, name=f"示例{code}", **more)
        return await org.make(db, new, at=NOW)


async def city(store: Store) -> tuple[Node, Node, Node, Node]:
    """A city with two districts and a community of the first."""
    top = await make(store, NodeKind.CITY, None, "shili")
    east = await make(store, NodeKind.DISTRICT, top, "east")
    west = await make(store, NodeKind.DISTRICT, top, "west")
    return top, east, west, await make(store, NodeKind.COMMUNITY, east, "garden")


async def move(store: Store, node: Node, parent: Node) -> Node:
    async with store.begin() as db:
        return await org.move(db, node.id, parent.id)


async def test_a_path_is_the_ids_from_the_root_to_the_place_itself(store: Store) -> None:
    top, east, _, garden = await city(store)
    assert garden.path == f"/{top.id}/{east.id}/{garden.id}/"


async def test_a_move_takes_the_whole_subtree_along(store: Store) -> None:
    top, east, west, garden = await city(store)
    building = await make(store, NodeKind.BUILDING, garden, "3")
    unit = await make(store, NodeKind.UNIT, building, "1")
    moved = await move(store, garden, west)
    assert (moved.path, moved.parent_id) == (f"/{top.id}/{west.id}/{garden.id}/", west.id)
    async with store.read() as db:
        rows = (await db.execute(select(org_node))).all()
        paths = {row.id: row.path for row in rows}
        parents = {row.id: row.parent_id for row in rows}
    assert paths[unit.id] == f"{moved.path}{building.id}/{unit.id}/"
    for node_id, path in paths.items():
        above = paths.get(parents[node_id], "/")
        assert path == f"{above}{node_id}/"
    assert not paths[garden.id].startswith(east.path)


async def test_a_place_cannot_hang_below_itself_or_beside_its_level(store: Store) -> None:
    _, east, west, garden = await city(store)
    for node, parent, reason in ((east, east, "parent"), (east, garden, "parent"), (west, east, "level")):
        with pytest.raises(OrgError) as refused:
            await move(store, node, parent)
        assert refused.value.reason == reason


async def test_two_moves_at_once_never_make_a_ring(store: Store) -> None:
    top = await make(store, NodeKind.CITY, None, "shili")
    street = await make(store, NodeKind.STREET, top, "street")
    first = await make(store, NodeKind.COMMUNITY, street, "first")
    other = await make(store, NodeKind.DISTRICT, top, "other")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(move(store, street, other), name="one")
        tasks.create_task(move(store, first, other), name="two")
    async with store.read() as db:
        paths = set((await db.execute(select(org_node.c.path))).scalars())
    assert paths == {
        f"/{top.id}/",
        f"/{top.id}/{other.id}/",
        f"/{top.id}/{other.id}/{street.id}/",
        f"/{top.id}/{other.id}/{first.id}/",
    }


async def test_only_an_empty_place_goes(store: Store) -> None:
    _, east, west, garden = await city(store)
    async with store.begin() as db:
        await gateways.make(db, "wh-gw1", garden.id, at=NOW)
    for node in (east, garden):
        with pytest.raises(OrgError, match="move them first"):
            async with store.begin() as db:
                await org.remove(db, node.id)
    async with store.begin() as db:
        await org.remove(db, west.id)
    async with store.read() as db:
        assert await org.get(db, west.id) is None


async def test_the_same_code_twice_below_one_parent_is_refused(store: Store) -> None:
    top, _, west, _ = await city(store)
    with pytest.raises(OrgError) as refused:
        await make(store, NodeKind.DISTRICT, top, "east")
    assert refused.value.reason == "code_taken"
    await make(store, NodeKind.COMMUNITY, west, "garden")  # below another parent it may


async def test_a_gateway_belongs_to_a_community(store: Store) -> None:
    _, east, _, _ = await city(store)
    with pytest.raises(gateways.GatewayError, match="community"):
        async with store.begin() as db:
            await gateways.make(db, "wh-gw1", east.id, at=NOW)


async def test_renaming_keeps_place_and_facts(store: Store) -> None:
    *_, garden = await city(store)
    async with store.begin() as db:
        await org.change(db, garden, NodeChange(facts=NodeFacts(households=800, camera_points=6)))
        renamed = await org.change(db, garden, NodeChange(name="示例新园"))
    assert (renamed.name, renamed.path, renamed.facts.households) == ("示例新园", garden.path, 800)


@given(st.sampled_from(NodeKind), st.sampled_from([None, *NodeKind]))
def test_levels_only_go_down(kind: NodeKind, parent: NodeKind | None) -> None:
    may = org.may_stand_below(kind, parent)
    assert may == (kind is NodeKind.CITY if parent is None else ORDER.index(parent) < ORDER.index(kind))


def test_shipped_division_codes_are_those_of_the_notes_and_name_their_source() -> None:
    codes = {one.code: one for one in shipped()}
    assert len(codes) == len(shipped()) == 9
    assert codes["371002"].name == "环翠区"
    assert codes["371071"].standard is DivisionStandard.STATS_GOV
    assert all(one.provenance and len(one.code) in LENGTHS for one in codes.values())


@pytest.mark.parametrize(
    ("code", "standard", "is_good"),
    [
        (None, None, True),
        ("371002", DivisionStandard.GBT2260, True),
        ("371002002", DivisionStandard.STATS_GOV, True),
        ("371002002001", DivisionStandard.STATS_GOV, True),
        ("371002", None, False),
        (None, DivisionStandard.GBT2260, False),
        ("37100", DivisionStandard.GBT2260, False),
        ("３７１００２", DivisionStandard.GBT2260, False),
    ],
)
def test_a_division_code_needs_its_standard_and_its_digits(code, standard, is_good) -> None:
    assert (check_division(code, standard) is None) == is_good
