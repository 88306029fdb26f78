"""`gatehouse-fleet user`: people, from the server's own machine."""

from __future__ import annotations

import argparse
from typing import Any, Final

from msgspec import UNSET

from gatehouse_fleet.cli.local import CommandError, ask_password, operator, with_store
from gatehouse_fleet.cli.output import Output
from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.people import accounts, audit
from gatehouse_fleet.people.accounts import NewUser, User, UserChange
from gatehouse_fleet.people.first import FirstCode
from gatehouse_fleet.people.passwords import AccountError, Passwords
from gatehouse_fleet.people.roles import Role
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.people import user

NAME: Final = "user"
HELP: Final = "list and make users, set passwords, shut somebody out"
_FAULTS: Final = {
    "name_taken": "there is somebody of that login",
    "subject_taken": "that identity is bound to another user",
    "password": "a password has 10 to 128 characters, not the login, not all alike",
    "scope": "there is no such place; see `gatehouse-fleet org`",
    "too_many": "too many users",
    "last_operator": "the last operator of the whole city stays",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    what = parser.add_subparsers(dest="what", required=True)
    what.add_parser("list", help="everybody")
    what.add_parser("first-code", help="the one-time code for the first user, while there is none")
    add = what.add_parser("add", help="make a user; the password is asked for or read from standard input")
    add.add_argument("name", help="login")
    add.add_argument("--full-name", required=True)
    add.add_argument("--unit", required=True, help="organisation, written into registers")
    add.add_argument("--role", required=True, choices=[role.value for role in Role])
    add.add_argument("--scope", type=int, required=True, help="id of the place whose subtree is meant")
    add.add_argument("--contractor", action="store_true", help="sees no clips and no names")
    for name, words in (("password", "set a password"), ("disable", "shut out"), ("enable", "let in again")):
        what.add_parser(name, help=f"{words}; ends all sessions").add_argument("name", help="login")


def run(args: argparse.Namespace, out: Output) -> int:
    """Run it."""
    if args.what == "first-code":
        return _first_code(args, out)
    try:
        match args.what:
            case "list":
                rows = with_store(args.settings, _list)
                out.table(("login", "full_name", "unit", "role", "scope", "contractor", "active"), rows)
            case "add":
                made = with_store(args.settings, lambda store: _add(store, args))
                out.fact(_row(made), f"made {made.name}")
            case "password":
                with_store(args.settings, lambda store: _password(store, args.name))
                out.fact({"login": args.name}, f"{args.name} has a new password; all sessions ended")
            case _:
                is_active = args.what == "enable"
                with_store(args.settings, lambda store: _activate(store, args.name, is_active=is_active))
                out.fact({"login": args.name, "active": is_active}, f"{args.name}: {args.what}d")
    except AccountError as error:
        raise CommandError(_FAULTS.get(error.reason, error.reason)) from error
    return 0


def _first_code(args: argparse.Namespace, out: Output) -> int:
    async def has_users(store: Store) -> bool:
        async with store.read() as db:
            return await accounts.has_users(db)

    if with_store(args.settings, has_users):
        raise CommandError("there are users already; log in")
    code = FirstCode(args.settings.directory).ensure()
    out.fact({"first_user_code": code}, code)
    return 0


async def _list(store: Store) -> list[dict[str, Any]]:
    async with store.read() as db:
        rows = (await db.execute(accounts.query_users().order_by(user.c.name))).all()
    return [_row(accounts.user_of(row)) for row in rows]


async def _add(store: Store, args: argparse.Namespace) -> User:
    hashed = await Passwords().hash(args.name, ask_password())
    now = SystemClock().now()
    new = NewUser(
        name=args.name,
        full_name=args.full_name,
        unit=args.unit,
        role=Role(args.role),
        scope_id=args.scope,
        is_contractor=args.contractor,
    )
    async with store.begin() as db:
        made = await accounts.make(db, new, hashed, at=now)
        detail = {"role": made.role.value, "contractor": made.is_contractor}
        await audit.append(
            db, operator(), "user.make", made.name, at=now, node_id=made.scope_id, detail=dict(detail)
        )
    return made


async def _password(store: Store, name: str) -> None:
    hashed = await Passwords().hash(name, ask_password())
    async with store.begin() as db:
        found = await accounts.find(db, name)
        if found is None:
            raise CommandError(f"there is no {name}")
        await accounts.set_password(db, found.id, hashed)
        now = SystemClock().now()
        await audit.append(db, operator(), "user.password", name, at=now, node_id=found.scope_id)


async def _activate(store: Store, name: str, *, is_active: bool) -> None:
    async with store.begin() as db:
        found = await accounts.find(db, name)
        if found is None:
            raise CommandError(f"there is no {name}")
        await accounts.change(db, found, UserChange(is_active=is_active, full_name=UNSET))
        await audit.append(
            db,
            operator(),
            "user.change",
            name,
            at=SystemClock().now(),
            node_id=found.scope_id,
            detail={"active": is_active},
        )


def _row(one: User) -> dict[str, Any]:
    return {
        "login": one.name,
        "full_name": one.full_name,
        "unit": one.unit,
        "role": one.role.value,
        "scope": one.scope_id,
        "contractor": one.is_contractor,
        "active": one.is_active,
    }
