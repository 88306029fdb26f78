"""`gatehouse-fleet case`: look at cases, import a city's table of deadlines and the holidays of a year."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.cases import calendar, limits, listing, policy
from gatehouse_fleet.cases.errors import CaseError
from gatehouse_fleet.cases.lights import Light
from gatehouse_fleet.cases.listing import Wanted
from gatehouse_fleet.cases.office import Office
from gatehouse_fleet.cases.steps import LABELS
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.org import org_node

NAME: Final = "case"
HELP: Final = "cases 案件: list, show, import deadlines and holidays"
_ACTOR: Final = Actor(name="cli", role="system", unit="", station="server")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True)
    listed = actions.add_parser("list", help="open cases, the overdue first")
    listed.add_argument("--light", choices=[one.value for one in Light])
    listed.add_argument("--all", action="store_true", help="closed ones too")
    listed.add_argument("--limit", type=int, default=50)
    shown = actions.add_parser("show", help="one case with its deadlines and its time line")
    shown.add_argument("id", type=int)
    for name, what in (
        ("policy", "import a city's deadlines, lights and ladders (YAML)"),
        ("calendar", "import the holidays of a year (YAML)"),
    ):
        one = actions.add_parser(name, help=what)
        one.add_argument("file", type=Path)
        one.add_argument("--city", help="code of the city; without: every city that has none of its own")
        one.add_argument("--check", action="store_true", help="only say whether the file fits")


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    actions: dict[str, Callable[[Office, argparse.Namespace, Output], Awaitable[None]]] = {
        "list": _list,
        "show": _show,
        "policy": _policy,
        "calendar": _calendar,
    }
    return asyncio.run(_with_office(args.settings, lambda office: actions[args.action](office, args, out)))


async def _with_office(settings: FleetSettings, work: Callable[[Office], Awaitable[None]]) -> int:
    store = Store.open(settings.database_url)
    try:
        await work(Office(store=store, clock=SystemClock(), wake=Wake()))
    finally:
        await store.close()
    return 0


async def _list(office: Office, args: argparse.Namespace, out: Output) -> None:
    wanted = Wanted(
        scope_path="/", light=Light(args.light) if args.light else None, is_open=None if args.all else True
    )
    async with office.store.read() as db:
        found = await listing.find(db, wanted, office.clock.now(), limit=max(1, min(args.limit, 1000)))
    rows = [
        {
            "id": one.case.id,
            "number": one.number,
            "light": one.light,
            "due": None if one.due_at is None else one.due_at.isoformat(timespec="seconds"),
            "priority": one.case.priority,
            "step": LABELS[one.case.step].zh,
            "code": one.case.code,
            "community": one.community,
            "unit": one.case.unit,
        }
        for one in found
    ]
    out.table(("id", "number", "light", "due", "priority", "step", "code", "community", "unit"), rows)


async def _show(office: Office, args: argparse.Namespace, out: Output) -> None:
    async with office.store.read() as db:
        found = await listing.open_one(db, args.id, office.clock.now())
    if found is None:
        raise CaseError(f"没有案件 {args.id} there is no case {args.id}")
    zone = ZoneInfo(args.settings.time_zone)
    out.fact(
        {
            "id": found.listed.case.id,
            "number": found.listed.number,
            "step": found.listed.case.step,
            "light": found.listed.light,
            "alarms": [row.alarm_id for row in found.alarms],
            "deadlines": [_deadline(row, zone) for row in found.deadlines],
            "timeline": [_line(row, zone) for row in found.lines],
        },
        "\n".join(
            [
                f"{found.listed.number} {LABELS[found.listed.case.step].zh} {found.listed.light or '-'}",
                *(f"  {_sentence(_deadline(row, zone))}" for row in found.deadlines),
                *(f"  {_sentence(_line(row, zone))}" for row in found.lines),
            ]
        ),
    )


async def _policy(office: Office, args: argparse.Namespace, out: Output) -> None:
    document = policy.parse(args.file.read_bytes())
    if not args.check:
        async with office.work() as work:
            city_id = await _city(work.db, args.city)
            await work.shelf.keep_policy(work.db, document, city_id=city_id, actor=_ACTOR, now=work.now)
            await audit.append(
                work.db,
                _ACTOR,
                "case.policy",
                f"city:{args.city or '*'}",
                at=work.now,
                node_id=city_id,
                detail={"sha256": document.sha256},
            )
    rows = len(document.policy.deadlines)
    out.fact(
        {
            "sha256": document.sha256,
            "name": document.policy.name,
            "deadlines": rows,
            "imported": not args.check,
        },
        f"{document.policy.name}: {rows} deadlines, {document.sha256[:12]}"
        + (" fits" if args.check else " in force"),
    )


async def _calendar(office: Office, args: argparse.Namespace, out: Output) -> None:
    year = calendar.parse_year(args.file.read_bytes())
    changed = 0
    if not args.check:
        async with office.work() as work:
            city_id = await _city(work.db, args.city)
            await work.shelf.keep_year(work.db, year, city_id=city_id, actor=_ACTOR, now=work.now)
            changed = await limits.recount(work, city_id, _ACTOR)
            await audit.append(
                work.db,
                _ACTOR,
                "case.calendar",
                f"city:{args.city or '*'}",
                at=work.now,
                node_id=city_id,
                detail={"year": year.year, "recounted": changed},
            )
    out.fact(
        {"year": year.year, "holidays": len(year.holidays), "recounted": changed, "imported": not args.check},
        f"{year.year}: {len(year.holidays)} holidays, {changed} provisional deadlines settled",
    )


async def _city(db: AsyncConnection, code: str | None) -> int | None:
    if code is None:
        return None
    query = select(org_node.c.id).where(org_node.c.kind == "city", org_node.c.code == code)
    found = (await db.execute(query)).scalar_one_or_none()
    if found is None:
        raise CaseError(f"没有城市 {code} there is no city of code {code}")
    return int(found)


def _deadline(row: Any, zone: ZoneInfo) -> dict[str, Any]:  # noqa: ANN401  # a row of SQLAlchemy
    told = limits.explanation_of(row)
    return {
        "stage": row.stage,
        "due": row.due_at.astimezone(zone).isoformat(timespec="minutes"),
        "met": None if row.met_at is None else row.met_at.astimezone(zone).isoformat(timespec="minutes"),
        "void": row.void_reason,
        "row": told.row,
        "amount": f"{told.amount:g} {told.basis}",
        "counted": [f"{day.day} {day.kind}" for day in told.days if day.counted_s],
        "provisional": list(told.assumed_years),
    }


def _line(row: Any, zone: ZoneInfo) -> dict[str, Any]:  # noqa: ANN401  # a row of SQLAlchemy
    at = row.at.astimezone(zone).isoformat(timespec="seconds")
    return {"n": row.n, "at": at, "what": row.what, "actor": row.actor, "detail": row.detail}


def _sentence(values: dict[str, Any]) -> str:
    return "  ".join(f"{name}={value}" for name, value in values.items() if value not in (None, [], "{}"))
