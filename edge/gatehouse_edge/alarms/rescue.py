"""The rescue of a trapped passenger: half an hour, and a chain of times that proves it (domain rows 34, 35).

Arrival within 30 minutes of the report: 淄博市电梯安全条例 Art 44, 枣庄 Art 43, 滨州 Art 28. The duration comes with
the condition (`deadline_s`); here it is counted and the chain raised, responded, arrived, done is kept.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from gatehouse_edge.alarms.commands import Refused, RescueReport, RescueStep
from gatehouse_edge.alarms.life_cycle import revise
from gatehouse_edge.clock import Now
from gatehouse_events.alarm import Alarm, Change, DealStatus, Rescue, What
from gatehouse_events.states import Kind, Label

_ORDER: Final[dict[RescueStep, frozenset[DealStatus]]] = {
    RescueStep.RESPONDED: frozenset({DealStatus.RAISED}),
    RescueStep.ARRIVED: frozenset({DealStatus.RAISED, DealStatus.RESPONDED}),
    RescueStep.CLOSED: frozenset({DealStatus.ARRIVED}),
    RescueStep.FALSE: frozenset({DealStatus.RAISED, DealStatus.RESPONDED, DealStatus.ARRIVED}),
}
_STATUS: Final = {
    RescueStep.RESPONDED: DealStatus.RESPONDED,
    RescueStep.ARRIVED: DealStatus.ARRIVED,
    RescueStep.CLOSED: DealStatus.DONE,
    RescueStep.FALSE: DealStatus.FALSE_ALARM,
}
_WAITING: Final = frozenset({DealStatus.RAISED, DealStatus.RESPONDED})


def report(alarm: Alarm, command: RescueReport, now: Now) -> Change | Refused:
    """Return the alarm with the step of its rescue, or why that step cannot come now."""
    rescue = alarm.rescue
    if rescue is None:
        return Refused(reason="no_rescue", text=Label("此报警没有救援流程", "this alarm has no rescue"))
    if rescue.deal_status not in _ORDER[command.step]:
        return Refused(
            reason="rescue_order",
            text=Label(
                f"救援状态为{rescue.deal_status.value}，不能进行此步骤",
                f"the rescue is at {rescue.deal_status.value}; this step cannot follow",
            ),
        )
    step: dict[RescueStep, dict[str, object]] = {
        RescueStep.RESPONDED: {"responded_at": now.wall},
        # Who arrives without having answered the call has answered it by coming.
        RescueStep.ARRIVED: {"responded_at": rescue.responded_at or now.wall, "arrived_at": now.wall},
        RescueStep.CLOSED: {"ended_at": now.wall},
        RescueStep.FALSE: {"ended_at": now.wall},
    }
    told = structs.replace(rescue, deal_status=_STATUS[command.step], **step[command.step])
    return revise(alarm, now, What.RESCUE, command=command, rescue=told)


def is_missed_now(alarm: Alarm, now: Now) -> bool:
    """Return whether the deadline has passed without anybody arriving, and nobody has said so yet."""
    rescue = alarm.rescue
    return (
        rescue is not None
        and alarm.is_open
        and alarm.kind is not Kind.TEST
        and not rescue.is_late
        and rescue.deal_status in _WAITING
        and alarm.deadline_s is not None
        and now.service_s >= alarm.deadline_s
    )


def miss(alarm: Alarm, now: Now) -> Change:
    """Return the alarm whose rescue is late."""
    return revise(
        alarm, now, What.DEADLINE_MISSED, rescue=structs.replace(alarm.rescue or Rescue(), is_late=True)
    )
