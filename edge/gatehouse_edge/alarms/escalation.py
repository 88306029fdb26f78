"""The ladder: whom to tell, and when, while nobody takes an alarm (domain row 37).

A step that is due becomes a journal entry of kind `escalation` in the same transaction as the alarm's new
`escalation_step`. So a restart neither repeats a step nor skips one: steps that came due during an outage are all taken,
in order, at the first tick. The ladder stops when somebody acknowledges, and begins anew when the alarm comes back.
"""

from __future__ import annotations

from msgspec import Struct

from gatehouse_edge.alarms.life_cycle import revise
from gatehouse_edge.alarms.plan import DEFAULT_LADDERS, LadderStep, Plan
from gatehouse_edge.clock import Now
from gatehouse_events.alarm import Alarm, Change, What
from gatehouse_events.codes import CODES
from gatehouse_events.escalation import Escalation
from gatehouse_events.states import UNATTENDED_STATES, Kind, Priority


class Step(Struct, frozen=True, kw_only=True):
    """A step taken: the alarm's new revision and the entry for the notifier."""

    change: Change
    entry: Escalation


def ladder(alarm: Alarm, plan: Plan) -> tuple[LadderStep, ...]:
    """Return the ladder of an alarm: P1 and P2 climb it, the rest is shown at the desk only.

    A drill climbs no further than what is due at once: nobody's family is called for a test.
    """
    if alarm.priority not in {Priority.P1, Priority.P2}:
        return ()
    category = CODES[alarm.code].category
    steps = plan.escalation.get(alarm.code) or plan.escalation.get(category) or DEFAULT_LADDERS[category]
    if alarm.kind is Kind.TEST:
        return tuple(step for step in steps if step.after_s <= 0)
    return steps


def due_step(alarm: Alarm, plan: Plan, now: Now) -> Step | None:
    """Return the next step if its time has come; call again with the new revision until None."""
    if alarm.state not in UNATTENDED_STATES:
        return None
    steps = ladder(alarm, plan)
    index = alarm.escalation_step
    if index >= len(steps):
        return None
    waited_s = now.service_s - alarm.unack_since_s
    if waited_s < steps[index].after_s:
        return None
    change = revise(alarm, now, What.ESCALATED, escalation_step=index + 1)
    entry = Escalation(
        alarm_id=alarm.alarm_id,
        alarm_seq=change.alarm.seq,
        device_id=alarm.device_id,
        code=alarm.code,
        priority=alarm.priority,
        label=CODES[alarm.code].label,
        text=alarm.text,
        step=index,
        after_s=steps[index].after_s,
        notify=steps[index].notify,
        late_s=waited_s - steps[index].after_s,
        is_test=alarm.kind is Kind.TEST,
    )
    return Step(change=change, entry=entry)
