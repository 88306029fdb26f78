"""The live feed for screens: server-sent events, resumed by position, with the server's time as a heartbeat.

Nothing is kept per client: each reads the feed behind its own position, as fast as it takes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import StreamingResponse

from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.projection.feed import FEED_TOPIC, FeedTopic
from gatehouse_fleet.projection.tail import FeedLine, FeedTail
from gatehouse_fleet.services import Services, services_of
from gatehouse_fleet.web.access import caller
from gatehouse_fleet.web.problems import ProblemError

router: Final = APIRouter(tags=["stream"])

HEARTBEAT_S: Final = 3.0
"""A screen that hears nothing for three of them says so."""
_CHECKS_EVERY: Final = 10
"""Heartbeats between two looks whether the session still holds."""
_RETRY_MS: Final = 2000
_RIGHTS: Final[dict[str, Right]] = {
    FeedTopic.ALARM: Right.READ_ALARMS,
    FeedTopic.CASE: Right.READ_CASES,
    FeedTopic.GATEWAY: Right.READ_GATEWAYS,
    FeedTopic.ROLLOUT: Right.READ_GATEWAYS,
    FeedTopic.CITY: Right.READ_ALARMS,
}
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """Says in the API description what it is."""

    media_type = "text/event-stream"


@router.get(
    "/stream",
    response_class=EventStream,
    responses={200: {"description": "`alarm`, `case`, `gateway`, `rollout`, `city`: a line of the feed each, with its position as id. "
    "`hello`: where the feed stands. `reset`: what was asked for is no longer kept, load everything again. `time`: heartbeat; all three say the server's time and its zone's offset."}},
)  # fmt: skip
async def stream(
    request: Request,
    who: Annotated[Caller, Depends(caller)],
    after: Annotated[int | None, Query(ge=0, le=2**53, description="position to go on behind")] = None,
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
) -> EventStream:
    """Follow everything that happens in one's subtree; `Last-Event-ID` (as a browser sends it) goes before `after`."""
    position = int(last_event_id) if last_event_id and last_event_id.isdecimal() else after
    tail: FeedTail = request.app.state.feed_tail
    return EventStream(_events(request, services_of(request), tail, who, position), headers=_HEADERS)


async def _events(
    request: Request, services: Services, tail: FeedTail, who: Caller, position: int | None
) -> AsyncIterator[bytes]:
    head = await tail.head()
    if position is None or position > head or position + 1 < await tail.first():
        # Nothing asked for, or what was asked for is not there: a restored database, or a page left open for a week.
        name, position = ("hello" if position is None else "reset"), head
        yield _event(name, _time(services), position)
    yield b"retry: %d\n\n" % _RETRY_MS
    loop = asyncio.get_running_loop()
    due_s, beats = loop.time() + HEARTBEAT_S, 0
    while True:
        seen = services.wake.count(FEED_TOPIC)
        lines = await tail.after(position)
        if lines:
            position = lines[-1].position
            shown = [
                _event(line.topic, line.body.encode(), line.position) for line in lines if _may(who, line)
            ]
            if shown:
                yield b"".join(shown)
        else:
            await services.wake.wait(FEED_TOPIC, seen, timeout_s=max(0.0, due_s - loop.time()))
        if loop.time() < due_s:
            continue
        beats += 1
        if beats % _CHECKS_EVERY == 0 and not await _still_holds(request):
            return
        # The position too: whoever reaches little of the feed need not read all of it again.
        yield _event("time", _time(services), position)
        due_s = loop.time() + HEARTBEAT_S


def offset_s(at: datetime, zone: str) -> int:
    """Return how far the zone of the people is ahead of UTC, seconds: screens show its times, whatever theirs is."""
    offset = at.astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None  # noqa: S101  # aware
    return int(offset.total_seconds())


def _time(services: Services) -> bytes:
    now = services.clock.now()
    return msgspec.json.encode({"at": now, "utc_offset_s": offset_s(now, services.settings.time_zone)})


def _may(who: Caller, line: FeedLine) -> bool:
    right = _RIGHTS.get(line.topic)
    return right is not None and who.may(right) and who.reaches(line.node_path)


async def _still_holds(request: Request) -> bool:
    try:
        await request.app.state.authenticate(request)
    except ProblemError:
        return False
    return True


def _event(name: str, data: bytes, position: int) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (position, name.encode(), data)
