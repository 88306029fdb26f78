"""Which bench is asking: the bearer token of a request, and nothing else of it."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from gatehouse_events.states import Label
from gatehouse_fleet.api.desk import desk_of
from gatehouse_fleet.api.people import slow_down
from gatehouse_fleet.bench import tokens
from gatehouse_fleet.bench.errors import BenchError
from gatehouse_fleet.bench.tokens import BenchToken
from gatehouse_fleet.people.refusals import stranger
from gatehouse_fleet.services import services_of
from gatehouse_fleet.web.problems import ProblemError
from gatehouse_fleet.web.session import network_of, station_of

BEARER: Final = HTTPBearer(scheme_name="bench", description="token of a technicians' bench", auto_error=False)
_TOKEN: Final = Label("调试台令牌无效", "the token of the bench is not valid")


async def bench_token(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
) -> BenchToken:
    """Return the bench behind a request; refusals are audited, guessing is slowed down.

    Raises:
        ProblemError: 401 `token`, `token_revoked`, `token_expired`; 429.
    """
    services, desk, at = services_of(request), desk_of(request), station_of(request)
    key = f"bench {network_of(at)}"
    if given is None:
        raise ProblemError(401, "token", _TOKEN)
    slow_down(request, key)
    try:
        async with services.store.read() as db:
            return await tokens.find(db, given.credentials, at=services.clock.now())
    except BenchError as error:
        if error.reason == "unknown":
            desk.throttle.fail(key, services.clock.elapsed_s())
        await desk.refusals.note(stranger(at), "bench.refused", "token", reason=error.reason)
        reason = "token" if error.reason == "unknown" else f"token_{error.reason}"
        raise ProblemError(401, reason, _TOKEN, detail=str(error)) from None


Bench = Annotated[BenchToken, Depends(bench_token)]
