"""A test event for one target: sent outside every journal and cursor, so nothing waits for it and nothing is receipted for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import Final, assert_never

from msgspec import Struct

from gatehouse_events.city import UNKNOWN_CLOCK
from gatehouse_events.codes import CODES
from gatehouse_events.event import (
    AlarmData,
    Asset,
    Event,
    EventSite,
    EventState,
    LiftState,
    ThrowFacts,
    event_for,
)
from gatehouse_events.event import (
    Message as EventMessage,
)
from gatehouse_events.ids import new_id
from gatehouse_events.states import SEVERITY, Kind
from gatehouse_fleet.city.errors import CityError, LostError, UnsayableError
from gatehouse_fleet.city.exchange import Message, Outcome, Receipt, Refusal, Scope, Trouble, printable
from gatehouse_fleet.city.service import Adapter
from gatehouse_fleet.city.target import CloudEvents, Gbt26875, OneHot, Target, TextFrames
from gatehouse_fleet.clock import Clock

GATEWAY_ID: Final = "gatehouse-test"
_SHOWN: Final = 4000


class Exchange(Struct, frozen=True, kw_only=True):
    """What went over and what came back, fit to be shown: no header, so no key and no signature is in it."""

    event_id: str
    code: str
    path: str
    content_type: str
    sent: str
    outcome: str
    """`receipt`, `refusal` or `trouble`."""
    answer: str
    took_ms: float


async def rehearse(adapter: Adapter, clock: Clock, *, may_be_unmarked: bool) -> Exchange:
    """Send a test event and return the exchange.

    Args:
        adapter: the target.
        clock: tells how long it took.
        may_be_unmarked: also where the dialect cannot say that it is a test; somebody there may be sent out.

    Raises:
        CityError: the dialect cannot mark a test, or has no word for anything.
    """
    if not may_be_unmarked and not isinstance(adapter.target.envelope, CloudEvents):
        raise CityError(
            f"{adapter.target.envelope.kind} cannot say that an event is a test: agree with the platform first, then --unmarked"
        )
    event, message = _sayable(adapter, clock.now())
    began_s = clock.elapsed_s()
    try:
        async with adapter.transport.open() as session:
            outcome = await session.send(message)
    except LostError as error:
        outcome = Trouble(reason=str(error), scope=Scope.TARGET)
    return Exchange(
        event_id=event.id,
        code=event.data.code,
        path=message.path,
        content_type=message.content_type,
        sent=printable(message.body, _SHOWN)
        if message.content_type != "application/octet-stream"
        else message.body.hex(" "),
        outcome=type(outcome).__name__.lower(),
        answer=_said(outcome),
        took_ms=round((clock.elapsed_s() - began_s) * 1000, 1),
    )


def _sayable(adapter: Adapter, at: datetime) -> tuple[Event, Message]:
    """Return the first of our codes the target is told of and has a word for."""
    why = ""
    for event in _events(adapter.target, at):
        standing = (event.data.code,)
        with contextlib.suppress(UnsayableError):
            message = adapter.envelope.render(event, standing)
            if message is not None:
                return event, message
        why = event.data.code
    raise CityError(f"this target has no word for any of our codes (the last tried was {why})")


def _events(target: Target, at: datetime) -> Iterator[Event]:
    asset_id = _asset(target)
    for code in CODES.values():
        if code.category not in target.send.categories:
            continue
        data = AlarmData(
            alarm_id=new_id(at),
            seq=1,
            state=EventState.TEST,
            category=code.category,
            code=code.name,
            severity=SEVERITY[code.priority],
            raised_at=at,
            reported_at=at,
            clock=UNKNOWN_CLOCK,
            site=EventSite(division_code="370000", division_standard="gbt2260", community_id=GATEWAY_ID),
            asset=Asset(id=asset_id, kind="test"),
            message=EventMessage(
                zh=f"【测试】{code.label.zh}，无需处置", en=f"[test] {code.label.en}: do nothing"
            ),
            evidence=(),
            kind=Kind.TEST,
            lift=LiftState() if code.category == "lift" else None,
            throw=ThrowFacts() if code.category == "throw" else None,
        )
        yield event_for(data, gateway_id=GATEWAY_ID)


def _asset(target: Target) -> str:
    match target.envelope:
        case OneHot() | TextFrames():
            names = tuple(target.envelope.assets)
        case Gbt26875():
            names = tuple(target.envelope.components)
        case _:
            names = ()
    return names[0] if names else GATEWAY_ID


def _said(outcome: Outcome) -> str:
    match outcome:
        case Receipt():
            return printable(outcome.raw)
        case Refusal():
            return f"{outcome.reason} {outcome.detail}".strip()
        case Trouble():
            return outcome.reason
        case _:
            assert_never(outcome)
