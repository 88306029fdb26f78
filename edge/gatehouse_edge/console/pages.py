"""Pages that the gateway writes itself and that work without JavaScript: the login form and the hand-over sheet.

A form of ours is told from a foreign page's by a random token that stands both in it and in a cookie of its own (`SameSite=Strict`):
with `Referrer-Policy: no-referrer` browsers send `Origin: null` with forms, so the origin proves nothing here.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gatehouse_edge.console import accounts_api, phrases, views
from gatehouse_edge.console import sheet as sheets
from gatehouse_edge.console.accounts import MAX_PASSWORD
from gatehouse_edge.console.history_api import ask, past
from gatehouse_edge.console.problems import ProblemError
from gatehouse_edge.console.requests import MAX_NAME
from gatehouse_edge.console.roles import Right, may
from gatehouse_edge.console.session import Caller, clear_cookie, holder, set_cookie
from gatehouse_edge.console.sheet import Sheet, Shift
from gatehouse_edge.console.state import ConsoleState, console_of
from gatehouse_edge.history import Deed, PastAlarm, Revision, Wanted
from gatehouse_events.alarm import GATEWAY, Alarm
from gatehouse_events.chain import EntryKind
from gatehouse_events.codes import CODES
from gatehouse_events.states import Label, Priority
from gatehouse_ui import words

if TYPE_CHECKING:
    from jinja2 import Environment

router: Final = APIRouter(include_in_schema=False)

FORM_COOKIE: Final = "gatehouse-form"
_SHEET: Final = "/handover"
_PATHS: Final = frozenset({"/", _SHEET})
"""Where a login may lead to."""
_MAX_FORM: Final = 4096
Language = Literal["zh", "en"]


@cache
def _templates() -> Environment:
    """Return the templates. Jinja2 is imported when the first page is asked for: half a second on a small gateway."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("gatehouse_edge.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


# --- login


@router.get("/login")
async def login_form(request: Request, then: str = "/", lang: Language = "zh") -> Response:
    """Show the form."""
    return _login_page(request, then=then, language=lang, said="", status=200)


@router.post("/login")
async def login(request: Request) -> Response:
    """Log in by the form and go where the person wanted to."""
    state = console_of(request)
    form = await _form(request)
    language: Language = "en" if form.get("lang") == "en" else "zh"
    then = form.get("then", "/")
    if not _is_ours(request, form):
        return _login_page(
            request, then=then, language=language, said=words(language, "local")["login_again"], status=403
        )
    name, password = form.get("name", ""), form.get("password", "")
    try:
        if not (1 <= len(name) <= MAX_NAME and 1 <= len(password) <= MAX_PASSWORD):
            raise accounts_api.WRONG
        token, _ = await accounts_api.log_in(request, name, password)
    except ProblemError as problem:
        said = getattr(problem.text, language)
        return _login_page(request, then=then, language=language, said=said, status=problem.status)
    answer = RedirectResponse(_target(then), status_code=303)
    set_cookie(answer, state, token, state.session_s)
    answer.delete_cookie(FORM_COOKIE, path="/")
    return answer


@router.post("/logout")
async def logout(request: Request) -> Response:
    """End the session by a form's button."""
    state = console_of(request)
    form = await _form(request)
    answer = RedirectResponse("/login?then=" + quote(_SHEET), status_code=303)
    if _is_ours(request, form):
        who = _known(request)
        if who is not None:
            await accounts_api.log_out(request, who)
            clear_cookie(answer, state)
    return answer


# --- the sheet


@router.get(_SHEET)
async def handover(
    request: Request,
    since: Annotated[str, Query(max_length=32)] = "",
    until: Annotated[str, Query(max_length=32)] = "",
    back: Annotated[int, Query(ge=0, le=21)] = 0,
    lang: Language = "zh",
) -> Response:
    """Show the hand-over sheet of a shift: the one that runs, `back` shifts earlier, or from `since` to `until`."""
    state = console_of(request)
    who = _known(request)
    if who is None:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse("/login?then=" + quote(_SHEET + query), status_code=303)
    if not may(who.role, Right.READ_JOURNAL):
        text = words(lang, "local")
        return _page("said.html", lang, status=403, title=text["sheet"], said=text["sheet_role"])
    now = state.clock.now().wall.astimezone()
    shift = _shift(now, since, until, back)
    sheet = await _sheet(state, who, shift, now)
    await state.audit(
        "sheet_printed",
        who=who.actor.name,
        station=who.actor.station,
        detail=f"{shift.since:%Y-%m-%d %H:%M} {shift.until:%Y-%m-%d %H:%M}",
    )
    token = _form_token(request)
    answer = _page(
        "handover.html",
        lang,
        sheet=sheet,
        estate=state.estate,
        gateway_id=state.gateway_id,
        priorities=[one.value for one in Priority],
        margins=_margins_query(shift, lang),
        token=token,
        say=_Words(lang, now),
    )
    _keep_form_token(answer, state, token)
    return answer


