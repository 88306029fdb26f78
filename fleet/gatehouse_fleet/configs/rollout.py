"""Rollouts in the database: made, moved on by outcomes and time, brought back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.orders import ConfigVersion, Issuer, OrderResult
from gatehouse_events.states import Kind, Priority
from gatehouse_fleet.configs import versions
from gatehouse_fleet.configs.errors import RolloutError
from gatehouse_fleet.configs.plan import Next, RolloutState, Rules, Step, StepState, next_step
from gatehouse_fleet.configs.versions import Version
from gatehouse_fleet.orders import IssuedOrder, issue
from gatehouse_fleet.store.schema.alarms import alarm
from gatehouse_fleet.store.schema.configs import config_rollout, config_step
from gatehouse_fleet.store.schema.gateways import gateway
from gatehouse_fleet.store.schema.orders import order

ANSWER_WITHIN: Final = timedelta(hours=12)
"""A gateway that says nothing for so long has failed: silence is never success."""
MAX_GATEWAYS: Final = 5000
_URGENT: Final = (Priority.P1.value, Priority.P2.value)


class Wish(Struct, frozen=True, kw_only=True):
    """A rollout as somebody wants it."""

    title: str
    node_id: int
    pilots: int
    batch: int
    max_failures: int
    soak_s: float
    confirm_within_s: float


async def make(db: AsyncConnection, wish: Wish, targets: Sequence[Version], *, by: str, now: datetime) -> int:
    """Make a rollout of one version for each of several gateways, in this order, and return its number.

    Raises:
        RolloutError: no gateway, one twice, or one that another rollout has in hand.
    """
    numbers = [target.gateway_no for target in targets]
    if not 0 < len(numbers) <= MAX_GATEWAYS or len(set(numbers)) != len(numbers):
        raise RolloutError("gateways", f"1 to {MAX_GATEWAYS} gateways, each once")
    busy = select(config_step.c.gateway_no).join(
        config_rollout, config_rollout.c.id == config_step.c.rollout_id
    )
    busy = busy.where(
        config_step.c.gateway_no.in_(numbers),
        config_rollout.c.state.in_(
            [RolloutState.RUNNING.value, RolloutState.PAUSED.value, RolloutState.ROLLING_BACK.value]
        ),
    )
    if (await db.execute(busy)).first() is not None:
        raise RolloutError("busy", "another rollout has one of these gateways in hand")
    row = {
        "title": wish.title,
        "node_id": wish.node_id,
        "state": RolloutState.RUNNING.value,
        "pilots": wish.pilots,
        "batch": wish.batch,
        "max_failures": wish.max_failures,
        "soak_s": wish.soak_s,
        "confirm_within_s": wish.confirm_within_s,
        "made_by": by,
        "made_at": now,
        "changed_at": now,
    }
    made = await db.execute(insert(config_rollout).values(row).returning(config_rollout.c.id))
    rollout_id = int(made.scalar_one())
    for position, target in enumerate(targets):
        before = await versions.in_force(db, target.gateway_no)
        await db.execute(
            insert(config_step).values(
                rollout_id=rollout_id,
                gateway_no=target.gateway_no,
                position=position,
                is_pilot=position < wish.pilots,
                number=target.number,
                before=None if before is None else before.number,
                state=StepState.WAITING.value,
            )
        )
    return rollout_id


async def switch(
    db: AsyncConnection, rollout_id: int, state: RolloutState, *, why: str, now: datetime
) -> None:
    """Pause, resume or bring back.

    Raises:
        RolloutError: it is over, or this step makes no sense.
    """
    row = (
        await db.execute(select(config_rollout).where(config_rollout.c.id == rollout_id).with_for_update())
    ).one_or_none()
    if row is None:
        raise RolloutError("no_rollout", f"there is no rollout {rollout_id}")
    allowed = {
        RolloutState.RUNNING: {RolloutState.PAUSED, RolloutState.ROLLING_BACK},
        RolloutState.PAUSED: {RolloutState.RUNNING, RolloutState.ROLLING_BACK},
        RolloutState.DONE: {RolloutState.ROLLING_BACK},
    }
    if state not in allowed.get(RolloutState(row.state), set()):
        raise RolloutError("state", f"a rollout that is {row.state} does not become {state}")
    await _set_state(db, rollout_id, state, why, now)


async def open_rollouts(db: AsyncConnection) -> list[int]:
    """Return the rollouts that may have something to do."""
    query = select(config_rollout.c.id).where(
        config_rollout.c.state.in_(
            [RolloutState.RUNNING.value, RolloutState.PAUSED.value, RolloutState.ROLLING_BACK.value]
        )
    )
    return list((await db.execute(query.order_by(config_rollout.c.id))).scalars())


async def advance(db: AsyncConnection, rollout_id: int, *, now: datetime) -> list[IssuedOrder]:
    """Take outcomes and do what is next, in the caller's transaction; returns orders whose streams are to be woken."""
    # Two workers at once would order twice: the row is theirs who has it.
    query = select(config_rollout).where(config_rollout.c.id == rollout_id).with_for_update(skip_locked=True)
    rollout = (await db.execute(query)).one_or_none()
    if rollout is None:
        return []
    await _take_outcomes(db, rollout_id, now)
    rows = (
        await db.execute(
            select(config_step).where(config_step.c.rollout_id == rollout_id).order_by(config_step.c.position)
        )
    ).all()
    steps = [_step(row) for row in rows]
    state = RolloutState(rollout.state)
    rules = Rules(
        batch=rollout.batch, max_failures=rollout.max_failures, soak=timedelta(seconds=rollout.soak_s)
    )
    untouchable = await _untouchable(db, [step.gateway_no for step in steps])
    decided = next_step(steps, rules, state=state, untouchable=untouchable, now=now)
    if decided.state is not state:
        await _set_state(db, rollout_id, decided.state, decided.why, now)
    return await _order(db, rollout, {row.gateway_no: row for row in rows}, decided, now)


