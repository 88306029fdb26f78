"""Configurations over HTTP: versions and their differences, checking, templates and groups, rollouts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field, StringConstraints
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_config import Fault, examine
from gatehouse_config.yaml_source import MAX_BYTES
from gatehouse_events.states import Label
from gatehouse_fleet.api.access import entitled, require_reach, within
from gatehouse_fleet.api.fields import (
    Answer,
    Body,
    Code,
    Done,
    GatewayIdPath,
    LongName,
    Note,
    Number,
    NumberPath,
    Reason,
)
from gatehouse_fleet.api.pages import After, Limit, Page, key_of, mark
from gatehouse_fleet.api.problems import NOT_FOUND, ProblemError
from gatehouse_fleet.configs import groups, rollout, versions
from gatehouse_fleet.configs.errors import FaultyTextError, RolloutError
from gatehouse_fleet.configs.groups import Group
from gatehouse_fleet.configs.plan import RolloutState, StepState
from gatehouse_fleet.configs.rollout import MAX_GATEWAYS, Wish
from gatehouse_fleet.configs.template import MAX_VALUE_CHARS, MAX_VARIABLES, Value, variables_of
from gatehouse_fleet.configs.versions import Version
from gatehouse_fleet.orders.service import OUTCOMES_TOPIC
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.projection.readers import Source, source_of
from gatehouse_fleet.services import Services, services_of
from gatehouse_fleet.store.schema.configs import config_rollout, config_step, config_version
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.org import org_node

router: Final = APIRouter(tags=["configurations"])
Shared = Annotated[Services, Depends(services_of)]
Manager = Annotated[Caller, Depends(entitled(Right.MANAGE_CONFIGS))]
ConfigText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_BYTES)]
Variable = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,63}$")]
Text = Annotated[str, StringConstraints(max_length=MAX_VALUE_CHARS, pattern="^[^\\x00-\\x1f\\x7f]*$")]
Small = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
GroupPath = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,62}$", description="the group's name")]
TemplatePath = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,62}$", description="the template's name")]
GatewayId = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9-]{2,62}$")]


class VariableBody(Body):
    """What a template's variable is."""

    name: Variable
    value: bool | Whole | Small | Text


Variables = Annotated[tuple[VariableBody, ...], Field(max_length=MAX_VARIABLES)]


class VariableView(Answer):
    """What a template's variable is."""

    name: str
    value: str | int | float | bool


class FaultView(Answer):
    """One thing that is wrong with a text."""

    path: str
    message: str
    line: int | None


class VersionView(Answer):
    """One version of a gateway's configuration."""

    number: int
    version: str
    sha256: str
    origin: str
    note: str
    made_by: str
    made_at: datetime
    is_in_force: bool
    """The gateway says that it runs this one."""


class VersionText(VersionView):
    """With its text."""

    text: str


class DiffView(Answer):
    """What changes."""

    old: int | None
    new: int
    diff: str
    """Unified diff; empty: nothing."""


class TextBody(Body):
    """A whole gateway.yaml."""

    text: ConfigText
    note: Note = ""


class CheckBody(Body):
    """A text to be looked at."""

    text: ConfigText
    gateway_id: GatewayId | None = None


class CheckAnswer(Answer):
    """What is wrong; nothing: it can be used, as far as the text alone tells."""

    faults: list[FaultView]


class TemplateBody(Body):
    """A gateway.yaml with `${variables}`."""

    text: ConfigText
    note: Note = ""


class TemplateView(Answer):
    """One version of a template."""

    name: str
    number: int
    note: str
    made_by: str
    made_at: datetime
    variables: list[str]


class GroupBody(Body):
    """Gateways that share a template."""

    node_id: Number
    template: Code
    variables: Variables = ()


class MemberBody(Body):
    """A gateway's place in a group."""

    group: Code
    variables: Variables = ()


class MemberView(Answer):
    """One gateway of a group."""

    gateway_id: str
    variables: list[VariableView]


