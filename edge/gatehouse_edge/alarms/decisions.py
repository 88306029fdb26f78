"""What becomes of a person's command about alarms: done, or refused with words. Pure.

The same command with the same id is done once (the desk remembers its result). Against the revision a person saw:
a command is stale if the alarm's state has changed since (`material_seq`); notes, new values and ladder steps do not count.
"""

from __future__ import annotations

from typing import Final

from gatehouse_edge.alarms import annunciation, life_cycle, rescue, shelving
from gatehouse_edge.alarms.board import Draft
from gatehouse_edge.alarms.commands import (
    MAX_TEXT,
    Acknowledge,
    AddNote,
    Annunciated,
    AttachEvidence,
    CloseAlarm,
    Command,
    CommandResult,
    EndTest,
    Inhibit,
    Refused,
    RescueReport,
    Reset,
    Shelve,
    StartTest,
    Uninhibit,
    Unshelve,
)
from gatehouse_edge.alarms.shelving import INHIBITED_CODE, Inhibition
from gatehouse_edge.rules.condition import Condition
from gatehouse_events.alarm import Alarm, Change
from gatehouse_events.codes import CODES
from gatehouse_events.states import UNATTENDED_STATES, AlarmState, Disposition, Kind, Label

CLOSABLE_WHILE_ACTIVE: Final = frozenset(
    {
        "lift.trapped_level",
        "lift.trapped_off_level",
        "lift.trapped",
        "lift.alarm_button",
        "sos.pressed",
        "sos.visit_due",
        "sos.tamper",
        "throw.object_falling",
    }
)
"""A person on the spot knows better than these causes (domain row 32: manual close with reason). A gas alarm is never
among them: gas that is measured is there."""
TEST_LIMIT_S: Final = 900.0

AlarmCommand = (
    Acknowledge | Shelve | Unshelve | Reset | CloseAlarm | AddNote | RescueReport | EndTest | AttachEvidence
)
DeviceCommand = Inhibit | Uninhibit | StartTest


def decide(draft: Draft, command: AlarmCommand) -> CommandResult:
    """Carry out a command about one alarm on `draft`."""
    alarm = draft.alarms.get(command.alarm_id)
    if alarm is None:
        return refuse(command, Refused(reason="not_open", text=Label("报警已关闭", "this alarm is not open")))
    if isinstance(command, Acknowledge) and alarm.state in {AlarmState.ACKED, AlarmState.LATCHED}:
        return CommandResult(
            command_id=command.command_id, alarm_id=alarm.alarm_id, seq=alarm.seq, was_first=False
        )
    outcome = _stale(alarm, command) or _change(draft, alarm, command)
    if isinstance(outcome, Refused):
        return refuse(command, outcome)
    draft.put(outcome)
    return CommandResult(command_id=command.command_id, alarm_id=alarm.alarm_id, seq=outcome.alarm.seq)


def receive(draft: Draft, command: Annunciated) -> bool:
    """Take a console's receipt; return whether it was the first for this showing."""
    alarm = draft.alarms.get(command.alarm_id)
    told = None if alarm is None else annunciation.receive(alarm, command, draft.now)
    if told is not None:
        draft.keep(told)
    return told is not None


def leave(draft: Draft) -> None:
    """Count as untold what was told at a desk where no screen is open any more."""
    for alarm in tuple(draft.alarms.values()):
        left = annunciation.leave(alarm)
        if left is not None:
            draft.keep(left)


def decide_device(draft: Draft, command: DeviceCommand) -> CommandResult:
    """Carry out a command about one device on `draft`."""
    if not draft.plan.knows(command.device_id):
        return refuse(command, Refused(reason="unknown_device", text=Label("没有此设备", "no such device")))
    match command:
        case Inhibit():
            return _inhibit(draft, command)
        case Uninhibit():
            if command.device_id not in draft.inhibited:
                return refuse(
                    command, Refused(reason="not_inhibited", text=Label("设备未屏蔽", "not inhibited"))
                )
            draft.uninhibit(command.device_id)
            return CommandResult(command_id=command.command_id)
        case StartTest():
            return _start_test(draft, command)


def refuse(command: Command, refused: Refused) -> CommandResult:
    """Return the result of a command that was not done."""
    return CommandResult(command_id=command.command_id, refused=refused)


def _stale(alarm: Alarm, command: Command) -> Refused | None:
    seen = command.seen_seq
    if seen is None or alarm.material_seq <= seen <= alarm.seq:
        return None
    return Refused(
        reason="stale",
        text=Label("报警状态已变化，请重新查看后操作", "the alarm has changed since; look again"),
    )


def _change(draft: Draft, alarm: Alarm, command: AlarmCommand) -> Change | Refused:  # noqa: C901, PLR0912  # a flat table
    now = draft.now
    match command:
        case Acknowledge():
            if alarm.state not in UNATTENDED_STATES:
                return _wrong_state("搁置或屏蔽中的报警不能确认", "a hidden alarm cannot be acknowledged")
            return life_cycle.acknowledge(alarm, now, command)
        case Shelve():
            refused = shelving.shelving_refusal(alarm, command.duration_s, command.reason)
            return refused or life_cycle.shelve(
                alarm, now, command, duration_s=command.duration_s, reason=_bounded(command.reason)
            )
        case Unshelve():
            if alarm.state is not AlarmState.SHELVED:
                return _wrong_state("报警未搁置", "the alarm is not shelved")
            return life_cycle.unshelve(alarm, now, command)
        case Reset():
            return _reset(draft, alarm, command)
        case CloseAlarm():
            return _close(draft, alarm, command)
        case AddNote():
            text = _bounded(command.text)
            if not text:
                return Refused(reason="text_missing", text=Label("备注为空", "the note is empty"))
            return life_cycle.note(alarm, now, command, text)
        case RescueReport():
            return rescue.report(alarm, command, now)
        case EndTest():
            if alarm.kind is not Kind.TEST:
                return Refused(reason="no_test", text=Label("这不是演练", "this is not a drill"))
            return life_cycle.close(alarm, now, Disposition.TEST, "", command)
        case AttachEvidence():
            return life_cycle.attach(alarm, now, command, command.evidence)


