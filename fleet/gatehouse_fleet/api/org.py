"""The tree of places."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from msgspec import UNSET
from pydantic import Field, StringConstraints
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.states import Label
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.registry import org
from gatehouse_fleet.registry.divisions import DivisionStandard, shipped
from gatehouse_fleet.registry.org import NewNode, Node, NodeChange, NodeFacts, NodeKind, OrgError
from gatehouse_fleet.services import services_of
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.web.access import caller, entitled, require_reach, within
from gatehouse_fleet.web.fields import (
    UNQUOTED,
    Answer,
    Body,
    Code,
    Done,
    LongName,
    Note,
    NumberPath,
    RowNumber,
)
from gatehouse_fleet.web.pages import After, Limit, Page, key_of, mark
from gatehouse_fleet.web.problems import ProblemError

router: Final = APIRouter(tags=["places"])
Manager = Annotated[Caller, Depends(entitled(Right.MANAGE_ORG))]
DivisionCode = Annotated[str, StringConstraints(pattern="^([0-9]{6}|[0-9]{9}|[0-9]{12})$")]

_LABELS: Final[dict[str, tuple[int, Label]]] = {
    "parent": (
        409,
        Label("上级不存在或在其自身之下", "there is no such parent, or it stands below the place itself"),
    ),
    "level": (409, Label("层级不符", "this level cannot stand there")),
    "code_taken": (409, Label("同级代码已存在", "there is a place of this code already")),
    "division": (
        409,
        Label("行政区划代码不完整", "a division code has 6, 9 or 12 digits and names its standard"),
    ),
    "too_deep": (409, Label("层级过深", "the tree is too deep")),
    "not_empty": (409, Label("其下仍有内容，不能删除", "something stands here or points here; it stays")),
}


class Facts(Body):
    """What coverage is measured against, and whom to call."""

    households: Annotated[int, Field(ge=0, le=10_000_000), UNQUOTED] | None = None
    buildings: Annotated[int, Field(ge=0, le=100_000), UNQUOTED] | None = None
    lifts: Annotated[int, Field(ge=0, le=100_000), UNQUOTED] | None = None
    camera_points: Annotated[int, Field(ge=0, le=1_000_000), UNQUOTED] | None = None
    property_company: Annotated[Note, Field(max_length=128)] = ""
    duty_phone: Annotated[str, StringConstraints(pattern="^[0-9+ -]{0,32}$")] = ""


class NodeRow(Answer):
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
    facts: Facts
    created_at: datetime


class NewNodeBody(Body):
    """A new place."""

    kind: NodeKind
    parent_id: RowNumber
    code: Code
    name: LongName
    name_en: Annotated[Note, Field(max_length=128)] = ""
    division_code: DivisionCode | None = None
    division_standard: DivisionStandard | None = None
    facts: Facts = Facts()


class NodeChangeBody(Body):
    """What changes; what is left out stays. An empty division code takes it away."""

    name: LongName | None = None
    name_en: Annotated[Note, Field(max_length=128)] | None = None
    division_code: DivisionCode | None = None
    division_standard: DivisionStandard | None = None
    facts: Facts | None = None


class MoveBody(Body):
    """Under which other place."""

    parent_id: RowNumber


class DivisionRow(Answer):
    """One code that ships with the server."""

    code: str
    name: str
    standard: DivisionStandard
    provenance: str


class DivisionList(Answer):
    """Every shipped code."""

    items: list[DivisionRow]


def problem_of(error: OrgError) -> ProblemError:
    """Return how the API says it."""
    status, words = _LABELS[error.reason]
    return ProblemError(status, error.reason, words)


@router.get("/divisions")
async def divisions(_who: Annotated[Caller, Depends(caller)]) -> DivisionList:
    """Return the division codes that ship with the server, each with where it was read."""
    return DivisionList(items=[DivisionRow.model_validate(msgspec.structs.asdict(one)) for one in shipped()])


@router.get("/nodes")
async def nodes(
    request: Request,
    who: Annotated[Caller, Depends(caller)],
    limit: Limit = 100,
    after: After = None,
    parent_id: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    kind: Annotated[NodeKind | None, Query()] = None,
) -> Page[NodeRow]:
    """Return the places of one's subtree in the order they were made: all, one level, or below one parent."""
    query = select(org_node).where(within(org_node.c.path, who)).order_by(org_node.c.id).limit(limit + 1)
    if parent_id is not None:
        query = query.where(org_node.c.parent_id == parent_id)
    if kind is not None:
        query = query.where(org_node.c.kind == kind.value)
    behind = key_of(after, tuple[int])
    if behind is not None:
        query = query.where(org_node.c.id > behind[0])
    async with services_of(request).store.read() as db:
        rows = [org.node_of(row) for row in (await db.execute(query)).all()]
    more = mark(rows[limit - 1].id) if len(rows) > limit else None
    return Page(items=[row_of(node) for node in rows[:limit]], next=more)