class GroupView(Answer):
    """A group with its gateways."""

    name: str
    node_id: int
    template: str
    variables: list[VariableView]
    members: list[MemberView]


class RolloutBody(Body):
    """Bring a configuration out: of a group by its template, or the newest version of named gateways."""

    title: LongName
    group: Code | None = None
    template_number: Number | None = None
    """Absent: the template's newest."""
    gateways: Annotated[tuple[GatewayId, ...], Field(max_length=MAX_GATEWAYS)] = ()
    pilots: Annotated[int, Field(ge=0, le=100)] = 2
    batch: Annotated[int, Field(ge=1, le=500)] = 10
    max_failures: Annotated[int, Field(ge=0, le=1000)] = 0
    soak_s: Annotated[float, Field(ge=0, le=30 * 86_400, allow_inf_nan=False)] = 3600.0
    confirm_within_s: Annotated[float, Field(ge=10, le=3600, allow_inf_nan=False)] = 60.0


class StepView(Answer):
    """One gateway of a rollout."""

    gateway_id: str
    position: int
    is_pilot: bool
    number: int
    before: int | None
    state: StepState
    ordered_at: datetime | None
    settled_at: datetime | None
    detail: str


class RolloutView(Answer):
    """A rollout."""

    id: int
    title: str
    state: RolloutState
    why: str
    pilots: int
    batch: int
    max_failures: int
    soak_s: float
    confirm_within_s: float
    made_by: str
    made_at: datetime
    changed_at: datetime


class RolloutDetail(RolloutView):
    """With every gateway's step."""

    steps: list[StepView]


class WhyBody(Body):
    """Why."""

    reason: Reason


@router.post("/config-check")
async def check(body: CheckBody, who: Manager) -> CheckAnswer:  # noqa: ARG001  # asks for the right
    """Say what is wrong with a text, without keeping it."""
    if body.gateway_id is None:
        return CheckAnswer(faults=_faults(examine(body.text)[1]))
    try:
        versions.checked(body.text, gateway_id=body.gateway_id)
    except FaultyTextError as error:
        return CheckAnswer(faults=_faults(error.faults))
    return CheckAnswer(faults=[])


@router.get("/gateways/{gateway_id}/config-versions")
async def config_versions(
    gateway_id: GatewayIdPath, services: Shared, who: Manager, after: After = None, limit: Limit = 100
) -> Page[VersionView]:
    """Return the versions of a gateway's configuration, newest first."""
    behind = key_of(after, tuple[int])
    async with services.store.read() as db:
        source = await _reached(db, who, gateway_id)
        query = select(config_version).where(config_version.c.gateway_no == source.no)
        if behind is not None:
            query = query.where(config_version.c.number < behind[0])
        rows = (await db.execute(query.order_by(config_version.c.number.desc()).limit(limit + 1))).all()
        in_force = await versions.in_force(db, source.no)
    more = mark(rows[limit - 1].number) if len(rows) > limit else None
    return Page(items=[_version_view(row, in_force) for row in rows[:limit]], next=more)


@router.post("/gateways/{gateway_id}/config-versions", status_code=201)
async def add_version(
    gateway_id: GatewayIdPath, body: TextBody, services: Shared, who: Manager
) -> VersionView:
    """Keep a text as the next version. It changes nothing at the gateway: a rollout does."""
    now = services.clock.now()
    async with services.store.begin() as db:
        source = await _reached(db, who, gateway_id)
        try:
            made = await versions.add(
                db, source.no, body.text, note=body.note, origin="", by=who.actor.name, now=now
            )
        except FaultyTextError as error:
            raise faulty(error) from error
        in_force = await versions.in_force(db, source.no)
        await _audit(db, services, who, "config.add", f"{gateway_id} {made.version}", source.node_id)
    return _version_view(made, in_force)


@router.get("/gateways/{gateway_id}/config-versions/{number}")
async def version_text(
    gateway_id: GatewayIdPath, number: NumberPath, services: Shared, who: Manager
) -> VersionText:
    """Return one version with its text."""
    async with services.store.read() as db:
        source = await _reached(db, who, gateway_id)
        found = await _version(db, source.no, number)
        in_force = await versions.in_force(db, source.no)
    return VersionText(**_version_view(found, in_force).model_dump(), text=found.text)


