"""Logging in with the organisation's own login: OpenID Connect, authorization code with PKCE (RFC 7636), nothing else.

The subject must have been bound to a user before; nobody is made by logging in, and the provider says nothing about roles.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry
from msgspec import Struct
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.settings import OidcSettings, is_loopback
from gatehouse_fleet.store.schema.people import oidc_attempt

ATTEMPT_LIFE: Final = timedelta(minutes=10)
MAX_ATTEMPTS: Final = 1000
"""Logins begun and not ended; a flood pushes out the oldest."""
ALGORITHMS: Final = ["RS256", "PS256", "ES256", "EdDSA"]
"""Asymmetric ones only: `none` and HMAC with the client's secret are not signatures of the provider."""
_TIMEOUT_S: Final = 10.0
_MAX_ANSWER: Final = 256 * 1024
_LEEWAY_S: Final = 60


class OidcError(FleetError):
    """The login is refused; `reason` is a stable token: `provider`, `attempt`, `token`, `unknown`."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason: Final = reason


class _Discovery(Struct, frozen=True, kw_only=True):
    """What we need of the provider's description (OpenID Connect Discovery 1.0 §3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(Struct, frozen=True, kw_only=True):
    id_token: str


class Begun(Struct, frozen=True, kw_only=True):
    """Where to send the browser, and what it must bring back."""

    url: str
    state: str


class Provider:
    """One provider, asked anew for every login: keys are rotated, and logins are rare."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings: Final = settings
        self._issuer: Final = settings.issuer.rstrip("/")

    async def begin(self, db: AsyncConnection, *, redirect_uri: str, at: datetime) -> Begun:
        """Note an attempt and return where to send the browser.

        Raises:
            OidcError: `provider`.
        """
        found = await self._discover()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        await _forget_old(db, at)
        await db.execute(
            insert(oidc_attempt).values(
                state_hash=_hash(state),
                nonce=nonce,
                verifier=verifier,
                redirect_uri=redirect_uri,
                created_at=at,
            )
        )
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid",
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if urlsplit(found.authorization_endpoint).query else "?"
        return Begun(url=f"{found.authorization_endpoint}{joint}{urlencode(asked)}", state=state)

    async def subject(self, attempt: Attempt, code: str, *, at: datetime) -> str:
        """Exchange the code and return the subject the provider vouches for.

        Raises:
            OidcError: `provider` or `token`.
        """
        found = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        secret = read_secret(self._settings.client_secret_file)
        raw = await self._ask(
            "POST", found.token_endpoint, data=form, auth=(self._settings.client_id, secret)
        )
        keys = await self._ask("GET", found.jwks_uri)
        try:
            tokens = msgspec.json.decode(raw, type=_Tokens)
            key_set = KeySet.import_key_set(msgspec.json.decode(keys))
            token = jwt.decode(tokens.id_token, key_set, algorithms=ALGORITHMS)
        except (msgspec.DecodeError, JoseError, ValueError, KeyError, TypeError) as error:
            raise OidcError("token", f"the provider's token cannot be believed: {error}") from error
        return self._believed(token.claims, attempt.nonce, at)

    def _believed(self, claims: Mapping[str, Any], nonce: str, at: datetime) -> str:
        registry = JWTClaimsRegistry(
            now=int(at.timestamp()),
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self._settings.issuer},
            sub={"essential": True},
            aud={"essential": True, "value": self._settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            registry.validate(dict(claims))
        except JoseError as error:
            raise OidcError("token", f"the provider's token is not for us or not for now: {error}") from error
        # OpenID Connect Core §3.1.3.7: with several audiences the party it was made for must be us.
        party = claims.get("azp")
        has_others = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (party is not None or has_others) and party != self._settings.client_id:
            raise OidcError("token", "the provider's token was made for another party")
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:  # noqa: PLR2004  # Core §2
            raise OidcError("token", "the provider's token has no subject")
        return subject

    async def _discover(self) -> _Discovery:
        raw = await self._ask("GET", f"{self._issuer}/.well-known/openid-configuration")
        try:
            found = msgspec.json.decode(raw, type=_Discovery)
        except msgspec.DecodeError as error:
            raise OidcError("provider", f"the provider's description cannot be read: {error}") from error
        if found.issuer != self._settings.issuer:
            raise OidcError("provider", "the provider calls itself by another name than configured")
        for url in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            parts = urlsplit(url)
            if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
                raise OidcError("provider", "the provider has an address without TLS")
        return found

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        data: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> bytes:
        try:
            async with (
                httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False, auth=auth) as client,
                client.stream(method, url, data=data, headers={"Accept": "application/json"}) as answer,
            ):
                raw = b""
                async for part in answer.aiter_bytes():
                    raw += part
                    if len(raw) > _MAX_ANSWER:
                        raise OidcError("provider", "the provider's answer is too large")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise OidcError("provider", f"the provider cannot be reached: {type(error).__name__}") from error
        if answer.status_code != 200:  # noqa: PLR2004  # OK
            raise OidcError("provider", f"the provider answers {answer.status_code}")
        return raw


class Attempt(Struct, frozen=True, kw_only=True):
    """A login that was begun here."""

    nonce: str
    verifier: str
    redirect_uri: str


async def take(db: AsyncConnection, state: str, *, at: datetime) -> Attempt:
    """Return the attempt behind `state` and use it up.

    Raises:
        OidcError: `attempt`: unknown, used, or older than ten minutes.
    """
    mine = oidc_attempt.c.state_hash == _hash(state)
    row = (await db.execute(select(oidc_attempt).where(mine))).one_or_none()
    # Whoever deletes the row has it: the same answer twice at once is taken once.
    taken = await db.execute(delete(oidc_attempt).where(mine))
    if row is None or taken.rowcount != 1 or at - row.created_at > ATTEMPT_LIFE:
        raise OidcError("attempt", "this login was not begun here, or too long ago; begin again")
    return Attempt(nonce=row.nonce, verifier=row.verifier, redirect_uri=row.redirect_uri)


def read_secret(path: Path) -> str:
    """Return the client's secret from its file.

    Raises:
        OidcError: `provider`: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise OidcError("provider", f"oidc.client_secret_file cannot be read: {error.strerror}") from error


async def _forget_old(db: AsyncConnection, at: datetime) -> None:
    await db.execute(delete(oidc_attempt).where(oidc_attempt.c.created_at < at - ATTEMPT_LIFE))
    surplus = (
        select(oidc_attempt.c.state_hash)
        .order_by(oidc_attempt.c.created_at.desc())
        .offset(MAX_ATTEMPTS - 1)
        .limit(MAX_ATTEMPTS)
    )
    old = list((await db.execute(surplus)).scalars())
    if old:
        await db.execute(delete(oidc_attempt).where(oidc_attempt.c.state_hash.in_(old)))


def _hash(state: str) -> bytes:
    return sha256(state.encode("utf-8", "surrogatepass")).digest()
