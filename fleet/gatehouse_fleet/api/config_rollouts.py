"""Bringing configurations out: begin, watch, pause, resume, roll back, end; and why each gateway is where it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.states import Label
from gatehouse_fleet.api.configs import AuthorView, author_of, problem_of, reachable
from gatehouse_fleet.api.gateways import GatewayId
from gatehouse_fleet.configs import clockwork, rollouts, templates, versions
from gatehouse_fleet.configs import rollout as machine
from gatehouse_fleet.configs.errors import ConfigsError
from gatehouse_fleet.configs.rollout import MAX_STAGES, REASONS, Phase, Rollout, Standing, Why
from gatehouse_fleet.configs.rollouts import NewRollout, Record, member_of
from gatehouse_fleet.configs.versions import Version
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.projection.feed import FEED_TOPIC, publish
from gatehouse_fleet.registry.gateways import Gateway
from gatehouse_fleet.services import services_of
from gatehouse_fleet.store.schema.configs import config_member
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.web.access import entitled, require_reach
from gatehouse_fleet.web.fields import UNQUOTED, Answer, Body, Code, NumberPath, Reason
from gatehouse_fleet.web.pages import Page, PageQuery, key_of, mark
from gatehouse_fleet.web.problems import NOT_FOUND, ProblemError

router: Final = APIRouter(tags=["configurations"])
Manager = Annotated[Caller, Depends(entitled(Right.MANAGE_CONFIGS))]
Reader = Annotated[Caller, Depends(entitled(Right.READ_GATEWAYS))]
MAX_CHOICES: Final = 500


class StageBody(Body):
    """How many come next: either a number, or per cent of all; both or none is refused (409 `stage`)."""

    gateways: Annotated[int, Field(ge=1, le=machine.MAX_MEMBERS), UNQUOTED] | None = None
    percent: Annotated[int, Field(ge=1, le=100), UNQUOTED] | None = None


class ChoiceBody(Body):
    """One gateway and the version it is to get; without a number its newest."""

    gateway_id: GatewayId
    number: Annotated[int, Field(ge=1, le=2**53), UNQUOTED] | None = None


class RolloutBody(Body):
    """What is brought out: chosen gateways in their order, or all whose newest version came from a template."""

    reason: Reason
    gateways: Annotated[tuple[ChoiceBody, ...], Field(max_length=MAX_CHOICES)] = ()
    template: Code | None = None
    stages: Annotated[tuple[StageBody, ...], Field(max_length=MAX_STAGES)] = (StageBody(gateways=1),)
    """The rest is the last stage."""
    max_failures: Annotated[int, Field(ge=0, le=machine.MAX_MEMBERS), UNQUOTED] = 0
    answer_within_s: Annotated[int, Field(ge=10, le=86_400), UNQUOTED] = 900
    confirm_within_s: Annotated[int, Field(ge=1, le=3600), UNQUOTED] = 60


class StandingCount(Answer):
    """How many gateways stand so."""

    standing: Standing
    gateways: int


class RolloutRow(Answer):
    """One rollout."""

    id: int
    node_id: int
    phase: Phase
    reason: str
    author: AuthorView
    made_at: datetime
    changed_at: datetime
    stages: list[int]
    """Gateways of each stage."""
    max_failures: int
    answer_within_s: float
    confirm_within_s: float
    standings: list[StandingCount]


class MemberRow(Answer):
    """One gateway in a rollout, and why it is where it is."""

    gateway_id: str
    stage: int
    wanted: int
    former: int | None
    standing: Standing
    why: Why
    why_zh: str
    why_en: str
    detail: str
    """What the gateway said."""
    ordered_at: datetime | None


@router.post("/config-rollouts", status_code=201)
async def begin_rollout(request: Request, body: RolloutBody, who: Manager) -> RolloutRow:
    """Begin to bring versions out, stage by stage."""
    services = services_of(request)
    now = services.clock.now()
    try:
        async with services.store.begin() as db:
            new = NewRollout(
                choices=tuple(await _choices(db, who, body)),
                steps=_steps(body.stages),
                max_failures=body.max_failures,
                answer_within_s=body.answer_within_s,
                confirm_within_s=body.confirm_within_s,
                author=who.actor,
                reason=body.reason,
            )
            made = await rollouts.make(db, new, now=now)
            await audit.append(
                db,
                who.actor,
                "config.rollout",
                f"rollout {made.id}",
                at=now,
                node_id=made.node_id,
                detail={"gateways": len(new.choices), "reason": body.reason},
            )
            counts = await rollouts.standings(db, [made.id])
    except ConfigsError as error:
        raise problem_of(error) from None
    services.wake.notify(clockwork.TOPIC)
    return _row(made, counts.get(made.id, {}))


@router.get("/config-rollouts")
async def list_rollouts(
    request: Request, who: Reader, asked: Annotated[PageQuery, Query()]
) -> Page[RolloutRow]:
    """Return the rollouts of one's subtree, newest first."""
    start = key_of(asked.after, tuple[int])
    async with services_of(request).store.read() as db:
        below = None if start is None else start[0]
        rows = await rollouts.page(db, who.scope_path, below=below, limit=asked.limit + 1)
        shown = rows[: asked.limit]
        counts = await rollouts.standings(db, [one.id for one in shown])
    return Page(
        items=[_row(one, counts.get(one.id, {})) for one in shown],
        next=mark(shown[-1].id) if len(rows) > asked.limit else None,
    )