async def _take_outcomes(db: AsyncConnection, rollout_id: int, now: datetime) -> None:
    rows = await db.execute(
        select(config_step, order.c.result, order.c.result_detail)
        .join(
            order,
            (order.c.gateway_no == config_step.c.gateway_no)
            & (order.c.epoch == config_step.c.order_epoch)
            & (order.c.seq == config_step.c.order_seq),
            isouter=True,
        )
        .where(
            config_step.c.rollout_id == rollout_id,
            config_step.c.state.in_([StepState.ORDERED.value, StepState.BACK_ORDERED.value]),
        )
    )
    for row in rows.all():
        is_back = row.state == StepState.BACK_ORDERED
        good, bad = (StepState.BACK, StepState.STUCK) if is_back else (StepState.DONE, StepState.FAILED)
        if row.result is not None:
            settled = good if row.result == OrderResult.DONE else bad
            detail = f"{row.result}: {row.result_detail or ''}"
        elif row.expires_at is not None and now > row.expires_at:
            settled, detail = bad, "no answer in time"
        else:
            continue
        await _update(
            db, rollout_id, row.gateway_no, state=settled.value, settled_at=now, detail=detail[:1000]
        )


async def _untouchable(db: AsyncConnection, numbers: Sequence[int]) -> set[int]:
    """Return the gateways in whose community an urgent alarm is open: nothing is changed there now."""
    places = (
        select(alarm.c.node_id)
        .where(alarm.c.is_open.is_(True), alarm.c.kind == Kind.ALARM.value, alarm.c.priority.in_(_URGENT))
        .distinct()
    )
    query = select(gateway.c.no).where(gateway.c.no.in_(numbers), gateway.c.node_id.in_(places))
    return set((await db.execute(query)).scalars())


async def _order(
    db: AsyncConnection, rollout: Row[Any], rows: Mapping[int, Row[Any]], decided: Next, now: datetime
) -> list[IssuedOrder]:
    issued = []
    wanted = [(no, rows[no].number, StepState.ORDERED) for no in decided.order]
    wanted += [(no, rows[no].before, StepState.BACK_ORDERED) for no in decided.bring_back]
    for gateway_no, number, state in wanted:
        version = await versions.get(db, gateway_no, number)
        if version is None:
            raise RolloutError("no_version", f"version {number} of gateway {gateway_no} is not here")
        action = ConfigVersion(
            version=version.version,
            sha256=version.sha256,
            size_bytes=len(version.text.encode()),
            confirm_within_s=rollout.confirm_within_s,
        )
        given = await issue(
            db,
            gateway_no,
            action,
            issuer=Issuer(name=rollout.made_by, role="rollout", unit=rollout.title),
            expires_at=now + ANSWER_WITHIN,
            now=now,
        )
        await _update(
            db,
            rollout.id,
            gateway_no,
            state=state.value,
            order_epoch=given.epoch,
            order_seq=given.seq,
            ordered_at=now,
            # The trial itself comes on top of the way there.
            expires_at=now + ANSWER_WITHIN + timedelta(seconds=2 * rollout.confirm_within_s),
        )
        issued.append(given)
    return issued


async def _update(db: AsyncConnection, rollout_id: int, gateway_no: int, **values: object) -> None:
    await db.execute(
        update(config_step)
        .where(config_step.c.rollout_id == rollout_id, config_step.c.gateway_no == gateway_no)
        .values(values)
    )


async def _set_state(
    db: AsyncConnection, rollout_id: int, state: RolloutState, why: str, now: datetime
) -> None:
    await db.execute(
        update(config_rollout)
        .where(config_rollout.c.id == rollout_id)
        .values(state=state.value, why=why[:500], changed_at=now)
    )


def _step(row: Row[Any]) -> Step:
    return Step(
        gateway_no=row.gateway_no,
        position=row.position,
        is_pilot=row.is_pilot,
        state=StepState(row.state),
        before=row.before,
        settled_at=row.settled_at,
    )
