"""The life of one alarm as a table. Pure: (alarm, what happened, now) -> the next revision, a refusal, or nothing.

| state | cause comes back / again | cause goes | acknowledge | other |
|---|---|---|---|---|
| (none) | UNACK, or SUPPRESSED if hidden | | | |
| UNACK, active | repeat counted | latched: UNACK, inactive; else RTN | ACKED | shelve -> SHELVED |
| UNACK, inactive (latched only) | UNACK, active | | LATCHED | |
| ACKED | new occurrence: UNACK | latched: LATCHED; else CLOSED | recorded as second | shelve -> SHELVED |
| RTN (unlatched only) | UNACK | | CLOSED | close |
| LATCHED | UNACK | | recorded as second | reset or close -> CLOSED |
| SHELVED | repeat counted | inactive, stays | refused | see below |
| SUPPRESSED | repeat counted | CLOSED | refused | no longer hidden: UNACK |
| CLOSED | a new alarm; it joins the count of one closed less than 8 h ago | | refused | |

- A latched alarm whose cause went before anybody came keeps sounding (it stays UNACK): a help call is a moment, and
  RTN has but one chime. After the acknowledgement it is LATCHED and wants a reset.
- Coming back always wants a person again: conservative, for the person who took it first believes it is over.
- Shelf expiry: UNACK if active or never taken back (latched), RTN if an unlatched cause went meanwhile. Manual
  unshelving counts as taking: ACKED, LATCHED or CLOSED.
- An alarm that is open when its device starts being suppressed or inhibited keeps its state; only what comes anew is
  hidden. A person who is already shown an alarm is never shown less.
- Chatter: `CHATTER_COUNT` comings within `CHATTER_WINDOW_S`. The cause counts as present until it was away for the whole
  window, and repeats are told at most once per window. States still change at once, so nothing is hidden.
- A rule that gives up (`auto_close`, domain row 32) closes with disposition `auto`.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.alarms.alarm_id import ulid
from gatehouse_edge.alarms.commands import Command
from gatehouse_edge.clock import Now
from gatehouse_edge.rules.condition import Condition
from gatehouse_events.alarm import (
    MAX_EVIDENCE,
    MAX_NOTES,
    SYSTEM,
    Alarm,
    Change,
    Hidden,
    Note,
    Rescue,
    What,
    Word,
)
from gatehouse_events.codes import CODES
from gatehouse_events.states import ACK_LIMIT_S, UNATTENDED_STATES, AlarmState, Disposition, Kind

CHATTER_COUNT: Final = 3
"""Comings within the window that are chatter (ISA-18.2 as quoted in domain notes §6, grade S)."""
CHATTER_WINDOW_S: Final = 60.0
JOIN_S: Final = 8 * 3600.0
"""Within this time after closing, the next alarm of the same cause goes on with its count (console brief §1)."""
_DETAIL_S: Final = 30.0
"""A changing value is written at most this often, and the seldomer the longer the alarm stands: each writing waits a
twentieth of the alarm's age, so an alarm that stands a month costs a few hundred revisions, not 86 400."""
_DETAIL_PART: Final = 20.0


class Recent(Struct, frozen=True, kw_only=True):
    """What is remembered of the last closed alarm of one device and code."""

    alarm_id: str
    closed_s: float
    repeats: int
    edges_s: tuple[float, ...] = ()


def begin(
    device_id: str,
    condition: Condition,
    now: Now,
    *,
    hidden: Hidden | None = None,
    recent: Recent | None = None,
    cause: str = "",
) -> Change:
    """Return the first revision of a new alarm.

    `recent` or `cause` (a command's id) tells it from one before it of the same device and code: inputs that arrive
    together are stepped with one `now`, and two alarms of one instant must not share an id.
    """
    code = CODES[condition.code]
    joins = recent if recent is not None and now.service_s - recent.closed_s <= JOIN_S else None
    limit_s = ACK_LIMIT_S[code.priority]
    alarm = Alarm(
        alarm_id=ulid(now, device_id, condition.code, cause, "" if recent is None else recent.alarm_id),
        seq=1,
        device_id=device_id,
        code=condition.code,
        kind=code.kind,
        priority=code.priority,
        state=AlarmState.UNACK if hidden is None else AlarmState.SUPPRESSED,
        is_active=True,
        raised_at=now.wall,
        raised_s=now.service_s,
        changed_at=now.wall,
        changed_s=now.service_s,
        unack_since_s=now.service_s,
        ack_due_s=None if limit_s is None or hidden is not None else now.service_s + limit_s,
        hidden=hidden,
        repeats=0 if joins is None else joins.repeats + 1,
        joins=None if joins is None else joins.alarm_id,
        occurrence=condition.occurrence,
        edges_s=_edges(() if joins is None else joins.edges_s, now),
        deadline_s=None if condition.deadline_s is None else now.service_s + condition.deadline_s,
        rescue=None if condition.deadline_s is None else Rescue(),
        value=condition.value,
        unit=condition.unit,
        threshold=condition.threshold,
        text=condition.text,
        facts=condition.facts,
        evidence=condition.evidence[:MAX_EVIDENCE],
    )
    if _comes_too_often(alarm.edges_s, now):
        alarm = structs.replace(alarm, is_chattering=True)
    return Change(alarm=alarm, what=What.RAISED, word=Word.RAISED)