@router.get("/config-rollouts/{rollout_id}")
async def one_rollout(request: Request, rollout_id: NumberPath, who: Reader) -> RolloutRow:
    """Return one rollout."""
    async with services_of(request).store.read() as db:
        found = await _reachable(db, who, rollout_id)
        counts = await rollouts.standings(db, [found.id])
    return _row(found, counts.get(found.id, {}))


@router.get("/config-rollouts/{rollout_id}/gateways")
async def rollout_gateways(
    request: Request, rollout_id: NumberPath, who: Reader, asked: Annotated[PageQuery, Query()]
) -> Page[MemberRow]:
    """Return every gateway of a rollout in the order of the stages, and why it is where it is."""
    start = key_of(asked.after, tuple[int, int])
    place = (config_member.c.stage, config_member.c.gateway_no)
    async with services_of(request).store.read() as db:
        found = await _reachable(db, who, rollout_id)
        query = (
            select(config_member, gateway.c.id.label("gateway_id"))
            .join(gateway, gateway.c.no == config_member.c.gateway_no)
            .where(config_member.c.rollout_id == found.id)
            .order_by(*place)
            .limit(asked.limit + 1)
        )
        if start is not None:
            stage, no = start
            query = query.where((place[0] > stage) | ((place[0] == stage) & (place[1] > no)))
        rows = (await db.execute(query)).all()
    shown = rows[: asked.limit]
    items = []
    for row in shown:
        one = member_of(row)
        words = REASONS[one.why]
        items.append(
            MemberRow(
                gateway_id=row.gateway_id,
                stage=one.stage,
                wanted=one.wanted.number,
                former=None if one.former is None else one.former.number,
                standing=one.standing,
                why=one.why,
                why_zh=words.zh,
                why_en=words.en,
                detail=one.detail,
                ordered_at=one.ordered_at,
            )
        )
    more = mark(shown[-1].stage, shown[-1].gateway_no) if len(rows) > asked.limit else None
    return Page(items=items, next=more)


@router.post("/config-rollouts/{rollout_id}/pause")
async def pause(request: Request, rollout_id: NumberPath, who: Manager) -> RolloutRow:
    """Give no further order; what was given is followed."""
    return await _act(request, who, rollout_id, "config.pause", machine.pause)


@router.post("/config-rollouts/{rollout_id}/resume")
async def resume(request: Request, rollout_id: NumberPath, who: Manager) -> RolloutRow:
    """Go on with a paused rollout; one that stopped by itself does not go on."""
    return await _act(request, who, rollout_id, "config.resume", machine.resume)


