"""Cases over HTTP: lists by light, one case with its explanation, what people do, figures and export.

Every action carries `revision`, the last line of the time line that was on the screen; 409 `stale` says what has happened since.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import Field
from sqlalchemy import func, select

from gatehouse_events.chain import ChainError, moment
from gatehouse_events.states import Disposition, Label, Priority
from gatehouse_fleet.api.cases_view import (
    AlarmLoad,
    CaseDetail,
    CaseSummary,
    DistrictView,
    InboxMessage,
    LightCounts,
    detail_of,
    district_of,
    load_of,
    message_of,
    summary_of,
)
from gatehouse_fleet.cases import desk, inbox, listing, photos, statistics
from gatehouse_fleet.cases.desk import Act
from gatehouse_fleet.cases.docket import Work, load
from gatehouse_fleet.cases.errors import RefusedError
from gatehouse_fleet.cases.lights import Light
from gatehouse_fleet.cases.listing import Listed, Place, Wanted
from gatehouse_fleet.cases.merging import CaseKind
from gatehouse_fleet.cases.office import Office, office_of
from gatehouse_fleet.cases.record import Case
from gatehouse_fleet.cases.steps import CaseStep
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.registry.spreadsheet import BOM, line, when
from gatehouse_fleet.services import services_of
from gatehouse_fleet.store.schema.cases import photo
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.store.schema.people import user
from gatehouse_fleet.web.access import caller, entitled, require_reach
from gatehouse_fleet.web.fields import (
    UNQUOTED,
    Body,
    Done,
    LongName,
    Moment,
    Note,
    NumberPath,
    Reason,
    RowNumber,
)
from gatehouse_fleet.web.pages import After, Limit, Page, key_of, mark
from gatehouse_fleet.web.problems import NOT_FOUND, ProblemError

router: Final = APIRouter(tags=["cases"])
PHOTO_FOLDER: Final = "case-photos"
_FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Figures begin between these two; who asks for the year 1 gets the first there could be."""
_EXPORT_PAGE: Final = 500
_STATUS: Final = {"photo_size": 413, "photo_type": 415, "reason": 422}

Shared = Annotated[Office, Depends(office_of)]
Reader = Annotated[Caller, Depends(entitled(Right.READ_CASES))]
Handler = Annotated[Caller, Depends(entitled(Right.HANDLE_CASES))]
Verifier = Annotated[Caller, Depends(entitled(Right.VERIFY_CASES))]
Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


class Seen(Body):
    """What was on the screen."""

    revision: Annotated[int, Field(ge=1, le=2**53), UNQUOTED]


class NoteBody(Seen):
    """An action with a remark."""

    note: Note = ""


class DispatchBody(Seen):
    """To whom the case goes."""

    unit: LongName
    user_id: RowNumber | None = None
    note: Note = ""


class TextBody(Seen):
    """An action that must say something."""

    text: Reason


class EvaluateBody(Seen):
    """综合评价."""

    score: Annotated[int, Field(ge=1, le=5), UNQUOTED]
    note: Note = ""


class SendBackBody(Seen):
    """返工."""

    to: CaseStep
    reason: Reason


class MergeBody(Seen):
    """The case that is taken in."""

    other_id: RowNumber


class DisposeBody(Seen):
    """How one alarm of the case ends."""

    alarm_id: Annotated[str, Field(pattern="^[0-9A-HJKMNP-TV-Z]{26}$")]
    alarm_seq: RowNumber
    disposition: Literal["handled", "false_alarm"]
    reason: Reason


class ReadBody(Body):
    """Messages that were read."""

    ids: Annotated[list[RowNumber], Field(max_length=200)]


