"""Templates, groups and members: one text for many gateways, and what each of them puts into it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import func, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.configs.errors import RolloutError
from gatehouse_fleet.configs.template import Value, rendered, variables_of
from gatehouse_fleet.configs.versions import Version, add
from gatehouse_fleet.store.schema.configs import config_group, config_member, config_template
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node

_VALUES: Final = msgspec.json.Decoder(dict[str, Value])


class Template(Struct, frozen=True, kw_only=True):
    """One version of a template."""

    name: str
    number: int
    text: str
    note: str
    made_by: str
    made_at: datetime


class Group(Struct, frozen=True, kw_only=True):
    """Gateways that share a template."""

    name: str
    node_id: int
    template: str
    variables: dict[str, Value]


class Member(Struct, frozen=True, kw_only=True):
    """One gateway of a group."""

    gateway_no: int
    gateway_id: str
    variables: dict[str, Value]


async def add_template(
    db: AsyncConnection, name: str, text: str, *, note: str, by: str, now: datetime
) -> Template:
    """Keep the next version of a template.

    Raises:
        FaultyTextError: a variable's name is none.
    """
    variables_of(text)
    number = select(func.coalesce(func.max(config_template.c.number), 0)).where(
        config_template.c.name == name
    )
    made = Template(
        name=name,
        number=(await db.execute(number)).scalar_one() + 1,
        text=text,
        note=note,
        made_by=by,
        made_at=now,
    )
    await db.execute(insert(config_template).values(msgspec.structs.asdict(made)))
    return made


async def template(db: AsyncConnection, name: str, number: int | None = None) -> Template | None:
    """Return a template: one version, or the newest."""
    query = select(config_template).where(config_template.c.name == name)
    if number is not None:
        query = query.where(config_template.c.number == number)
    row = (await db.execute(query.order_by(config_template.c.number.desc()).limit(1))).one_or_none()
    return None if row is None else Template(**row._mapping)  # noqa: SLF001  # SQLAlchemy's public name for it


async def put_group(db: AsyncConnection, group: Group) -> None:
    """Make a group, or change it."""
    values = {
        "name": group.name,
        "node_id": group.node_id,
        "template": group.template,
        "variables": msgspec.json.encode(group.variables).decode(),
    }
    dialect = postgresql if db.dialect.name == "postgresql" else sqlite
    made = dialect.insert(config_group).values(values)
    await db.execute(made.on_conflict_do_update(index_elements=["name"], set_=values))


async def get_group(db: AsyncConnection, name: str) -> Group | None:
    """Return a group."""
    row = (await db.execute(select(config_group).where(config_group.c.name == name))).one_or_none()
    if row is None:
        return None
    return Group(
        name=row.name, node_id=row.node_id, template=row.template, variables=_VALUES.decode(row.variables)
    )


async def join(db: AsyncConnection, gateway_no: int, group_name: str, variables: Mapping[str, Value]) -> None:
    """Put a gateway into a group (out of the one it was in) with its own values."""
    values = {
        "gateway_no": gateway_no,
        "group_name": group_name,
        "variables": msgspec.json.encode(variables).decode(),
    }
    dialect = postgresql if db.dialect.name == "postgresql" else sqlite
    made = dialect.insert(config_member).values(values)
    await db.execute(made.on_conflict_do_update(index_elements=["gateway_no"], set_=values))


async def members(db: AsyncConnection, group_name: str) -> list[Member]:
    """Return the gateways of a group, in order of their ids."""
    rows = await db.execute(
        select(config_member.c.gateway_no, config_member.c.variables, gateway.c.id)
        .join(gateway, gateway.c.no == config_member.c.gateway_no)
        .where(config_member.c.group_name == group_name)
        .order_by(gateway.c.id)
    )
    return [
        Member(gateway_no=row.gateway_no, gateway_id=row.id, variables=_VALUES.decode(row.variables))
        for row in rows
    ]


async def make_for(
    db: AsyncConnection, group: Group, member: Member, made_of: Template, *, by: str, now: datetime
) -> Version:
    """Make the version a template gives for one gateway: what this server knows, the group's values, its own values.

    Raises:
        FaultyTextError: what comes out is not a configuration for this gateway.
    """
    values = {**await _known(db, member), **group.variables, **member.variables}
    wanted = variables_of(made_of.text)
    text = rendered(made_of.text, {name: value for name, value in values.items() if name in wanted})
    return await add(
        db,
        member.gateway_no,
        text,
        note=made_of.note,
        origin=f"{made_of.name} {made_of.number}",
        by=by,
        now=now,
    )


async def _known(db: AsyncConnection, member: Member) -> dict[str, Value]:
    row = (
        await db.execute(
            select(org_node.c.code, org_node.c.name, org_node.c.division_code)
            .join(gateway, gateway.c.node_id == org_node.c.id)
            .where(gateway.c.no == member.gateway_no)
        )
    ).one_or_none()
    if row is None:
        raise RolloutError("no_gateway", f"{member.gateway_id} is not registered any more")
    known: dict[str, Value] = {
        "gateway_id": member.gateway_id,
        "community_id": row.code,
        "community_name": row.name,
    }
    return known if row.division_code is None else {**known, "division_code": row.division_code}