@router.post("/config-rollouts/{rollout_id}/roll-back")
async def roll_back(request: Request, rollout_id: NumberPath, who: Manager) -> RolloutRow:
    """Take every gateway that was given an order back to its former version."""
    return await _act(request, who, rollout_id, "config.roll_back", machine.roll_back)


@router.post("/config-rollouts/{rollout_id}/end")
async def end(request: Request, rollout_id: NumberPath, who: Manager) -> RolloutRow:
    """End a paused or stopped rollout; every gateway stays as it is."""
    return await _act(request, who, rollout_id, "config.end", machine.end)


async def _act(
    request: Request, who: Caller, rollout_id: int, action: str, move: Callable[[Rollout], Rollout]
) -> RolloutRow:
    services = services_of(request)
    now = services.clock.now()
    try:
        async with services.store.begin() as db:
            await _reachable(db, who, rollout_id)
            record, lines = await rollouts.act(db, rollout_id, move, now=now)
            subject = f"rollout {rollout_id}"
            await audit.append(db, who.actor, action, subject, at=now, node_id=record.node_id)
            counts = await rollouts.standings(db, [rollout_id])
            await publish(db, lines, at=now)
    except ConfigsError as error:
        raise problem_of(error) from None
    services.wake.notify(clockwork.TOPIC)
    services.wake.notify(FEED_TOPIC)
    return _row(record, counts.get(rollout_id, {}))


async def _choices(db: AsyncConnection, who: Caller, body: RolloutBody) -> list[tuple[Gateway, Version]]:
    if (body.template is None) == (not body.gateways):
        text = Label("请选择网关或模板之一", "choose gateways or a template, one of the two")
        raise ProblemError(409, "choice", text)
    if body.template is not None:
        found = await templates.find(db, body.template)
        require_reach(who, None if found is None else found.node_path)
        assert found is not None  # noqa: S101  # require_reach refuses None
        return [one for one in await templates.latest_of(db, found) if who.reaches(one[0].node_path)]
    choices = []
    for choice in body.gateways:
        owner = await reachable(db, who, choice.gateway_id)
        if choice.number is None:
            version = await versions.latest(db, owner.no)
        else:
            version = await versions.find(db, owner.no, choice.number)
        if version is None:
            raise ProblemError(
                409, "version", Label("网关没有该版本", "a gateway has no such version"), detail=owner.id
            )
        choices.append((owner, version))
    return choices


async def _reachable(db: AsyncConnection, who: Caller, rollout_id: int) -> Record:
    found = await rollouts.find(db, rollout_id)
    if found is None:
        raise NOT_FOUND
    require_reach(who, found.node_path)
    return found


def _row(one: Record, counts: Mapping[Standing, int]) -> RolloutRow:
    return RolloutRow(
        id=one.id,
        node_id=one.node_id,
        phase=one.phase,
        reason=one.reason,
        author=author_of(one.author),
        made_at=one.made_at,
        changed_at=one.changed_at,
        stages=list(one.plan.stages),
        max_failures=one.plan.max_failures,
        answer_within_s=one.plan.answer_within_s,
        confirm_within_s=one.plan.confirm_within_s,
        standings=[StandingCount(standing=key, gateways=count) for key, count in sorted(counts.items())],
    )


def _steps(stages: tuple[StageBody, ...]) -> tuple[tuple[int | None, int | None], ...]:
    """Return the stages as the state machine takes them.

    Raises:
        ProblemError: 409, a stage names both or neither; no schema can say that.
    """
    if any((one.gateways is None) == (one.percent is None) for one in stages):
        text = Label(
            "每一阶段只能给出数量或百分比之一", "each stage is either a number of gateways or per cent"
        )
        raise ProblemError(409, "stage", text)
    return tuple((one.gateways, one.percent) for one in stages)