def _reset(draft: Draft, alarm: Alarm, command: Reset) -> Change | Refused:
    if alarm.kind is Kind.TEST:
        return Refused(
            reason="is_test", text=Label("演练请用结束演练", "a drill is ended, not reset or closed")
        )
    if alarm.is_active:
        return Refused(
            reason="still_active",
            text=Label("报警原因仍存在，不能复位", "the cause is still there; it cannot be reset"),
        )
    if alarm.state is not AlarmState.LATCHED:
        return _wrong_state("请先确认，再复位", "acknowledge first; then reset")
    return life_cycle.reset(alarm, draft.now, command)


def _close(draft: Draft, alarm: Alarm, command: CloseAlarm) -> Change | Refused:
    if alarm.kind in {Kind.TEST, Kind.INHIBITED}:
        return Refused(
            reason="is_test", text=Label("演练或屏蔽请用相应的结束操作", "drills and inhibitions are ended")
        )
    if command.disposition not in {Disposition.HANDLED, Disposition.FALSE_ALARM}:
        return Refused(
            reason="disposition", text=Label("处置结论只能是已处理或误报", "handled or false alarm only")
        )
    if not command.reason.strip():
        return Refused(reason="reason_missing", text=Label("请填写原因", "a reason is needed"))
    if alarm.state not in {AlarmState.ACKED, AlarmState.LATCHED}:
        return _wrong_state("请先确认，再关闭", "acknowledge first; then close")
    if alarm.is_active and alarm.code not in CLOSABLE_WHILE_ACTIVE:
        return Refused(
            reason="still_active",
            text=Label("报警原因仍存在，不能关闭", "the cause is still there; it cannot be closed"),
        )
    if alarm.is_active:
        draft.waive(alarm)
    return life_cycle.close(alarm, draft.now, command.disposition, _bounded(command.reason), command)


def _inhibit(draft: Draft, command: Inhibit) -> CommandResult:
    device = draft.plan.devices.get(command.device_id)
    kind = "gateway" if device is None else device.kind
    refused = shelving.term_refusal(command.duration_s, command.reason, shelving.inhibition_limit_s(kind))
    if device is None:
        refused = Refused(reason="unknown_device", text=Label("此设备不能屏蔽", "this cannot be inhibited"))
    if refused is not None:
        return refuse(command, refused)
    reason = _bounded(command.reason)
    draft.inhibit(
        Inhibition(
            device_id=command.device_id,
            until_s=draft.now.service_s + command.duration_s,
            actor=command.actor.name,
            reason=reason,
        )
    )
    entry = draft.open_alarm(command.device_id, INHIBITED_CODE)
    if entry is None:
        condition = Condition(code=INHIBITED_CODE, text=f"{command.actor.name}: {reason}"[:120])
        entry = draft.raise_alarm(
            life_cycle.begin(command.device_id, condition, draft.now, cause=command.command_id)
        )
        # Who inhibits knows that it is inhibited: nobody has to take it.
        draft.put(life_cycle.acknowledge(entry, draft.now, command))
    return CommandResult(
        command_id=command.command_id, alarm_id=entry.alarm_id, seq=draft.alarms[entry.alarm_id].seq
    )


def _start_test(draft: Draft, command: StartTest) -> CommandResult:
    code = CODES.get(command.code)
    if code is None or code.kind is Kind.INHIBITED:
        return refuse(command, Refused(reason="unknown_code", text=Label("没有此报警类型", "no such alarm")))
    if not 0 < command.duration_s <= TEST_LIMIT_S:
        return refuse(
            command, Refused(reason="term", text=Label("演练时长最多15分钟", "a drill lasts 15 min at most"))
        )
    if any(
        a.kind is Kind.TEST and a.device_id == command.device_id and a.code == command.code
        for a in draft.alarms.values()
    ):
        return refuse(
            command, Refused(reason="test_running", text=Label("演练进行中", "this drill is running already"))
        )
    if draft.has_real_alarm:
        return refuse(
            command,
            Refused(
                reason="real_alarm",
                text=Label("有真实报警未确认，不能演练", "a real alarm wants a person; no drill now"),
            ),
        )
    ends_s = draft.now.service_s + command.duration_s
    alarm = draft.raise_alarm(
        life_cycle.begin_test(command.device_id, command.code, draft.now, ends_s=ends_s, command=command)
    )
    return CommandResult(command_id=command.command_id, alarm_id=alarm.alarm_id, seq=alarm.seq)


def _wrong_state(zh: str, en: str) -> Refused:
    return Refused(reason="wrong_state", text=Label(zh, en))


def _bounded(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()[:MAX_TEXT]
