"""Rollouts in the database: made, read with what is known of every gateway, and written back. `rollout` decides.

One gateway is in the hands of one rollout at most: `config_hold` says whose, and a second one is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Row, Select, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.fleet_api import GatewayStatus
from gatehouse_events.orders import OrderResult
from gatehouse_events.states import Kind, Label, Priority
from gatehouse_fleet.configs import rollout as machine
from gatehouse_fleet.configs.errors import ConfigsError
from gatehouse_fleet.configs.rollout import (
    MAX_MEMBERS,
    Member,
    Phase,
    Plan,
    Rollout,
    Sight,
    Standing,
    Target,
    Why,
)
from gatehouse_fleet.configs.versions import Version, version_of
from gatehouse_fleet.people.roles import Actor
from gatehouse_fleet.projection.feed import FeedItem, FeedTopic
from gatehouse_fleet.registry.gateways import Gateway
from gatehouse_fleet.registry.presence import Presence, presence
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.configs import config_hold, config_member, config_rollout, config_version
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.orders import order
from gatehouse_fleet.store.schema.org import org_node

ORDER_KIND: Final = "config_version"
_URGENT: Final = (Priority.P1.value, Priority.P2.value)
_OPEN_PHASES: Final = (Phase.RUNNING, Phase.ROLLING_BACK)


class Record(Struct, frozen=True, kw_only=True):
    """A rollout without its gateways."""

    id: int
    node_id: int
    node_path: str
    phase: Phase
    plan: Plan
    made_at: datetime
    changed_at: datetime
    author: Actor
    reason: str


class NewRollout(Struct, frozen=True, kw_only=True):
    """What is to be brought out, and how carefully."""

    choices: tuple[tuple[Gateway, Version], ...]
    """In the order of the stages."""
    steps: tuple[tuple[int | None, int | None], ...]
    """See `rollout.staged`."""
    max_failures: int
    answer_within_s: float
    confirm_within_s: float
    author: Actor
    reason: str


class _Line(Struct, frozen=True, kw_only=True):
    """Body of a feed line."""

    rollout: int
    phase: str
    stage: int | None
    failures: int


async def make(db: AsyncConnection, new: NewRollout, *, now: datetime) -> Record:
    """Begin a rollout, in the caller's transaction; the clockwork gives the first orders.

    Raises:
        ConfigsError: `empty`, `too_many`, `held`: a gateway is in the hands of another rollout.
    """
    owners = [owner for owner, _ in new.choices]
    if not owners:
        raise ConfigsError("empty", Label("没有网关", "there is no gateway in it"))
    if len(owners) > MAX_MEMBERS or len({one.no for one in owners}) != len(owners):
        raise ConfigsError("too_many", Label("网关过多或重复", "too many gateways, or one of them twice"))
    plan = Plan(
        stages=machine.staged(len(owners), new.steps),
        max_failures=new.max_failures,
        answer_within_s=new.answer_within_s,
        confirm_within_s=new.confirm_within_s,
    )
    made = await db.execute(
        insert(config_rollout)
        .values(
            node_id=_common_place([one.node_path for one in owners]),
            phase=Phase.RUNNING.value,
            plan=msgspec.json.encode(plan).decode(),
            made_at=now,
            changed_at=now,
            author=msgspec.json.encode(new.author).decode(),
            reason=new.reason,
        )
        .returning(config_rollout.c.id)
    )
    rollout_id = made.scalar_one()
    await _take(db, rollout_id, [one.no for one in owners])
    formers = await _formers(db, rollout_id)
    stages = [stage for stage, size in enumerate(plan.stages) for _ in range(size)]
    members = [
        Member(gateway_no=owner.no, stage=stage, wanted=version.target, former=formers.get(owner.no))
        for (owner, version), stage in zip(new.choices, stages, strict=True)
    ]
    await db.execute(insert(config_member), [_row(rollout_id, one) for one in members])
    record = await find(db, rollout_id)
    assert record is not None  # noqa: S101  # written above
    return record


async def find(db: AsyncConnection, rollout_id: int, *, is_locking: bool = False) -> Record | None:
    """Return a rollout without its gateways; `is_locking` keeps it as it is until the commit."""
    query = _query().where(config_rollout.c.id == rollout_id)
    if is_locking:
        query = query.with_for_update(of=config_rollout)
    row = (await db.execute(query)).one_or_none()
    return None if row is None else record_of(row)


async def page(db: AsyncConnection, scope_path: str, *, below: int | None, limit: int) -> Sequence[Record]:
    """Return the rollouts of a subtree, newest first."""
    query = _query().where(org_node.c.path.startswith(scope_path, autoescape=True))
    if below is not None:
        query = query.where(config_rollout.c.id < below)
    rows = (await db.execute(query.order_by(config_rollout.c.id.desc()).limit(limit))).all()
    return [record_of(row) for row in rows]


async def standings(db: AsyncConnection, ids: Iterable[int]) -> Mapping[int, Mapping[Standing, int]]:
    """Return how many gateways stand where in each rollout."""
    query = (
        select(config_member.c.rollout_id, config_member.c.standing, func.count().label("gateways"))
        .where(config_member.c.rollout_id.in_(list(ids)))
        .group_by(config_member.c.rollout_id, config_member.c.standing)
    )
    found: dict[int, dict[Standing, int]] = {}
    for row in (await db.execute(query)).all():
        found.setdefault(row.rollout_id, {})[Standing(row.standing)] = row.gateways
    return found


async def due(db: AsyncConnection) -> Sequence[int]:
    """Return the rollouts in which something can happen, oldest first."""
    trying = select(config_member.c.rollout_id).where(config_member.c.standing == Standing.ORDERED.value)
    followed = (Phase.PAUSED.value, Phase.STOPPED.value)
    query = (
        select(config_rollout.c.id)
        .where(
            config_rollout.c.phase.in_([one.value for one in _OPEN_PHASES])
            | (config_rollout.c.phase.in_(followed) & config_rollout.c.id.in_(trying))
        )
        .order_by(config_rollout.c.id)
    )
    return list((await db.execute(query)).scalars())


async def load(db: AsyncConnection, record: Record) -> Rollout:
    """Return a rollout with all its gateways."""
    query = (
        select(config_member)
        .where(config_member.c.rollout_id == record.id)
        .order_by(config_member.c.stage, config_member.c.gateway_no)
    )
    members = tuple(member_of(row) for row in (await db.execute(query)).all())
    return Rollout(plan=record.plan, phase=record.phase, members=members)


async def sights(db: AsyncConnection, record: Record, *, now: datetime) -> Mapping[int, Sight]:
    """Return what is known of every gateway of a rollout."""
    mine = config_member.c.rollout_id == record.id
    told = (
        await db.execute(
            select(
                gateway.c.no,
                gateway.c.node_id,
                gateway.c.status,
                gateway.c.last_contact_at,
                gateway.c.is_stopped,
            )
            .join(config_member, config_member.c.gateway_no == gateway.c.no)
            .where(mine)
        )
    ).all()
    urgent = set(
        (
            await db.execute(
                select(alarm.c.node_id)
                .where(
                    alarm.c.is_open,
                    alarm.c.priority.in_(_URGENT),
                    alarm.c.kind != Kind.TEST.value,
                    alarm.c.node_id.in_(sorted({row.node_id for row in told})),
                )
                .distinct()
            )
        ).scalars()
    )
    # The newest order counts: a lane that began anew after a restored backup gives the same order another number.
    answers = (
        await db.execute(
            select(order.c.gateway_no, order.c.result, order.c.result_detail)
            .join(config_member, config_member.c.gateway_no == order.c.gateway_no)
            .where(mine, order.c.kind == ORDER_KIND, order.c.issued_at >= record.made_at)
            .order_by(order.c.issued_at, order.c.seq)
        )
    ).all()
    last = {row.gateway_no: row for row in answers}
    found = {}
    for row in told:
        version, digest = running(row.status)
        answer = last.get(row.no)
        found[row.no] = Sight(
            result=None if answer is None or answer.result is None else OrderResult(answer.result),
            detail="" if answer is None else answer.result_detail or "",
            version=version,
            sha256=digest,
            is_heard=presence(row.last_contact_at, is_stopped=row.is_stopped, now=now) is Presence.ONLINE,
            has_urgent_alarm=row.node_id in urgent,
        )
    return found


async def save(
    db: AsyncConnection, record: Record, before: Rollout, after: Rollout, *, now: datetime
) -> None:
    """Write down what has changed, and let go of the gateways that are settled."""
    was = {one.gateway_no: one for one in before.members}
    changed = [one for one in after.members if one != was[one.gateway_no]]
    if changed:
        await db.execute(
            update(config_member).where(
                config_member.c.rollout_id == bindparam("of_rollout"),
                config_member.c.gateway_no == bindparam("of_gateway"),
            ),
            [_change(record.id, one) for one in changed],
        )
    for one in changed:
        if one.standing is Standing.CONFIRMED:
            await _note_wanted(db, one.gateway_no, one.wanted.number)
        elif one.standing is Standing.RETURNED:
            await _note_wanted(db, one.gateway_no, None if one.former is None else one.former.number)
    if after.phase is not before.phase:
        await db.execute(
            update(config_rollout)
            .where(config_rollout.c.id == record.id)
            .values(phase=after.phase.value, changed_at=now)
        )
    kept = set(machine.in_hand(after))
    gone = [no for no in machine.in_hand(before) if no not in kept]
    if gone:
        await db.execute(
            update(config_hold)
            .where(config_hold.c.rollout_id == record.id, config_hold.c.gateway_no.in_(gone))
            .values(rollout_id=None)
        )


async def act(
    db: AsyncConnection, rollout_id: int, move: Callable[[Rollout], Rollout], *, now: datetime
) -> tuple[Record, list[FeedItem]]:
    """Let a person pause, resume, end or roll back; the caller audits it and publishes the lines.

    Raises:
        ConfigsError: `phase`, `in_flight`, `superseded`: a gateway was given something else since.
    """
    record = await find(db, rollout_id, is_locking=True)
    assert record is not None  # noqa: S101  # the caller has looked
    before = await load(db, record)
    after = move(before)
    if before.phase is Phase.DONE:
        touched = [one for one in after.members if one.ordered_at is not None]
        await _require_wanted(db, touched)
        await _take(db, record.id, [one.gateway_no for one in touched])
    await save(db, record, before, after, now=now)
    return replace(record, phase=after.phase, changed_at=now), [line_of(record, after)]


def line_of(record: Record, rollout: Rollout) -> FeedItem:
    """Return what screens hear."""
    body = _Line(rollout=record.id, phase=rollout.phase.value, stage=rollout.stage, failures=rollout.failures)
    return FeedItem(
        topic=FeedTopic.ROLLOUT,
        subject=str(record.id),
        node_path=record.node_path,
        body=msgspec.json.encode(body).decode(),
    )


def running(status: str | None) -> tuple[str, str]:
    """Return version and hash of what a gateway says it runs; empty: its local file, or it has not said."""
    if status is None:
        return "", ""
    try:
        told = msgspec.json.decode(status, type=GatewayStatus)
    except msgspec.DecodeError:
        return "", ""
    return told.config_version, told.config_sha256


def record_of(row: Row[Any]) -> Record:
    """Return a row as a value."""
    return Record(
        id=row.id,
        node_id=row.node_id,
        node_path=row.path,
        phase=Phase(row.phase),
        plan=msgspec.json.decode(row.plan, type=Plan),
        made_at=row.made_at,
        changed_at=row.changed_at,
        author=msgspec.json.decode(row.author, type=Actor),
        reason=row.reason,
    )


def member_of(row: Row[Any]) -> Member:
    """Return a row as a value."""
    return Member(
        gateway_no=row.gateway_no,
        stage=row.stage,
        wanted=msgspec.json.decode(row.wanted, type=Target),
        former=None if row.former is None else msgspec.json.decode(row.former, type=Target),
        standing=Standing(row.standing),
        why=Why(row.why),
        detail=row.detail,
        ordered_at=row.ordered_at,
        returns=row.returns,
    )


async def _take(db: AsyncConnection, rollout_id: int, numbers: Sequence[int]) -> None:
    if not numbers:
        return
    make_row = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    await db.execute(
        make_row(config_hold).on_conflict_do_nothing(), [{"gateway_no": no} for no in sorted(numbers)]
    )
    # In the order of the numbers: two people who begin at one time must not wait for each other's rows.
    mine = config_hold.c.gateway_no.in_(numbers)
    await db.execute(
        select(config_hold.c.gateway_no).where(mine).order_by(config_hold.c.gateway_no).with_for_update()
    )
    taken = await db.execute(
        update(config_hold).where(mine, config_hold.c.rollout_id.is_(None)).values(rollout_id=rollout_id)
    )
    if taken.rowcount != len(numbers):
        raise ConfigsError(
            "held", Label("有网关正在其他批次中", "a gateway is in the hands of another rollout")
        )


async def _formers(db: AsyncConnection, rollout_id: int) -> Mapping[int, Target]:
    query = select(config_version).join(
        config_hold,
        (config_hold.c.gateway_no == config_version.c.gateway_no)
        & (config_hold.c.wanted == config_version.c.number),
    )
    rows = (await db.execute(query.where(config_hold.c.rollout_id == rollout_id))).all()
    return {row.gateway_no: version_of(row).target for row in rows}


async def _require_wanted(db: AsyncConnection, touched: Sequence[Member]) -> None:
    query = select(config_hold.c.gateway_no, config_hold.c.wanted).where(
        config_hold.c.gateway_no.in_([one.gateway_no for one in touched])
    )
    wanted = {row.gateway_no: row.wanted for row in (await db.execute(query)).all()}
    if any(
        one.standing is Standing.CONFIRMED and wanted.get(one.gateway_no) != one.wanted.number
        for one in touched
    ):
        text = Label(
            "其后已下发其他版本，不能回退此批次", "a gateway was given something else since; roll that back"
        )
        raise ConfigsError("superseded", text)


async def _note_wanted(db: AsyncConnection, gateway_no: int, number: int | None) -> None:
    await db.execute(update(config_hold).where(config_hold.c.gateway_no == gateway_no).values(wanted=number))


def _row(rollout_id: int, member: Member) -> dict[str, Any]:
    return {
        "rollout_id": rollout_id,
        "gateway_no": member.gateway_no,
        "stage": member.stage,
        "wanted": msgspec.json.encode(member.wanted).decode(),
        "former": None if member.former is None else msgspec.json.encode(member.former).decode(),
    } | _standing(member)


def _change(rollout_id: int, member: Member) -> dict[str, Any]:
    return {"of_rollout": rollout_id, "of_gateway": member.gateway_no} | _standing(member)


def _standing(member: Member) -> dict[str, Any]:
    return {
        "standing": member.standing.value,
        "why": member.why.value,
        "detail": member.detail,
        "ordered_at": member.ordered_at,
        "returns": member.returns,
    }


def _common_place(paths: Sequence[str]) -> int:
    """Return the deepest place that has all of these below it, or is it."""
    levels = zip(*(path.strip("/").split("/") for path in paths), strict=False)
    shared = [level[0] for level in itertools.takewhile(lambda level: len(set(level)) == 1, levels)]
    if not shared:
        raise ConfigsError("cities", Label("网关分属不同城市", "the gateways belong to different cities"))
    return int(shared[-1])


def _query() -> Select[Any]:
    return select(config_rollout, org_node.c.path).join(org_node, org_node.c.id == config_rollout.c.node_id)
