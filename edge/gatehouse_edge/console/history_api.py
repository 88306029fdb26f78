"""Looking back: the timeline of a day, the search, one alarm's story, what the screen knew at a moment.

Each answer first reads on in the journal for a fraction of a second and says under `behind` how many entries are still missing: a
page that gets more than 0 asks again and says so meanwhile.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime
from starlette.responses import Response

from gatehouse_edge.console import views
from gatehouse_edge.console.commands_api import AlarmId
from gatehouse_edge.console.problems import ProblemError
from gatehouse_edge.console.requests import PastQuery
from gatehouse_edge.console.roles import Right, may
from gatehouse_edge.console.session import Caller, entitled
from gatehouse_edge.console.state import ConsoleState, console_of
from gatehouse_edge.history import VIEWED, Cursor, Deed, PastAlarm, Revision, Term, Wanted, search_text
from gatehouse_edge.history.rows import MAX_TERMS
from gatehouse_events.alarm import Alarm
from gatehouse_events.states import Label
from gatehouse_journal import JournalError

router: Final = APIRouter(prefix="/api/v1/history", tags=["history"])

BUDGET_S: Final = 0.3
"""Longest reading on in the journal within one answer."""
MAX_SPAN: Final = timedelta(days=366)
_Found = TypeVar("_Found")

When = Annotated[AwareDatetime, Query()]
Looker = Annotated[Caller, Depends(entitled(Right.READ_JOURNAL))]

_NOT_NOW: Final = ProblemError(
    503, "history", Label("记录暂时无法读取", "the record cannot be read just now"), retry_after_s=5
)
_BAD_SPAN: Final = ProblemError(
    422, "span", Label("时间范围须为正且不超过一年", "a span is positive and a year at most")
)
_UNKNOWN: Final = ProblemError(404, "unknown_alarm", Label("记录中没有此报警", "no such alarm on record"))


async def ask(state: ConsoleState, question: Callable[[], _Found]) -> tuple[_Found, int]:
    """Return the answer to a question about the past and how many entries it does not know of yet.

    Raises:
        ProblemError: 503, the journal or the index cannot be read.
    """
    try:
        progress = await asyncio.to_thread(state.history.catch_up, budget_s=BUDGET_S)
        return await asyncio.to_thread(question), progress.behind
    except (JournalError, sqlite3.Error):
        raise _NOT_NOW from None


@router.get("/alarms")
async def alarms(request: Request, who: Looker, wanted: Annotated[PastQuery, Query()]) -> Response:
    """Return alarms that were open between `since` and `until`, newest first; `next` goes into `after` for the next page."""
    state = console_of(request)
    from_us, to_us = _span(wanted.since, wanted.until)
    question = Wanted(
        from_us=from_us,
        to_us=to_us,
        categories=tuple(wanted.category),
        priorities=tuple(one.value for one in wanted.priority),
        kinds=tuple(one.value for one in wanted.kind),
        devices=(wanted.device,) if wanted.device else (),
        terms=_terms(state, wanted.q, is_clear=who.is_clear),
        has_evidence=wanted.has_evidence,
    )
    after = _cursor(wanted.after)
    (found, following), behind = await ask(
        state, lambda: state.history.alarms(question, after=after, limit=wanted.limit)
    )
    if wanted.q and after is None:  # who looks for a person leaves a trace, as who reads the journal does
        await state.audit(
            "history_read", who=who.actor.name, station=who.actor.station, detail=f"search {wanted.q}"
        )
    return _json(
        {
            "alarms": [past(state, one) for one in found],
            "next": None if following is None else str(following),
            "behind": behind,
        }
    )


@router.get("/timeline")
async def timeline(
    request: Request,
    who: Looker,  # noqa: ARG001  # the right is the point
    since: When,
    until: When,
    buckets: Annotated[int, Query(ge=1, le=500)] = 144,
) -> Response:
    """Return how many alarms of each sort were raised in each of `buckets` equal stretches between `since` and `until`."""
    state = console_of(request)
    from_us, to_us = _span(since, until)
    width_us = -(-(to_us - from_us) // buckets)
    wanted = Wanted(from_us=from_us, to_us=to_us)
    found, behind = await ask(state, lambda: state.history.tallies(wanted, bucket_us=width_us))
    return _json({"tallies": found, "bucket_s": width_us / 1e6, "behind": behind})


@router.get("/deeds")
async def deeds(
    request: Request,
    who: Looker,
    since: When,
    until: When,
    after: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    """Return what else happened: orders, outputs, logins, drills, starts; newest first."""
    state = console_of(request)
    from_us, to_us = _span(since, until)
    found, behind = await ask(state, lambda: state.history.deeds(from_us, to_us, after=after, limit=limit))
    following = found[-1].seq if len(found) == limit else None
    return _json({"deeds": [deed(one) for one in _shown(found, who)], "next": following, "behind": behind})


@router.get("/firmware")
async def firmware(
    request: Request,
    who: Looker,  # noqa: ARG001  # the right is the point
) -> Response:
    """Return the firmware version of each node that was updated over its bus, as far as the record reaches."""
    state = console_of(request)
    found, behind = await ask(state, state.history.firmware)
    return _json({"versions": found, "behind": behind})


@router.get("/alarms/{alarm_id}")
async def story(
    request: Request,
    who: Looker,
    alarm_id: AlarmId,
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> Response:
    """Return one alarm as it stands or ended, everything that happened to it, and who was told."""
    state = console_of(request)
    history = state.history

    def look() -> tuple[PastAlarm | None, list[Revision], list[Deed], Alarm | None]:
        found = history.alarm(alarm_id)
        if found is None:
            return None, [], [], None
        return (
            found,
            history.story(alarm_id, after=after),
            history.deeds_of(alarm_id),
            history.revision(found.last_seq),
        )

    (found, revisions, told, last), behind = await ask(state, look)
    if found is None:
        raise _UNKNOWN
    view = state.stream.viewpoint()
    return _json(
        {
            "alarm": past(state, found),
            "last": None if last is None else view.alarm(last, is_clear=who.is_clear),
            "revisions": [revision(one, is_clear=who.is_clear) for one in revisions],
            "told": [deed(one) for one in _shown(told, who)],
            "behind": behind,
        }
    )


@router.get("/moment")
async def moment(request: Request, who: Looker, at: When) -> Response:
    """Return what the screen knew at a moment: the alarms that were open, each as it stood then."""
    state = console_of(request)
    found, behind = await ask(state, lambda: state.history.moment(_us(at)))
    view = state.stream.viewpoint()
    return _json(
        {
            "at": _iso(found.at_us),
            "seq": found.seq,
            "service_s": found.service_s,
            "is_whole": found.is_whole,
            "alarms": [view.alarm(alarm, is_clear=who.is_clear) for alarm in found.alarms],
            "behind": behind,
        }
    )


def past(state: ConsoleState, alarm: PastAlarm) -> dict[str, Any]:
    """Return one alarm of the past as plain data."""
    row: dict[str, Any] = msgspec.to_builtins(alarm)
    for name in ("raised_us", "changed_us", "closed_us", "acked_us"):
        at_us = row.pop(name)
        row[f"{name.removesuffix('_us')}_at"] = None if at_us is None else _iso(at_us)
    return row | {
        "label": views.label(alarm.code),
        "category": alarm.code.partition(".")[0],
        "place": views.place(state.desk.plan.place(alarm.device_id)),
    }


def revision(one: Revision, *, is_clear: bool) -> dict[str, Any]:
    """Return one revision as plain data; what people wrote is for those who may read residents' data."""
    row: dict[str, Any] = msgspec.to_builtins(one)
    if one.what == "noted" and not is_clear:
        row["text"] = ""
    return row | {"at": _iso(row.pop("at_us"))}


