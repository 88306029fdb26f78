"""Templates: one text for a group of gateways. A change of the template makes the next version of each of them, or of none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_config import Fault
from gatehouse_events.states import Label
from gatehouse_fleet.configs import versions
from gatehouse_fleet.configs.errors import ConfigsError, FaultyTextError
from gatehouse_fleet.configs.rendering import render, variables
from gatehouse_fleet.configs.versions import Checked, Draft, Version
from gatehouse_fleet.life import SHUT_OUT
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.registry import gateways
from gatehouse_fleet.registry.gateways import Gateway, GatewayFilter
from gatehouse_fleet.store import Store
from gatehouse_fleet.store.schema.configs import config_template, config_value, config_version
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node

MAX_GROUP: Final = 500
"""Gateways of one template: its versions are made in one transaction."""
_MAX_FAULTS: Final = 500


class Template(Struct, frozen=True, kw_only=True):
    """One template as it stands."""

    id: int
    name: str
    node_id: int
    node_path: str
    revision: int
    sha256: str
    filter: GatewayFilter
    changed_at: datetime
    author: Actor
    reason: str


class NewTemplate(Struct, frozen=True, kw_only=True):
    """What a template is to be from now on."""

    name: str
    node_id: int
    node_path: str
    """Place whose subtree is meant; the filter narrows it down."""
    filter: GatewayFilter
    below_path: str | None
    """Path of `filter.below`."""
    text: str
    author: Actor
    reason: str


class Prepared(Struct, frozen=True, kw_only=True):
    """A template whose versions have no fault."""

    new: NewTemplate
    before: Template | None
    drafts: tuple[Checked, ...]


async def prepared(store: Store, new: NewTemplate, *, now: datetime) -> Prepared:
    """Render and check the text of every gateway of the group; outside of any writing transaction.

    Raises:
        FaultyTextError: every fault of every gateway, its name before the place.
        ConfigsError: `group`: more than 500 gateways.
    """
    async with store.read() as db:
        before = await find(db, new.name)
        group = await _group(db, new, now)
        given = {} if before is None else await values_of(db, before.id)
    if len(group) > MAX_GROUP:
        raise ConfigsError(
            "group",
            Label(f"网关超过 {MAX_GROUP} 个", f"more than {MAX_GROUP} gateways; narrow the group down"),
        )
    _, wrong = variables(new.text)
    if wrong:
        raise FaultyTextError(wrong)
    drafts: list[Checked] = []
    faults: list[Fault] = []
    for one in group:
        text, wrong = render(new.text, one.id, given.get(one.no, {}))
        if not wrong:
            draft = Draft(text=text, author=new.author, reason=new.reason)
            try:
                drafts.append(await versions.checked(store, one, draft))
            except FaultyTextError as error:
                wrong = error.faults
        faults += [
            Fault(path=f"{one.id}: {fault.path}".rstrip(": "), message=fault.message, line=fault.line)
            for fault in wrong
        ]
    if faults:
        raise FaultyTextError(tuple(faults[:_MAX_FAULTS]))
    return Prepared(new=new, before=before, drafts=tuple(drafts))


async def keep(
    db: AsyncConnection, ready: Prepared, *, now: datetime
) -> tuple[Template, tuple[tuple[Gateway, Version, bool], ...]]:
    """Keep a template and make the versions, in the caller's transaction.

    Returns:
        The template, and for each gateway its version and whether that is new.

    Raises:
        ConfigsError: `changed`: somebody else changed the template or a version meanwhile.
    """
    new = ready.new
    locked = select(config_template.c.revision).where(config_template.c.name == new.name).with_for_update()
    revision = (await db.execute(locked)).scalar_one_or_none()
    if revision != (None if ready.before is None else ready.before.revision):
        raise ConfigsError(
            "changed", Label("模板已被他人修改，请重新查看", "somebody changed it; look again")
        )
    values: dict[str, Any] = {
        "node_id": new.node_id,
        "revision": (revision or 0) + 1,
        "sha256": await versions.keep_text(db, new.text),
        "filter": msgspec.json.encode(new.filter).decode(),
        "changed_at": now,
        "author": msgspec.json.encode(new.author).decode(),
        "reason": new.reason,
    }
    if revision is None:
        await db.execute(insert(config_template).values(name=new.name, **values))
    else:
        await db.execute(update(config_template).where(config_template.c.name == new.name).values(values))
    kept = await find(db, new.name)
    assert kept is not None  # noqa: S101  # written above
    made = []
    for draft in ready.drafts:
        marked = msgspec.structs.replace(draft.draft, template_id=kept.id, template_revision=kept.revision)
        version, is_new = await versions.keep(db, msgspec.structs.replace(draft, draft=marked), now=now)
        made.append((draft.owner, version, is_new))
    return kept, tuple(made)


async def find(db: AsyncConnection, name: str) -> Template | None:
    """Return a template by its name."""
    row = (await db.execute(_query().where(config_template.c.name == name))).one_or_none()
    return None if row is None else template_of(row)


async def names(db: AsyncConnection, ids: Iterable[int | None]) -> dict[int, str]:
    """Return the names of templates by their number."""
    query = select(config_template.c.id, config_template.c.name).where(
        config_template.c.id.in_([one for one in ids if one is not None])
    )
    return {row.id: row.name for row in (await db.execute(query)).all()}


async def page(db: AsyncConnection, scope_path: str, *, after: str, limit: int) -> Sequence[Template]:
    """Return the templates of a subtree by name."""
    query = (
        _query()
        .where(org_node.c.path.startswith(scope_path, autoescape=True), config_template.c.name > after)
        .order_by(config_template.c.name)
        .limit(limit)
    )
    return [template_of(row) for row in (await db.execute(query)).all()]


async def give_values(
    db: AsyncConnection, template_id: int, gateway_no: int, values: Mapping[str, str]
) -> None:
    """Replace the values of one gateway; they count from the template's next change or renewal on."""
    text = msgspec.json.encode(dict(values)).decode()
    mine = (config_value.c.template_id == template_id) & (config_value.c.gateway_no == gateway_no)
    done = await db.execute(update(config_value).where(mine).values(given=text))
    if not done.rowcount:
        await db.execute(
            insert(config_value).values(template_id=template_id, gateway_no=gateway_no, given=text)
        )


