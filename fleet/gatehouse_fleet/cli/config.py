"""`gatehouse-fleet config`: versions of gateways, what differs, and bringing them out in stages."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_config import yaml_source
from gatehouse_fleet.cli.local import CommandError, open_store, operator
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.configs import difference, rollouts, templates, versions
from gatehouse_fleet.configs import rollout as machine
from gatehouse_fleet.configs.rollout import MAX_MEMBERS, REASONS, Rollout
from gatehouse_fleet.configs.rollouts import NewRollout, Record, member_of
from gatehouse_fleet.configs.versions import Draft, Version
from gatehouse_fleet.people import audit
from gatehouse_fleet.projection.feed import publish
from gatehouse_fleet.registry import gateways
from gatehouse_fleet.registry.gateways import Gateway
from gatehouse_fleet.settings import FleetSettings
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.configs import config_member
from gatehouse_fleet.store.schema.gateways import gateway

NAME: Final = "config"
HELP: Final = "configurations 配置: versions, differences, staged rollouts"
_CLOCK: Final = SystemClock()
_SHOWN: Final = 500
_MOVES: Final[dict[str, tuple[str, Callable[[Rollout], Rollout]]]] = {
    "pause": ("give no further order", machine.pause),
    "resume": ("go on with a paused rollout", machine.resume),
    "rollback": ("take every gateway that was given an order back to its former version", machine.roll_back),
    "end": ("end a paused or stopped rollout; every gateway stays as it is", machine.end),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    what = parser.add_subparsers(dest="what", required=True)
    listed = what.add_parser("list", help="versions of a gateway; without: rollouts, newest first")
    listed.add_argument("gateway", nargs="?")
    shown = what.add_parser("show", help="the text of a version (the newest), or a rollout with its gateways")
    shown.add_argument("gateway", nargs="?")
    shown.add_argument("--rollout", type=int, metavar="ID")
    shown.add_argument("number", type=int, nargs="?")
    diff = what.add_parser("diff", help="from what the gateway says it runs to the newest, or between two")
    diff.add_argument("gateway")
    diff.add_argument("old", type=int, nargs="?")
    diff.add_argument("new", type=int, nargs="?")
    diff.add_argument("--unified", action="store_true", help="as text, not by path")
    put = what.add_parser("put", help="keep a file as the gateway's next version; it runs nowhere yet")
    put.add_argument("gateway")
    put.add_argument("file", type=Path)
    put.add_argument("--reason", required=True)
    put.add_argument("--check", action="store_true", help="only say whether it fits")
    out = what.add_parser("rollout", help="bring versions out, stage by stage")
    out.add_argument(
        "gateways", nargs="*", metavar="GATEWAY[=NUMBER]", help="in this order; the newest version"
    )
    out.add_argument("--template", help="every gateway whose newest version came from it")
    out.add_argument("--reason", required=True)
    out.add_argument(
        "--stage",
        action="append",
        type=_step,
        metavar="N|N%",
        help="size of the next stage; the rest is last",
    )
    out.add_argument("--max-failures", type=int, default=0, choices=range(MAX_MEMBERS), metavar="N")
    out.add_argument(
        "--answer-within-s", type=int, default=900, choices=range(10, 86_401), metavar="10..86400"
    )
    out.add_argument("--confirm-within-s", type=int, default=60, choices=range(1, 3601), metavar="1..3600")
    for name, (words, _) in _MOVES.items():
        what.add_parser(name, help=words).add_argument("id", type=int)


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    actions: dict[str, Callable[[Store, argparse.Namespace, Output], Awaitable[None]]] = {
        "list": _list,
        "show": _show,
        "diff": _diff,
        "put": _put,
        "rollout": _rollout,
    }
    return asyncio.run(_with(args.settings, lambda store: actions.get(args.what, _move)(store, args, out)))


async def _with(settings: FleetSettings, work: Callable[[Store], Awaitable[None]]) -> int:
    async with open_store(settings) as store:
        await work(store)
    return 0


async def _list(store: Store, args: argparse.Namespace, out: Output) -> None:
    async with store.read() as db:
        if args.gateway is None:
            records = await rollouts.page(db, "/", below=None, limit=_SHOWN)
            out.table(
                ("id", "phase", "stages", "made", "by", "reason"), [_rollout_row(one) for one in records]
            )
            return
        owner = await _gateway(db, args.gateway)
        rows = await versions.page(db, owner.no, below=None, limit=_SHOWN)
    columns = ("number", "name", "bytes", "made", "by", "reason", "files")
    out.table(columns, [_version_row(one) for one in rows])


async def _show(store: Store, args: argparse.Namespace, out: Output) -> None:
    if (args.gateway is None) == (args.rollout is None):
        raise CommandError("name a gateway or a --rollout, one of the two")
    async with store.read() as db:
        if args.rollout is not None:
            await _show_rollout(db, args.rollout, out)
            return
        version = await _version(db, await _gateway(db, args.gateway), args.number)
        text = await versions.text_of(db, version.sha256)
    if out.is_json:
        out.json(_version_row(version) | {"text": text})
    else:
        out.raw(text)


async def _show_rollout(db: AsyncConnection, rollout_id: int, out: Output) -> None:
    record = await _record(db, rollout_id)
    query = (
        select(config_member, gateway.c.id.label("gateway_id"))
        .join(gateway, gateway.c.no == config_member.c.gateway_no)
        .where(config_member.c.rollout_id == rollout_id)
        .order_by(config_member.c.stage, config_member.c.gateway_no)
    )
    rows = []
    for row in (await db.execute(query)).all():
        one = member_of(row)
        words = REASONS[one.why]
        rows.append(
            {
                "gateway": row.gateway_id,
                "stage": one.stage + 1,
                "version": one.wanted.number,
                "former": None if one.former is None else one.former.number,
                "standing": one.standing.value,
                "why": f"{words.zh} {words.en}",
                "detail": one.detail,
            }
        )
    if out.is_json:
        out.json(_rollout_row(record) | {"gateways": rows})
        return
    out.note(f"{record.id} {record.phase.value}: {record.reason}")
    out.table(("gateway", "stage", "version", "former", "standing", "why", "detail"), rows)


async def _diff(store: Store, args: argparse.Namespace, out: Output) -> None:
    async with store.read() as db:
        owner = await _gateway(db, args.gateway)
        old = await _reported(db, owner) if args.old is None else await _version(db, owner, args.old)
        new = await _version(db, owner, args.new)
        before, after = await versions.text_of(db, old.sha256), await versions.text_of(db, new.sha256)
    if args.unified:
        out.raw(difference.unified(before, after, old_name=old.name, new_name=new.name))
        return
    rows = [msgspec.to_builtins(one) for one in difference.changes(before, after)]
    out.table(("what", "path", "old", "new"), rows)


async def _put(store: Store, args: argparse.Namespace, out: Output) -> None:
    with args.file.open("rb") as file:
        raw = file.read(yaml_source.MAX_BYTES + 1)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(f"{args.file} is not UTF-8 text: byte {error.start}") from None
    who, now = operator(), _CLOCK.now()
    async with store.read() as db:
        owner = await _gateway(db, args.gateway)
    draft = Draft(text=text, author=who, reason=args.reason)
    ready = await versions.checked(store, owner, draft)
    files = [one.file for one in ready.files]
    if args.check:
        out.fact({"fits": True, "files": files}, f"fits; must lie on the gateway: {' '.join(files) or '-'}")
        return
    async with store.begin() as db:
        made, is_new = await versions.keep(db, ready, now=now)
        if is_new:
            detail: dict[str, str | int | bool | None] = {"sha256": made.sha256, "reason": args.reason}
            subject = f"{owner.id} {made.number}"
            await audit.append(db, who, "config.put", subject, at=now, node_id=owner.node_id, detail=detail)
    out.fact(
        _version_row(made) | {"is_new": is_new},
        f"{'version' if is_new else 'is version'} {made.number}; must lie on the gateway: {' '.join(files) or '-'}",
    )


async def _rollout(store: Store, args: argparse.Namespace, out: Output) -> None:
    if (args.template is None) == (not args.gateways):
        raise CommandError("name gateways or a --template, one of the two")
    who, now = operator(), _CLOCK.now()
    async with store.begin() as db:
        new = NewRollout(
            choices=tuple(await _choices(db, args)),
            steps=tuple(args.stage or [(1, None)]),
            max_failures=args.max_failures,
            answer_within_s=args.answer_within_s,
            confirm_within_s=args.confirm_within_s,
            author=who,
            reason=args.reason,
        )
        made = await rollouts.make(db, new, now=now)
        detail: dict[str, str | int | bool | None] = {"gateways": len(new.choices), "reason": args.reason}
        subject = f"rollout {made.id}"
        await audit.append(db, who, "config.rollout", subject, at=now, node_id=made.node_id, detail=detail)
    stages = " + ".join(str(size) for size in made.plan.stages)
    out.fact(
        _rollout_row(made),
        f"rollout {made.id} begins: {stages} gateways; watch: config show --rollout {made.id}",
    )


async def _move(store: Store, args: argparse.Namespace, out: Output) -> None:
    who, now = operator(), _CLOCK.now()
    _, move = _MOVES[args.what]
    async with store.begin() as db:
        await _record(db, args.id)
        record, lines = await rollouts.act(db, args.id, move, now=now)
        action = f"config.{'roll_back' if args.what == 'rollback' else args.what}"
        await audit.append(db, who, action, f"rollout {args.id}", at=now, node_id=record.node_id)
        await publish(db, lines, at=now)
    out.fact(_rollout_row(record), f"rollout {record.id} is {record.phase.value}")


async def _choices(db: AsyncConnection, args: argparse.Namespace) -> Sequence[tuple[Gateway, Version]]:
    if args.template is not None:
        found = await templates.find(db, args.template)
        if found is None:
            raise CommandError(f"there is no template {args.template}")
        return await templates.latest_of(db, found)
    choices = []
    for word in args.gateways:
        name, _, number = word.partition("=")
        if number and not (number.isascii() and number.isdigit()):
            raise CommandError(f"{word}: write GATEWAY or GATEWAY=NUMBER")
        owner = await _gateway(db, name)
        choices.append((owner, await _version(db, owner, int(number) if number else None)))
    return choices


async def _gateway(db: AsyncConnection, gateway_id: str) -> Gateway:
    found = await gateways.find(db, gateway_id)
    if found is None:
        raise CommandError(f"there is no gateway {gateway_id}")
    return found


async def _version(db: AsyncConnection, owner: Gateway, number: int | None) -> Version:
    found = await (versions.latest(db, owner.no) if number is None else versions.find(db, owner.no, number))
    if found is None:
        raise CommandError(f"{owner.id} has no version{'' if number is None else f' {number}'}")
    return found


async def _reported(db: AsyncConnection, owner: Gateway) -> Version:
    status = (await db.execute(select(gateway.c.status).where(gateway.c.no == owner.no))).scalar_one()
    found = await versions.by_hash(db, owner.no, rollouts.running(status)[1])
    if found is None:
        raise CommandError(f"{owner.id} runs its local file, or a text that is not here; name two versions")
    return found


async def _record(db: AsyncConnection, rollout_id: int) -> Record:
    found = await rollouts.find(db, rollout_id)
    if found is None:
        raise CommandError(f"there is no rollout {rollout_id}")
    return found


def _step(word: str) -> tuple[int | None, int | None]:
    number = word.removesuffix("%")
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= MAX_MEMBERS):
        raise argparse.ArgumentTypeError(f"{word}: write a number of gateways, or per cent as 10%")
    return (None, min(100, int(number))) if word.endswith("%") else (int(number), None)


def _version_row(one: Version) -> dict[str, Any]:
    return {
        "number": one.number,
        "name": one.name,
        "sha256": one.sha256,
        "bytes": one.size_bytes,
        "made": one.made_at.isoformat(" ", "seconds"),
        "by": one.author.name,
        "reason": one.reason,
        "files": [file.file for file in one.files],
    }


def _rollout_row(one: Record) -> dict[str, Any]:
    return {
        "id": one.id,
        "phase": one.phase.value,
        "stages": list(one.plan.stages),
        "made": one.made_at.isoformat(" ", "seconds"),
        "by": one.author.name,
        "reason": one.reason,
    }
