"""Who is asking, and whether they may: the dependencies every router uses.

`entitled(Right.X)` in a route's signature gives the `Caller`, refuses with 401 without a session, 403 without the
right. Reach is checked where the object's path is known: `require_reach`, or `within` in a query.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie
from sqlalchemy import Column, ColumnElement

from gatehouse_fleet.api.problems import FORBIDDEN, NOT_FOUND
from gatehouse_fleet.people.roles import Caller, Right

SESSION: Final = APIKeyCookie(name="__Host-gatehouse-fleet", scheme_name="session", auto_error=False)
"""For the description only; `request.app.state.authenticate` looks at the cookie itself."""


async def caller(request: Request, _cookie: Annotated[str | None, Security(SESSION)]) -> Caller:
    """Return the person behind a request.

    Raises:
        ProblemError: 401 without a live session, 403 for a forged request.
    """
    found: Caller = await request.app.state.authenticate(request)
    return found


def entitled(right: Right) -> Callable[..., Awaitable[Caller]]:
    """Return the dependency that lets only callers with `right` pass."""

    async def check(who: Annotated[Caller, Depends(caller)]) -> Caller:
        if not who.may(right):
            raise FORBIDDEN
        return who

    return check


def require_reach(who: Caller, path: str | None) -> None:
    """Refuse what lies outside the caller's subtree as if it did not exist.

    Raises:
        ProblemError: 404.
    """
    if path is None or not who.reaches(path):
        raise NOT_FOUND


def within(path: Column[str], who: Caller) -> ColumnElement[bool]:
    """Return the condition that keeps a query inside the caller's subtree."""
    return path.startswith(who.scope_path, autoescape=True)
