"""The page as one ASGI application. Every change is `POST /api/orders`; everything that is seen is one stream and a few documents."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from gatehouse_events.bench_record import MAX_FILE_BYTES, NAMELESS
from gatehouse_hil.bench import export, overview
from gatehouse_hil.bench.fault import BenchError
from gatehouse_hil.bench.words import Lang, Words
from gatehouse_hil.bench_page.commands import Order
from gatehouse_hil.bench_page.door import Door
from gatehouse_hil.bench_page.gate import Gate
from gatehouse_hil.bench_page.materials import Wanted, runtimes_near
from gatehouse_hil.bench_page.problems import RefusedError, problem
from gatehouse_hil.bench_page.workshop import Workshop
from gatehouse_ui import STATIC as UI
from gatehouse_ui import Assets

STATIC: Final = Path(__file__).with_name("static")
BEAT_S: Final = 2.0
"""The stream says at least so often that the page is alive."""
_GAP_S: Final = 0.1
_LONGEST_WAIT_S: Final = 10.0
_DOCUMENT_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'none'; sandbox; frame-ancestors 'none'"
"""Records and labels are documents of their own: they carry their style in them and no script at all."""
_GO_ON: Final = (
    '<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">'
    '<title>守望 调试台</title><p><a href="/">继续 · Go on</a></p></html>'
)
_SAFE: Final = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-")

_S = TypeVar("_S", bound=Struct)


class Hands(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hand task is done."""

    number: int
    command_id: str = ""


def create_app(
    workshop: Workshop, door: Door, *, hosts: frozenset[str], cookie: str, stopping: asyncio.Event
) -> Starlette:
    """Return the application.

    Args:
        workshop: what goes on; entered by the application's lifespan.
        door: who may come in.
        hosts: `Host` values that are ours, with the port.
        cookie: name of the session's cookie: cookies know no ports, so it holds this one's.
        stopping: set when the server is to end: streams end then.
    """
    ui, own = Assets(UI), Assets(STATIC)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with workshop:
            yield

    app = Starlette(
        routes=[
            Route("/open", enter),
            Route("/", page),
            Route("/favicon.ico", icon),
            Route("/api/beat", beat),
            Route("/api/state", state),
            Route("/api/events", events),
            Route("/api/orders", _told(order), methods=["POST"]),
            Route("/api/materials", _told(change_materials), methods=["POST"]),
            Route("/api/materials/near", _told(materials_near)),
            Route("/api/runs/{name}/hands", _told(hands), methods=["POST"]),
            Route("/api/runs/{name}/cancel", _told(cancel), methods=["POST"]),
            Route("/api/runs/{name}/lines", _told(run_lines)),
            Route("/api/watches/{name}/lines", _told(watch_lines)),
            Route("/api/watches/{name}/log", _told(watch_log)),
            Route("/api/watches/{name}/still", _told(still)),
            Route("/api/matrix", _told(whole_matrix)),
            Route("/api/records/{serial}/{number:int}.{kind}", _told(record)),
            Route("/api/labels/{serial}.svg", _told(label)),
            Route("/api/reports/{name}", _told(report)),
            Mount("/ui", ui),
            Mount("/static", own),
        ],
        exception_handlers={RefusedError: _on_refused, HTTPException: _on_http},
        lifespan=lifespan,
    )
    app.state.workshop, app.state.door, app.state.cookie = workshop, door, cookie
    app.state.own, app.state.stopping = own, stopping
    app.add_middleware(Gate, door=door, hosts=hosts, cookie=cookie, now=workshop.place.clock.now)
    return app


async def enter(request: Request) -> Response:
    """Spend the token of the printed address on a session."""
    door: Door = request.app.state.door
    session = door.enter(request.query_params.get("token", ""), _shop(request).place.clock.now())
    # No redirect: a browser that came here from another page's link would not send a strict cookie along it. Without a
    # session the page says what to do.
    answer = HTMLResponse(_GO_ON)
    if session is not None:
        answer.set_cookie(
            request.app.state.cookie, session, max_age=30 * 86_400, httponly=True, samesite="strict"
        )
    return answer


async def page(request: Request) -> Response:
    """Return the page itself."""
    own: Assets = request.app.state.own
    return own.answer("index.html", request.scope)


async def icon(request: Request) -> Response:
    """Return the page's sign; a browser asks for it by itself, also where there is no session."""
    own: Assets = request.app.state.own
    return own.answer("icon.svg", request.scope)


async def beat(_request: Request) -> Response:
    """Say that the page is there and the session good."""
    return _json({})


async def state(request: Request) -> Response:
    """Return everything, once."""
    return _json(_shop(request).view())


async def events(request: Request) -> Response:
    """Stream everything, again whenever something has changed."""
    stopping: asyncio.Event = request.app.state.stopping
    workshop = _shop(request)

    async def stream() -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"
        while not stopping.is_set():
            yield b"event: state\ndata: " + msgspec.json.encode(workshop.view()) + b"\n\n"
            await asyncio.sleep(_GAP_S)
            await workshop.news(wait_s=BEAT_S)

    return StreamingResponse(stream(), media_type="text/event-stream")


async def order(request: Request) -> Response:
    """Start a command."""
    wanted = await _body(request, Order)
    return _json({"id": await _shop(request).do(wanted)})


