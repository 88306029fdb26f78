"""`gatehouse-fleet config`: check, keep, compare and bring out configurations of gateways."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_config import examine
from gatehouse_fleet.cli.local import CommandError, operator, with_store
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.configs import rollout, versions
from gatehouse_fleet.configs.plan import RolloutState
from gatehouse_fleet.configs.rollout import Wish
from gatehouse_fleet.people import audit
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.configs import config_rollout, config_step, config_version
from gatehouse_fleet.store.schema.gateways import gateway

NAME: Final = "config"
HELP: Final = "configurations of gateways: check, add, list, diff, roll out, pause, resume, roll back"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    what = parser.add_subparsers(dest="what", required=True)
    one = what.add_parser("check", help="say everything that is wrong with a gateway.yaml")
    one.add_argument("file", type=Path)
    one = what.add_parser("add", help="keep a gateway.yaml as the next version of a gateway")
    one.add_argument("gateway")
    one.add_argument("file", type=Path)
    one.add_argument("--note", default="")
    one = what.add_parser("list", help="the versions of a gateway")
    one.add_argument("gateway")
    one = what.add_parser("diff", help="what a version changes against another, or against the one in force")
    one.add_argument("gateway")
    one.add_argument("number", type=int)
    one.add_argument("against", type=int, nargs="?")
    one = what.add_parser("rollout", help="bring the newest version of gateways out, a few first")
    one.add_argument("gateways", nargs="+")
    one.add_argument("--title", required=True)
    one.add_argument("--pilots", type=int, default=2)
    one.add_argument("--batch", type=int, default=10)
    one.add_argument("--max-failures", type=int, default=0)
    one.add_argument("--soak-s", type=float, default=3600.0)
    one.add_argument("--confirm-within-s", type=float, default=60.0)
    one = what.add_parser("status", help="a rollout, gateway by gateway")
    one.add_argument("rollout", type=int)
    for verb in ("pause", "resume", "roll-back"):
        one = what.add_parser(verb, help=f"{verb} a rollout")
        one.add_argument("rollout", type=int)
        one.add_argument("--reason", required=True)


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    match args.what:
        case "check":
            return _check(args.file, out)
        case "add":
            made = with_store(args.settings, lambda store: _add(store, args))
            out.fact(made, f"{args.gateway}: version {made['version']}")
        case "list":
            rows = with_store(args.settings, lambda store: _list(store, args.gateway))
            out.table(("number", "version", "made_at", "made_by", "origin", "note", "in_force"), rows)
        case "diff":
            text = with_store(args.settings, lambda store: _diff(store, args))
            out.fact({"diff": text}, text or "no difference")
        case "rollout":
            number = with_store(args.settings, lambda store: _rollout(store, args))
            out.fact({"rollout": number}, f"rollout {number} begins with {args.pilots} gateways")
        case "status":
            head, steps = with_store(args.settings, lambda store: _status(store, args.rollout))
            out.note(f"{head['title']}: {head['state']} {head['why']}".rstrip())
            out.table(("gateway", "pilot", "version", "before", "state", "settled_at", "detail"), steps)
        case _:
            with_store(args.settings, lambda store: _switch(store, args))
            out.fact({"rollout": args.rollout}, f"rollout {args.rollout}: {args.what}")
    return 0


def _check(file: Path, out: Output) -> int:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not UTF-8 text") from error
    _, faults = examine(text)
    if not faults:
        out.fact({"faults": []}, f"{file}: nothing wrong; keys and secrets are checked at the gateway")
        return 0
    rows = [{"line": fault.line, "path": fault.path, "message": fault.message} for fault in faults]
    out.table(("line", "path", "message"), rows)
    return 1


async def _add(store: Store, args: argparse.Namespace) -> dict[str, Any]:
    now, who = SystemClock().now(), operator()
    text = args.file.read_text(encoding="utf-8")
    async with store.begin() as db:
        number = await _gateway(db, args.gateway)
        made = await versions.add(db, number, text, note=args.note, origin="", by=who.name, now=now)
        await audit.append(db, who, "config.add", f"{args.gateway} {made.version}", at=now)
    return {"gateway": args.gateway, "number": made.number, "version": made.version, "sha256": made.sha256}


async def _list(store: Store, gateway_id: str) -> list[dict[str, Any]]:
    async with store.read() as db:
        number = await _gateway(db, gateway_id)
        in_force = await versions.in_force(db, number)
        rows = await db.execute(
            select(config_version)
            .where(config_version.c.gateway_no == number)
            .order_by(config_version.c.number.desc())
        )
        return [
            {name: row[name] for name in ("number", "version", "made_at", "made_by", "origin", "note")}
            | {"in_force": in_force is not None and in_force.number == row["number"]}
            for row in rows.mappings()
        ]


async def _diff(store: Store, args: argparse.Namespace) -> str:
    async with store.read() as db:
        number = await _gateway(db, args.gateway)
        new = await versions.get(db, number, args.number)
        if args.against is None:
            old = await versions.in_force(db, number)
        else:
            old = await versions.get(db, number, args.against)
    if new is None or (args.against is not None and old is None):
        raise CommandError(f"{args.gateway} has no such version")
    return versions.difference(old, new)


async def _rollout(store: Store, args: argparse.Namespace) -> int:
    now, who = SystemClock().now(), operator()
    async with store.begin() as db:
        targets = []
        for gateway_id in args.gateways:
            newest = await versions.newest(db, await _gateway(db, gateway_id))
            if newest is None:
                raise CommandError(
                    f"{gateway_id} has no version: gatehouse-fleet config add {gateway_id} FILE"
                )
            targets.append(newest)
        first = select(gateway.c.node_id).where(gateway.c.no == targets[0].gateway_no)
        wish = Wish(
            title=args.title,
            node_id=(await db.execute(first)).scalar_one(),
            pilots=min(args.pilots, len(targets)),
            batch=args.batch,
            max_failures=args.max_failures,
            soak_s=args.soak_s,
            confirm_within_s=args.confirm_within_s,
        )
        made = await rollout.make(db, wish, targets, by=who.name, now=now)
        await audit.append(db, who, "config.rollout", str(made), at=now)
    return made


async def _status(store: Store, rollout_id: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    async with store.read() as db:
        head = (
            (await db.execute(select(config_rollout).where(config_rollout.c.id == rollout_id)))
            .mappings()
            .one_or_none()
        )
        if head is None:
            raise CommandError(f"there is no rollout {rollout_id}")
        rows = await db.execute(
            select(config_step, gateway.c.id)
            .join(gateway, gateway.c.no == config_step.c.gateway_no)
            .where(config_step.c.rollout_id == rollout_id)
            .order_by(config_step.c.position)
        )
        steps = [
            {
                "gateway": row.id,
                "pilot": row.is_pilot,
                "version": row.number,
                "before": row.before,
                "state": row.state,
                "settled_at": row.settled_at,
                "detail": row.detail,
            }
            for row in rows
        ]
    return dict(head), steps


async def _switch(store: Store, args: argparse.Namespace) -> None:
    states = {
        "pause": RolloutState.PAUSED,
        "resume": RolloutState.RUNNING,
        "roll-back": RolloutState.ROLLING_BACK,
    }
    now, who = SystemClock().now(), operator()
    async with store.begin() as db:
        await rollout.switch(db, args.rollout, states[args.what], why=args.reason, now=now)
        action = f"config.{states[args.what]}"
        await audit.append(db, who, action, str(args.rollout), at=now, detail={"reason": args.reason})


async def _gateway(db: AsyncConnection, gateway_id: str) -> int:
    number = (await db.execute(select(gateway.c.no).where(gateway.c.id == gateway_id))).scalar_one_or_none()
    if number is None:
        raise CommandError(f"there is no gateway {gateway_id}")
    return int(number)
