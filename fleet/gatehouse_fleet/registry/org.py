"""The tree of places: city > district > street > community > building > unit.

A node's path is the ids from the root to itself (`/1/5/9/`); a subtree is everything whose path starts with it, so roles, alarms and
figures ask one question. Moving a node rewrites the paths below it in the same transaction.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import Row, delete, func, insert, literal, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.states import Label
from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.registry.divisions import DivisionStandard, check_division
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.store.schema.people import user

MAX_NODES: Final = 2_000_000
"""A hundred thousand communities with twenty buildings and units each."""
_MAX_PATH: Final = 512


class NodeKind(StrEnum):
    """Level of a place."""

    CITY = "city"
    DISTRICT = "district"
    STREET = "street"
    COMMUNITY = "community"
    BUILDING = "building"
    UNIT = "unit"


ORDER: Final = tuple(NodeKind)
LABELS: Final[dict[NodeKind, Label]] = {
    NodeKind.CITY: Label("市", "city"),
    NodeKind.DISTRICT: Label("区(市)", "district"),
    NodeKind.STREET: Label("街道(镇)", "street"),
    NodeKind.COMMUNITY: Label("小区", "community"),
    NodeKind.BUILDING: Label("楼", "building"),
    NodeKind.UNIT: Label("单元", "unit"),
}


class OrgError(FleetError):
    """The tree cannot be changed so; `reason` is a stable token."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason: Final = reason


class NodeFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a place beside its name; counts are what coverage is measured against."""

    households: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    buildings: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    lifts: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    camera_points: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    """Places that should have a camera: entrances, car parks, main roads, fire lanes, high façades."""
    property_company: Annotated[str, Meta(max_length=128)] = ""
    duty_phone: Annotated[str, Meta(max_length=32)] = ""


class Node(Struct, frozen=True, kw_only=True):
    """One place."""

    id: int
    kind: NodeKind
    parent_id: int | None
    path: str
    code: str
    name: str
    name_en: str
    division_code: str | None
    division_standard: DivisionStandard | None
    facts: NodeFacts
    created_at: datetime


class NewNode(Struct, frozen=True, kw_only=True):
    """What a place is made of."""

    kind: NodeKind
    parent_id: int | None
    code: str
    name: str
    name_en: str = ""
    division_code: str | None = None
    division_standard: DivisionStandard | None = None
    facts: NodeFacts = NodeFacts()


class NodeChange(Struct, frozen=True, kw_only=True):
    """What changes; what is unset stays."""

    name: str | UnsetType = UNSET
    name_en: str | UnsetType = UNSET
    division_code: str | UnsetType | None = UNSET
    division_standard: DivisionStandard | UnsetType | None = UNSET
    facts: NodeFacts | UnsetType = UNSET


def may_stand_below(kind: NodeKind, parent: NodeKind | None) -> bool:
    """Return whether a place may stand there: a city at the root, anything else below a higher level.

    Levels may be left out: a county-level city has communities without a street office, a community houses without units.
    """
    if parent is None:
        return kind is NodeKind.CITY
    return ORDER.index(kind) > ORDER.index(parent)


async def get(db: AsyncConnection, node_id: int) -> Node | None:
    """Return a place."""
    row = (await db.execute(select(org_node).where(org_node.c.id == node_id))).one_or_none()
    return None if row is None else node_of(row)


async def make(db: AsyncConnection, new: NewNode, *, at: datetime) -> Node:
    """Make a place.

    Raises:
        OrgError: `parent`, `level`, `code_taken`, `division`, `too_deep`.
    """
    await lock_tree(db)
    parent = None if new.parent_id is None else await get(db, new.parent_id)
    if new.parent_id is not None and parent is None:
        raise OrgError("parent", "there is no such parent")
    if not may_stand_below(new.kind, None if parent is None else parent.kind):
        raise OrgError("level", f"a {new.kind} cannot stand there")
    _check_division(new.division_code, new.division_standard)
    await _check_code(db, new.parent_id, new.code, None)
    done = await db.execute(
        insert(org_node).values(
            kind=new.kind.value,
            parent_id=new.parent_id,
            path=f"new {new.parent_id} {new.code}",  # unique until its id is known
            code=new.code,
            name=new.name,
            name_en=new.name_en,
            division_code=new.division_code,
            division_standard=new.division_standard,
            facts=msgspec.json.encode(new.facts).decode(),
            created_at=at,
        )
    )
    node_id = _new_id(done.inserted_primary_key)
    path = f"{'/' if parent is None else parent.path}{node_id}/"
    _check_path(path)
    await db.execute(update(org_node).where(org_node.c.id == node_id).values(path=path))
    return await _known(db, node_id)


async def ensure_city(db: AsyncConnection, *, code: str, name: str, at: datetime) -> int:
    """Return the id of the first city, made if there is none: the first user's scope."""
    query = select(org_node.c.id).where(org_node.c.parent_id.is_(None)).order_by(org_node.c.id).limit(1)
    found = (await db.execute(query)).scalar_one_or_none()
    if found is not None:
        return int(found)
    made = await make(db, NewNode(kind=NodeKind.CITY, parent_id=None, code=code, name=name), at=at)
    return made.id