async def values_of(db: AsyncConnection, template_id: int) -> Mapping[int, Mapping[str, str]]:
    """Return the values of every gateway by its number."""
    query = select(config_value).where(config_value.c.template_id == template_id)
    return {
        row.gateway_no: msgspec.json.decode(row.given, type=dict[str, str])
        for row in (await db.execute(query)).all()
    }


async def latest_of(db: AsyncConnection, template: Template) -> Sequence[tuple[Gateway, Version]]:
    """Return the gateways whose newest version came from this template, with that version."""
    newest = (
        select(config_version.c.gateway_no, versions.newest_number())
        .group_by(config_version.c.gateway_no)
        .subquery()
    )
    query = (
        select(config_version)
        .join(
            newest,
            (newest.c.gateway_no == config_version.c.gateway_no)
            & (newest.c.number == config_version.c.number),
        )
        .where(config_version.c.template_id == template.id)
    )
    found = {row.gateway_no: versions.version_of(row) for row in (await db.execute(query)).all()}
    owners = gateways.query_gateways().where(gateway.c.no.in_(list(found))).order_by(gateway.c.id)
    return [
        (owner, found[owner.no])
        for owner in (gateways.gateway_of(row) for row in (await db.execute(owners)).all())
    ]


def template_of(row: Row[Any]) -> Template:
    """Return a row as a value."""
    return Template(
        id=row.id,
        name=row.name,
        node_id=row.node_id,
        node_path=row.path,
        revision=row.revision,
        sha256=row.sha256,
        filter=msgspec.json.decode(row.filter, type=GatewayFilter),
        changed_at=row.changed_at,
        author=msgspec.json.decode(row.author, type=Actor),
        reason=row.reason,
    )


async def _group(db: AsyncConnection, new: NewTemplate, now: datetime) -> Sequence[Gateway]:
    query = (
        gateways.query_gateways()
        .where(
            org_node.c.path.startswith(new.node_path, autoescape=True),
            gateways.conditions(new.filter, below_path=new.below_path, now=now),
            gateway.c.state.not_in([state.value for state in SHUT_OUT]),
        )
        .order_by(gateway.c.id)
        .limit(MAX_GROUP + 1)
    )
    return [gateways.gateway_of(row) for row in (await db.execute(query)).all()]


def _query() -> Select[Any]:
    return select(config_template, org_node.c.path).join(org_node, org_node.c.id == config_template.c.node_id)