@router.get("/gateways/{gateway_id}/config-versions/{number}/diff")
async def version_diff(
    gateway_id: GatewayIdPath,
    number: NumberPath,
    services: Shared,
    who: Manager,
    against: Annotated[
        int | None, Query(ge=1, le=2**53, description="another version; absent: the one in force")
    ] = None,
) -> DiffView:
    """Return what a version changes."""
    async with services.store.read() as db:
        source = await _reached(db, who, gateway_id)
        new = await _version(db, source.no, number)
        if against is None:
            old = await versions.in_force(db, source.no)
        else:
            old = await _version(db, source.no, against)
    return DiffView(
        old=None if old is None else old.number, new=new.number, diff=versions.difference(old, new)
    )


@router.post("/config-templates/{name}", status_code=201)
async def add_template(
    name: TemplatePath, body: TemplateBody, services: Shared, who: Manager
) -> TemplateView:
    """Keep the next version of a template."""
    now = services.clock.now()
    async with services.store.begin() as db:
        try:
            made = await groups.add_template(db, name, body.text, note=body.note, by=who.actor.name, now=now)
        except FaultyTextError as error:
            raise faulty(error) from error
        await _audit(db, services, who, "config.template", f"{name} {made.number}", who.scope_id)
    return _template_view(made)


@router.get("/config-templates/{name}")
async def template(name: TemplatePath, services: Shared, who: Manager) -> TemplateView:  # noqa: ARG001  # asks for the right
    """Return the newest version of a template."""
    async with services.store.read() as db:
        found = await groups.template(db, name)
    if found is None:
        raise NOT_FOUND
    return _template_view(found)


@router.put("/config-groups/{name}")
async def put_group(name: GroupPath, body: GroupBody, services: Shared, who: Manager) -> GroupView:
    """Make a group of one's subtree, or change it."""
    async with services.store.begin() as db:
        known = await groups.get_group(db, name)
        for node_id in {body.node_id, body.node_id if known is None else known.node_id}:
            await _reach_node(db, who, node_id)
        group = Group(
            name=name, node_id=body.node_id, template=body.template, variables=_values(body.variables)
        )
        await groups.put_group(db, group)
        await _audit(db, services, who, "config.group", name, body.node_id)
        return await _group_view(db, group)


@router.get("/config-groups/{name}")
async def get_group(name: GroupPath, services: Shared, who: Manager) -> GroupView:
    """Return a group with its gateways."""
    async with services.store.read() as db:
        return await _group_view(db, await _group(db, who, name))


@router.put("/gateways/{gateway_id}/config-group")
async def join_group(gateway_id: GatewayIdPath, body: MemberBody, services: Shared, who: Manager) -> Done:
    """Put a gateway into a group with its own values."""
    async with services.store.begin() as db:
        source = await _reached(db, who, gateway_id)
        group = await _group(db, who, body.group)
        await groups.join(db, source.no, group.name, _values(body.variables))
        await _audit(db, services, who, "config.join", f"{gateway_id} {body.group}", source.node_id)
    return Done()


@router.post("/config-rollouts", status_code=201)
async def make_rollout(body: RolloutBody, services: Shared, who: Manager) -> RolloutDetail:
    """Begin a rollout: the pilots are ordered at once, the rest after they have confirmed and the soak time is over."""
    now = services.clock.now()
    async with services.store.begin() as db:
        try:
            targets, node_id = await _targets(db, who, body, now)
            wish = Wish(
                title=body.title,
                node_id=node_id,
                pilots=min(body.pilots, len(targets)),
                batch=body.batch,
                max_failures=body.max_failures,
                soak_s=body.soak_s,
                confirm_within_s=body.confirm_within_s,
            )
            rollout_id = await rollout.make(db, wish, targets, by=who.actor.name, now=now)
        except FaultyTextError as error:
            raise faulty(error) from error
        except RolloutError as error:
            raise _refused(error) from error
        await _audit(db, services, who, "config.rollout", str(rollout_id), node_id)
        answer = await _detail(db, who, rollout_id)
    services.wake.notify(OUTCOMES_TOPIC)
    return answer


