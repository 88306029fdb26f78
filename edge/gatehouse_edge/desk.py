"""The desk: rules, alarms and outputs as one pure step.

`step(desk, item, now, plan)` takes one observation, one command, one report of the gateway about itself, or None (the tick
of each second), and returns the next desk and everything that has to be written. It reads no clock and touches no
disk; the ledger commits the `Outcome` and only then takes the new desk over. `restore` rebuilds the desk from the keys it
wrote, so that a restart at any moment is as if it had not been.

State keys besides those of `alarms.board`: `rule/<device>`, `valve/<output>`, `output/<output>` (an output that does
not obey), `report` (what the gateway says of itself).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from gatehouse_edge import outputs
from gatehouse_edge.alarms import board as boards
from gatehouse_edge.alarms import decisions
from gatehouse_edge.alarms.board import AlarmBoard, Draft, NewRecord
from gatehouse_edge.alarms.commands import (
    Annunciated,
    AnyCommand,
    Command,
    CommandResult,
    ConfirmValveOpen,
    DeskLeft,
    Inhibit,
    Refused,
    RequestValveOpen,
    SetAbsence,
    SilenceSounder,
    StartTest,
    TestOutput,
    Uninhibit,
)
from gatehouse_edge.alarms.plan import DevicePlan, OutputKind, Plan
from gatehouse_edge.clock import Now
from gatehouse_edge.outputs import OutputState, Valve, ValveMoved
from gatehouse_edge.reading import (
    AnyObservation,
    BeaconReading,
    ButtonReading,
    InputReading,
    OutputReading,
    Refusal,
    RefusalReason,
)
from gatehouse_edge.rules import RULES, Condition, power, sos, volatile_equal
from gatehouse_edge.rules.node import Settings as NodeSettings
from gatehouse_events.alarm import GATEWAY, SYSTEM, Actor
from gatehouse_events.states import Label

ABSENCE_LIMIT_S: Final = 90 * 86400.0
MAX_RESULTS: Final = 256
"""Results of commands remembered, so that a command sent twice is done once."""
MAX_COMMAND_BYTES: Final = 8192
"""A reason of 500 Chinese characters takes 1500 bytes."""
_GATEWAY_DEVICE: Final = DevicePlan(device_id=GATEWAY, kind="gateway", settings=NodeSettings())


class Report(Struct, frozen=True, kw_only=True):
    """The gateway says something of itself: storage, clock, notifier, integrity."""

    code: str
    """A `gateway.*` code."""
    is_true: bool
    text: str = ""


class Outcome(Struct, frozen=True, kw_only=True):
    """What one step has to write, and what it answers."""

    records: tuple[NewRecord, ...] = ()
    state: dict[str, bytes | None] = {}
    result: CommandResult | None = None

    @property
    def is_durable(self) -> bool:
        """There is something to commit."""
        return bool(self.records or self.state)


class CommandOutcome(Struct, frozen=True, kw_only=True):
    """Body of a journal entry of kind `outcome`: who asked what, and what became of it."""

    command: AnyCommand
    result: CommandResult


class Desk(Struct, frozen=True, kw_only=True):
    """Everything the gateway knows. Its dicts are never changed in place."""

    rules: dict[str, Any] = {}
    """Device -> `State` of its rule."""
    conditions: dict[str, tuple[Condition, ...]] = {}
    """Device -> all that is true of it now."""
    board: AlarmBoard = AlarmBoard()
    valves: dict[str, Valve] = {}
    failed_outputs: dict[str, str] = {}
    reports: dict[str, str] = {}
    """Code -> text of what the gateway says of itself."""
    results: dict[str, CommandResult] = {}
    tested: dict[str, float] = {}
    """Output -> until when it is switched on to be tested (service time). Not kept: a restart ends a test."""


def step(
    desk: Desk, item: AnyObservation | AnyCommand | Report | None, now: Now, plan: Plan
) -> tuple[Desk, Outcome]:
    """Return the desk after `item` (None: a second has passed) and what has to be written."""
    work = _Work(desk, now, plan)
    result = None
    if item is None:
        work.tick()
    elif isinstance(item, Command):
        result = desk.results.get(item.command_id)
        if result is not None:
            return desk, Outcome(result=result)
        result = work.command(item)
    elif isinstance(item, Report):
        work.report(item)
    else:
        work.observe(item)
    return work.finish(result)


def restore(state: Mapping[str, bytes], plan: Plan, now: Now) -> Desk:
    """Return the desk as it stood, from the keys it wrote. Unreadable keys become an integrity fault, never a crash."""
    board, damaged = boards.restore(state)
    bad = list(damaged)
    valves: dict[str, Valve] = {}
    failed: dict[str, str] = {}
    reports: dict[str, str] = {}
    rules: dict[str, Any] = {}
    for key, value in state.items():
        head, _, name = key.partition("/")
        try:
            if head == "valve":
                valves[name] = msgspec.json.decode(value, type=Valve)
            elif head == "output":
                failed[name] = msgspec.json.decode(value, type=str)
            elif head == "report":
                reports = msgspec.json.decode(value, type=dict[str, str])
            elif head == "rule" and (device := _device(plan, name)) is not None:
                rule = RULES[device.kind]
                decoded = msgspec.json.decode(value, type=rule.state)
                rules[name] = rule.resume(decoded, now, device.settings)
        except msgspec.DecodeError:
            bad.append(key)
    if bad:
        reports = {**reports, "gateway.integrity": f"state not readable: {', '.join(sorted(bad))}"[:120]}
    desk = Desk(rules=rules, board=board, valves=valves, failed_outputs=failed, reports=reports)
    return replan(desk, plan, now)


def replan(desk: Desk, plan: Plan, now: Now) -> Desk:
    """Return the desk under a new configuration: what is known of a device that stays is kept, the rest begins or goes."""
    rules: dict[str, Any] = {}
    conditions: dict[str, tuple[Condition, ...]] = {}
    for device in _devices(plan):
        rule = RULES[device.kind]
        known = desk.rules.get(device.device_id)
        state = known if isinstance(known, rule.state) else rule.initial(device.settings, now)
        # A step without news, so that nobody asks an empty desk whether there is gas.
        rules[device.device_id], conditions[device.device_id] = rule.step(state, None, now, device.settings)
    for output_id, valve in desk.valves.items():
        _tell_boards(rules, output_id, valve, now)
    return structs.replace(desk, rules=rules, conditions=conditions)


def demands(desk: Desk, plan: Plan, now: Now) -> dict[str, OutputState]:
    """Return what every output should do now."""
    return outputs.demand(
        desk.board.alarms.values(),
        desk.valves,
        plan,
        now,
        silenced_until_s=desk.board.silenced_until_s,
        tested=desk.tested,
    )


def flush(desk: Desk) -> dict[str, bytes | None]:
    """Return the state keys of all rules and open alarms, the volatile parts included; for an orderly stop."""
    keys: dict[str, bytes | None] = {
        f"rule/{device_id}": msgspec.json.encode(state) for device_id, state in desk.rules.items()
    }
    keys |= {f"alarm/{a.alarm_id}": msgspec.json.encode(a) for a in desk.board.alarms.values()}
    return keys


class _Work:
    """One step in the making."""

    def __init__(self, desk: Desk, now: Now, plan: Plan) -> None:
        self._desk = desk
        self._now = now
        self._plan = plan
        self._draft = Draft(desk.board, plan, now)
        self._rules: dict[str, Any] | None = None
        self._conditions: dict[str, tuple[Condition, ...]] | None = None
        self._valves = desk.valves
        self._failed = desk.failed_outputs
        self._reports = desk.reports
        self._results = desk.results
        self._tested = desk.tested

    def tick(self) -> None:
        for device in _devices(self._plan):
            self._run(device, None)
        for output_id in self._plan.outputs:
            self._judge_output(output_id)
        for alarm in tuple(self._draft.alarms.values()):
            if not self._plan.knows(
                alarm.device_id
            ):  # taken out of the configuration: nothing reports it any more
                self._draft.judge(alarm.device_id, ())
        self._draft.pass_time()
        if self._tested:
            self._tested = {
                name: until_s for name, until_s in self._tested.items() if until_s > self._now.service_s
            }

    def observe(self, observation: AnyObservation) -> None:
        if isinstance(observation, OutputReading) and observation.device_id in self._plan.outputs:
            self._output(observation)
            return
        device = self._plan.devices.get(observation.device_id)
        if isinstance(observation, (BeaconReading, ButtonReading)):
            radio = self._plan.devices.get(self._plan.adapters.get(observation.adapter, ""))
            if radio is not None and radio is not device:
                self._run(radio, observation)
        if isinstance(observation, InputReading):
            # A contact on the board that speaks of another device: the e-bike camera of a lift.
            subject = self._plan.devices.get(observation.subject)
            if subject is not None and subject is not device:
                self._run(subject, observation)
        if device is not None:
            self._run(device, observation)
        elif isinstance(observation, Refusal):
            self._run(_gateway(self._plan), observation)
        elif not self._plan.knows(observation.device_id):
            self._run(_gateway(self._plan), _stranger(observation, self._now))

    def report(self, report: Report) -> None:
        known = self._reports.get(report.code)
        if report.is_true and known is None:
            self._reports = {**self._reports, report.code: report.text[:120]}
        elif not report.is_true and known is not None:
            self._reports = {code: text for code, text in self._reports.items() if code != report.code}
        else:
            return
        self._draft.state["report"] = msgspec.json.encode(self._reports)

    def command(self, command: AnyCommand) -> CommandResult:
        refused = _malformed(command)
        if refused is not None:  # what cannot be stored must not come near the journal
            return decisions.refuse(command, refused)
        result = self._decide(command)
        # Receipts come many a minute: written once per showing, never an outcome.
        if isinstance(command, Annunciated | DeskLeft):
            return result
        self._draft.records.append(
            NewRecord(kind="outcome", body=CommandOutcome(command=command, result=result))
        )
        kept = list(self._results.items())[-(MAX_RESULTS - 1) :]
        self._results = {**dict(kept), command.command_id: result}
        return result

    def finish(self, result: CommandResult | None) -> tuple[Desk, Outcome]:
        self._draft.settle(self._gateway_conditions())
        desk = Desk(
            rules=self._desk.rules if self._rules is None else self._rules,
            conditions=self._desk.conditions if self._conditions is None else self._conditions,
            board=self._draft.finish(),
            valves=self._valves,
            failed_outputs=self._failed,
            reports=self._reports,
            results=self._results,
            tested=self._tested,
        )
        return desk, Outcome(records=tuple(self._draft.records), state=self._draft.state, result=result)

    def _run(self, device: DevicePlan, observation: AnyObservation | None) -> None:
        rule = RULES[device.kind]
        device_id = device.device_id
        before = (self._desk.rules if self._rules is None else self._rules).get(device_id)
        if before is None:
            before = rule.initial(device.settings, self._now)
        after, conditions = rule.step(before, observation, self._now, device.settings)
        self._set_rule(device, before, after)
        if self._conditions is None:
            self._conditions = dict(self._desk.conditions)
        self._conditions[device_id] = conditions
        if device_id != GATEWAY:  # the gateway is judged once, at the end of the step
            self._draft.judge(device_id, conditions)
        for output_id, valve in outputs.close_for(
            self._valves, device_id, conditions, self._plan, self._now
        ).items():
            self._move(output_id, valve, ())

    def _set_rule(self, device: DevicePlan, before: Any, after: Any) -> None:  # noqa: ANN401  # State of any rule
        if after is before:
            return
        if self._rules is None:
            self._rules = dict(self._desk.rules)
        self._rules[device.device_id] = after
        if not volatile_equal(RULES[device.kind], before, after):
            self._draft.state[f"rule/{device.device_id}"] = msgspec.json.encode(after)

    def _gateway_conditions(self) -> list[Condition]:
        known = self._desk.conditions if self._conditions is None else self._conditions
        said = [Condition(code=code, text=text) for code, text in self._reports.items()]
        return [*known.get(GATEWAY, ()), *said]

    def _output(self, reading: OutputReading) -> None:
        output_id = reading.device_id
        if reading.is_ok == (output_id not in self._failed):
            return
        if reading.is_ok:
            self._failed = {k: text for k, text in self._failed.items() if k != output_id}
            self._draft.state[f"output/{output_id}"] = None
        else:
            text = f"{'on' if reading.wanted else 'off'} wanted; {reading.detail}"[:120]
            self._failed = {**self._failed, output_id: text}
            self._draft.state[f"output/{output_id}"] = msgspec.json.encode(text)
        self._judge_output(output_id)

    def _judge_output(self, output_id: str) -> None:
        text = self._failed.get(output_id)
        found = () if text is None else (Condition(code="gateway.output_failed", text=text),)
        self._draft.judge(output_id, found)

    def _move(self, output_id: str, valve: Valve, actors: tuple[Actor, ...]) -> None:
        before = self._valves.get(output_id)
        self._valves = {**self._valves, output_id: valve}
        self._draft.state[f"valve/{output_id}"] = msgspec.json.encode(valve)
        if before is None or before.is_closed is not valve.is_closed:
            moved = ValveMoved(
                output_id=output_id,
                is_closed=valve.is_closed,
                cause=valve.cause,
                actors=actors or (SYSTEM,),
            )
            self._draft.records.append(NewRecord(kind="output", body=moved))
            if self._rules is None:
                self._rules = dict(self._desk.rules)
            for board_id in _tell_boards(self._rules, output_id, valve, self._now):
                self._draft.state[f"rule/{board_id}"] = msgspec.json.encode(self._rules[board_id])

    def _decide(self, command: AnyCommand) -> CommandResult:
        match command:
            case SilenceSounder():
                self._draft.silence(self._now.service_s + outputs.SILENCE_S)
                return CommandResult(command_id=command.command_id)
            case SetAbsence():
                return self._absence(command)
            case RequestValveOpen() | ConfirmValveOpen():
                return self._valve(command)
            case Inhibit() | Uninhibit() | StartTest():
                result = decisions.decide_device(self._draft, command)
                if isinstance(command, Uninhibit) and command.device_id in self._desk.conditions:
                    # Shown at once, not a second later.
                    self._draft.judge(command.device_id, self._desk.conditions[command.device_id])
                return result
            case TestOutput():
                return self._test(command)
            case DeskLeft():
                decisions.leave(self._draft)
                self._draft.records.append(NewRecord(kind="audit", body=command))
                return CommandResult(command_id=command.command_id)
            case Annunciated():
                if decisions.receive(self._draft, command):
                    self._draft.records.append(NewRecord(kind="audit", body=command))
                return CommandResult(
                    command_id=command.command_id, alarm_id=command.alarm_id, seq=command.seq
                )
            case _:
                return decisions.decide(self._draft, command)

    def _test(self, command: TestOutput) -> CommandResult:
        refused = outputs.test_refusal(self._plan.outputs.get(command.output_id), command.duration_s)
        if refused is not None:
            return decisions.refuse(command, refused)
        self._tested = {
            **self._tested,
            command.output_id: self._now.service_s + command.duration_s,
        }
        return CommandResult(command_id=command.command_id)

    def _absence(self, command: SetAbsence) -> CommandResult:
        device = self._plan.devices.get(command.device_id)
        state = self._desk.rules.get(command.device_id)
        if device is None or not isinstance(state, sos.State):
            return decisions.refuse(
                command, Refused(reason="unknown_device", text=Label("没有此求助按钮", "no such help button"))
            )
        if not 0 <= command.duration_s <= ABSENCE_LIMIT_S:
            return decisions.refuse(
                command,
                Refused(reason="term", text=Label("外出时长最多90天", "an absence of 90 days at most")),
            )
        until_s = self._now.service_s + command.duration_s if command.duration_s else None
        self._set_rule(device, state, sos.with_absence(state, until_s))
        return CommandResult(command_id=command.command_id)

    def _valve(self, command: RequestValveOpen | ConfirmValveOpen) -> CommandResult:
        output = self._plan.outputs.get(command.output_id)
        if output is None or output.kind is not OutputKind.GAS_VALVE:
            return decisions.refuse(
                command, Refused(reason="unknown_output", text=Label("没有此阀门", "no such valve"))
            )
        valve = self._valves.get(command.output_id)
        found = [
            condition
            for device_id, conditions in self._desk.conditions.items()
            if output.serves_device(device_id)
            for condition in conditions
        ]
        if isinstance(command, RequestValveOpen):
            outcome = outputs.request_open(valve, command.actor, command.reason, found, self._now)
        else:
            outcome = outputs.confirm_open(valve, command.actor, found, self._now)
        if isinstance(outcome, Refused):
            return decisions.refuse(command, outcome)
        first = valve.request.actor if valve is not None and valve.request is not None else command.actor
        self._move(command.output_id, outcome, (first, command.actor))
        return CommandResult(command_id=command.command_id)


def _gateway(plan: Plan) -> DevicePlan:
    return plan.devices.get(GATEWAY, _GATEWAY_DEVICE)


def _devices(plan: Plan) -> tuple[DevicePlan, ...]:
    """Return everything that has a rule: the configured devices and buses, and always the gateway itself."""
    return tuple({**plan.devices, GATEWAY: _gateway(plan)}.values())


def _device(plan: Plan, device_id: str) -> DevicePlan | None:
    return _gateway(plan) if device_id == GATEWAY else plan.devices.get(device_id)


def _malformed(command: AnyCommand) -> Refused | None:
    try:
        size = len(msgspec.json.encode(command))
    except UnicodeEncodeError:  # half a surrogate pair
        size = MAX_COMMAND_BYTES + 1
    if size <= MAX_COMMAND_BYTES:
        return None
    return Refused(reason="malformed", text=Label("命令过长或含非法字符", "too long, or not proper text"))


def _stranger(observation: AnyObservation, now: Now) -> Refusal:
    source = "".join(c if c.isprintable() else "?" for c in observation.device_id)[:64]
    return Refusal(device_id=GATEWAY, at=now, reason=RefusalReason.UNKNOWN_NODE, count=1, source=source)


def _tell_boards(rules: dict[str, Any], output_id: str, valve: Valve, now: Now) -> list[str]:
    """Tell every I/O board what is asked of a valve, for its feedback may hang on another board than its relay.

    Returns:
        The boards that did not know it yet.
    """
    told = []
    for device_id, state in rules.items():
        if isinstance(state, power.State):
            after = power.with_demand(state, output_id, is_closed=valve.is_closed, now=now)
            if after is not state:
                rules[device_id] = after
                told.append(device_id)
    return told
