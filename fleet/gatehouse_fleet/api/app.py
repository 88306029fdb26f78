"""The fleet server as one ASGI application: the routers in a table, the error shape, the shell around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from gatehouse_fleet.api import (
    alarm_statistics,
    alarms,
    audit,
    cases_api,
    config_rollouts,
    configs,
    coverage,
    enrolment,
    gateways,
    health,
    metrics_api,
    oidc,
    org,
    overview,
    people,
    stream,
    users,
    webhooks_api,
)
from gatehouse_fleet.api import bench as bench_api
from gatehouse_fleet.api import bench_tokens as bench_tokens_api
from gatehouse_fleet.api.desk import Desk
from gatehouse_fleet.api.shell import Shell
from gatehouse_fleet.city import api as city_api
from gatehouse_fleet.city import page as trace_page
from gatehouse_fleet.console import pages as console
from gatehouse_fleet.evidence import api as evidence_api
from gatehouse_fleet.orders import desk_api as orders_api
from gatehouse_fleet.people.roles import Caller
from gatehouse_fleet.projection.tail import FeedTail
from gatehouse_fleet.services import Services
from gatehouse_fleet.web.problems import MEDIA_TYPE, Problem, ProblemError, on_http, on_invalid, on_problem
from gatehouse_fleet.web.rates import Rates
from gatehouse_fleet.web.session import cookie_name
from gatehouse_ui import STATIC, Assets

ROUTERS: Final[tuple[APIRouter, ...]] = (
    people.router,
    oidc.router,
    users.router,
    org.router,
    overview.router,
    enrolment.router,
    orders_api.router,
    cases_api.router,
    gateways.router,
    coverage.router,
    audit.router,
    health.router,
    alarms.router,
    alarm_statistics.router,
    stream.router,
    city_api.router,
    evidence_api.router,
    webhooks_api.router,
    configs.router,
    config_rollouts.router,
    bench_api.router,
    bench_tokens_api.router,
)
"""Every router of the API, one line each."""
PAGES: Final[tuple[APIRouter, ...]] = (trace_page.router,)
"""Pages for people, outside `/api/v1`."""
_REFUSALS: Final[dict[int, str]] = {
    400: "The request cannot be understood.",
    401: "No live session, or no client certificate.",
    403: "The role, the one-time code or the certificate does not allow it.",
    404: "There is no such thing within the caller's reach.",
    409: "It contradicts what is.",
    413: "Too large.",
    415: "Content type not understood.",
    422: "A field does not fit.",
    429: "Too many requests or tries; `Retry-After` says how long to wait.",
}


def create_app(
    services: Services,
    authenticate: Callable[[Request], Awaitable[Caller]],
    *,
    desk: Desk | None = None,
) -> FastAPI:
    """Return the application; background parts run beside it (`serve` sees to that).

    Args:
        services: what the parts share.
        authenticate: finds the person behind a request or raises a `ProblemError`.
        desk: passwords, codes and keys; without it logging in and enrolment do not work (tests of other routers).
    """
    app = FastAPI(
        title="Gatehouse fleet",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        responses={code: _refusal(words) for code, words in _REFUSALS.items()},
    )
    app.state.services = services
    app.state.authenticate = authenticate
    app.state.desk = desk
    app.state.feed_tail = FeedTail(services.store)
    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    for router in ROUTERS:
        app.include_router(router, prefix="/api/v1")
    for router in PAGES:
        app.include_router(router)
    app.include_router(metrics_api.router)
    console.serve(app)
    app.mount("/ui", Assets(STATIC), name="ui")
    _complete_description(app, services)
    app.add_middleware(Rates, services=services)
    app.add_middleware(Shell)
    return app


def _refusal(words: str) -> dict[str, Any]:
    reference = {"$ref": "#/components/schemas/Problem"}
    return {"description": words, "content": {MEDIA_TYPE: {"schema": reference}}}


def _complete_description(app: FastAPI, services: Services) -> None:
    """Put the one error shape, the cookie's name and the bench's records into the description; the framework knows none."""
    inner = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = inner()
            parts = schema.setdefault("components", {})
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            parts.setdefault("schemas", {}).update(problem.pop("$defs", {}))
            parts["schemas"]["Problem"] = problem
            parts["schemas"].update(bench_api.SCHEMAS)
            # Over plain HTTP on loopback the cookie has another name.
            parts["securitySchemes"]["session"]["name"] = cookie_name(services)
        found = app.openapi_schema
        assert found is not None  # noqa: S101  # made above
        return found

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
