"""演练/自检: starting drills and self-tests, what runs now, and what the last ones proved."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from gatehouse_edge.console import views
from gatehouse_edge.console.commands_api import ThingId
from gatehouse_edge.console.history_api import ask
from gatehouse_edge.console.requests import OutputTestOrder, SelfTest, TestOrder
from gatehouse_edge.console.roles import Right
from gatehouse_edge.console.session import Caller, caller, entitled
from gatehouse_edge.console.state import console_of
from gatehouse_events.drill import DrillReport

router: Final = APIRouter(prefix="/api/v1", tags=["drills"])
Tester = Annotated[Caller, Depends(entitled(Right.TEST))]


@router.get("/outputs")
async def outputs(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:  # noqa: ARG001  # must be logged in
    """Return all outputs: what is demanded of each and what its relay was last read back as."""
    state = console_of(request)
    return _json({"outputs": [views.output(view) for view in state.desk.outputs()]})


@router.get("/drills")
async def drills(
    request: Request,
    who: Tester,  # noqa: ARG001  # the right is the point
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Response:
    """Return the drill that runs now and the reports of those before, newest first; `next` goes into `before`."""
    state = console_of(request)
    running = state.drills.running  # looked at first: one that is over by now is in the history by then
    found, behind = await ask(state, lambda: state.history.drills(before=before, limit=limit))
    return _json(
        {
            "running": None if running is None else row(running),
            "drills": [row(report) | {"seq": seq} for seq, report in found],
            "next": found[-1][0] if len(found) == limit else None,
            "behind": behind,
        }
    )


@router.post("/drills", status_code=201)
async def begin(request: Request, order: TestOrder, who: Tester) -> Response:
    """Start a drill: a test alarm that travels the entire way. One at a time; refused while a real alarm wants a person."""
    state = console_of(request)
    report = await state.drills.begin_alarm(
        state.submit, who.actor, device_id=order.device_id, code=order.code, duration_s=order.duration_s
    )
    return _json(row(report), 201)


@router.post("/drills/end")
async def end(request: Request, who: Tester) -> Response:
    """End the drill that runs now."""
    state = console_of(request)
    await state.drills.end(state.submit, who.actor)
    return _json({})


@router.post("/outputs/{output_id}/test", status_code=201)
async def test_output(request: Request, output_id: ThingId, order: OutputTestOrder, who: Tester) -> Response:
    """Switch a siren, a lamp or a voice on for some seconds and see what its relay reads back. Never a valve."""
    state = console_of(request)
    report = await state.drills.begin_output(
        state.submit, who.actor, output_id=output_id, duration_s=order.duration_s
    )
    return _json(row(report), 201)


@router.post("/selftests", status_code=201)
async def self_test(request: Request, body: SelfTest, who: Tester) -> Response:
    """Write down what a person saw of the screen's colours or heard of the desk's sounds."""
    state = console_of(request)
    report = await state.drills.judged(who.actor, kind=body.what, is_good=body.is_good, note=body.note)
    return _json(row(report), 201)


def row(report: DrillReport) -> dict[str, Any]:
    """Return a report as plain data."""
    found: dict[str, Any] = msgspec.to_builtins(report)
    return found | {
        "outcome": report.outcome.value,
        "label": views.label(report.code) if report.code else None,
    }


def _json(content: object, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(content), status, {"Cache-Control": "no-store"}, media_type="application/json"
    )