@router.get("/config-rollouts")
async def rollouts(
    services: Shared, who: Manager, after: After = None, limit: Limit = 100
) -> Page[RolloutView]:
    """Return the rollouts of one's subtree, newest first."""
    behind = key_of(after, tuple[int])
    query = (
        select(config_rollout)
        .join(org_node, org_node.c.id == config_rollout.c.node_id)
        .where(within(org_node.c.path, who))
    )
    if behind is not None:
        query = query.where(config_rollout.c.id < behind[0])
    async with services.store.read() as db:
        rows = (await db.execute(query.order_by(config_rollout.c.id.desc()).limit(limit + 1))).all()
    more = mark(rows[limit - 1].id) if len(rows) > limit else None
    return Page(
        items=[RolloutView.model_validate(row, from_attributes=True) for row in rows[:limit]], next=more
    )


@router.get("/config-rollouts/{rollout_id}")
async def rollout_detail(rollout_id: NumberPath, services: Shared, who: Manager) -> RolloutDetail:
    """Return a rollout with every gateway's step."""
    async with services.store.read() as db:
        return await _detail(db, who, rollout_id)


@router.post("/config-rollouts/{rollout_id}/pause")
async def pause(rollout_id: NumberPath, body: WhyBody, services: Shared, who: Manager) -> RolloutDetail:
    """Touch no further gateway; trials that run end by themselves."""
    return await _switch(services, who, rollout_id, RolloutState.PAUSED, body.reason)


@router.post("/config-rollouts/{rollout_id}/resume")
async def resume(rollout_id: NumberPath, body: WhyBody, services: Shared, who: Manager) -> RolloutDetail:
    """Go on."""
    return await _switch(services, who, rollout_id, RolloutState.RUNNING, body.reason)


@router.post("/config-rollouts/{rollout_id}/roll-back")
async def roll_back(rollout_id: NumberPath, body: WhyBody, services: Shared, who: Manager) -> RolloutDetail:
    """Bring every gateway that has taken it back to what it had before."""
    return await _switch(services, who, rollout_id, RolloutState.ROLLING_BACK, body.reason)


def faulty(error: FaultyTextError) -> ProblemError:
    """Return the refusal of a text that cannot be used; every fault stands in `detail`, a line each."""
    return ProblemError(
        422,
        "config",
        Label("配置有误", "the configuration is faulty"),
        detail="\n".join(str(fault) for fault in error.faults[:50]),
    )


def _refused(error: RolloutError) -> ProblemError:
    return ProblemError(
        409, error.reason, Label("无法下发", "this rollout is not possible"), detail=str(error)
    )


async def _targets(
    db: AsyncConnection, who: Caller, body: RolloutBody, now: datetime
) -> tuple[list[Version], int]:
    if body.group is None:
        targets = []
        for gateway_id in body.gateways:
            source = await _reached(db, who, gateway_id)
            newest = await versions.newest(db, source.no)
            if newest is None:
                raise RolloutError("no_version", f"{gateway_id} has no version to bring out")
            targets.append(newest)
        return targets, who.scope_id
    if body.gateways:
        raise RolloutError("gateways", "name a group or gateways, not both")
    group = await _group(db, who, body.group)
    made_of = await groups.template(db, group.template, body.template_number)
    if made_of is None:
        raise RolloutError("no_template", f"there is no such version of template {group.template}")
    targets = []
    for member in await groups.members(db, group.name):
        await _reached(db, who, member.gateway_id)
        targets.append(await groups.make_for(db, group, member, made_of, by=who.actor.name, now=now))
    return targets, group.node_id