def begin_test(device_id: str, code_name: str, now: Now, *, ends_s: float, command: Command) -> Change:
    """Return the first revision of a drill; it ends at `ends_s` on the service scale at the latest."""
    condition = Condition(code=code_name)
    raised = begin(device_id, condition, now).alarm
    alarm = structs.replace(
        raised,
        alarm_id=ulid(now, device_id, code_name, "test", command.command_id),
        kind=Kind.TEST,
        deadline_s=ends_s,
        rescue=None,
    )
    return Change(
        alarm=alarm, what=What.RAISED, word=Word.TEST, actor=command.actor, command_id=command.command_id
    )


def observe(
    alarm: Alarm, condition: Condition, now: Now, *, hidden: Hidden | None = None
) -> Alarm | Change | None:
    """Return what becomes of an open alarm whose condition is true now.

    A `Change` is a revision to be written; a bare `Alarm` is the same revision with counts that may wait (chatter).
    """
    if condition.auto_close:
        return close(
            alarm, now, Disposition.AUTO, "自动关闭：超过规则时限 auto-closed: beyond the limit of the rule"
        )
    is_again = condition.occurrence != alarm.occurrence
    is_back = not alarm.is_active or alarm.is_held
    if alarm.state is AlarmState.SUPPRESSED and hidden is None:
        return _expose(alarm, condition, now)
    if is_again or is_back:
        return _repeat(alarm, condition, now, is_again=is_again)
    if alarm.state is AlarmState.SUPPRESSED and alarm.hidden is not hidden:
        return _change(_revise(alarm, now, hidden=hidden), What.SUPPRESSED)
    return _detail(alarm, condition, now)


def leave(alarm: Alarm, now: Now) -> Alarm | Change | None:
    """Return what becomes of an open alarm whose condition is not true now."""
    if not alarm.is_active:
        return None
    if alarm.is_chattering:
        if alarm.edges_s and now.service_s - alarm.edges_s[-1] < CHATTER_WINDOW_S:
            return None if alarm.is_held else structs.replace(alarm, is_held=True)
        alarm = structs.replace(alarm, is_chattering=False, is_held=False)
    gone = {"is_active": False, "is_held": False, "returned_at": now.wall}
    match alarm.state:
        case AlarmState.UNACK if not alarm.is_latched:
            return _change(_revise(alarm, now, state=AlarmState.RTN, **gone), What.RETURNED)
        case AlarmState.ACKED if alarm.is_latched:
            return _change(_revise(alarm, now, state=AlarmState.LATCHED, **gone), What.RETURNED)
        case AlarmState.ACKED | AlarmState.SUPPRESSED:
            return _change(_ended(alarm, now, Disposition.AUTO, "", **gone), What.CLEARED)
        case _:
            return _change(_revise(alarm, now, **gone), What.RETURNED)


def acknowledge(alarm: Alarm, now: Now, command: Command) -> Change:
    """Return the alarm taken by a person. Only for UNACK and RTN."""
    taken = {"acked_by": command.actor.name, "acked_at": now.wall, "is_overdue": alarm.is_overdue}
    if alarm.state is AlarmState.RTN:
        return _by(
            command, _ended(alarm, now, Disposition.AUTO, "", **taken), What.ACKNOWLEDGED, Word.CLEARED
        )
    state = AlarmState.ACKED if alarm.is_active else AlarmState.LATCHED
    return _by(command, _revise(alarm, now, state=state, **taken), What.ACKNOWLEDGED, Word.ACKNOWLEDGED)


def shelve(alarm: Alarm, now: Now, command: Command, *, duration_s: float, reason: str) -> Change:
    """Return the alarm hidden until `duration_s` from now. The caller has checked limit and reason."""
    shelved = _revise(
        alarm,
        now,
        state=AlarmState.SHELVED,
        shelved_by=command.actor.name,
        shelved_until_s=now.service_s + duration_s,
        shelf_reason=reason,
    )
    return _by(command, shelved, What.SHELVED, Word.SHELVED)