def wanted_of(
    who: Reader,
    light: Light | None = None,
    step: CaseStep | None = None,
    kind: CaseKind | None = None,
    priority: Priority | None = None,
    code: Annotated[str | None, Query(max_length=64, pattern="^[a-z0-9_.]+$")] = None,
    is_open: bool | None = True,  # a query parameter
    mine: bool = False,
) -> Wanted:
    """Return the filters of a list, inside the caller's reach."""
    return Wanted(
        scope_path=who.scope_path,
        light=light,
        step=step,
        kind=kind,
        priority=priority,
        code=code,
        is_open=is_open,
        user_id=who.user_id if mine else None,
    )


Filters = Annotated[Wanted, Depends(wanted_of)]
Start = Annotated[Moment, Query(description="first moment, with its zone")]
Days = Annotated[int, Query(ge=1, le=366, description="length of the span")]
NodeId = Annotated[int | None, Query(ge=1, le=2**53, description="only this place and what lies below it")]


@router.get("/cases")
async def list_cases(
    office: Shared,
    who: Reader,
    wanted: Filters,
    node_id: NodeId = None,
    after: After = None,
    limit: Limit = 100,
) -> Page[CaseSummary]:
    """Return cases, the next deadline first: the overdue stand on top."""
    start = _start(after)
    async with office.store.read() as db:
        wanted = await _narrowed(db, who, wanted, node_id)
        found = await listing.find(db, wanted, office.clock.now(), after=start, limit=limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    return Page(
        items=[summary_of(one) for one in found[:limit]],
        next=None if last is None else mark(last.place.due_us, last.place.case_id),
    )


@router.get("/cases/lights")
async def light_counts(office: Shared, who: Reader, node_id: NodeId = None) -> LightCounts:
    """Return how many open cases stand at each light."""
    async with office.store.read() as db:
        path = await _place(db, who, node_id)
        found = await listing.counts(db, path, office.clock.now())
    return LightCounts(green=found[Light.GREEN], yellow=found[Light.YELLOW], red=found[Light.RED])


@router.get("/cases/statistics")
async def case_statistics(
    office: Shared,
    who: Annotated[Caller, Depends(entitled(Right.READ_STATISTICS))],
    start: Start,
    days: Days = 30,
    node_id: NodeId = None,
) -> list[DistrictView]:
    """Return how cases opened in a span were handled, per district: on-time rates and mean times."""
    start, end = _span(start, days)
    async with office.store.read() as db:
        path = await _place(db, who, node_id)
        try:
            found = await statistics.districts(db, path, start, end, office.clock.now())
        except RefusedError as refused:
            raise _problem(refused) from refused
    return [district_of(one) for one in found]


@router.get("/cases/alarm-load")
async def alarm_load(
    office: Shared,
    who: Annotated[Caller, Depends(entitled(Right.READ_STATISTICS))],
    start: Start,
    days: Days = 30,
    node_id: NodeId = None,
) -> list[AlarmLoad]:
    """Return the alarm load of each desk against ISA-18.2, worst first."""
    start, end = _span(start, days)
    async with office.store.read() as db:
        path = await _place(db, who, node_id)
        try:
            found = await statistics.desks(db, path, start, end, office.clock.now())
        except RefusedError as refused:
            raise _problem(refused) from refused
    return [load_of(one) for one in found]


@router.get("/cases/export.csv", response_class=StreamingResponse)
async def export_cases(
    office: Shared, who: Reader, wanted: Filters, node_id: NodeId = None
) -> StreamingResponse:
    """Return the list as a table for spreadsheets, UTF-8 with a mark so that they see Chinese."""
    async with office.store.read() as db:
        wanted = await _narrowed(db, who, wanted, node_id)
    return StreamingResponse(
        _csv(office, wanted),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="cases.csv"', "Cache-Control": "no-store"},
    )


@router.get("/cases/{case_id}")
async def one_case(case_id: NumberPath, office: Shared, who: Reader) -> CaseDetail:
    """Return one case: alarms, deadlines with how they came about, time line, photos."""
    async with office.store.read() as db:
        found = await listing.open_one(db, case_id, office.clock.now())
    require_reach(who, None if found is None else found.listed.case.node_path)
    assert found is not None  # noqa: S101  # require_reach has refused
    return detail_of(found, office.clock.now(), hides_words=who.is_contractor)


@router.post("/cases/{case_id}/file")
async def file_case(case_id: NumberPath, body: NoteBody, office: Shared, who: Handler) -> CaseSummary:
    """案件建立."""
    return await _act(office, who, case_id, body, lambda work, act: desk.file(work, act, body.note))


@router.post("/cases/{case_id}/dispatch")
async def dispatch_case(case_id: NumberPath, body: DispatchBody, office: Shared, who: Handler) -> CaseSummary:
    """任务派遣: to a unit, or to one person who reaches the place."""
    if body.user_id is not None:
        await _check_person(office, case_id, body.user_id)
    return await _act(
        office,
        who,
        case_id,
        body,
        lambda work, act: desk.dispatch(work, act, unit=body.unit, user_id=body.user_id, note=body.note),
    )


@router.post("/cases/{case_id}/take")
async def take_case(case_id: NumberPath, body: Seen, office: Shared, who: Handler) -> CaseSummary:
    """任务处理: I begin; its alarms are acknowledged at their gateways."""
    return await _act(office, who, case_id, body, desk.take)


@router.post("/cases/{case_id}/feedback")
async def give_feedback(case_id: NumberPath, body: TextBody, office: Shared, who: Handler) -> CaseSummary:
    """处理反馈: what was done."""
    return await _act(office, who, case_id, body, lambda work, act: desk.feedback(work, act, text=body.text))


@router.post("/cases/{case_id}/verify")
async def verify_case(case_id: NumberPath, body: NoteBody, office: Shared, who: Verifier) -> CaseSummary:
    """核查结案, by somebody who has not handled it."""
    return await _act(office, who, case_id, body, lambda work, act: desk.verify(work, act, note=body.note))


@router.post("/cases/{case_id}/evaluate")
async def evaluate_case(
    case_id: NumberPath, body: EvaluateBody, office: Shared, who: Verifier
) -> CaseSummary:
    """综合评价."""
    return await _act(
        office,
        who,
        case_id,
        body,
        lambda work, act: desk.evaluate(work, act, score=body.score, note=body.note),
    )


@router.post("/cases/{case_id}/send-back")
async def send_case_back(
    case_id: NumberPath, body: SendBackBody, office: Shared, who: Handler
) -> CaseSummary:
    """返工: a feedback is judged by who may verify; a case that is not handled yet may be given back by its handlers."""

    async def back(work: Work, act: Act) -> Case:
        before = await load(work, act.case_id)
        if before.step is CaseStep.FEEDBACK and not who.may(Right.VERIFY_CASES):
            raise ProblemError(403, "role", Label("返工须由核查人员决定", "only who verifies may send back"))
        return await desk.send_back(work, act, body.to, reason=body.reason)

    return await _act(office, who, case_id, body, back)


@router.post("/cases/{case_id}/merge")
async def merge_case(case_id: NumberPath, body: MergeBody, office: Shared, who: Handler) -> CaseSummary:
    """Take another case of the same community and kind in."""
    await _require(office, who, body.other_id)
    return await _act(office, who, case_id, body, lambda work, act: desk.merge(work, act, body.other_id))


@router.post("/cases/{case_id}/notes")
async def write_note(case_id: NumberPath, body: TextBody, office: Shared, who: Handler) -> CaseSummary:
    """Write something down."""
    return await _act(office, who, case_id, body, lambda work, act: desk.note(work, act, text=body.text))


@router.post("/cases/{case_id}/injury")
async def flag_injury(case_id: NumberPath, body: TextBody, office: Shared, who: Handler) -> CaseSummary:
    """Somebody is hurt: the accident report is due."""
    return await _act(
        office, who, case_id, body, lambda work, act: desk.flag_injury(work, act, text=body.text)
    )


@router.post("/cases/{case_id}/accident-report")
async def report_accident(case_id: NumberPath, body: TextBody, office: Shared, who: Handler) -> CaseSummary:
    """The accident was reported: to whom, how."""
    return await _act(
        office, who, case_id, body, lambda work, act: desk.report_accident(work, act, to=body.text)
    )


@router.post("/cases/{case_id}/disposals")
async def dispose_alarm(
    case_id: NumberPath,
    body: DisposeBody,
    office: Shared,
    who: Annotated[Caller, Depends(entitled(Right.ACT_ON_ALARMS))],
) -> CaseSummary:
    """Close one alarm of the case: an order to its gateway, which decides."""
    return await _act(
        office,
        who,
        case_id,
        body,
        lambda work, act: desk.dispose(
            work,
            act,
            body.alarm_id,
            alarm_seq=body.alarm_seq,
            disposition=Disposition(body.disposition),
            reason=body.reason,
        ),
    )


@router.post(
    "/cases/{case_id}/photos",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": {"type": "string", "format": "binary"}}
                for kind in ("image/jpeg", "image/png")
            },
        }
    },
)
async def add_photo(case_id: NumberPath, request: Request, office: Shared, who: Handler) -> CaseSummary:
    """Attach a feedback photo: the body is the file, JPEG or PNG, at most 8 MB. Its metadata is removed."""
    await _require(office, who, case_id)
    await _check_room(office, case_id)
    raw = await request.body()  # bounded by `shell.LARGER`
    folder = services_of(request).settings.directory / PHOTO_FOLDER

    async def attach(work: Work, act: Act) -> Case:
        return await desk.add_photo(work, act, kept)

    try:
        kept = await asyncio.to_thread(lambda: photos.keep(folder, photos.clean(raw)))
    except RefusedError as refused:
        raise _problem(refused) from refused
    return await _act(office, who, case_id, Seen(revision=1), attach)


