"""Configurations: versions of a gateway, what it is to run and what it says it runs, differences, templates.

A text holds names and numbers of residents, so it is shown only to those who may read personal data; without that right configurations can be
brought out and taken back, not read. Keys and secrets are never in it: the text names files.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field, StringConstraints
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_config import Fault, NamedFile
from gatehouse_events.states import Label
from gatehouse_fleet.api.enrolment import require_gateway
from gatehouse_fleet.api.gateways import FilterBody
from gatehouse_fleet.api.org import reachable as reachable_node
from gatehouse_fleet.configs import difference, rendering, rollouts, templates, versions
from gatehouse_fleet.configs.difference import What
from gatehouse_fleet.configs.errors import ConfigsError, FaultyTextError
from gatehouse_fleet.configs.templates import NewTemplate, Template
from gatehouse_fleet.configs.versions import Draft, Version
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.registry import filters, gateways
from gatehouse_fleet.registry.gateways import Gateway, GatewayFilter
from gatehouse_fleet.services import services_of
from gatehouse_fleet.store.schema.configs import config_hold
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.web.access import entitled, require_reach
from gatehouse_fleet.web.fields import Answer, Body, Done, GatewayIdPath, Name, Number, Reason, RowNumber, Tag
from gatehouse_fleet.web.pages import Page, PageQuery, key_of, mark
from gatehouse_fleet.web.problems import FORBIDDEN, NOT_FOUND, FieldFault, ProblemError

router: Final = APIRouter(tags=["configurations"])
Manager = Annotated[Caller, Depends(entitled(Right.MANAGE_CONFIGS))]
Reader = Annotated[Caller, Depends(entitled(Right.READ_GATEWAYS))]
Yaml = Annotated[
    str, StringConstraints(min_length=1, max_length=1024 * 1024), Field(description="text of gateway.yaml")
]
TemplateName = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,62}$", description="name of the template")]
VersionNumber = Annotated[int, Path(ge=1, le=2**53, description="number of the version")]
Value = Annotated[str, StringConstraints(max_length=rendering.MAX_VALUE, pattern="^[^\\x00-\\x1f\\x7f]*$")]
VariableName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,31}$")]
_MAX_SHOWN_FAULTS: Final = 200


class FileRow(Answer):
    """A file that must lie on the gateway: it does not travel."""

    path: str
    """Place in the text that names it."""
    file: str


class AuthorView(Answer):
    """Who."""

    name: str
    role: str
    unit: str


class VersionRow(Answer):
    """One version."""

    number: int
    name: str
    """As orders and the gateway's status name it."""
    sha256: str
    size_bytes: int
    made_at: datetime
    author: AuthorView
    reason: str
    template: str | None
    template_revision: int | None
    files: list[FileRow]


class VersionText(VersionRow):
    """One version with its text."""

    text: str


class VersionBody(Body):
    """The next configuration of a gateway."""

    text: Yaml
    reason: Reason


class CheckBody(Body):
    """A text to look at; nothing is kept."""

    text: Yaml


class FaultRow(Answer):
    """One thing to correct."""

    line: int | None
    path: str
    message: str


class CheckAnswer(Answer):
    """What is wrong, and what must lie on the gateway."""

    faults: list[FaultRow]
    files: list[FileRow]


class Agreement(StrEnum):
    """Whether a gateway runs what it is to run."""

    SAME = "same"
    DIFFERS = "differs"
    LOCAL = "local"
    """It runs its local file, and was never given anything else."""
    UNKNOWN = "unknown"
    """It has not said anything yet."""


class ConfigState(Answer):
    """What a gateway is to run, what it says it runs, and whose hands it is in."""

    wanted: int | None
    """Number of the version it last confirmed; none: its local file."""
    reported_version: str
    reported_sha256: str
    reported: int | None
    """Number of the version with that hash; none: not one of ours."""
    reported_at: datetime | None
    agreement: Agreement
    rollout_id: int | None
    """The rollout it is in now."""