async def _switch(
    services: Services, who: Caller, rollout_id: int, state: RolloutState, reason: str
) -> RolloutDetail:
    async with services.store.begin() as db:
        before = await _detail(db, who, rollout_id)
        try:
            await rollout.switch(db, rollout_id, state, why=reason, now=services.clock.now())
        except RolloutError as error:
            raise _refused(error) from error
        await _audit(db, services, who, f"config.{state}", str(before.id), who.scope_id, reason)
        answer = await _detail(db, who, rollout_id)
    services.wake.notify(OUTCOMES_TOPIC)
    return answer


async def _reached(db: AsyncConnection, who: Caller, gateway_id: str) -> Source:
    number = (await db.execute(select(gateway.c.no).where(gateway.c.id == gateway_id))).scalar_one_or_none()
    source = None if number is None else await source_of(db, number)
    require_reach(who, None if source is None else source.node_path)
    assert source is not None  # noqa: S101  # require_reach has refused
    return source


async def _reach_node(db: AsyncConnection, who: Caller, node_id: int) -> None:
    path = (await db.execute(select(org_node.c.path).where(org_node.c.id == node_id))).scalar_one_or_none()
    require_reach(who, path)


async def _group(db: AsyncConnection, who: Caller, name: str) -> Group:
    group = await groups.get_group(db, name)
    if group is None:
        raise NOT_FOUND
    await _reach_node(db, who, group.node_id)
    return group


async def _version(db: AsyncConnection, gateway_no: int, number: int) -> Version:
    found = await versions.get(db, gateway_no, number)
    if found is None:
        raise NOT_FOUND
    return found


async def _detail(db: AsyncConnection, who: Caller, rollout_id: int) -> RolloutDetail:
    row = (await db.execute(select(config_rollout).where(config_rollout.c.id == rollout_id))).one_or_none()
    if row is None:
        raise NOT_FOUND
    await _reach_node(db, who, row.node_id)
    steps = await db.execute(
        select(config_step, gateway.c.id.label("gateway_id"))
        .join(gateway, gateway.c.no == config_step.c.gateway_no)
        .where(config_step.c.rollout_id == rollout_id)
        .order_by(config_step.c.position)
    )
    head = RolloutView.model_validate(row, from_attributes=True)
    return RolloutDetail(
        **head.model_dump(), steps=[StepView.model_validate(step, from_attributes=True) for step in steps]
    )


async def _group_view(db: AsyncConnection, group: Group) -> GroupView:
    return GroupView(
        name=group.name,
        node_id=group.node_id,
        template=group.template,
        variables=_variables(group.variables),
        members=[
            MemberView(gateway_id=member.gateway_id, variables=_variables(member.variables))
            for member in await groups.members(db, group.name)
        ],
    )


def _values(variables: tuple[VariableBody, ...]) -> dict[str, Value]:
    return {one.name: one.value for one in variables}


def _variables(values: dict[str, Value]) -> list[VariableView]:
    return [VariableView(name=name, value=value) for name, value in sorted(values.items())]


async def _audit(
    db: AsyncConnection,
    services: Services,
    who: Caller,
    action: str,
    subject: str,
    node_id: int,
    reason: str = "",
) -> None:
    await audit.append(
        db,
        who.actor,
        action,
        subject,
        at=services.clock.now(),
        node_id=node_id,
        detail={"reason": reason} if reason else None,
    )


def _version_view(row: Version | Row[Any], in_force: Version | None) -> VersionView:
    return VersionView(
        number=row.number,
        version=row.version,
        sha256=row.sha256,
        origin=row.origin,
        note=row.note,
        made_by=row.made_by,
        made_at=row.made_at,
        is_in_force=in_force is not None and in_force.number == row.number,
    )


def _template_view(found: groups.Template) -> TemplateView:
    fields = msgspec.structs.asdict(found)
    text = fields.pop("text")
    return TemplateView(**fields, variables=sorted(variables_of(text)))


def _faults(found: tuple[Fault, ...] | list[Fault]) -> list[FaultView]:
    return [FaultView(path=fault.path, message=fault.message, line=fault.line) for fault in found]
