"""What people do: every order becomes one command of the desk and is answered once it is on disk."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request
from ulid import ULID

from gatehouse_edge.alarms.commands import (
    Acknowledge,
    AddNote,
    Annunciated,
    AnyCommand,
    CloseAlarm,
    ConfirmValveOpen,
    EndTest,
    Inhibit,
    RequestValveOpen,
    RescueReport,
    Reset,
    SetAbsence,
    Shelve,
    SilenceSounder,
    StartTest,
    Uninhibit,
    Unshelve,
)
from gatehouse_edge.console.requests import (
    AbsenceOrder,
    CloseOrder,
    InhibitOrder,
    NoteOrder,
    Order,
    Receipts,
    RescueOrder,
    ShelveOrder,
    TestOrder,
    ValveOrder,
)
from gatehouse_edge.console.roles import Right
from gatehouse_edge.console.session import Caller, entitled
from gatehouse_edge.console.state import console_of

router: Final = APIRouter(prefix="/api/v1", tags=["commands"])

AlarmId = Annotated[str, Path(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]
ThingId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Result = dict[str, Any]


def _who(right: Right) -> Any:  # noqa: ANN401  # FastAPI's marker has no type of its own
    return Depends(entitled(right))


@router.post("/alarms/{alarm_id}/ack")
async def acknowledge(
    request: Request, alarm_id: AlarmId, order: Order, who: Annotated[Caller, _who(Right.ACKNOWLEDGE)]
) -> Result:
    """I take this alarm (确认)."""
    return await _do(request, Acknowledge(alarm_id=alarm_id, **_head(order, who)))


@router.post("/alarms/{alarm_id}/shelve")
async def shelve(
    request: Request, alarm_id: AlarmId, order: ShelveOrder, who: Annotated[Caller, _who(Right.SHELVE)]
) -> Result:
    """Hide this alarm for a while; P1 never (搁置)."""
    command = Shelve(alarm_id=alarm_id, duration_s=order.duration_s, reason=order.reason, **_head(order, who))
    return await _do(request, command)


@router.post("/alarms/{alarm_id}/unshelve")
async def unshelve(
    request: Request, alarm_id: AlarmId, order: Order, who: Annotated[Caller, _who(Right.SHELVE)]
) -> Result:
    """Take it from the shelf now (取消搁置)."""
    return await _do(request, Unshelve(alarm_id=alarm_id, **_head(order, who)))


@router.post("/alarms/{alarm_id}/reset")
async def reset(
    request: Request, alarm_id: AlarmId, order: Order, who: Annotated[Caller, _who(Right.RESET)]
) -> Result:
    """End a latched alarm whose cause is gone (复位)."""
    return await _do(request, Reset(alarm_id=alarm_id, **_head(order, who)))


@router.post("/alarms/{alarm_id}/close")
async def close(
    request: Request, alarm_id: AlarmId, order: CloseOrder, who: Annotated[Caller, _who(Right.CLOSE)]
) -> Result:
    """End an alarm with a finding (关闭)."""
    command = CloseAlarm(
        alarm_id=alarm_id, disposition=order.disposition, reason=order.reason, **_head(order, who)
    )
    return await _do(request, command)


@router.post("/alarms/{alarm_id}/note")
async def note(
    request: Request, alarm_id: AlarmId, order: NoteOrder, who: Annotated[Caller, _who(Right.NOTE)]
) -> Result:
    """Write something on the alarm (备注)."""
    return await _do(request, AddNote(alarm_id=alarm_id, text=order.text, **_head(order, who)))


@router.post("/alarms/{alarm_id}/rescue")
async def rescue(
    request: Request, alarm_id: AlarmId, order: RescueOrder, who: Annotated[Caller, _who(Right.RESCUE)]
) -> Result:
    """How far the rescue is (救援)."""
    command = RescueReport(alarm_id=alarm_id, step=order.step, reason=order.reason, **_head(order, who))
    return await _do(request, command)


@router.post("/silence")
async def silence(request: Request, order: Order, who: Annotated[Caller, _who(Right.SILENCE)]) -> Result:
    """Sirens quiet for 120 s; never an acknowledgement (消音)."""
    return await _do(request, SilenceSounder(**_head(order, who)))


@router.post("/annunciated")
async def annunciated(request: Request, body: Receipts, who: Annotated[Caller, _who(Right.WATCH)]) -> Result:
    """A page has painted these alarms (显示回执)."""
    for receipt in body.receipts:
        command = Annunciated(
            actor=who.actor,
            command_id=str(ULID()),
            alarm_id=receipt.alarm_id,
            seq=receipt.seq,
            visible=receipt.visible,
            audible=receipt.audible,
        )
        # An alarm that has ended meanwhile needs no receipt: a refusal of one is no fault of the page.
        await console_of(request).desk.submit(command)
    return {"taken": len(body.receipts)}


@router.post("/devices/{device_id}/inhibit")
async def inhibit(
    request: Request, device_id: ThingId, order: InhibitOrder, who: Annotated[Caller, _who(Right.INHIBIT)]
) -> Result:
    """Record what this device says without annunciating it (屏蔽)."""
    command = Inhibit(
        device_id=device_id, duration_s=order.duration_s, reason=order.reason, **_head(order, who)
    )
    return await _do(request, command)


@router.post("/devices/{device_id}/uninhibit")
async def uninhibit(
    request: Request, device_id: ThingId, order: Order, who: Annotated[Caller, _who(Right.INHIBIT)]
) -> Result:
    """End an inhibition (取消屏蔽)."""
    return await _do(request, Uninhibit(device_id=device_id, **_head(order, who)))


@router.post("/devices/{device_id}/absence")
async def absence(
    request: Request, device_id: ThingId, order: AbsenceOrder, who: Annotated[Caller, _who(Right.ABSENCE)]
) -> Result:
    """The resident is away: no visit is due (外出)."""
    return await _do(
        request, SetAbsence(device_id=device_id, duration_s=order.duration_s, **_head(order, who))
    )


@router.post("/valves/{output_id}/request-open")
async def request_open(
    request: Request, output_id: ThingId, order: ValveOrder, who: Annotated[Caller, _who(Right.VALVE_REQUEST)]
) -> Result:
    """First of two people on site wants the gas valve open (申请开阀)."""
    return await _do(request, RequestValveOpen(output_id=output_id, reason=order.reason, **_head(order, who)))


@router.post("/valves/{output_id}/confirm-open")
async def confirm_open(
    request: Request, output_id: ThingId, order: Order, who: Annotated[Caller, _who(Right.VALVE_CONFIRM)]
) -> Result:
    """Second person on site, another one (确认开阀)."""
    return await _do(request, ConfirmValveOpen(output_id=output_id, **_head(order, who)))


@router.post("/tests")
async def start_test(request: Request, order: TestOrder, who: Annotated[Caller, _who(Right.TEST)]) -> Result:
    """Start a drill (演练)."""
    command = StartTest(
        device_id=order.device_id, code=order.code, duration_s=order.duration_s, **_head(order, who)
    )
    return await _do(request, command)


@router.post("/tests/{alarm_id}/end")
async def end_test(
    request: Request, alarm_id: AlarmId, order: Order, who: Annotated[Caller, _who(Right.TEST)]
) -> Result:
    """End a drill (结束演练)."""
    return await _do(request, EndTest(alarm_id=alarm_id, **_head(order, who)))


def _head(order: Order, who: Caller) -> Any:  # noqa: ANN401  # keyword arguments of every command
    return {"actor": who.actor, "command_id": order.command_id or str(ULID()), "seen_seq": order.seen_seq}


async def _do(request: Request, command: AnyCommand) -> Result:
    result = await console_of(request).submit(command)
    return {
        "command_id": result.command_id,
        "alarm_id": result.alarm_id,
        "seq": result.seq,
        "was_first": result.was_first,
    }