@router.get("/cases/{case_id}/photos/{sha256}", response_class=FileResponse)
async def read_photo(
    case_id: NumberPath, sha256: Sha256, request: Request, office: Shared, who: Reader
) -> FileResponse:
    """Return a feedback photo; every look is written into the audit log, contractors see none (domain row 49)."""
    await _require(office, who, case_id)
    if who.is_contractor:
        raise NOT_FOUND
    async with office.store.begin() as db:
        found = (
            await db.execute(
                select(photo.c.media_type).where(photo.c.case_id == case_id, photo.c.sha256 == sha256)
            )
        ).scalar_one_or_none()
        if found is None:
            raise NOT_FOUND
        await audit.append(
            db,
            who.actor,
            "case.photo_view",
            f"case:{case_id}",
            at=office.clock.now(),
            detail={"sha256": sha256},
        )
    path = photos.path_of(services_of(request).settings.directory / PHOTO_FOLDER, sha256)
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-store",
        "Content-Security-Policy": "sandbox",
    }
    return FileResponse(path, media_type=found, headers=headers)


@router.get("/inbox")
async def read_inbox(
    office: Shared, who: Annotated[Caller, Depends(caller)], limit: Limit = 100
) -> list[InboxMessage]:
    """Return what I was told, newest first."""
    async with office.store.read() as db:
        return [message_of(one) for one in await inbox.messages(db, who, limit=limit)]


