"""The one error shape: RFC 9457 problem documents, Chinese and English, with a `reason` for programs."""

from __future__ import annotations

from typing import Final

import msgspec
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gatehouse_events.states import Label
from gatehouse_fleet.errors import FleetError

MEDIA_TYPE: Final = "application/problem+json"
_MAX_DETAILS: Final = 20
_HTTP_LABELS: Final[dict[int, Label]] = {
    400: Label("请求无法理解", "the request cannot be understood"),
    401: Label("请登录", "please log in"),
    404: Label("没有这个对象", "there is nothing here"),
    405: Label("不支持的操作", "not possible here"),
    413: Label("请求过大", "the request is too large"),
    415: Label("不支持的内容类型", "this content type is not understood"),
    429: Label("请求过于频繁", "too many requests"),
}


class FieldFault(BaseModel):
    """One place in the request that does not fit."""

    at: str
    message: str
    line: int | None = None
    """Of a text that was sent, from 1."""


class Problem(BaseModel):
    """What every refusal looks like."""

    type: str
    title: str
    title_en: str
    status: int
    reason: str
    detail: str | None = None
    errors: list[FieldFault] | None = None


class ProblemError(FleetError):
    """The API answers with a problem document."""

    def __init__(
        self,
        status: int,
        reason: str,
        text: Label,
        *,
        detail: str | None = None,
        retry_after_s: float | None = None,
        errors: list[FieldFault] | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}")
        self.errors: Final = errors
        self.status: Final = status
        self.reason: Final = reason
        self.text: Final = text
        self.detail: Final = detail
        self.retry_after_s: Final = retry_after_s


NOT_FOUND: Final = ProblemError(
    404, "not_found", Label("没有这个对象", "there is no such thing within your reach")
)
"""Also for what exists outside the caller's subtree: existence is not told."""
FORBIDDEN: Final = ProblemError(403, "role", Label("权限不足", "your role may not do this"))


def problem_response(problem: ProblemError, *, errors: list[FieldFault] | None = None) -> Response:
    """Return the document."""
    body = Problem(
        type=f"urn:gatehouse:problem:{problem.reason}",
        title=problem.text.zh,
        title_en=problem.text.en,
        status=problem.status,
        reason=problem.reason,
        detail=problem.detail,
        errors=errors,
    )
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(problem.retry_after_s)))
    return Response(
        msgspec.json.encode(body.model_dump(exclude_none=True)), problem.status, headers, MEDIA_TYPE
    )


async def on_problem(_: Request, error: Exception) -> Response:
    """Answer a `ProblemError`."""
    assert isinstance(error, ProblemError)  # noqa: S101  # registered for that class only
    return problem_response(error, errors=error.errors)


async def on_http(_: Request, error: Exception) -> Response:
    """Answer what the framework refuses."""
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for that class only
    label = _HTTP_LABELS.get(error.status_code, Label("请求被拒绝", "refused"))
    response = problem_response(ProblemError(error.status_code, f"http_{error.status_code}", label))
    response.headers.update(error.headers or {})
    return response


async def on_invalid(_: Request, error: Exception) -> Response:
    """Answer a body or query that does not fit, naming each place; what was sent is not repeated."""
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for that class only
    faults = [
        FieldFault(at=".".join(str(step) for step in item["loc"]), message=str(item["msg"]))
        for item in error.errors()[:_MAX_DETAILS]
    ]
    label = Label("提交的内容不正确", "what was sent does not fit")
    return problem_response(ProblemError(422, "invalid", label), errors=faults)