@router.post("/nodes", status_code=201)
async def make_node(request: Request, body: NewNodeBody, who: Manager) -> NodeRow:
    """Make a place below another one of one's subtree."""
    services = services_of(request)
    now = services.clock.now()
    new = NewNode(
        kind=body.kind,
        parent_id=body.parent_id,
        code=body.code,
        name=body.name,
        name_en=body.name_en,
        division_code=body.division_code,
        division_standard=body.division_standard,
        facts=NodeFacts(**body.facts.model_dump()),
    )
    try:
        async with services.store.begin() as db:
            parent = await org.get(db, body.parent_id)
            require_reach(who, None if parent is None else parent.path)
            made = await org.make(db, new, at=now)
            await audit.append(db, who.actor, "node.make", made.path, at=now, node_id=made.id)
    except OrgError as error:
        raise problem_of(error) from None
    return row_of(made)


@router.get("/nodes/{node_id}")
async def one_node(request: Request, node_id: NumberPath, who: Annotated[Caller, Depends(caller)]) -> NodeRow:
    """Return one place."""
    async with services_of(request).store.read() as db:
        return row_of(await reachable(db, who, node_id))


@router.patch("/nodes/{node_id}")
async def change_node(request: Request, node_id: NumberPath, body: NodeChangeBody, who: Manager) -> NodeRow:
    """Rename a place or change what is known of it."""
    services = services_of(request)
    given = {field: value for field in body.model_fields_set if (value := getattr(body, field)) is not None}
    if isinstance(facts := given.get("facts"), Facts):
        given["facts"] = NodeFacts(**facts.model_dump())
    try:
        async with services.store.begin() as db:
            node = await reachable(db, who, node_id)
            new = NodeChange(**{field: given.get(field, UNSET) for field in NodeChange.__struct_fields__})
            changed = await org.change(db, node, new)
            await audit.append(
                db,
                who.actor,
                "node.change",
                node.path,
                at=services.clock.now(),
                node_id=node.id,
                detail={"fields": " ".join(sorted(given))},
            )
    except OrgError as error:
        raise problem_of(error) from None
    return row_of(changed)


@router.post("/nodes/{node_id}/move")
async def move_node(request: Request, node_id: NumberPath, body: MoveBody, who: Manager) -> NodeRow:
    """Hang a place with everything below it under another parent; both must be within reach."""
    services = services_of(request)
    try:
        async with services.store.begin() as db:
            node = await reachable(db, who, node_id)
            await reachable(db, who, body.parent_id)
            moved = await org.move(db, node_id, body.parent_id)
            await audit.append(
                db,
                who.actor,
                "node.move",
                node.path,
                at=services.clock.now(),
                node_id=node.id,
                detail={"to": moved.path},
            )
    except OrgError as error:
        raise problem_of(error) from None
    return row_of(moved)


@router.delete("/nodes/{node_id}")
async def remove_node(request: Request, node_id: NumberPath, who: Manager) -> Done:
    """Delete a place in which nothing stands."""
    services = services_of(request)
    try:
        async with services.store.begin() as db:
            node = await reachable(db, who, node_id)
            await org.remove(db, node_id)
            await audit.append(
                db,
                who.actor,
                "node.remove",
                node.path,
                at=services.clock.now(),
                node_id=node.parent_id,
                detail={"name": node.name},
            )
    except OrgError as error:
        raise problem_of(error) from None
    return Done()


async def reachable(db: AsyncConnection, who: Caller, node_id: int) -> Node:
    """Return a place of the caller's subtree.

    Raises:
        ProblemError: 404.
    """
    node = await org.get(db, node_id)
    require_reach(who, None if node is None else node.path)
    assert node is not None  # noqa: S101  # require_reach refuses None
    return node


def row_of(node: Node) -> NodeRow:
    """Return a place as the API says it."""
    values = msgspec.structs.asdict(node)
    return NodeRow.model_validate(values | {"facts": msgspec.structs.asdict(node.facts)})
