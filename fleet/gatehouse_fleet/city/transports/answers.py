"""What an answer means: the same reading for HTTP bodies and MQTT receipts."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec

from gatehouse_fleet.city.exchange import (
    MAX_RECEIPT_BYTES,
    Outcome,
    Receipt,
    Refusal,
    Scope,
    Trouble,
    printable,
)
from gatehouse_fleet.city.target import Accept

_TARGET_FAULTS: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "credentials are not accepted",
    HTTPStatus.FORBIDDEN: "credentials are not accepted",
    HTTPStatus.NOT_FOUND: "the address is not known there",
    HTTPStatus.METHOD_NOT_ALLOWED: "the address takes no POST",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "a proxy wants credentials",
    HTTPStatus.REQUEST_TIMEOUT: "it gave up waiting",
    HTTPStatus.MISDIRECTED_REQUEST: "the address is not served there",
    HTTPStatus.TOO_EARLY: "it wants the request again",
    HTTPStatus.TOO_MANY_REQUESTS: "too many requests",
    HTTPStatus.BAD_GATEWAY: "its proxy reaches nobody",
    HTTPStatus.SERVICE_UNAVAILABLE: "out of service",
    HTTPStatus.GATEWAY_TIMEOUT: "its proxy reaches nobody in time",
}
"""Answers that say nothing of the event: our credentials, their address, their load. The event waits, nothing is parked."""


def of_status(
    status: int, body: bytes, accept: Accept | None, *, retry_after_s: float | None = None
) -> Outcome:
    """Return what an HTTP answer means."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return of_body(body, accept)
    if status in _TARGET_FAULTS:
        return Trouble(
            reason=f"answered {status}: {_TARGET_FAULTS[status]}",
            scope=Scope.TARGET,
            retry_after_s=retry_after_s,
        )
    if status < HTTPStatus.BAD_REQUEST:
        return Trouble(
            reason=f"answered {status}: it sends us elsewhere, which we do not follow", scope=Scope.TARGET
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Trouble(reason=f"answered {status}", scope=Scope.EVENT, retry_after_s=retry_after_s)
    return Refusal(reason=f"answered {status}", detail=printable(body, 300))


def of_body(body: bytes, accept: Accept | None) -> Outcome:
    """Return what an answer that arrived means: a receipt, unless the target's file says where it must say yes."""
    kept = body[:MAX_RECEIPT_BYTES]
    if accept is None:
        return Receipt(raw=kept)
    try:
        said = msgspec.json.decode(body, type=dict[str, Any]).get(accept.field)
    except (msgspec.DecodeError, RecursionError):
        return Trouble(reason="the answer is no JSON object", scope=Scope.EVENT)
    if str(said) in accept.values:
        return Receipt(raw=kept)
    return Refusal(
        reason=f"answered {accept.field} {printable(str(said).encode(), 64)}", detail=printable(body, 300)
    )