@router.get("/handover.css")
async def margins(
    request: Request,
    since: Annotated[datetime, Query()],
    until: Annotated[datetime, Query()],
    lang: Language = "zh",
) -> Response:
    """Return what stands in the margins of each printed page. The policy of the pages allows no style inside them."""
    state = console_of(request)
    text = words(lang, "local")
    span = f"{since:%Y-%m-%d %H:%M} – {until:%Y-%m-%d %H:%M}"
    corners = {
        "top-left": _css_text(f"{state.estate}  {text['sheet']}"),
        "top-right": _css_text(span),
        "bottom-left": _css_text(state.gateway_id),
        "bottom-right": _css_page(text["sheet_page"]),
    }
    rules = "".join(f"@{corner} {{ content: {value}; }}\n" for corner, value in corners.items())
    return Response(f"@page {{\n{rules}}}\n", media_type="text/css", headers={"Cache-Control": "no-store"})


async def _sheet(state: ConsoleState, who: Caller, shift: Shift, now: datetime) -> Sheet:
    from_us, to_us = (int(at.timestamp() * 1e6) for at in (shift.since, shift.until))
    is_past = shift.until <= now
    wanted = Wanted(from_us=from_us, to_us=to_us)
    history = state.history

    def look() -> tuple[list[PastAlarm], bool, list[Revision], list[Deed], tuple[Alarm, ...]]:
        found, following = history.alarms(wanted, limit=sheets.MAX_ROWS)
        acknowledged = history.revisions(from_us, to_us, what="acknowledged", limit=5000)
        deeds = history.deeds(from_us, to_us, limit=sheets.MAX_ROWS, kinds=sheets.TOLD)
        then = history.moment(to_us).alarms if is_past else ()
        return found, following is not None, acknowledged, deeds, then

    behind: int | None
    try:
        (found, is_more, acknowledged, deeds, then), behind = await ask(state, look)
    except ProblemError:  # a full disk must not keep the next shift from knowing what is open
        found, is_more, acknowledged, deeds, then, behind = [], False, [], [], (), None
        is_past = False
    view = state.stream.viewpoint()
    open_now: tuple[Alarm, ...] = then if is_past else tuple(state.desk.alarms())
    shown, shelved, suppressed = sheets.split(view.alarm(one, is_clear=who.is_clear) for one in open_now)
    shown.sort(key=lambda row: (row["priority"], row["raised_at"]))
    devices = [view.device(one, is_clear=who.is_clear) for one in state.desk.devices()]
    begun, counts = sheets.raised_during(found, [past(state, one) for one in found], shift)
    return Sheet(
        shift=shift,
        made_at=now,
        made_by=who.actor.name,
        is_past=is_past,
        behind=behind,
        open=shown,
        shelved=shelved,
        suppressed=suppressed,
        devices=sheets.odd_devices(devices),
        device_count=len(devices),
        valves=[views.valve(name, valve) for name, valve in state.desk.valves().items() if valve.is_closed],
        alarms=begun,
        raised=counts,
        is_cut=is_more or len(deeds) >= sheets.MAX_ROWS,
        people=sheets.people_of(acknowledged),
        deeds=sheets.told_deeds(deeds),
        beat=views.beat(
            state.clock.now(), is_storage_failing=state.desk.is_storage_failing, link=state.link()
        ),
    )


class _Words:
    """What the template calls to say times and tokens in the reader's language and the gateway's zone."""

    def __init__(self, language: Language, now: datetime) -> None:
        self._language: Final = language
        self._now: Final = now
        self._words: Final = words(language, "common", "field", "local")

    def where(self, row: dict[str, Any]) -> str:
        """Return where an alarm or device is; what has no place by its name."""
        place = self.pick(row.get("place"))
        name = str(row.get("device_id") or row.get("id"))
        return place or (self._words["token_gateway"] if name == GATEWAY else name)

    def explain(self, text: str) -> str:
        """Return the text of an alarm in words."""
        return phrases.explain(text, self._words)

    def pick(self, pair: dict[str, str] | None) -> str:
        """Return the half of a pair that is being read."""
        return "" if pair is None else pair.get(self._language) or pair.get("zh", "")

    def at(self, instant: str | datetime | None) -> str:
        """Return a time: only the clock if it was within a day of the sheet's making."""
        if instant is None:
            return ""
        known = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
        local = known.astimezone(self._now.tzinfo)
        return f"{local:%H:%M:%S}" if local.date() == self._now.date() else f"{local:%m-%d %H:%M}"

    def full(self, instant: datetime) -> str:
        """Return a time with its date."""
        return f"{instant.astimezone(self._now.tzinfo):%Y-%m-%d %H:%M}"

    def deed_text(self, deed: Deed) -> str:
        """Return what a deed says besides: of a drill, what was played or tried."""
        if deed.kind != EntryKind.DRILL:
            return deed.text
        code = CODES.get(deed.text)
        return self.token("drill", deed.text) if code is None else getattr(code.label, self._language)

    def deed_at(self, at_us: int) -> str:
        """Return the time of a deed."""
        return self.at(sheets.moment(at_us))

    def span(self, seconds: float) -> str:
        """Return seconds as people say them."""
        whole = max(0, round(seconds))
        minutes, s = divmod(whole, 60)
        hours, m = divmod(minutes, 60)
        days, h = divmod(hours, 24)
        for key, values in (
            ("span_d", {"d": days, "h": h}),
            ("span_h", {"h": hours, "m": m}),
            ("span_m", {"m": minutes, "s": s}),
        ):
            if next(iter(values.values())):
                return self(key, **values)
        return self("span_s", s=s)

    def token(self, prefix: str, text: str) -> str:
        """Return a token in words, an unknown one as it is."""
        return self._words.get(f"{prefix}_{text}", text)

    def __call__(self, key: str, **values: object) -> str:
        """Return the words for a key."""
        return phrases.fill(self._words[key], values)


