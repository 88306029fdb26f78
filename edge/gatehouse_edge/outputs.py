"""What sirens, lamps, voices and gas valves should do now: a level, so that outputs are right after a restart.

| output | on while |
|---|---|
| siren | a served P1 or P2 wants a person, unless silenced (消音, 120 s; any new alarm sounds again) |
| siren `is_quiet` | the same, but only while the desk has not shown that alarm within 5 s, or says that it is mute |
| lamp | a served alarm is open and not hidden |
| voice | an e-bike stands in a served lift, or a passenger is trapped in it |
| gas_valve | it is to be closed (on = closed): from a gas high alarm of a served detector until two people open it |

Opening a valve takes two different people at the site's own console within 120 s, the second at least a supervisor, while
every served detector measures and reports no gas (domain row 27). A remote order is always refused. A drill never moves
a valve; an inhibited detector still closes it, because closing is the safe side and needs no person. A test of an output switches
it on for some seconds beside all that; it never switches anything off and never touches a valve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.alarms.annunciation import sounds, untold
from gatehouse_edge.alarms.commands import LOCAL, Refused
from gatehouse_edge.alarms.plan import OutputKind, OutputPlan, Plan
from gatehouse_edge.clock import Now
from gatehouse_edge.rules.condition import Condition
from gatehouse_events.alarm import Actor, Alarm
from gatehouse_events.states import AlarmState, Kind, Label

SILENCE_S: Final = 120.0
CONFIRM_S: Final = 120.0
TEST_LIMIT_S: Final = 10.0
"""A siren that is tested longer is taken for a real one."""
OPERATOR_ROLES: Final = frozenset({"operator", "guard", "supervisor", "manager", "admin"})
SUPERVISOR_ROLES: Final = frozenset({"supervisor", "manager", "admin"})
CLOSING_CODES: Final = frozenset({"gas.high_alarm"})
GAS_CODES: Final = frozenset({"gas.high_alarm", "gas.low_alarm", "gas.stel_alarm"})
BLIND_CODES: Final = frozenset(
    {
        "gas.over_range",
        "gas.sensor_fault",
        "gas.data_fault",
        "gas.comm_fault",
        "gas.warming_up",
        "gas.implausible",
        "gas.offline",
    }
)
"""The detector does not measure, so nobody knows that the gas is gone."""

_COMFORT_CODES: Final = frozenset(
    {"lift.trapped_level", "lift.trapped_off_level", "lift.trapped", "lift.alarm_button"}
)
_EBIKE_CODE: Final = "lift.ebike_in_car"
_HIDDEN: Final = frozenset({AlarmState.SHELVED, AlarmState.SUPPRESSED})


class OutputState(Struct, frozen=True, kw_only=True):
    """What one output should do."""

    is_on: bool
    message: str = ""
    """Key of the text a voice speaks: `trapped_comfort`, `ebike`."""


class ValveRequest(Struct, frozen=True, kw_only=True):
    """One person wants it open; the second has until `CONFIRM_S` later."""

    actor: Actor
    at_s: float
    reason: str


class Valve(Struct, frozen=True, kw_only=True):
    """One gas valve, kept under `valve/<id>`."""

    is_closed: bool
    """True: to be closed, and to stay so. False: nothing is asked of it, or two people have opened it."""
    since_s: float
    cause: str = ""
    """`device code` that closed it."""
    request: ValveRequest | None = None


class ValveMoved(Struct, frozen=True, kw_only=True):
    """Body of a journal entry of kind `output`."""

    output_id: str
    is_closed: bool
    cause: str
    actors: tuple[Actor, ...] = ()


def demand(
    alarms: Iterable[Alarm],
    valves: Mapping[str, Valve],
    plan: Plan,
    now: Now,
    *,
    silenced_until_s: float | None = None,
    tested: Mapping[str, float] | None = None,
) -> dict[str, OutputState]:
    """Return what each output should do now; `tested`: output -> until when it is switched on to be tested."""
    shown = list(alarms)
    is_silenced = silenced_until_s is not None and now.service_s < silenced_until_s
    unknown = {alarm.alarm_id for alarm in untold(shown, now)}
    demands = {}
    for output in plan.outputs.values():
        served = [alarm for alarm in shown if output.serves_device(alarm.device_id)]
        match output.kind:
            case OutputKind.SIREN:
                heard = [a for a in served if sounds(a) and (not output.is_quiet or a.alarm_id in unknown)]
                state = OutputState(is_on=bool(heard) and not is_silenced)
            case OutputKind.LAMP:
                state = OutputState(is_on=any(a.is_open and a.state not in _HIDDEN for a in served))
            case OutputKind.VOICE:
                state = _voice(served)
            case OutputKind.GAS_VALVE:
                valve = valves.get(output.output_id)
                state = OutputState(is_on=valve is not None and valve.is_closed)
        if output.kind is not OutputKind.GAS_VALVE and is_tested(tested or {}, output.output_id, now):
            state = OutputState(is_on=True, message=state.message)
        demands[output.output_id] = state
    return demands


def is_tested(tested: Mapping[str, float], output_id: str, now: Now) -> bool:
    """Return whether this output is being tested now."""
    return now.service_s < tested.get(output_id, float("-inf"))


def test_refusal(output: OutputPlan | None, duration_s: float) -> Refused | None:
    """Return why this output may not be tested so."""
    if output is None:
        return Refused(reason="unknown_output", text=Label("没有此输出", "no such output"))
    if output.kind is OutputKind.GAS_VALVE:
        return Refused(
            reason="valve_never_tested",
            text=Label("燃气阀不参与自检", "a gas valve is never moved by a test"),
        )
    if not 0 < duration_s <= TEST_LIMIT_S:
        return Refused(
            reason="term",
            text=Label(f"自检时长最多{TEST_LIMIT_S:g}秒", f"a test lasts {TEST_LIMIT_S:g} s at most"),
        )
    return None


def close_for(
    valves: Mapping[str, Valve],
    device_id: str,
    conditions: Iterable[Condition],
    plan: Plan,
    now: Now,
) -> dict[str, Valve]:
    """Return the valves that the conditions of this device close now (new or closed anew), and no others."""
    cause = next((c.code for c in conditions if c.code in CLOSING_CODES), None)
    if cause is None:
        return {}
    moved = {}
    for output in plan.outputs.values():
        valve = valves.get(output.output_id)
        if not _is_valve_of(output, device_id) or (
            valve is not None and valve.is_closed and valve.request is None
        ):
            continue
        moved[output.output_id] = Valve(is_closed=True, since_s=now.service_s, cause=f"{device_id} {cause}")
    return moved


def request_open(
    valve: Valve | None, actor: Actor, reason: str, conditions: Iterable[Condition], now: Now
) -> Valve | Refused:
    """Return the valve with the first person's request, or why not.

    Args:
        valve: its state; None: nothing was ever asked of it.
        actor: the first person.
        reason: why, in that person's words.
        conditions: of all detectors it serves.
        now: this instant.
    """
    refused = _person_refusal(actor, OPERATOR_ROLES) or _valve_refusal(valve, conditions)
    if valve is None or refused is not None:
        return refused or _NOT_CLOSED
    if not reason.strip():
        return Refused(reason="reason_missing", text=Label("请填写原因", "a reason is needed"))
    return structs.replace(valve, request=ValveRequest(actor=actor, at_s=now.service_s, reason=reason))


def confirm_open(
    valve: Valve | None, actor: Actor, conditions: Iterable[Condition], now: Now
) -> Valve | Refused:
    """Return the opened valve, or why not: one person, too late, gas again, not on site."""
    refused = _person_refusal(actor, SUPERVISOR_ROLES) or _valve_refusal(valve, conditions)
    if valve is None or refused is not None:
        return refused or _NOT_CLOSED
    request = valve.request
    if request is None or now.service_s - request.at_s > CONFIRM_S:
        return Refused(
            reason="no_request",
            text=Label("没有有效的开阀申请（120秒内）", "nobody has asked for it within the last 120 s"),
        )
    if request.actor.name.strip().casefold() == actor.name.strip().casefold():
        return Refused(
            reason="same_person",
            text=Label("须由另一人确认", "another person must confirm"),
        )
    return Valve(is_closed=False, since_s=now.service_s, cause=f"{request.actor.name} + {actor.name}")


def _voice(served: list[Alarm]) -> OutputState:
    active = {a.code for a in served if a.is_active and a.state not in _HIDDEN}
    if active & _COMFORT_CODES:  # people first
        return OutputState(is_on=True, message="trapped_comfort")
    if _EBIKE_CODE in active:
        return OutputState(is_on=True, message="ebike")
    # A trapped passenger is spoken to until the rescue is over, also when the sensors have lost the case.
    if any(a.code in _COMFORT_CODES and a.state is AlarmState.UNACK and a.kind is Kind.ALARM for a in served):
        return OutputState(is_on=True, message="trapped_comfort")
    return OutputState(is_on=False)


def _is_valve_of(output: OutputPlan, device_id: str) -> bool:
    return output.kind is OutputKind.GAS_VALVE and output.serves_device(device_id)


_NOT_CLOSED: Final = Refused(
    reason="valve_not_closed", text=Label("阀门未处于切断状态", "the valve is not shut off")
)


def _person_refusal(actor: Actor, roles: frozenset[str]) -> Refused | None:
    if actor.station != LOCAL:
        return Refused(
            reason="not_on_site",
            text=Label(
                "开阀只能在现场值守台操作，禁止远程", "a valve is opened on site only, never remotely"
            ),
        )
    if actor.role not in roles:
        return Refused(reason="role", text=Label("权限不足", "this role may not open a valve"))
    return None


def _valve_refusal(valve: Valve | None, conditions: Iterable[Condition]) -> Refused | None:
    if valve is None or not valve.is_closed:
        return _NOT_CLOSED
    codes = {condition.code for condition in conditions}
    if codes & GAS_CODES:
        return Refused(reason="gas_present", text=Label("燃气报警未解除，禁止开阀", "there is still gas"))
    if codes & BLIND_CODES:
        return Refused(
            reason="detector_blind",
            text=Label("探测器未正常检测，禁止开阀", "a detector is not measuring; gas cannot be ruled out"),
        )
    return None
