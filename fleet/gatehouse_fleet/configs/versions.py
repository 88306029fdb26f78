"""The versions of one gateway's configuration: checked, numbered, kept for ever, told apart."""

from __future__ import annotations

import difflib
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_config import Fault, GatewayConfig, examine
from gatehouse_fleet.configs.errors import FaultyTextError
from gatehouse_fleet.store.schema.configs import config_version
from gatehouse_fleet.store.schema.gateways import gateway

_HASH_CHARS: Final = 8


class Version(Struct, frozen=True, kw_only=True):
    """One version."""

    gateway_no: int
    number: int
    version: str
    sha256: str
    text: str
    origin: str
    note: str
    made_by: str
    made_at: datetime


def checked(text: str, *, gateway_id: str) -> GatewayConfig:
    """Return the configuration in a text, if it is one for this gateway.

    What lies beside it on the gateway (keys, secrets, profiles of its own) can only be checked there: a gateway that
    misses something refuses the version and goes on with the old one.

    Raises:
        FaultyTextError: with every fault.
    """
    config, faults = examine(text)
    if config is None:
        raise FaultyTextError(tuple(faults))
    if config.gateway.id != gateway_id:
        faults.append(
            Fault(path="gateway.id", message=f"this is {config.gateway.id}; it would be for {gateway_id}")
        )
    if config.fleet is None:
        faults.append(
            Fault(path="fleet", message="missing: without it the gateway could not be reached again")
        )
    if faults:
        raise FaultyTextError(tuple(faults))
    return config


async def add(
    db: AsyncConnection,
    gateway_no: int,
    text: str,
    *,
    note: str,
    origin: str,
    by: str,
    now: datetime,
) -> Version:
    """Keep a text as the next version; the text that is already the newest stays that version.

    Raises:
        FaultyTextError: it is not one for this gateway.
    """
    row = (
        await db.execute(select(gateway.c.id).where(gateway.c.no == gateway_no).with_for_update())
    ).one()  # two people at once: numbers without gaps
    checked(text, gateway_id=row.id)
    before = await newest(db, gateway_no)
    digest = sha256(text.encode()).hexdigest()
    if before is not None and before.sha256 == digest:
        return before
    number = 1 if before is None else before.number + 1
    made = Version(
        gateway_no=gateway_no,
        number=number,
        version=f"{number}-{digest[:_HASH_CHARS]}",
        sha256=digest,
        text=text,
        origin=origin,
        note=note,
        made_by=by,
        made_at=now,
    )
    await db.execute(
        insert(config_version).values({name: getattr(made, name) for name in made.__struct_fields__})
    )
    return made


async def get(db: AsyncConnection, gateway_no: int, number: int) -> Version | None:
    """Return one version."""
    query = select(config_version).where(
        config_version.c.gateway_no == gateway_no, config_version.c.number == number
    )
    row = (await db.execute(query)).one_or_none()
    return None if row is None else _version(row)


async def named(db: AsyncConnection, gateway_no: int, version: str) -> Version | None:
    """Return the version a gateway was told to fetch."""
    query = select(config_version).where(
        config_version.c.gateway_no == gateway_no, config_version.c.version == version
    )
    row = (await db.execute(query)).one_or_none()
    return None if row is None else _version(row)


async def newest(db: AsyncConnection, gateway_no: int) -> Version | None:
    """Return the newest version of a gateway; it need not be in force there."""
    number = select(func.max(config_version.c.number)).where(config_version.c.gateway_no == gateway_no)
    found = (await db.execute(number)).scalar_one_or_none()
    return None if found is None else await get(db, gateway_no, found)


async def in_force(db: AsyncConnection, gateway_no: int) -> Version | None:
    """Return the version the gateway itself says it runs; None: a local file, or it has never said."""
    query = select(gateway.c.config_version).where(gateway.c.no == gateway_no)
    told = (await db.execute(query)).scalar_one_or_none()
    return None if not told else await named(db, gateway_no, told)


def difference(old: Version | None, new: Version) -> str:
    """Return what changes from one version to another, as a unified diff; all of it when there is no old one."""
    lines = difflib.unified_diff(
        [] if old is None else old.text.splitlines(keepends=True),
        new.text.splitlines(keepends=True),
        "-" if old is None else old.version,
        new.version,
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def _version(row: Row[Any]) -> Version:
    return Version(**row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for it