def _login_page(request: Request, *, then: str, language: Language, said: str, status: int) -> Response:
    state = console_of(request)
    token = _form_token(request)
    answer = _page(
        "login.html",
        language,
        status=status,
        estate=state.estate,
        then=_target(then),
        token=token,
        said=said,
        needs_first_user=not state.accounts.has_users,
        say=_Words(language, state.clock.now().wall.astimezone()),
    )
    _keep_form_token(answer, state, token)
    return answer


def _page(template: str, language: Language, *, status: int = 200, **values: Any) -> Response:  # noqa: ANN401  # what the template takes
    other = "en" if language == "zh" else "zh"
    html = (
        _templates()
        .get_template(template)
        .render(lang=language, other=other, w=words(language, "common", "local"), **values)
    )
    return HTMLResponse(html, status, {"Cache-Control": "no-store"})


def _known(request: Request) -> Caller | None:
    try:
        return holder(request)
    except ProblemError:
        return None


def _shift(now: datetime, since: str, until: str, back: int) -> Shift:
    """Return the shift that a query asks for; times without a zone are meant in the gateway's own.

    Raises:
        ProblemError: 422, the times make no sense.
    """
    if not since and not until:
        return sheets.shift_at(now, back=back)
    start, end = _instant(since, now), _instant(until, now)
    if start is None or end is None or not timedelta(0) < end - start <= sheets.MAX_SPAN:
        raise ProblemError(
            422, "span", Label("班次时间不正确（最多7天）", "that is no shift (7 days at most)")
        )
    return Shift(since=start, until=end)


def _instant(text: str, now: datetime) -> datetime | None:
    """Return a time of a query; without a zone it is meant in the gateway's own."""
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=now.tzinfo) if at.tzinfo is None else at.astimezone(now.tzinfo)
    except (ValueError, OverflowError):
        return None


async def _form(request: Request) -> dict[str, str]:
    body = await request.body()
    if len(body) > _MAX_FORM:
        raise ProblemError(413, "http_413", Label("请求过大", "the request is too large"))
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=16)
    return {name: values[0] for name, values in fields.items()}


def _is_ours(request: Request, form: dict[str, str]) -> bool:
    token = request.cookies.get(FORM_COOKIE, "")
    is_same_site = request.headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}
    return (
        bool(token)
        and is_same_site
        and secrets.compare_digest(token.encode(), form.get("token", "").encode())
    )


def _form_token(request: Request) -> str:
    known = request.cookies.get(FORM_COOKIE, "")
    return known if len(known) == 43 and known.isascii() else secrets.token_urlsafe(32)  # noqa: PLR2004  # characters of 32 bytes


def _keep_form_token(answer: Response, state: ConsoleState, token: str) -> None:
    answer.set_cookie(
        FORM_COOKIE, token, path="/", secure=state.has_tls, httponly=True, samesite="strict", max_age=86_400
    )


def _target(then: str) -> str:
    """Return where to go after a login: a page of ours, whatever was asked for."""
    path, mark, query = then.partition("?")
    if path not in _PATHS:
        return "/"
    return path + mark + quote(query, safe="=&:+-.%") if mark else path


def _margins_query(shift: Shift, language: str) -> str:
    times = "&".join(
        f"{name}={quote(at.isoformat())}" for name, at in (("since", shift.since), ("until", shift.until))
    )
    return f"{times}&lang={language}"


def _css_text(text: str) -> str:
    """Return a text as a string of CSS in which nothing but letters and digits stands for itself."""
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):06x}" for c in text) + '"'


def _css_page(words_: str) -> str:
    """Return `{n}` and `{all}` in a text as the counters of printed pages."""
    parts = {"n": "counter(page)", "all": "counter(pages)"}
    found: list[str] = []
    for at, piece in enumerate(words_.replace("}", "{").split("{")):
        found.append(parts[piece] if at % 2 else _css_text(piece))
    return " ".join(found)
