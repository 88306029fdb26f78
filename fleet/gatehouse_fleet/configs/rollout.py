"""Bringing configurations out in stages: `advance(rollout, sights, now) -> (rollout, orders)`. Pure.

| phase | what happens |
|---|---|
| running | the present stage gets its orders; the next one begins when each gateway of this one is confirmed (or failed within the threshold) |
| paused | no new order; what was given is followed |
| stopped | more gateways have failed than may: by itself, and for good; only back or an end are left |
| rolling_back | every gateway that was given an order gets its former version as a new order |
| done, rolled_back, ended | nothing more happens |

A gateway is confirmed when it has answered `done` *and* reports the version; who stays silent past the time-out has failed. No gateway is given
anything, forward or back, while its community has an open P1 or P2 alarm: nobody restarts a bus under a rescue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gatehouse_events.fleet_api import SILENT_AFTER_S
from gatehouse_events.orders import OrderResult
from gatehouse_events.states import Label
from gatehouse_fleet.configs.errors import ConfigsError

MAX_RETURNS: Final = 3
"""A way back that was refused is tried so often; then a person is asked."""
RETURN_WITHIN: Final = timedelta(days=7)
"""An order back waits so long for a gateway that is silent."""
MAX_MEMBERS: Final = 5000
MAX_GIVES: Final = 100
"""Orders of one step: they are one transaction, and alarms are written between two."""
MAX_STAGES: Final = 50


class Phase(StrEnum):
    """Where a rollout stands."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    ROLLING_BACK = "rolling_back"
    DONE = "done"
    ROLLED_BACK = "rolled_back"
    ENDED = "ended"


class Standing(StrEnum):
    """Where a gateway stands in a rollout."""

    WAITING = "waiting"
    ORDERED = "ordered"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    TO_RETURN = "to_return"
    RETURNING = "returning"
    RETURNED = "returned"
    NOT_RETURNED = "not_returned"
    SPARED = "spared"
    """Rolled back before its turn came: nothing was done to it."""


class Why(StrEnum):
    """Why a gateway stands there; words in `REASONS`."""

    NEXT_STAGE = "next_stage"
    ALARM_OPEN = "alarm_open"
    NOT_ANSWERED = "not_answered"
    NOT_REPORTED = "not_reported"
    ALREADY = "already"
    TAKEN = "taken"
    NOT_TAKEN = "not_taken"
    SILENT = "silent"
    NEVER_REPORTED = "never_reported"
    BACK_BY_ITSELF = "back_by_itself"
    BACK = "back"
    WAY_BACK_REFUSED = "way_back_refused"
    NO_FORMER = "no_former"
    UNTOUCHED = "untouched"


REASONS: Final[dict[Why, Label]] = {
    Why.NEXT_STAGE: Label("等待前一批全部确认", "its stage has not come"),
    Why.ALARM_OPEN: Label(
        "小区有未结束的紧急或重要报警，暂不变更",
        "its community has an open P1 or P2 alarm: nothing is changed now",
    ),
    Why.NOT_ANSWERED: Label("已下发，等待网关答复", "ordered; the gateway has not answered yet"),
    Why.NOT_REPORTED: Label(
        "网关已采用，等待其状态上报", "the gateway has taken it; its status does not say so yet"
    ),
    Why.ALREADY: Label("已是该版本，无需下发", "it ran this version already; nothing was ordered"),
    Why.TAKEN: Label("已采用并上报", "taken, and its status says so"),
    Why.NOT_TAKEN: Label(
        "网关未采用，仍运行原版本", "the gateway did not keep it; the one before is in force"
    ),
    Why.SILENT: Label("超时未答复", "it has not answered in time"),
    Why.NEVER_REPORTED: Label("已答复采用，但状态始终未上报", "it said done, and its status never did"),
    Why.BACK_BY_ITSELF: Label("未采用，已自行恢复原版本", "it never kept it: it went back by itself"),
    Why.BACK: Label("已恢复原版本", "the former version is in force again"),
    Why.WAY_BACK_REFUSED: Label("恢复原版本未成功", "the way back did not work"),
    Why.NO_FORMER: Label(
        "原先使用本机文件，须在现场恢复：gatehouse-edge local-config",
        "it ran its local file before; bring that back at the gateway: gatehouse-edge local-config",
    ),
    Why.UNTOUCHED: Label("未轮到，未变更", "its turn never came; nothing was changed"),
}


