"""Errors of the console's API: RFC 9457 problem documents, in Chinese and English."""

from __future__ import annotations

from typing import Final

import msgspec
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gatehouse_edge.alarms.commands import Refused
from gatehouse_events.states import Label

MEDIA_TYPE: Final = "application/problem+json"
_REFUSAL_STATUS: Final[dict[str, int]] = {
    "not_open": 404,
    "unknown_device": 404,
    "unknown_output": 404,
    "unknown_code": 404,
    "role": 403,
    "not_on_site": 403,
    "same_person": 403,
    "reason_missing": 422,
    "text_missing": 422,
    "term": 422,
    "disposition": 422,
}
"""HTTP status of a refusal of the desk; every other one is a conflict with the state of things: 409."""
_HTTP_LABELS: Final[dict[int, Label]] = {
    400: Label("请求无法理解", "the request cannot be understood"),
    404: Label("没有这个页面", "there is nothing here"),
    405: Label("不支持的操作", "not possible here"),
    413: Label("请求过大", "the request is too large"),
}


class ProblemError(Exception):
    """The API answers with a problem document."""

    def __init__(self, status: int, reason: str, text: Label, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.text = text
        self.retry_after_s = retry_after_s


def refusal(refused: Refused) -> ProblemError:
    """Return the problem that tells a person why the desk said no."""
    return ProblemError(_REFUSAL_STATUS.get(refused.reason, 409), refused.reason, refused.text)


def problem_response(problem: ProblemError, *, details: list[dict[str, object]] | None = None) -> Response:
    """Return the document."""
    body: dict[str, object] = {
        "type": f"urn:gatehouse:problem:{problem.reason}",
        "title": problem.text.zh,
        "title_en": problem.text.en,
        "status": problem.status,
        "reason": problem.reason,
    }
    if details:
        body["errors"] = details
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(problem.retry_after_s)))
    return Response(msgspec.json.encode(body), problem.status, headers, MEDIA_TYPE)


async def on_problem(_: Request, error: Exception) -> Response:
    """Answer a `ProblemError`."""
    assert isinstance(error, ProblemError)  # noqa: S101  # registered for that class only
    return problem_response(error)


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
    details: list[dict[str, object]] = [
        {"at": ".".join(str(step) for step in item["loc"]), "message": item["msg"]} for item in error.errors()
    ]
    label = Label("提交的内容不正确", "what was sent does not fit")
    return problem_response(ProblemError(422, "invalid", label), details=details[:20])