@router.post("/inbox/read")
async def mark_inbox(body: ReadBody, office: Shared, who: Annotated[Caller, Depends(caller)]) -> Done:
    """Note that I have read messages."""
    async with office.store.begin() as db:
        await inbox.mark_read(db, who, body.ids, office.clock.now())
    return Done()


async def _act(
    office: Office,
    who: Caller,
    case_id: int,
    seen: Seen,
    action: Callable[[Work, Act], Awaitable[Case]],
) -> CaseSummary:
    await _require(office, who, case_id)
    try:
        async with office.work() as work:
            await action(work, Act(case_id=case_id, revision=seen.revision, actor=who.actor))
    except RefusedError as refused:
        raise _problem(refused) from refused
    async with office.store.read() as db:
        found = await listing.open_one(db, case_id, office.clock.now())
    assert found is not None  # noqa: S101  # cases are never deleted
    return summary_of(found.listed)


def _problem(refused: RefusedError) -> ProblemError:
    return ProblemError(_STATUS.get(refused.reason, 409), refused.reason, refused.text)


async def _require(office: Office, who: Caller, case_id: int) -> None:
    async with office.store.read() as db:
        require_reach(who, await listing.path_of(db, case_id))


async def _check_person(office: Office, case_id: int, user_id: int) -> None:
    async with office.store.read() as db:
        path = await listing.path_of(db, case_id)
        found = (
            await db.execute(
                select(org_node.c.path)
                .join(user, user.c.scope_id == org_node.c.id)
                .where(user.c.id == user_id, user.c.is_active)
            )
        ).scalar_one_or_none()
    if path is None or found is None or not path.startswith(found):
        raise ProblemError(
            409, "person", Label("该人员不在本辖区或已停用", "that person does not reach this place")
        )


