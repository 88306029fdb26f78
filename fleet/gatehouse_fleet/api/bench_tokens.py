"""Tokens of benches, for those who look after people: made, listed, revoked."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request

from gatehouse_events.states import Label
from gatehouse_fleet.api.bench_answers import RevokeBody, TokenBody, TokenMade, TokenRow
from gatehouse_fleet.api.org import reachable as reachable_node
from gatehouse_fleet.bench import tokens
from gatehouse_fleet.bench.errors import BenchError
from gatehouse_fleet.bench.tokens import BenchToken, NewToken
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.roles import Caller, Right
from gatehouse_fleet.services import services_of
from gatehouse_fleet.store.schema.bench import bench_token
from gatehouse_fleet.store.schema.org import org_node
from gatehouse_fleet.web.access import entitled, require_reach, within
from gatehouse_fleet.web.fields import NumberPath
from gatehouse_fleet.web.pages import Page, PageQuery, key_of, mark
from gatehouse_fleet.web.problems import NOT_FOUND, ProblemError

router: Final = APIRouter(tags=["bench"])
Manager = Annotated[Caller, Depends(entitled(Right.MANAGE_PEOPLE))]
_TOO_MANY: Final = Label("调试台令牌过多", "too many tokens of benches")


@router.post("/bench/tokens", status_code=201)
async def make_token(request: Request, body: TokenBody, who: Manager) -> TokenMade:
    """Make a token for a bench; it is shown this once."""
    services = services_of(request)
    now = services.clock.now()
    new = NewToken(
        name=body.name,
        node_id=body.node_id,
        public_key=base64.b64decode(body.key),
        lasts=timedelta(days=body.lasts_days),
    )
    try:
        async with services.store.begin() as db:
            await reachable_node(db, who, body.node_id)
            made, secret = await tokens.make(db, new, by=who.actor.name, at=now)
            await audit.append(
                db, who.actor, "bench.token", made.name, at=now, node_id=made.node_id, detail={"id": made.id}
            )
    except BenchError as error:
        raise ProblemError(409, error.reason, _TOO_MANY, detail=str(error)) from None
    return TokenMade(id=made.id, token=secret, expires_at=made.expires_at)


@router.get("/bench/tokens")
async def list_tokens(request: Request, who: Manager, asked: Annotated[PageQuery, Query()]) -> Page[TokenRow]:
    """Return the tokens of one's subtree, also those that have ended."""
    row, limit = bench_token.c, asked.limit
    query = tokens.query_tokens().where(within(org_node.c.path, who)).order_by(row.id).limit(limit + 1)
    behind = key_of(asked.after, tuple[int])
    if behind is not None:
        query = query.where(row.id > behind[0])
    async with services_of(request).store.read() as db:
        rows = [tokens.token_of(one) for one in (await db.execute(query)).all()]
    more = mark(rows[limit - 1].id) if len(rows) > limit else None
    return Page(items=[_row(one) for one in rows[:limit]], next=more)


@router.post("/bench/tokens/{number}/revoke")
async def revoke_token(request: Request, number: NumberPath, body: RevokeBody, who: Manager) -> TokenRow:
    """Shut a bench out from its next request on; what it has handed in stays."""
    services = services_of(request)
    now = services.clock.now()
    try:
        async with services.store.begin() as db:
            found = await tokens.get(db, number)
            require_reach(who, found.node_path)
            ended = await tokens.revoke(db, found, at=now)
            detail: dict[str, str | int | bool | None] = {"id": number, "reason": body.reason}
            await audit.append(
                db, who.actor, "bench.revoke", found.name, at=now, node_id=found.node_id, detail=detail
            )
    except BenchError:
        raise NOT_FOUND from None
    return _row(ended)


def _row(one: BenchToken) -> TokenRow:
    return TokenRow(
        id=one.id,
        name=one.name,
        node_id=one.node_id,
        key=base64.b64encode(one.public_key).decode(),
        issued_by=one.issued_by,
        issued_at=one.issued_at,
        expires_at=one.expires_at,
        revoked_at=one.revoked_at,
        used_at=one.used_at,
        kept_bytes=one.kept_bytes,
    )
