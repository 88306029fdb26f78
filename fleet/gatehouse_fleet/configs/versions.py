"""Versions of a gateway's configuration: numbered, checked before they are kept, never changed. Texts are kept once, by their hash."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Row, Select, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_config import NamedFile
from gatehouse_events.states import Label
from gatehouse_fleet.configs.checking import check
from gatehouse_fleet.configs.errors import ConfigsError
from gatehouse_fleet.configs.rollout import Target
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.registry.gateways import Gateway
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.configs import config_hold, config_text, config_version
from gatehouse_fleet.store.schema.gateways import gateway

_SHORT: Final = 12


class Version(Struct, frozen=True, kw_only=True):
    """One version, without its text."""

    gateway_no: int
    number: int
    sha256: str
    size_bytes: int
    made_at: datetime
    author: Actor
    reason: str
    template_id: int | None
    template_revision: int | None
    files: tuple[NamedFile, ...]

    @property
    def name(self) -> str:
        """As orders and the gateway name it: a number alone could mean another text after a restored backup."""
        return f"{self.number}-{self.sha256[:_SHORT]}"

    @property
    def target(self) -> Target:
        """As rollouts name it."""
        return Target(number=self.number, name=self.name, sha256=self.sha256, size_bytes=self.size_bytes)


class Draft(Struct, frozen=True, kw_only=True):
    """A text that is to become a version."""

    text: str
    author: Actor
    reason: str
    template_id: int | None = None
    template_revision: int | None = None


class Checked(Struct, frozen=True, kw_only=True):
    """A draft that has no fault, and the version it was checked against."""

    owner: Gateway
    draft: Draft
    last: int
    files: tuple[NamedFile, ...]


async def checked(store: Store, owner: Gateway, draft: Draft) -> Checked:
    """Return a draft without faults. Outside of any writing transaction: a large text takes seconds, and alarms do not wait for it.

    Raises:
        FaultyTextError: with every fault.
    """
    async with store.read() as db:
        last = await latest(db, owner.no)
        before = None if last is None else await text_of(db, last.sha256)
    files = await asyncio.to_thread(check, draft.text, owner.id, before=before)
    return Checked(owner=owner, draft=draft, last=0 if last is None else last.number, files=files)


async def keep(db: AsyncConnection, new: Checked, *, now: datetime) -> tuple[Version, bool]:
    """Keep a draft as the gateway's next version, in the caller's transaction.

    Returns:
        The version, and whether it is new: the same text as the latest version is that version.

    Raises:
        ConfigsError: `changed`: somebody else made a version meanwhile.
    """
    # Whoever numbers a gateway's versions holds its row.
    await db.execute(select(gateway.c.no).where(gateway.c.no == new.owner.no).with_for_update())
    last = await latest(db, new.owner.no)
    raw = new.draft.text.encode()
    digest = sha256(raw).hexdigest()
    if last is not None and last.sha256 == digest:
        return last, False
    number = 0 if last is None else last.number
    if number != new.last:
        raise ConfigsError(
            "changed", Label("期间已有新版本，请重新查看", "there is a newer version; look again")
        )
    await keep_text(db, new.draft.text)
    made = Version(
        gateway_no=new.owner.no,
        number=number + 1,
        sha256=digest,
        size_bytes=len(raw),
        made_at=now,
        author=new.draft.author,
        reason=new.draft.reason,
        template_id=new.draft.template_id,
        template_revision=new.draft.template_revision,
        files=new.files,
    )
    values = msgspec.structs.asdict(made)
    values["author"] = msgspec.json.encode(made.author).decode()
    values["files"] = msgspec.json.encode(made.files).decode()
    await db.execute(insert(config_version).values(values))
    return made, True


async def keep_text(db: AsyncConnection, text: str) -> str:
    """Keep a text under its hash and return that."""
    digest = sha256(text.encode()).hexdigest()
    make = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    await db.execute(make(config_text).values(sha256=digest, text=text).on_conflict_do_nothing())
    return digest


async def text_of(db: AsyncConnection, digest: str) -> str:
    """Return a text that a version names."""
    return str(
        (await db.execute(select(config_text.c.text).where(config_text.c.sha256 == digest))).scalar_one()
    )


async def bytes_of(db: AsyncConnection, version: Version) -> bytes:
    """Return a version as it travels.

    Raises:
        ConfigsError: `damaged`: the database holds something else under this hash; nobody is to run that.
    """
    raw = (await text_of(db, version.sha256)).encode()
    if sha256(raw).hexdigest() != version.sha256:
        raise ConfigsError("damaged", Label("存储的配置已损坏", "the stored text is not what was kept"))
    return raw


async def latest(db: AsyncConnection, gateway_no: int) -> Version | None:
    """Return a gateway's newest version."""
    row = (await db.execute(_of(gateway_no).order_by(config_version.c.number.desc()).limit(1))).one_or_none()
    return None if row is None else version_of(row)


async def find(db: AsyncConnection, gateway_no: int, number: int) -> Version | None:
    """Return one version."""
    row = (await db.execute(_of(gateway_no).where(config_version.c.number == number))).one_or_none()
    return None if row is None else version_of(row)


async def named(db: AsyncConnection, gateway_no: int, name: str) -> Version | None:
    """Return the version that a gateway asks for by the name its order gave."""
    number, _, _ = name.partition("-")
    if not number.isascii() or not number.isdigit() or len(number) > _SHORT:
        return None
    found = await find(db, gateway_no, int(number))
    return found if found is not None and found.name == name else None


async def page(db: AsyncConnection, gateway_no: int, *, below: int | None, limit: int) -> Sequence[Version]:
    """Return versions, newest first; `below` is the number that stood last on the page before."""
    query = _of(gateway_no).order_by(config_version.c.number.desc()).limit(limit)
    if below is not None:
        query = query.where(config_version.c.number < below)
    return [version_of(row) for row in (await db.execute(query)).all()]


async def wanted(db: AsyncConnection, gateway_no: int) -> Version | None:
    """Return what the gateway was last given; None: nothing yet, it runs its local file."""
    query = (
        select(config_version)
        .join(config_hold, config_hold.c.gateway_no == config_version.c.gateway_no)
        .where(config_hold.c.gateway_no == gateway_no, config_version.c.number == config_hold.c.wanted)
    )
    row = (await db.execute(query)).one_or_none()
    return None if row is None else version_of(row)


async def by_hash(db: AsyncConnection, gateway_no: int, digest: str) -> Version | None:
    """Return the newest version of that text; None: not one of this gateway's."""
    query = _of(gateway_no).where(config_version.c.sha256 == digest)
    row = (await db.execute(query.order_by(config_version.c.number.desc()).limit(1))).one_or_none()
    return None if row is None else version_of(row)


def newest_number() -> ColumnElement[int]:
    """Return the column `number` of each gateway's newest version, for a query that groups by gateway."""
    return func.max(config_version.c.number).label("number")


def version_of(row: Row[Any]) -> Version:
    """Return a row of the table as a value."""
    return Version(
        gateway_no=row.gateway_no,
        number=row.number,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        made_at=row.made_at,
        author=msgspec.json.decode(row.author, type=Actor),
        reason=row.reason,
        template_id=row.template_id,
        template_revision=row.template_revision,
        files=msgspec.json.decode(row.files, type=tuple[NamedFile, ...]),
    )


def _of(gateway_no: int) -> Select[Any]:
    return select(config_version).where(config_version.c.gateway_no == gateway_no)
