"""One POST for each event. TLS verified, redirects not followed, nothing taken from the environment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx

from gatehouse_config.secret_files import read_secret
from gatehouse_fleet.city.exchange import Message, Outcome, Scope, Trouble
from gatehouse_fleet.city.signing import Sign, signed_bytes
from gatehouse_fleet.city.target import Http, Signature
from gatehouse_fleet.city.transports.answers import of_status
from gatehouse_fleet.city.transports.tls import client_context
from gatehouse_fleet.clock import Clock

_MAX_ANSWER_BYTES: Final = 64 * 1024
_MAX_RETRY_AFTER_S: Final = 3600.0


class HttpPost:
    """Posts to one base address."""

    def __init__(
        self, settings: Http, *, beside: Path, signature: Signature | None, sign: Sign | None, clock: Clock
    ) -> None:
        self._settings: Final = settings
        self._signature: Final = signature
        self._sign: Final = sign
        self._clock: Final = clock
        self._tls: Final = client_context(settings.ca_file, settings.client_certificate, beside=beside)
        self._headers: Final = dict(settings.headers)
        if settings.bearer_file is not None:
            self._headers["Authorization"] = f"Bearer {read_secret(beside / settings.bearer_file)}"

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[HttpSession]:
        """See `Transport.open`; connections are made when they are needed."""
        async with httpx.AsyncClient(
            verify=self._tls, timeout=self._settings.timeout_s, trust_env=False, follow_redirects=False
        ) as client:
            yield HttpSession(self, client)

    def request_headers(self, message: Message) -> dict[str, str]:
        """Return the headers of one try; the signature is of this moment."""
        headers = {**self._headers, "Content-Type": message.content_type, "Idempotency-Key": message.event_id}
        if self._signature is not None and self._sign is not None:
            timestamp = str(int(self._clock.now().timestamp()))
            headers[self._signature.timestamp_header] = timestamp
            headers[self._signature.header] = self._sign(signed_bytes(timestamp, message.body))
        return headers

    async def post(self, client: httpx.AsyncClient, message: Message) -> Outcome:
        """Post one message and read the answer, both within the time-out."""
        settings = self._settings
        try:
            async with (
                asyncio.timeout(settings.timeout_s),
                client.stream(
                    "POST",
                    settings.url.rstrip("/") + message.path,
                    content=message.body,
                    headers=self.request_headers(message),
                ) as answer,
            ):
                body = await _limited(answer)
                return of_status(
                    answer.status_code, body, settings.accept, retry_after_s=_retry_after_s(answer.headers)
                )
        except (TimeoutError, httpx.ReadTimeout):
            return Trouble(reason=f"no answer in {settings.timeout_s:g} s", scope=Scope.EVENT)
        except (httpx.HTTPError, OSError) as error:
            return Trouble(reason=f"cannot be reached: {type(error).__name__}", scope=Scope.TARGET)


class HttpSession:
    """A pool of connections to one platform."""

    def __init__(self, transport: HttpPost, client: httpx.AsyncClient) -> None:
        self._transport: Final = transport
        self._client: Final = client

    async def send(self, message: Message) -> Outcome:
        """See `Session.send`."""
        return await self._transport.post(self._client, message)


async def _limited(answer: httpx.Response) -> bytes:
    body = b""
    async for part in answer.aiter_raw():
        body += part
        if len(body) >= _MAX_ANSWER_BYTES:
            break
    return body[:_MAX_ANSWER_BYTES]


def _retry_after_s(headers: httpx.Headers) -> float | None:
    text = headers.get("Retry-After", "")
    return min(float(text), _MAX_RETRY_AFTER_S) if text.isdecimal() else None