async def _check_room(office: Office, case_id: int) -> None:
    """Refuse before anything is written to the disk what the case would refuse afterwards."""
    async with office.store.read() as db:
        count = select(func.count()).where(photo.c.case_id == case_id)
        is_full = (await db.execute(count)).scalar_one() >= desk.MAX_PHOTOS
    if is_full:
        raise ProblemError(
            409, "too_many", Label(f"每案最多{desk.MAX_PHOTOS}张照片", "the case carries no more photos")
        )


async def _place(db: Any, who: Caller, node_id: int | None) -> str:  # noqa: ANN401  # AsyncConnection
    if node_id is None:
        return who.scope_path
    path = (await db.execute(select(org_node.c.path).where(org_node.c.id == node_id))).scalar_one_or_none()
    require_reach(who, path)
    return str(path)


async def _narrowed(db: Any, who: Caller, wanted: Wanted, node_id: int | None) -> Wanted:  # noqa: ANN401
    return msgspec.structs.replace(wanted, scope_path=await _place(db, who, node_id))


def _start(after: str | None) -> Place | None:
    key = key_of(after, tuple[int, int])
    if key is None:
        return None
    try:
        place = Place(due_us=key[0], case_id=key[1])
        moment(place.due_us)
    except ChainError:
        raise ProblemError(422, "page", Label("翻页标记无效", "this page mark is not one of ours")) from None
    return place


def _span(start: datetime, days: int) -> tuple[datetime, datetime]:
    start = min(max(start, _FIRST), _LAST)
    return start, start + timedelta(days=days)


async def _csv(office: Office, wanted: Wanted) -> AsyncIterator[str]:
    columns = (
        "编号",
        "小区",
        "类别",
        "事件",
        "优先级",
        "环节",
        "灯",
        "时限",
        "立案时间",
        "承办单位",
        "结案时间",
        "结果",
    )
    yield BOM + line(columns)
    after: Place | None = None
    while True:
        async with office.store.read() as db:
            page = await listing.find(db, wanted, office.clock.now(), after=after, limit=_EXPORT_PAGE)
        for one in page:
            yield line(_cells(one))
        if len(page) < _EXPORT_PAGE:
            return
        after = page[-1].place


def _cells(one: Listed) -> tuple[str, ...]:
    return (
        one.number,
        one.community,
        one.case.kind,
        one.case.code,
        one.case.priority,
        one.case.step,
        one.light or "",
        when(one.due_at),
        when(one.case.opened_at),
        one.case.unit,
        when(one.case.closed_at),
        one.case.outcome or "",
    )