async def change(db: AsyncConnection, node: Node, new: NodeChange) -> Node:
    """Rename a place or change its facts.

    Raises:
        OrgError: `division`.
    """
    values: dict[str, Any] = {
        field: value for field in new.__struct_fields__ if (value := getattr(new, field)) is not UNSET
    }
    if isinstance(facts := values.get("facts"), NodeFacts):
        values["facts"] = msgspec.json.encode(facts).decode()
    _check_division(
        values.get("division_code", node.division_code),
        values.get("division_standard", node.division_standard),
    )
    if values:
        await db.execute(update(org_node).where(org_node.c.id == node.id).values(values))
    return await _known(db, node.id)


async def move(db: AsyncConnection, node_id: int, parent_id: int) -> Node:
    """Hang a place with everything below it under another parent.

    Raises:
        OrgError: `parent`: there is none, or it stands below the place itself; `level`, `code_taken`, `too_deep`.
    """
    await lock_tree(db)
    node, parent = await get(db, node_id), await get(db, parent_id)
    if node is None or parent is None or parent.path.startswith(node.path):
        raise OrgError("parent", "a place cannot be hung below itself or nowhere")
    if not may_stand_below(node.kind, parent.kind):
        raise OrgError("level", f"a {node.kind} cannot stand below a {parent.kind}")
    await _check_code(db, parent_id, node.code, node.id)
    path = f"{parent.path}{node.id}/"
    below = (org_node.c.path.startswith(node.path, autoescape=True),)
    longest = (await db.execute(select(func.max(func.length(org_node.c.path))).where(*below))).scalar_one()
    _check_path(" " * (longest - len(node.path) + len(path)))
    await db.execute(update(org_node).where(org_node.c.id == node.id).values(parent_id=parent_id))
    await db.execute(
        update(org_node)
        .where(*below)
        .values(path=literal(path) + func.substr(org_node.c.path, len(node.path) + 1))
    )
    return await _known(db, node_id)


async def remove(db: AsyncConnection, node_id: int) -> None:
    """Delete a place that nothing stands in or points at.

    Raises:
        OrgError: `not_empty`: it has places below it, gateways, users or records of the past.
    """
    await lock_tree(db)
    for query in (
        select(org_node.c.id).where(org_node.c.parent_id == node_id),
        select(gateway.c.no).where(gateway.c.node_id == node_id),
        select(user.c.id).where(user.c.scope_id == node_id),
    ):
        if (await db.execute(query.limit(1))).first() is not None:
            raise OrgError("not_empty", "there are places, gateways or users here; move them first")
    try:
        await db.execute(delete(org_node).where(org_node.c.id == node_id))
    except IntegrityError as error:  # tables of other areas point at places too
        raise OrgError("not_empty", "records of the past point at this place; it stays") from error


def node_of(row: Row[Any]) -> Node:
    """Return a row of the table as a value."""
    return Node(
        id=row.id,
        kind=NodeKind(row.kind),
        parent_id=row.parent_id,
        path=row.path,
        code=row.code,
        name=row.name,
        name_en=row.name_en,
        division_code=row.division_code,
        division_standard=None if row.division_standard is None else DivisionStandard(row.division_standard),
        facts=msgspec.json.decode(row.facts, type=NodeFacts),
        created_at=row.created_at,
    )


async def lock_tree(db: AsyncConnection) -> None:
    """Let one transaction at a time change the shape: two moves at once could hang two nodes below each other."""
    if db.dialect.name == "postgresql":
        await db.execute(text("LOCK TABLE org_node IN SHARE ROW EXCLUSIVE MODE"))


async def _known(db: AsyncConnection, node_id: int) -> Node:
    node = await get(db, node_id)
    assert node is not None  # noqa: S101  # just written in this transaction
    return node


async def _check_code(db: AsyncConnection, parent_id: int | None, code: str, own_id: int | None) -> None:
    is_sibling = org_node.c.parent_id.is_(None) if parent_id is None else org_node.c.parent_id == parent_id
    query = select(org_node.c.id).where(is_sibling, org_node.c.code == code, org_node.c.id != (own_id or -1))
    if (await db.execute(query)).first() is not None:
        raise OrgError("code_taken", "there is a place of this code already")


def _check_division(code: str | None, standard: DivisionStandard | None) -> None:
    fault = check_division(code, standard)
    if fault is not None:
        raise OrgError("division", fault)


def _check_path(path: str) -> None:
    if len(path) > _MAX_PATH:
        raise OrgError("too_deep", "the tree is too deep")


def _new_id(key: Any) -> int:  # noqa: ANN401  # SQLAlchemy's row of the primary key
    return int(key[0])