class Target(Struct, frozen=True, kw_only=True):
    """One version of one gateway, as orders name it."""

    number: int
    name: str
    sha256: str
    size_bytes: int


class Plan(Struct, frozen=True, kw_only=True):
    """How careful."""

    stages: tuple[int, ...]
    """Gateways of each stage; together all of them."""
    max_failures: int = 0
    """So many may fail in all; the next failure stops the rollout."""
    answer_within_s: float = 900.0
    """A gateway begins its trial within this, or has failed."""
    confirm_within_s: float = 60.0
    """Window of the trial at the gateway."""

    @property
    def patience(self) -> timedelta:
        """From the order to the report of the gateway that took longest: begin, trial, and three reports."""
        return timedelta(seconds=self.answer_within_s + self.confirm_within_s + SILENT_AFTER_S)


class Member(Struct, frozen=True, kw_only=True):
    """One gateway of a rollout."""

    gateway_no: int
    stage: int
    wanted: Target
    former: Target | None
    """What it was last given before; None: it runs its local file."""
    standing: Standing = Standing.WAITING
    why: Why = Why.NEXT_STAGE
    detail: str = ""
    """What the gateway said."""
    ordered_at: datetime | None = None
    """Of the last order, forward or back; None: it was given none."""
    returns: int = 0


class Rollout(Struct, frozen=True, kw_only=True):
    """One rollout with all its gateways."""

    plan: Plan
    phase: Phase
    members: tuple[Member, ...]

    @property
    def failures(self) -> int:
        """Return how many have failed so far."""
        return sum(one.standing is Standing.FAILED for one in self.members)

    @property
    def stage(self) -> int | None:
        """Return the stage that is not settled yet; None: all are."""
        open_ = [one.stage for one in self.members if one.standing in {Standing.WAITING, Standing.ORDERED}]
        return min(open_, default=None)


class Sight(Struct, frozen=True, kw_only=True):
    """What the fleet knows of one gateway now."""

    result: OrderResult | None = None
    """Of the last order of a configuration."""
    detail: str = ""
    sha256: str = ""
    """Of the configuration it says it runs; empty: its local file."""
    version: str = ""
    is_heard: bool = True
    """Not silent now: what a silent gateway said last is no proof of what it runs."""
    has_urgent_alarm: bool = False
    """P1 or P2, open, in its community."""

    def runs(self, target: Target | None) -> bool:
        """Return whether it says it runs `target` (None: its local file)."""
        wanted = ("", "") if target is None else (target.name, target.sha256)
        return (self.version, self.sha256) == wanted


class Give(Struct, frozen=True, kw_only=True):
    """An order to issue."""

    gateway_no: int
    target: Target
    within: timedelta


