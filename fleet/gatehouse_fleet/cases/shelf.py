"""Which policy and which calendar are in force for a city: the latest import, else what ships with the program."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.cases.calendar import Calendar, HolidayYear, shipped_years
from gatehouse_fleet.cases.errors import PolicyError
from gatehouse_fleet.cases.policy import Document, Policy, parse, shipped
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.store.schema.cases import document as document_table
from gatehouse_fleet.store.schema.cases import holiday_year, policy

_MAX_PARSED: Final = 64
"""Documents kept in memory: one city has a handful over the years; parsing one costs tens of milliseconds."""


class Rules(Struct, frozen=True, kw_only=True):
    """What one city's cases follow."""

    document: Document
    calendar: Calendar

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.document.policy


class Shelf:
    """Reads policies by their hash; one for the life of a process."""

    def __init__(self) -> None:
        self._shipped: Final = shipped()
        self._years: Final = shipped_years()
        self._parsed: Final[dict[str, Document]] = {}

    async def rules(self, db: AsyncConnection, city_id: int | None) -> Rules:
        """Return what is in force for a city (its `org_node.id`)."""
        row = (
            await db.execute(
                select(policy.c.sha256)
                .where((policy.c.city_id == city_id) | policy.c.city_id.is_(None))
                .order_by(policy.c.city_id.is_(None), policy.c.id.desc())
                .limit(1)
            )
        ).one_or_none()
        document = self._shipped if row is None else await self.document(db, row.sha256)
        return Rules(document=document, calendar=await self.calendar(db, city_id))

    async def document(self, db: AsyncConnection, sha256: str) -> Document:
        """Return the policy with this hash.

        Raises:
            PolicyError: this server never had it.
        """
        if sha256 == self._shipped.sha256:
            return self._shipped
        found = self._parsed.get(sha256)
        if found is None:
            query = select(document_table.c.text).where(document_table.c.sha256 == sha256)
            text = (await db.execute(query)).scalar_one_or_none()
            if text is None:
                raise PolicyError(f"policy {sha256[:12]} is not in this database")
            while len(self._parsed) >= _MAX_PARSED:
                del self._parsed[next(iter(self._parsed))]
            found = self._parsed[sha256] = parse(text.encode())
        return found

    async def calendar(self, db: AsyncConnection, city_id: int | None) -> Calendar:
        """Return the years known for a city: shipped, then imported for all, then its own."""
        rows = await db.execute(
            select(holiday_year.c.text)
            .where((holiday_year.c.city_id == city_id) | holiday_year.c.city_id.is_(None))
            .order_by(holiday_year.c.city_id.isnot(None), holiday_year.c.id)
        )
        known = {year.year: year for year in self._years}
        for text in rows.scalars():
            year = msgspec.json.decode(text, type=HolidayYear)
            known[year.year] = year
        return Calendar(known.values())

    async def keep_policy(
        self, db: AsyncConnection, document: Document, *, city_id: int | None, actor: Actor, now: datetime
    ) -> None:
        """Put a policy in force; deadlines that run already keep the row that gave them."""
        await keep_document(db, document)
        await db.execute(
            insert(policy).values(city_id=city_id, sha256=document.sha256, imported_at=now, actor=actor.name)
        )

    async def keep_year(
        self, db: AsyncConnection, year: HolidayYear, *, city_id: int | None, actor: Actor, now: datetime
    ) -> None:
        """Make the holidays of a year known; then call `limits.recount`, which settles provisional deadlines."""
        await db.execute(
            insert(holiday_year).values(
                city_id=city_id,
                year=year.year,
                text=msgspec.json.encode(year).decode(),
                imported_at=now,
                actor=actor.name,
            )
        )


async def keep_document(db: AsyncConnection, document: Document) -> None:
    """Keep the text of a policy: deadlines refer to it, also when the program ships another one."""
    values = {"sha256": document.sha256, "text": document.text}
    make = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    await db.execute(make(document_table).values(values).on_conflict_do_nothing())


def city_of(node_path: str) -> int | None:
    """Return the city a place lies in: the root of its path `/1/5/9/`."""
    root = node_path.strip("/").partition("/")[0]
    return int(root) if root.isdecimal() else None