def deed(one: Deed) -> dict[str, Any]:
    """Return one deed as plain data."""
    row: dict[str, Any] = msgspec.to_builtins(one)
    return row | {"at": _iso(row.pop("at_us"))}


def _shown(deeds: Sequence[Deed], who: Caller) -> list[Deed]:
    """Return the deeds this person may know of: who has looked at evidence stands in a register of its own."""
    return [one for one in deeds if one.what != VIEWED or may(who.role, Right.READ_REGISTER)]


def _json(content: object) -> Response:
    return Response(
        msgspec.json.encode(content), media_type="application/json", headers={"Cache-Control": "no-store"}
    )


def _span(since: datetime, until: datetime) -> tuple[int, int]:
    if not timedelta(0) < until - since <= MAX_SPAN:
        raise _BAD_SPAN
    return _us(since), _us(until)


def _us(at: datetime) -> int:
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)


def _iso(at_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).isoformat()


def _cursor(text: str) -> Cursor | None:
    if not text:
        return None
    try:
        return Cursor.parse(text)
    except ValueError:
        raise ProblemError(422, "cursor", Label("翻页位置不正确", "that is no place in this list")) from None


def _terms(state: ConsoleState, query: str, *, is_clear: bool) -> tuple[Term, ...]:
    """Return the words of a search, each with the devices that it names: by id, place, or who lives there."""
    words = [word for part in query.split()[:MAX_TERMS] if (word := search_text(part))]
    if not words:
        return ()
    residents = state.stream.residents
    known: dict[str, str] = {}
    for device in state.desk.plan.devices.values():
        place = views.place(device.place)
        names = [device.device_id, place["zh"], place["en"], place["name"]]
        resident = residents.get(device.device_id)
        if is_clear and resident is not None:
            names += [resident.name, resident.phone]
        known[device.device_id] = search_text("\n".join(names))
    return tuple(
        Term(text=word, devices=tuple(name for name, text in known.items() if word in text)) for word in words
    )
