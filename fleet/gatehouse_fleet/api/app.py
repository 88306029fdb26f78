"""The fleet server as one ASGI application: the routers in a table, the error shape, nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from gatehouse_fleet.api.problems import Problem, ProblemError, on_http, on_invalid, on_problem
from gatehouse_fleet.orders import desk_api as orders_api
from gatehouse_fleet.people.roles import Caller
from gatehouse_fleet.services import Services

ROUTERS: Final[tuple[APIRouter, ...]] = (orders_api.router,)
"""Every router of the API, one line each."""


def create_app(services: Services, authenticate: Callable[[Request], Awaitable[Caller]]) -> FastAPI:
    """Return the application; background parts run beside it (`serve` sees to that).

    Args:
        services: what the parts share.
        authenticate: finds the person behind a request or raises a `ProblemError`.
    """
    app = FastAPI(
        title="Gatehouse fleet",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        responses={
            code: {"model": Problem, "content": {"application/problem+json": {}}}
            for code in (401, 403, 404, 409, 422, 429)
        },
    )
    app.state.services = services
    app.state.authenticate = authenticate
    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    for router in ROUTERS:
        app.include_router(router, prefix="/api/v1")
    return app