class ChangeRow(Answer):
    """One place that differs."""

    path: str
    what: What
    old: str | None
    new: str | None


class Difference(Answer):
    """Between two versions, by path and as text."""

    old: int
    new: int
    changes: list[ChangeRow]
    unified: str


class DifferenceQuery(Body):
    """Which two; by default from what the gateway says it runs to the newest version."""

    old: Number | None = None
    new: Number | None = None


class TemplateBody(Body):
    """One text for a group; `${name}` stands for what differs."""

    text: Yaml
    reason: Reason
    node_id: RowNumber
    """Place whose gateways are meant."""
    tag: Tag | None = None
    filter: FilterBody | None = None
    saved_filter: Name | None = None
    """One of one's own; its conditions are copied."""


class ValueBody(Body):
    """What stands for one `${name}`."""

    name: VariableName
    value: Value


class ValuesBody(Body):
    """The values of one gateway, all of them; of two for one name the last counts."""

    values: Annotated[tuple[ValueBody, ...], Field(max_length=rendering.MAX_VALUES)]


class RenewBody(Body):
    """Why the versions are made again."""

    reason: Reason


class TemplateRow(Answer):
    """One template."""

    name: str
    node_id: int
    revision: int
    sha256: str
    filter: FilterBody
    changed_at: datetime
    author: AuthorView
    reason: str


class TemplateText(TemplateRow):
    """One template with its text."""

    text: str
    variables: list[str]


class MadeRow(Answer):
    """What a template has made for one gateway."""

    gateway_id: str
    number: int
    is_new: bool


class TemplateMade(Answer):
    """A template and the versions it has made."""

    template: TemplateRow
    made: list[MadeRow]


def problem_of(error: ConfigsError) -> ProblemError:
    """Return how the API says it: every fault with its line and its place."""
    if not isinstance(error, FaultyTextError):
        return ProblemError(409, error.reason, error.text)
    shown = error.faults[:_MAX_SHOWN_FAULTS]
    errors = [FieldFault(at=one.path, message=one.message, line=one.line) for one in shown]
    return ProblemError(409, error.reason, error.text, errors=errors)


def author_of(author: Any) -> AuthorView:  # noqa: ANN401  # an Actor
    """Return who, as the API says it."""
    return AuthorView(name=author.name, role=author.role, unit=author.unit)


async def reachable(db: AsyncConnection, who: Caller, gateway_id: str) -> Gateway:
    """Return a gateway within the caller's reach.

    Raises:
        ProblemError: 404.
    """
    found = await gateways.find(db, gateway_id)
    require_reach(who, None if found is None else found.node_path)
    assert found is not None  # noqa: S101  # require_reach refuses None
    return found


