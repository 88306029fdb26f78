"""Paging by key, never by offset: a list that grows while somebody reads it neither skips nor repeats."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from gatehouse_events.chain import ChainError, moment
from gatehouse_events.states import Label
from gatehouse_fleet.web.problems import ProblemError

MAX_PAGE: Final = 500
Item = TypeVar("Item")
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="entries of one page")]
After = Annotated[
    str | None, Query(max_length=512, description="`next` of the page before; absent: from the start")
]


_NO_PAGE: Final = ProblemError(404, "page", Label("没有这一页", "there is no such page; start again"))


class Page(BaseModel, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: str | None = None
    """Pass as `after` for the next page; absent on the last one."""


def mark(*key: str | int) -> str:
    """Return the opaque `next` that stands behind the row with this sort key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


Key = TypeVar("Key", bound=tuple[str | int, ...])


def key_of(after: str | None, kind: type[Key]) -> Key | None:
    """Return the sort key behind `after`; None at the start.

    Raises:
        ProblemError: 404 `page`: it is not one of ours.
    """
    if after is None:
        return None
    try:
        raw = base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True)
        key = msgspec.json.decode(raw, type=kind)
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise _NO_PAGE from error
    if not all(_is_kept(step) for step in key):
        raise _NO_PAGE
    return key


def moment_of(step: int) -> datetime:
    """Return a time that stands in a sort key as microseconds.

    Raises:
        ProblemError: 404 `page`: no such time.
    """
    try:
        return moment(step)
    except ChainError as error:
        raise _NO_PAGE from error


class PageQuery(BaseModel):
    """Paging as query parameters; lists with conditions add theirs. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(default=100, ge=1, le=MAX_PAGE, description="entries of one page")
    after: str | None = Field(
        default=None, max_length=512, description="`next` of the page before; absent: from the start"
    )


def _is_kept(step: str | int) -> bool:
    """Return whether a database can compare with it."""
    return "\x00" not in step if isinstance(step, str) else abs(step) < 2**63