async def change_materials(request: Request) -> Response:
    """Use another runtime file or gas bottle."""
    _shop(request).change_materials(await _body(request, Wanted))
    return _json({})


async def materials_near(_request: Request) -> Response:
    """Return runtime files to choose from."""
    home = Path.home()
    return _json({"runtimes": runtimes_near((Path.cwd(), home / "Downloads", home / "下载"))})


async def hands(request: Request) -> Response:
    """Say that a hand task is done."""
    told = await _body(request, Hands)
    _shop(request).hands(request.path_params["name"], told.number)
    return _json({})


async def cancel(request: Request) -> Response:
    """Stop a command."""
    _shop(request).cancel(request.path_params["name"])
    return _json({})


async def run_lines(request: Request) -> Response:
    """Return everything a run has told, to be played again."""
    run = _shop(request).run(request.path_params["name"])
    lines = await asyncio.to_thread(run.lines)
    return _json({"run": run.view(), "lines": lines, "answer": run.answer})


async def watch_lines(request: Request) -> Response:
    """Return the lines of an instrument after a number; waits for the first one."""
    watch = _shop(request).watch(request.path_params["name"])
    after = _number(request, "after", 0)
    wait_s = min(_LONGEST_WAIT_S, max(0, _number(request, "wait", 0)))
    return _json(await watch.after(after, wait_s=wait_s))


async def watch_log(request: Request) -> Response:
    """Return the file of what a console said."""
    view = _shop(request).watch(request.path_params["name"]).view
    if not view.file:
        raise RefusedError(404, "no_such_file")
    return FileResponse(view.file, media_type="text/plain; charset=utf-8", filename=f"{view.id}.log")


async def still(request: Request) -> Response:
    """Return the last picture of a camera that is being aimed."""
    path = _shop(request).watch(request.path_params["name"]).still
    if path is None or not path.is_file():
        raise RefusedError(404, "no_such_file")
    # Read whole: the next still may take its place while this one is being sent.
    return Response(path.read_bytes(), media_type="image/jpeg")


async def whole_matrix(request: Request) -> Response:
    """Return every run of every device that this bench has a record of."""
    shop = _shop(request)
    found = await asyncio.to_thread(overview.read, shop.place.archive)
    return _json({"devices": found.devices, "runs": shop.runs_by_record})


async def record(request: Request) -> Response:
    """Return one record: as it was signed, as a page, or as JUnit."""
    serial, number, kind = (request.path_params[name] for name in ("serial", "number", "kind"))
    types = {"json": "application/json", "html": "text/html; charset=utf-8", "xml": "application/xml"}
    if kind not in types or not _is_name(serial):
        raise RefusedError(404, "no_such_file")
    path = _shop(request).place.directory / "records" / serial / f"{number:04}.{kind}"
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        raise RefusedError(404, "no_such_file")
    return FileResponse(path, media_type=types[kind], headers={"Content-Security-Policy": _DOCUMENT_CSP})


async def label(request: Request) -> Response:
    """Return a label as a picture."""
    serial = request.path_params["serial"]
    path = _shop(request).place.labels / f"{serial}.svg"
    if not _is_name(serial) or not path.is_file():
        raise RefusedError(404, "no_such_file")
    return FileResponse(path, media_type="image/svg+xml", headers={"Content-Security-Policy": _DOCUMENT_CSP})


async def report(request: Request) -> Response:
    """Return a report that `record export` has written, as a file to keep."""
    name = request.path_params["name"]
    path = export.files(_shop(request).place.directory).get(name)
    if path is None:
        raise RefusedError(404, "no_such_file")
    headers = {"Content-Security-Policy": _DOCUMENT_CSP}
    return FileResponse(path, filename=name, headers=headers)


def _shop(request: Request) -> Workshop:
    workshop: Workshop = request.app.state.workshop
    return workshop


def _json(answer: object) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")


async def _body(request: Request, kind: type[_S]) -> _S:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise RefusedError(415, "not_json")
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RefusedError(422, "not_an_order", why=str(error)[:120]) from error


def _number(request: Request, name: str, otherwise: int) -> int:
    try:
        return int(request.query_params.get(name, otherwise))
    except ValueError:
        raise RefusedError(422, "not_an_order", why=name) from None


def _is_name(text: str) -> bool:
    """Whether it can be a serial number, or the place of a nameless board; never a way out of a folder."""
    return bool(text) and len(text) <= len(NAMELESS) + 32 and set(text) <= _SAFE


def _told(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Let what the bench says of itself (a damaged record, a rig that is gone) reach the page as a sentence."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except OSError as error:
            return problem(507, "disk", why=error.strerror or type(error).__name__)
        except BenchError as error:
            return Response(
                msgspec.json.encode(
                    {
                        "reason": error.fault,
                        "status": 409,
                        "title": Words(Lang.ZH).fault(error),
                        "title_en": Words(Lang.EN).fault(error),
                    }
                ),
                409,
                media_type="application/problem+json",
            )

    return answer


async def _on_refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        raise error
    return problem(error.status, error.reason, **error.facts)


async def _on_http(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return problem(error.status_code, "too_large" if error.status_code == 413 else "no_such_file")