@router.get(
    "/gateways/{gateway_id}/configs/{version}",
    response_class=Response,
    responses={200: {"content": {"application/yaml": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def download(
    request: Request,
    gateway_id: GatewayIdPath,
    version: Annotated[str, Path(max_length=128, pattern="^[0-9]{1,12}-[0-9a-f]{12}$")],
) -> Response:
    """Give a gateway, known by its certificate, one of its own versions: the bytes whose hash its order names."""
    peer = await require_gateway(request, gateway_id)
    async with services_of(request).store.read() as db:
        no = (await db.execute(select(gateway.c.no).where(gateway.c.id == peer.id))).scalar_one()
        found = await versions.named(db, no, version)
        if found is None:
            raise NOT_FOUND
        try:
            raw = await versions.bytes_of(db, found)
        except ConfigsError as error:
            raise ProblemError(500, error.reason, error.text) from error
    return Response(raw, media_type="application/yaml", headers={"ETag": f'"{found.sha256}"'})


@router.get("/gateways/{gateway_id}/config")
async def config_state(request: Request, gateway_id: GatewayIdPath, who: Reader) -> ConfigState:
    """Return what a gateway is to run and what it says it runs."""
    async with services_of(request).store.read() as db:
        found = await reachable(db, who, gateway_id)
        told = (
            await db.execute(select(gateway.c.status, gateway.c.status_at).where(gateway.c.no == found.no))
        ).one()
        held = (
            await db.execute(select(config_hold.c.rollout_id).where(config_hold.c.gateway_no == found.no))
        ).scalar_one_or_none()
        wanted = await versions.wanted(db, found.no)
        name, digest = rollouts.running(told.status)
        reported = await versions.by_hash(db, found.no, digest) if digest else None
    return ConfigState(
        wanted=None if wanted is None else wanted.number,
        reported_version=name,
        reported_sha256=digest,
        reported=None if reported is None else reported.number,
        reported_at=told.status_at,
        agreement=_agreement(wanted, digest, is_told=told.status_at is not None),
        rollout_id=held,
    )


@router.get("/gateways/{gateway_id}/config-versions")
async def list_versions(
    request: Request, gateway_id: GatewayIdPath, who: Reader, asked: Annotated[PageQuery, Query()]
) -> Page[VersionRow]:
    """Return the versions of a gateway, newest first."""
    start = key_of(asked.after, tuple[int])
    async with services_of(request).store.read() as db:
        found = await reachable(db, who, gateway_id)
        below = None if start is None else start[0]
        rows = await versions.page(db, found.no, below=below, limit=asked.limit + 1)
        names = await templates.names(db, {row.template_id for row in rows})
    shown = rows[: asked.limit]
    return Page(
        items=[_row(one, names) for one in shown],
        next=mark(shown[-1].number) if len(rows) > asked.limit else None,
    )


@router.post("/gateways/{gateway_id}/config-check")
async def check_text(
    request: Request, gateway_id: GatewayIdPath, body: CheckBody, who: Manager
) -> CheckAnswer:
    """Say what is wrong with a text for this gateway; nothing is kept."""
    services = services_of(request)
    async with services.store.read() as db:
        found = await reachable(db, who, gateway_id)
    try:
        checked = await versions.checked(
            services.store, found, Draft(text=body.text, author=who.actor, reason="")
        )
    except FaultyTextError as error:
        return CheckAnswer(faults=[_fault(one) for one in error.faults], files=[])
    return CheckAnswer(faults=[], files=_files(checked.files))


@router.post("/gateways/{gateway_id}/config-versions", status_code=201)
async def put_version(
    request: Request, gateway_id: GatewayIdPath, body: VersionBody, who: Manager
) -> VersionRow:
    """Keep the next version of a gateway; it runs nowhere before a rollout brings it out. The newest text again is no new version."""
    services = services_of(request)
    now = services.clock.now()
    async with services.store.read() as db:
        found = await reachable(db, who, gateway_id)
    draft = Draft(text=body.text, author=who.actor, reason=body.reason)
    try:
        ready = await versions.checked(services.store, found, draft)
        async with services.store.begin() as db:
            made, is_new = await versions.keep(db, ready, now=now)
            if is_new:
                await audit.append(
                    db,
                    who.actor,
                    "config.put",
                    f"{gateway_id} {made.number}",
                    at=now,
                    node_id=found.node_id,
                    detail={"sha256": made.sha256, "reason": body.reason},
                )
    except ConfigsError as error:
        raise problem_of(error) from None
    return _row(made, {})


@router.get("/gateways/{gateway_id}/config-versions/{number}")
async def one_version(
    request: Request, gateway_id: GatewayIdPath, number: VersionNumber, who: Manager
) -> VersionText:
    """Return one version with its text."""
    _require_personal(who)
    async with services_of(request).store.read() as db:
        found = await reachable(db, who, gateway_id)
        version = await _version(db, found, number)
        text = await versions.text_of(db, version.sha256)
        names = await templates.names(db, {version.template_id})
    return VersionText(**_row(version, names).model_dump(), text=text)


@router.get("/gateways/{gateway_id}/config-difference")
async def config_difference(
    request: Request, gateway_id: GatewayIdPath, who: Manager, asked: Annotated[DifferenceQuery, Query()]
) -> Difference:
    """Return what differs between two versions; by default between what the gateway says it runs and the newest."""
    _require_personal(who)
    async with services_of(request).store.read() as db:
        found = await reachable(db, who, gateway_id)
        old = await _reported(db, found) if asked.old is None else await _version(db, found, asked.old)
        new = (
            await versions.latest(db, found.no) if asked.new is None else await _version(db, found, asked.new)
        )
        if old is None or new is None:
            text = Label(
                "网关运行本机文件或未知版本", "the gateway runs its local file, or a text that is not here"
            )
            raise ProblemError(409, "not_known", text)
        before, after = await versions.text_of(db, old.sha256), await versions.text_of(db, new.sha256)
    return Difference(
        old=old.number,
        new=new.number,
        changes=[
            ChangeRow(path=one.path, what=one.what, old=one.old, new=one.new)
            for one in difference.changes(before, after)
        ],
        unified=difference.unified(before, after, old_name=old.name, new_name=new.name),
    )


@router.get("/config-templates")
async def list_templates(
    request: Request, who: Manager, asked: Annotated[PageQuery, Query()]
) -> Page[TemplateRow]:
    """Return the templates of one's subtree by name."""
    start = key_of(asked.after, tuple[str])
    async with services_of(request).store.read() as db:
        after = "" if start is None else start[0]
        rows = await templates.page(db, who.scope_path, after=after, limit=asked.limit + 1)
    shown = rows[: asked.limit]
    return Page(
        items=[_template_row(one) for one in shown],
        next=mark(shown[-1].name) if len(rows) > asked.limit else None,
    )


@router.get("/config-templates/{name}")
async def one_template(request: Request, name: TemplateName, who: Manager) -> TemplateText:
    """Return one template with its text and the variables it names."""
    _require_personal(who)
    async with services_of(request).store.read() as db:
        found = await _template(db, who, name)
        text = await versions.text_of(db, found.sha256)
    names, _ = rendering.variables(text)
    return TemplateText(**_template_row(found).model_dump(), text=text, variables=sorted(names))


@router.put("/config-templates/{name}")
async def put_template(
    request: Request, name: TemplateName, body: TemplateBody, who: Manager
) -> TemplateMade:
    """Make or change a template: the next version of every gateway in its group, or of none when one of them has a fault."""
    async with services_of(request).store.read() as db:
        known = await templates.find(db, name)
        if known is not None:
            require_reach(who, known.node_path)
        place = await reachable_node(db, who, body.node_id)
        wanted = await _filter(db, who, body)
        below = None if wanted.below is None else (await reachable_node(db, who, wanted.below)).path
    new = NewTemplate(
        name=name,
        node_id=place.id,
        node_path=place.path,
        filter=wanted,
        below_path=below,
        text=body.text,
        author=who.actor,
        reason=body.reason,
    )
    return await _make(request, who, new)


@router.post("/config-templates/{name}/versions", status_code=201)
async def renew_template(request: Request, name: TemplateName, body: RenewBody, who: Manager) -> TemplateMade:
    """Make the versions anew: values have changed, or gateways have come."""
    async with services_of(request).store.read() as db:
        found = await _template(db, who, name)
        text = await versions.text_of(db, found.sha256)
        wanted = found.filter
        below = None if wanted.below is None else (await reachable_node(db, who, wanted.below)).path
    new = NewTemplate(
        name=name,
        node_id=found.node_id,
        node_path=found.node_path,
        filter=wanted,
        below_path=below,
        text=text,
        author=who.actor,
        reason=body.reason,
    )
    return await _make(request, who, new)


@router.put("/config-templates/{name}/values/{gateway_id}")
async def put_values(
    request: Request, name: TemplateName, gateway_id: GatewayIdPath, body: ValuesBody, who: Manager
) -> Done:
    """Set all values of one gateway; they count from the template's next change or renewal on."""
    services = services_of(request)
    now = services.clock.now()
    async with services.store.begin() as db:
        found = await _template(db, who, name)
        one = await reachable(db, who, gateway_id)
        values = {given.name: given.value for given in body.values}
        await templates.give_values(db, found.id, one.no, values)
        await audit.append(
            db,
            who.actor,
            "config.values",
            f"{name} {gateway_id}",
            at=now,
            node_id=one.node_id,
            detail={"names": " ".join(sorted(values))},
        )
    return Done()


async def _make(request: Request, who: Caller, new: NewTemplate) -> TemplateMade:
    services = services_of(request)
    now = services.clock.now()
    try:
        ready = await templates.prepared(services.store, new, now=now)
        async with services.store.begin() as db:
            kept, made = await templates.keep(db, ready, now=now)
            await audit.append(
                db,
                who.actor,
                "config.template",
                new.name,
                at=now,
                node_id=kept.node_id,
                detail={"revision": kept.revision, "sha256": kept.sha256, "gateways": len(made)},
            )
    except ConfigsError as error:
        raise problem_of(error) from None
    return TemplateMade(
        template=_template_row(kept),
        made=[
            MadeRow(gateway_id=owner.id, number=version.number, is_new=is_new)
            for owner, version, is_new in made
        ],
    )


async def _filter(db: AsyncConnection, who: Caller, body: TemplateBody) -> GatewayFilter:
    given = [one for one in (body.tag, body.filter, body.saved_filter) if one is not None]
    if len(given) > 1:
        text = Label("标签、条件、已存条件只能选一", "a tag, a filter or a saved filter: one of them")
        raise ProblemError(409, "filter", text)
    if body.saved_filter is not None:
        found = {one.name: one.filter for one in await filters.of_user(db, who.user_id)}
        if body.saved_filter not in found:
            raise NOT_FOUND
        return found[body.saved_filter]
    if body.filter is not None:
        return GatewayFilter(**body.filter.model_dump())
    return GatewayFilter(tag=body.tag)


async def _template(db: AsyncConnection, who: Caller, name: str) -> Template:
    found = await templates.find(db, name)
    require_reach(who, None if found is None else found.node_path)
    assert found is not None  # noqa: S101  # require_reach refuses None
    return found


async def _version(db: AsyncConnection, owner: Gateway, number: int) -> Version:
    found = await versions.find(db, owner.no, number)
    if found is None:
        raise NOT_FOUND
    return found


async def _reported(db: AsyncConnection, owner: Gateway) -> Version | None:
    status = (await db.execute(select(gateway.c.status).where(gateway.c.no == owner.no))).scalar_one()
    return await versions.by_hash(db, owner.no, rollouts.running(status)[1])


def _require_personal(who: Caller) -> None:
    if not who.may(Right.READ_PERSONAL):
        raise FORBIDDEN


def _agreement(wanted: Version | None, digest: str, *, is_told: bool) -> Agreement:
    if not is_told:
        return Agreement.UNKNOWN
    if wanted is None:
        return Agreement.DIFFERS if digest else Agreement.LOCAL
    return Agreement.SAME if digest == wanted.sha256 else Agreement.DIFFERS


def _files(files: Iterable[NamedFile]) -> list[FileRow]:
    return [FileRow(path=one.path, file=one.file) for one in files]


def _fault(one: Fault) -> FaultRow:
    return FaultRow(line=one.line, path=one.path, message=one.message)


def _row(one: Version, names: dict[int, str]) -> VersionRow:
    return VersionRow(
        number=one.number,
        name=one.name,
        sha256=one.sha256,
        size_bytes=one.size_bytes,
        made_at=one.made_at,
        author=author_of(one.author),
        reason=one.reason,
        template=None if one.template_id is None else names.get(one.template_id),
        template_revision=one.template_revision,
        files=_files(one.files),
    )


def _template_row(one: Template) -> TemplateRow:
    return TemplateRow(
        name=one.name,
        node_id=one.node_id,
        revision=one.revision,
        sha256=one.sha256,
        filter=FilterBody.model_validate(msgspec.structs.asdict(one.filter)),
        changed_at=one.changed_at,
        author=author_of(one.author),
        reason=one.reason,
    )