def unshelve(alarm: Alarm, now: Now, command: Command) -> Change:
    """Return the alarm taken from the shelf by a person, which counts as taking it."""
    taken = {
        **_OFF_SHELF,
        "acked_by": alarm.acked_by or command.actor.name,
        "acked_at": alarm.acked_at or now.wall,
    }
    if not alarm.is_active and not alarm.is_latched:
        return _by(command, _ended(alarm, now, Disposition.AUTO, "", **taken), What.UNSHELVED, Word.CLEARED)
    state = AlarmState.ACKED if alarm.is_active else AlarmState.LATCHED
    return _by(command, _revise(alarm, now, state=state, **taken), What.UNSHELVED, Word.UNSHELVED)


def expire_shelf(alarm: Alarm, now: Now) -> Change:
    """Return the alarm whose time on the shelf is over: it wants a person again."""
    state = AlarmState.UNACK if alarm.is_active or alarm.is_latched else AlarmState.RTN
    back = _revise(alarm, now, state=state, **_OFF_SHELF, **_wanted(alarm, now))
    return Change(alarm=back, what=What.SHELF_EXPIRED, word=Word.UNSHELVED)


def reset(alarm: Alarm, now: Now, command: Command) -> Change:
    """Return a LATCHED alarm ended by its deliberate second act."""
    return _by(command, _ended(alarm, now, Disposition.HANDLED, ""), What.RESET, Word.CLEARED)


def close(
    alarm: Alarm, now: Now, disposition: Disposition, reason: str, command: Command | None = None
) -> Change:
    """Return the alarm ended with a finding. `cleared_at` of a still active cause is the time of the closing."""
    ended = _ended(alarm, now, disposition, reason)
    actor = SYSTEM if command is None else command.actor
    word = {Disposition.FALSE_ALARM: Word.FALSE_ALARM, Disposition.TEST: Word.TEST}.get(
        disposition, Word.CLEARED
    )
    return Change(
        alarm=ended,
        what=What.CLOSED,
        word=word,
        actor=actor,
        command_id=None if command is None else command.command_id,
    )


def note(alarm: Alarm, now: Now, command: Command, text: str) -> Change:
    """Return the alarm with one more note; of more than `MAX_NOTES` the oldest stand in the journal only."""
    notes = (*alarm.notes, Note(at=now.wall, author=command.actor.name, text=text))[-MAX_NOTES:]
    return _by(command, _revise(alarm, now, notes=notes), What.NOTED, Word.UPDATED)


def attach(alarm: Alarm, now: Now, command: Command, evidence: tuple[dict[str, object], ...]) -> Change:
    """Return the alarm with its files named; a file it names already is told anew (a legal hold)."""
    fresh = {item.get("sha256"): item for item in evidence}
    merged = [fresh.pop(item.get("sha256"), item) for item in alarm.evidence] + list(fresh.values())
    return _by(
        command, _revise(alarm, now, evidence=tuple(merged[-MAX_EVIDENCE:])), What.CHANGED, Word.UPDATED
    )


def overdue(alarm: Alarm, now: Now) -> Change:
    """Return the alarm that nobody acknowledged in time."""
    return _change(_revise(alarm, now, is_overdue=True), What.OVERDUE)


def is_overdue_now(alarm: Alarm, now: Now) -> bool:
    """Return whether the limit to acknowledge has passed and nobody has said so yet."""
    due_s = alarm.ack_due_s
    is_waiting = alarm.state in UNATTENDED_STATES and not alarm.is_overdue
    return is_waiting and due_s is not None and now.service_s >= due_s


def revise(alarm: Alarm, now: Now, what: What, *, command: Command | None = None, **fields: object) -> Change:
    """Return the next revision with `fields` replaced; for the neighbours (rescue, escalation, incidents)."""
    revised = _revise(alarm, now, **fields)
    return _change(revised, what) if command is None else _by(command, revised, what, Word.UPDATED)


_OFF_SHELF: Final[dict[str, object]] = {"shelved_by": None, "shelved_until_s": None, "shelf_reason": ""}