def staged(count: int, steps: Sequence[tuple[int | None, int | None]]) -> tuple[int, ...]:
    """Return the sizes of the stages: each step a number or per cent of all (rounded up); the rest is the last stage.

    Args:
        count: gateways in all.
        steps: (number, per cent), exactly one of the two.
    """
    sizes: list[int] = []
    left = count
    for number, percent in steps:
        size = number if number is not None else -(-count * (percent or 0) // 100)
        size = min(max(1, size), left)
        if size:
            sizes.append(size)
        left -= size
    return (*sizes, left) if left else tuple(sizes)


def advance(rollout: Rollout, sights: Mapping[int, Sight], now: datetime) -> tuple[Rollout, tuple[Give, ...]]:
    """Take in what is known of every gateway and return how the rollout stands now, and what to order."""
    if rollout.phase in {Phase.DONE, Phase.ROLLED_BACK, Phase.ENDED}:
        return rollout, ()
    members = tuple(_judged(one, sights[one.gateway_no], rollout.plan, now) for one in rollout.members)
    rollout = replace(rollout, members=members)
    if rollout.phase is Phase.ROLLING_BACK:
        return _back(rollout, sights, now)
    if rollout.failures > rollout.plan.max_failures:
        return replace(rollout, phase=Phase.STOPPED), ()
    if rollout.phase is Phase.RUNNING:
        return _forward(rollout, sights, now)
    return rollout, ()


def pause(rollout: Rollout) -> Rollout:
    """Give no further order.

    Raises:
        ConfigsError: `phase`: it is not running.
    """
    _require(rollout, Phase.RUNNING)
    return replace(rollout, phase=Phase.PAUSED)


def resume(rollout: Rollout) -> Rollout:
    """Go on.

    Raises:
        ConfigsError: `phase`: it is not paused. What stopped by itself does not go on: make another one for the rest.
    """
    _require(rollout, Phase.PAUSED)
    return replace(rollout, phase=Phase.RUNNING)


def roll_back(rollout: Rollout) -> Rollout:
    """Take every gateway that was given an order back to its former version.

    Raises:
        ConfigsError: `phase`: it is on its way back already, or over.
    """
    _require(rollout, Phase.RUNNING, Phase.PAUSED, Phase.STOPPED, Phase.DONE)
    members = tuple(
        replace(one, standing=Standing.SPARED, why=Why.UNTOUCHED) if one.standing is Standing.WAITING else one
        for one in rollout.members
    )
    return replace(rollout, phase=Phase.ROLLING_BACK, members=members)


def end(rollout: Rollout) -> Rollout:
    """Leave every gateway as it is.

    Raises:
        ConfigsError: `phase`: it runs; `in_flight`: a gateway is just trying.
    """
    _require(rollout, Phase.PAUSED, Phase.STOPPED)
    if any(one.standing is Standing.ORDERED for one in rollout.members):
        raise ConfigsError(
            "in_flight", Label("仍有网关正在试用，请稍候", "a gateway is just trying it; wait")
        )
    return replace(rollout, phase=Phase.ENDED)


def _require(rollout: Rollout, *phases: Phase) -> None:
    if rollout.phase not in phases:
        text = Label(
            f"当前状态不允许：{rollout.phase.value}", f"not possible while it is {rollout.phase.value}"
        )
        raise ConfigsError("phase", text)


def _judged(member: Member, sight: Sight, plan: Plan, now: datetime) -> Member:
    match member.standing:
        case Standing.ORDERED:
            return _judged_forward(member, sight, plan, now)
        case Standing.RETURNING:
            return _judged_back(member, sight, plan, now)
        case _:
            return member


def _judged_forward(member: Member, sight: Sight, plan: Plan, now: datetime) -> Member:
    assert member.ordered_at is not None  # noqa: S101  # set with the standing
    is_over = now >= member.ordered_at + plan.patience
    match sight.result:
        case None if is_over:
            return replace(member, standing=Standing.FAILED, why=Why.SILENT)
        case None:
            return replace(member, why=Why.NOT_ANSWERED)
        case OrderResult.DONE if sight.runs(member.wanted):
            return replace(member, standing=Standing.CONFIRMED, why=Why.TAKEN)
        case OrderResult.DONE if is_over:
            return replace(member, standing=Standing.FAILED, why=Why.NEVER_REPORTED)
        case OrderResult.DONE:
            return replace(member, why=Why.NOT_REPORTED)
        case _:
            said = f"{sight.result}: {sight.detail}"
            return replace(member, standing=Standing.FAILED, why=Why.NOT_TAKEN, detail=said)


def _judged_back(member: Member, sight: Sight, plan: Plan, now: datetime) -> Member:
    assert member.ordered_at is not None  # noqa: S101  # set with the standing
    is_over = now >= member.ordered_at + RETURN_WITHIN + plan.patience
    match sight.result:
        case OrderResult.DONE if sight.runs(member.former):
            return replace(member, standing=Standing.RETURNED, why=Why.BACK)
        case None | OrderResult.DONE if is_over:
            return replace(member, standing=Standing.NOT_RETURNED, why=Why.SILENT)
        case None:
            return replace(member, why=Why.NOT_ANSWERED)
        case OrderResult.DONE:
            return replace(member, why=Why.NOT_REPORTED)
        case _:
            is_last = member.returns >= MAX_RETURNS
            standing = Standing.NOT_RETURNED if is_last else Standing.TO_RETURN
            said = f"{sight.result}: {sight.detail}"
            return replace(member, standing=standing, why=Why.WAY_BACK_REFUSED, detail=said)


def _forward(
    rollout: Rollout, sights: Mapping[int, Sight], now: datetime
) -> tuple[Rollout, tuple[Give, ...]]:
    gives: list[Give] = []
    stage = rollout.stage
    within = timedelta(seconds=rollout.plan.answer_within_s)

    def moved(one: Member) -> Member:
        if one.standing is not Standing.WAITING or one.stage != stage:
            return one
        sight = sights[one.gateway_no]
        if sight.is_heard and sight.runs(one.wanted):
            return replace(one, standing=Standing.CONFIRMED, why=Why.ALREADY)
        if sight.has_urgent_alarm:
            return replace(one, why=Why.ALARM_OPEN)
        if len(gives) >= MAX_GIVES:
            return one
        gives.append(Give(gateway_no=one.gateway_no, target=one.wanted, within=within))
        return replace(one, standing=Standing.ORDERED, why=Why.NOT_ANSWERED, ordered_at=now)

    rollout = replace(rollout, members=tuple(moved(one) for one in rollout.members))
    if rollout.stage is None:
        return replace(rollout, phase=Phase.DONE), ()
    if not gives and rollout.stage != stage:
        return _forward(rollout, sights, now)
    return rollout, tuple(gives)


def _back(rollout: Rollout, sights: Mapping[int, Sight], now: datetime) -> tuple[Rollout, tuple[Give, ...]]:
    gives: list[Give] = []
    members: list[Member] = []
    for one in rollout.members:
        moved, give = _turned(one, sights[one.gateway_no], rollout.plan, now)
        if give is not None and len(gives) >= MAX_GIVES:
            moved, give = replace(one, standing=Standing.TO_RETURN), None
        members.append(moved)
        if give is not None:
            gives.append(give)
    rollout = replace(rollout, members=tuple(members))
    if not any(_is_on_the_way(one) for one in members):
        rollout = replace(rollout, phase=Phase.ROLLED_BACK)
    return rollout, tuple(gives)


def _turned(member: Member, sight: Sight, plan: Plan, now: datetime) -> tuple[Member, Give | None]:
    """Return a gateway on its way back, and the order it needs for it."""
    if member.standing not in {Standing.CONFIRMED, Standing.FAILED, Standing.TO_RETURN}:
        return member, None
    if member.ordered_at is None:  # it ran this version before anybody ordered it
        return member, None
    member = replace(member, standing=Standing.TO_RETURN)
    has_refused = sight.result not in {None, OrderResult.DONE}
    # Only of the order forward: who refuses the way back may have taken that one, and not said yet what it runs since.
    if has_refused and not member.returns and sight.runs(member.former):
        return replace(member, standing=Standing.RETURNED, why=Why.BACK_BY_ITSELF), None
    if member.former is None:
        return replace(member, standing=Standing.NOT_RETURNED, why=Why.NO_FORMER), None
    if sight.has_urgent_alarm:
        return replace(member, why=Why.ALARM_OPEN), None
    pause_s = 2 * plan.confirm_within_s
    if member.returns and member.ordered_at and now < member.ordered_at + timedelta(seconds=pause_s):
        return member, None  # the gateway may still be busy with the trial it refused this one for
    give = Give(gateway_no=member.gateway_no, target=member.former, within=RETURN_WITHIN)
    new = replace(
        member,
        standing=Standing.RETURNING,
        why=Why.NOT_ANSWERED,
        ordered_at=now,
        returns=member.returns + 1,
    )
    return new, give


def _is_on_the_way(member: Member) -> bool:
    return member.standing in {Standing.ORDERED, Standing.TO_RETURN, Standing.RETURNING} or (
        member.standing in {Standing.CONFIRMED, Standing.FAILED} and member.ordered_at is not None
    )


def in_hand(rollout: Rollout) -> Iterator[int]:
    """Yield the gateways that no other rollout may touch."""
    if rollout.phase in {Phase.DONE, Phase.ROLLED_BACK, Phase.ENDED}:
        return
    for one in rollout.members:
        if rollout.phase is not Phase.ROLLING_BACK or _is_on_the_way(one):
            yield one.gateway_no
