"""Logging in with the organisation's own login, against a small real provider over HTTP: honest, dishonest and away."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from sqlalchemy import func, select, update
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.store.schema.people import audit, user

CLIENT, SECRET, SUBJECT = "gatehouse", "a secret of the client 示例", "u-4711"
KEY = RSAKey.generate_key(2048, {"kid": "one"})
FOREIGN = RSAKey.generate_key(2048, {"kid": "one"})


class Provider:
    """Authorization code with PKCE S256, client_secret_basic, RS256 (OpenID Connect Core 1.0, RFC 7636)."""

    def __init__(self) -> None:
        self.port = 0
        self.trick = "none"
        self._codes: dict[str, dict[str, str]] = {}

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Provider]:
        app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._describe),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/keys", self._keys),
            ]
        )
        config = uvicorn.Config(app, lifespan="off", log_config=None, port=0)
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        self.port = server.servers[0].sockets[0].getsockname()[1]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.main_loop(), name="provider")
            yield self
            server.should_exit = True
        await server.shutdown()

    async def _describe(self, _: Request) -> Response:
        issuer = "https://other.example" if self.trick == "other issuer" else self.issuer
        return JSONResponse(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        )

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["code_challenge_method"] == "S256"
        assert asked["response_type"] == "code"
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        asked = self._codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        is_good = (
            asked is not None
            and request.headers["authorization"] == f"Basic {basic}"
            and form["redirect_uri"] == asked["redirect_uri"]
            and challenge.decode() == asked["code_challenge"]
        )
        if not is_good or asked is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(
            {"access_token": "x", "token_type": "Bearer", "id_token": self._sign(asked["nonce"])}
        )

    async def _keys(self, _: Request) -> Response:
        return JSONResponse({"keys": [KEY.as_dict(private=False)]})

    def _sign(self, nonce: str) -> str:
        now = int(SystemClock().now().timestamp())
        claims = {
            "iss": self.issuer,
            "sub": SUBJECT,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
        }
        claims |= {
            "other nonce": {"nonce": "x"},
            "no nonce": {"nonce": None},
            "other audience": {"aud": "somebody"},
            "several audiences": {"aud": [CLIENT, "somebody"]},
            "other party": {"azp": "somebody"},
            "expired": {"iat": now - 900, "exp": now - 600},
            "other issuer in the token": {"iss": "https://other.example"},
            "no subject": {"sub": ""},
        }.get(self.trick, {})
        claims = {name: value for name, value in claims.items() if value is not None}
        match self.trick:
            case "foreign key":
                return jwt.encode({"alg": "RS256", "kid": "one"}, claims, FOREIGN)
            case "signed with the client's secret":
                return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
            case "not signed":
                parts = ({"alg": "none"}, claims)
                return (
                    ".".join(
                        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
                        for part in parts
                    )
                    + "."
                )
            case _:
                return jwt.encode({"alg": "RS256", "kid": "one"}, claims, KEY)


@asynccontextmanager
async def both(live_server, tmp_path, subject: str | None = SUBJECT):
    """Provider and fleet server, the first user bound to a subject, and a browser that is not logged in."""
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n", encoding="utf-8")
    async with Provider().serving() as provider:
        oidc = {
            "issuer": provider.issuer,
            "client_id": CLIENT,
            "client_secret_file": secret,
            "own_url": "https://127.0.0.1",
        }
        async with live_server(oidc=oidc) as server:
            async with server.client() as client:
                await server.log_in_first(client)
            async with server.services.store.begin() as db:
                await db.execute(update(user).values(oidc_subject=subject))
            async with server.client() as browser:
                yield provider, server, browser


async def walk(browser: httpx.AsyncClient) -> str:
    """Go to the provider and back as a browser does; return path and query of the way back."""
    begun = await browser.get("/api/v1/oidc/login")
    assert begun.status_code == 303, begun.text
    async with httpx.AsyncClient(trust_env=False) as outside:
        back = urlsplit((await outside.get(begun.headers["location"])).headers["location"])
    return f"{back.path}?{back.query}"


async def test_a_bound_person_logs_in_without_a_password_here(live_server, tmp_path) -> None:
    async with both(live_server, tmp_path) as (_, server, browser):
        done = await browser.get(await walk(browser))
        assert (done.status_code, done.headers["location"]) == (303, "/")
        assert (await browser.get("/api/v1/me")).json()["name"] == "zhou"
        async with server.services.store.read() as db:
            actions = list((await db.execute(select(audit.c.action).order_by(audit.c.seq))).scalars())
        assert actions[-1] == "login.oidc"


async def test_nobody_is_made_by_logging_in(live_server, tmp_path) -> None:
    async with both(live_server, tmp_path, subject="somebody else") as (_, server, browser):
        refused = await browser.get(await walk(browser))
        assert (refused.status_code, refused.json()["reason"]) == (403, "oidc_unknown")
        async with server.services.store.read() as db:
            assert (await db.execute(select(func.count()).select_from(user))).scalar_one() == 1


async def test_a_person_who_is_shut_out_stays_out(live_server, tmp_path) -> None:
    async with both(live_server, tmp_path) as (_, server, browser):
        async with server.services.store.begin() as db:
            await db.execute(update(user).values(is_active=False))
        assert (await browser.get(await walk(browser))).json()["reason"] == "oidc_unknown"


async def test_an_answer_counts_once_and_in_the_browser_that_asked(live_server, tmp_path) -> None:
    async with both(live_server, tmp_path) as (_, server, browser):
        back = await walk(browser)
        async with server.client() as other:
            assert (await other.get(back)).json()["reason"] == "oidc_attempt"
        cookie = {"Cookie": f"__Host-gatehouse-oidc={browser.cookies['__Host-gatehouse-oidc']}"}
        assert (await browser.get(back)).status_code == 303
        browser.cookies.clear()
        assert (await browser.get(back, headers=cookie)).json()["reason"] == "oidc_attempt"


async def test_an_answer_after_ten_minutes_is_too_late(live_server, tmp_path) -> None:
    from datetime import timedelta

    async with both(live_server, tmp_path) as (_, server, browser):
        back = await walk(browser)
        server.clock.move_to(server.clock.now() + timedelta(minutes=10, seconds=1))
        assert (await browser.get(back)).json()["reason"] == "oidc_attempt"


TRICKS = (
    "other nonce",
    "no nonce",
    "other audience",
    "several audiences",
    "other party",
    "expired",
    "other issuer in the token",
    "no subject",
    "foreign key",
    "signed with the client's secret",
    "not signed",
)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # a short HMAC key is the trick
async def test_a_token_that_is_not_the_providers_word_for_us_now_is_refused(live_server, tmp_path) -> None:
    async with both(live_server, tmp_path) as (provider, server, browser):
        for trick in TRICKS:
            provider.trick = trick
            refused = await browser.get(await walk(browser))
            assert (refused.status_code, refused.json()["reason"], trick) == (403, "oidc_token", trick)
            # Five failures are slowed down; here each trick is to be seen.
            server.desk.throttle.succeed("oidc 127.0.0.1")
        provider.trick = "none"
        assert (await browser.get(await walk(browser))).status_code == 303


async def test_a_provider_that_is_away_or_another_one_is_said_so(live_server, tmp_path) -> None:
    async with both(live_server, tmp_path) as (provider, _, browser):
        provider.trick = "other issuer"
        assert (await browser.get("/api/v1/oidc/login")).json()["reason"] == "oidc_provider"
        provider.trick = "none"
        back = await walk(browser)
        (tmp_path / "secret").write_text("another secret")
        refused = await browser.get(back)
        assert (refused.status_code, refused.json()["reason"]) == (503, "oidc_provider")
        assert SECRET not in refused.text


async def test_without_the_section_there_is_no_such_login(live_server) -> None:
    async with live_server() as server, server.client() as browser:
        assert (await browser.get("/api/v1/oidc")).json() == {"is_on": False, "label": None}
        assert (await browser.get("/api/v1/oidc/login")).status_code == 404


@pytest.mark.parametrize("field", ["issuer", "own_url"])
def test_addresses_without_tls_are_refused(field: str) -> None:
    from pydantic import ValidationError

    from gatehouse_fleet.settings import OidcSettings

    good = {"issuer": "https://id.example", "own_url": "https://fleet.example"}
    with pytest.raises(ValidationError, match="must be https"):
        OidcSettings.model_validate(
            good | {field: "http://id.example", "client_id": "x", "client_secret_file": "x"}
        )