def _repeat(alarm: Alarm, condition: Condition, now: Now, *, is_again: bool) -> Alarm | Change:
    edges = _edges(alarm.edges_s, now)
    is_chattering = _comes_too_often(edges, now)
    fields: dict[str, object] = {
        "is_active": True,
        "is_held": False,
        "returned_at": None,
        "repeats": alarm.repeats + 1,
        "occurrence": condition.occurrence,
        "edges_s": edges,
        "is_chattering": is_chattering,
        **_details(alarm, condition),
    }
    wants_person = alarm.state in {AlarmState.RTN, AlarmState.LATCHED} or (
        alarm.state is AlarmState.ACKED and is_again
    )
    if wants_person:
        back = _revise(alarm, now, state=AlarmState.UNACK, **fields, **_wanted(alarm, now))
        return _change(back, What.REPEATED)
    tells_it = (
        not is_chattering or not alarm.is_chattering or now.service_s - alarm.changed_s >= CHATTER_WINDOW_S
    )
    # An active flag must reach the disk; a count may wait.
    if tells_it or not alarm.is_active:
        return _change(_revise(alarm, now, **fields), What.REPEATED)
    return structs.replace(alarm, **fields)


def _expose(alarm: Alarm, condition: Condition, now: Now) -> Change:
    exposed = _revise(
        alarm,
        now,
        state=AlarmState.UNACK,
        hidden=None,
        is_active=True,
        is_held=False,
        occurrence=condition.occurrence,
        **_details(alarm, condition),
        **_wanted(alarm, now),
    )
    if condition.deadline_s is not None:  # the duty begins when people are told
        exposed = structs.replace(exposed, deadline_s=now.service_s + condition.deadline_s)
    return _change(exposed, What.EXPOSED)


def _detail(alarm: Alarm, condition: Condition, now: Now) -> Change | None:
    details = _details(alarm, condition)
    if all(getattr(alarm, name) == value for name, value in details.items()):
        return None
    wait_s = max(_DETAIL_S, (now.service_s - alarm.raised_s) / _DETAIL_PART)
    if details["evidence"] == alarm.evidence and now.service_s - alarm.changed_s < wait_s:
        return None
    return _change(_revise(alarm, now, **details), What.CHANGED)


def _details(alarm: Alarm, condition: Condition) -> dict[str, object]:
    evidence = (*alarm.evidence, *(e for e in condition.evidence if e not in alarm.evidence))
    return {
        "value": condition.value,
        "unit": condition.unit,
        "threshold": condition.threshold,
        "text": condition.text,
        "facts": condition.facts,
        "evidence": evidence[-MAX_EVIDENCE:],
    }


def _wanted(alarm: Alarm, now: Now) -> dict[str, object]:
    """Return the fields of an alarm that wants a person from now on: its limits and its ladder begin anew."""
    limit_s = ACK_LIMIT_S[alarm.priority]
    return {
        "unack_since_s": now.service_s,
        "ack_due_s": None if limit_s is None else now.service_s + limit_s,
        "is_overdue": False,
        "escalation_step": 0,
        "heard_s": None,
        "is_mute": False,
        "acked_by": None,
        "acked_at": None,
    }


def _ended(alarm: Alarm, now: Now, disposition: Disposition, reason: str, **fields: object) -> Alarm:
    # The cause of a closed alarm is nobody's business any more; if it is still there, it raises a new one.
    over: dict[str, object] = {
        **fields,
        "is_active": False,
        "is_held": False,
        "is_chattering": False,
        "returned_at": fields.get("returned_at") or alarm.returned_at or now.wall,
    }
    return _revise(
        alarm,
        now,
        state=AlarmState.CLOSED,
        closed_at=now.wall,
        closed_s=now.service_s,
        disposition=disposition,
        close_reason=reason,
        **over,
    )


def _revise(alarm: Alarm, now: Now, **fields: object) -> Alarm:
    seq = alarm.seq + 1
    state = fields.get("state", alarm.state)
    return structs.replace(
        alarm,
        seq=seq,
        changed_at=now.wall,
        changed_s=now.service_s,
        material_seq=alarm.material_seq if state is alarm.state else seq,
        **fields,
    )


def _change(alarm: Alarm, what: What) -> Change:
    word = Word.CLEARED if alarm.state is AlarmState.CLOSED else Word.UPDATED
    return Change(alarm=alarm, what=what, word=Word.TEST if alarm.kind is Kind.TEST else word)


def _by(command: Command, alarm: Alarm, what: What, word: Word) -> Change:
    return Change(
        alarm=alarm,
        what=what,
        word=Word.TEST if alarm.kind is Kind.TEST else word,
        actor=command.actor,
        command_id=command.command_id,
    )


def _edges(edges_s: tuple[float, ...], now: Now) -> tuple[float, ...]:
    return (*edges_s, now.service_s)[-CHATTER_COUNT:]


def _comes_too_often(edges_s: tuple[float, ...], now: Now) -> bool:
    return len(edges_s) >= CHATTER_COUNT and now.service_s - edges_s[-CHATTER_COUNT] <= CHATTER_WINDOW_S
