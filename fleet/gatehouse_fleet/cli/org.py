"""`gatehouse-fleet org`: the tree of places."""

from __future__ import annotations

import argparse
from typing import Any, Final

from sqlalchemy import select

from gatehouse_fleet.cli.local import operator, with_store
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.people import audit
from gatehouse_fleet.registry import org
from gatehouse_fleet.registry.divisions import DivisionStandard
from gatehouse_fleet.registry.org import NewNode, Node, NodeKind
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.org import org_node

NAME: Final = "org"
HELP: Final = "show the tree of places, add and move places"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    what = parser.add_subparsers(dest="what", required=True)
    tree = what.add_parser("list", help="every place")
    tree.add_argument("--kind", choices=[kind.value for kind in NodeKind])
    add = what.add_parser("add", help="add a place")
    add.add_argument("code", help="short name, unique below its parent")
    add.add_argument("name")
    add.add_argument("--kind", required=True, choices=[kind.value for kind in NodeKind])
    add.add_argument("--parent", type=int, help="id of the place above; a city has none")
    add.add_argument("--division", help="6, 9 or 12 digits")
    add.add_argument("--standard", choices=[one.value for one in DivisionStandard])
    move = what.add_parser("move", help="hang a place with everything below it under another")
    move.add_argument("id", type=int)
    move.add_argument("--parent", type=int, required=True)


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    match args.what:
        case "list":
            rows = with_store(args.settings, lambda store: _list(store, args.kind))
            out.table(("id", "kind", "code", "name", "division", "path"), rows)
        case "add":
            made = with_store(args.settings, lambda store: _add(store, args))
            out.fact(_row(made), f"{made.kind} {made.name} has id {made.id}")
        case _:
            moved = with_store(args.settings, lambda store: _move(store, args))
            out.fact(_row(moved), f"{moved.name} stands at {moved.path} now")
    return 0


async def _list(store: Store, kind: str | None) -> list[dict[str, Any]]:
    query = select(org_node).order_by(org_node.c.path)
    if kind is not None:
        query = query.where(org_node.c.kind == kind)
    async with store.read() as db:
        return [_row(org.node_of(row)) for row in (await db.execute(query)).all()]


async def _add(store: Store, args: argparse.Namespace) -> Node:
    now = SystemClock().now()
    new = NewNode(
        kind=NodeKind(args.kind),
        parent_id=args.parent,
        code=args.code,
        name=args.name,
        division_code=args.division,
        division_standard=None if args.standard is None else DivisionStandard(args.standard),
    )
    async with store.begin() as db:
        made = await org.make(db, new, at=now)
        await audit.append(db, operator(), "node.make", made.path, at=now, node_id=made.id)
    return made


async def _move(store: Store, args: argparse.Namespace) -> Node:
    async with store.begin() as db:
        moved = await org.move(db, args.id, args.parent)
        await audit.append(db, operator(), "node.move", moved.path, at=SystemClock().now(), node_id=moved.id)
    return moved


def _row(node: Node) -> dict[str, Any]:
    return {
        "id": node.id,
        "kind": node.kind.value,
        "code": node.code,
        "name": node.name,
        "division": node.division_code,
        "path": node.path,
    }
