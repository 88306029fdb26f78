"""Notifications to a server over HTTPS: one POST each, signed.

| header                | meaning                                                                                     |
|-----------------------|---------------------------------------------------------------------------------------------|
| Idempotency-Key       | same for every try of one notification                                                      |
| Authorization         | `Bearer <token>`, when a token is configured                                                |
| X-Gatehouse-Timestamp | whole seconds since 1970 of the notification, not of the try                                |
| X-Gatehouse-Signature | `sha256=` hex HMAC-SHA256 with the token over timestamp + "." + body, when a token is       |
|                       | configured: for servers behind a proxy that ends TLS                                        |
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ssl
from http import HTTPStatus
from typing import Final

import httpx
import msgspec

from gatehouse_edge.notifier.contact import Via
from gatehouse_edge.notifier.errors import RefusedError, TryAgainError
from gatehouse_edge.notifier.message import Notification

_WORTH_ANOTHER_TRY: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.UNAUTHORIZED}
)
"""Unauthorized too: tokens are put right by people, and meanwhile the alarm must not be forgotten."""


def sign(token: str, timestamp: str, body: bytes) -> str:
    """Return the value of X-Gatehouse-Signature."""
    return "sha256=" + hmac.new(token.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class WebhookChannel:
    """Posts JSON to one address. Follows no redirect and reads no answer beyond its status."""

    via: Final = Via.WEBHOOK

    def __init__(
        self, url: str, *, token: str | None = None, tls: ssl.SSLContext | None = None, timeout_s: float = 5.0
    ) -> None:
        self._url: Final = url
        self._token: Final = token
        self._tls: Final = tls
        self._timeout_s: Final = timeout_s
        self._client: httpx.AsyncClient | None = None

    async def deliver(self, notification: Notification) -> None:
        """See `Channel.deliver`."""
        body = msgspec.json.encode(_content(notification))
        timestamp = str(int(notification.at.timestamp()))
        headers = {
            "content-type": "application/json",
            "idempotency-key": notification.key,
            "x-gatehouse-timestamp": timestamp,
        }
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
            headers["x-gatehouse-signature"] = sign(self._token, timestamp, body)
        status = await self._post(body, headers)
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _WORTH_ANOTHER_TRY:
            raise TryAgainError(f"webhook answered {status}")
        raise RefusedError(f"webhook answered {status}")

    async def close(self) -> None:
        """See `Channel.close`."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _post(self, body: bytes, headers: dict[str, str]) -> int:
        if self._client is None:
            # No proxies and no credentials out of the environment: destinations are the configuration's (row 16).
            verify = self._tls or ssl.create_default_context()
            self._client = httpx.AsyncClient(verify=verify, timeout=self._timeout_s, trust_env=False)
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream("POST", self._url, content=body, headers=headers) as answer,
            ):
                return answer.status_code
        except TimeoutError:
            raise TryAgainError(f"webhook did not answer in {self._timeout_s:g} s") from None
        except (httpx.HTTPError, OSError) as error:
            raise TryAgainError(f"webhook cannot be reached: {type(error).__name__}") from error


def _content(notification: Notification) -> dict[str, object]:
    return {
        "id": notification.key,
        "to": notification.contact.to or notification.contact.id,
        "alarm_id": notification.alarm_id,
        "alarm_seq": notification.alarm_seq,
        "device_id": notification.device_id,
        "code": notification.code,
        "priority": notification.priority,
        "step": notification.step,
        "is_test": notification.is_test,
        "at": notification.at,
        "place": notification.place,
        "message": {"zh": notification.text_zh, "en": notification.text_en},
    }
