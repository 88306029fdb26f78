"""Certificates of gateways: enrolment with a one-time code, the next certificate, revocation, and whom to trust."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from pydantic import Field, StrictBool, StringConstraints
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.fleet_api import EnrolRequest, RenewRequest
from gatehouse_events.states import Label
from gatehouse_fleet.api.desk import desk_of
from gatehouse_fleet.api.people import slow_down
from gatehouse_fleet.people import audit
from gatehouse_fleet.people.refusals import stranger
from gatehouse_fleet.people.roles import Actor, Caller, Right
from gatehouse_fleet.pki import enrolment
from gatehouse_fleet.pki.authority import PkiError
from gatehouse_fleet.pki.enrolment import EnrolError, Granted
from gatehouse_fleet.pki.identity import GatewayIdentity, IdentityError
from gatehouse_fleet.registry import gateways
from gatehouse_fleet.services import services_of
from gatehouse_fleet.store.schema.gateways import certificate
from gatehouse_fleet.web.access import entitled, require_reach
from gatehouse_fleet.web.fields import UNQUOTED, Answer, Body, GatewayIdPath, LongName, Reason
from gatehouse_fleet.web.problems import ProblemError
from gatehouse_fleet.web.session import network_of, station_of

router: Final = APIRouter(tags=["enrolment"])

_GatewayId = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9-]{2,62}$")]
_Pem = Annotated[str, StringConstraints(max_length=16 * 1024)]
_Hex32 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]

_LABELS: Final[dict[str, tuple[int, Label]]] = {
    "code": (403, Label("登记码无效", "this enrolment code is not valid")),
    "state": (409, Label("该网关已停用", "this gateway is out of use")),
    "key_taken": (409, Label("密钥已被其他网关使用", "another gateway has this key")),
    "key_revoked": (409, Label("密钥已吊销，请重新生成", "this key was revoked; make a new one")),
    "journal_key_taken": (409, Label("日志密钥已被其他网关使用", "another gateway's journal has this key")),
    "too_many_keys": (409, Label("日志密钥过多", "too many journal keys")),
    "csr": (422, Label("证书请求无效", "the certificate request is not usable")),
}
_IDENTITY: Final = Label("客户端证书无效", "the client certificate is refused")


class EnrolBody(Body):
    """Same fields as `gatehouse_events.fleet_api.EnrolRequest`, which the gateway sends."""

    gateway_id: _GatewayId
    code: Annotated[str, StringConstraints(min_length=8, max_length=64)]
    csr: _Pem
    journal_key: _Hex32
    version: LongName


class RenewBody(Body):
    """Same fields as `gatehouse_events.fleet_api.RenewRequest`."""

    csr: _Pem
    journal_keys: Annotated[tuple[_Hex32, ...], Field(max_length=16)] = ()


class CertificateAnswer(Answer):
    """Same fields as `gatehouse_events.fleet_api.EnrolAnswer`."""

    certificate: str
    ca: str
    renew_at: datetime


class CodeBody(Body):
    """How long a code lasts."""

    lasts_hours: Annotated[int, Field(ge=1, le=168), UNQUOTED] = 24


class CodeAnswer(Answer):
    """Shown once: the server keeps only its hash."""

    gateway_id: str
    code: str
    expires_at: datetime


class RevokeBody(Body):
    """Why."""

    reason: Reason
    is_key_compromised: StrictBool = True
    """The keys get no further certificate either."""


class Revoked(Answer):
    """How many certificates ended."""

    certificates: int


class CertificateRow(Answer):
    """One certificate of a gateway."""

    fingerprint: str
    serial: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoke_reason: str | None


class CertificateList(Answer):
    """All certificates of a gateway, newest first; old ones go with the audit log's retention."""

    items: list[CertificateRow]


class Trust(Answer):
    """Whom gateways and desks trust."""

    ca: str
    fingerprint: str


def problem_of(error: EnrolError | PkiError) -> ProblemError:
    """Return how the API says it."""
    status, words = _LABELS.get(error.reason, (409, Label("无法签发证书", "no certificate can be made")))
    return ProblemError(status, error.reason, words)


async def require_gateway(request: Request, gateway_id: str) -> GatewayIdentity:
    """Return the gateway behind a request to its own path; refusals are audited.

    Raises:
        ProblemError: 401 or 403 with the reason of `IdentityError`.
    """
    desk = desk_of(request)
    try:
        return await desk.identifier.identify(request.scope, gateway_id)
    except IdentityError as error:
        at = station_of(request)
        if error.reason != "no_certificate":
            await desk.refusals.note(
                stranger(at, claimed=error.claimed), "gateway.refused", gateway_id, reason=error.reason
            )
        raise ProblemError(error.status, error.reason, _IDENTITY) from error


@router.get("/ca")
async def trust(request: Request) -> Trust:
    """Return the root certificate; compare its fingerprint with what the server printed."""
    authority = desk_of(request).authority
    return Trust(ca=authority.root_pem, fingerprint=authority.root_fingerprint)


@router.post("/enrol", status_code=201)
async def enrol(request: Request, body: EnrolBody) -> CertificateAnswer:
    """Give a gateway its first certificate for a one-time code."""
    services, desk, at = services_of(request), desk_of(request), station_of(request)
    key = f"enrol {network_of(at)}"
    slow_down(request, key)
    wanted = msgspec.convert(body.model_dump(), EnrolRequest)
    now = services.clock.now()
    try:
        async with services.store.begin() as db:
            granted = await enrolment.enrol(db, desk.authority, wanted, at=now)
            who = Actor(name=body.gateway_id, role="gateway", unit="", station=at)
            await _audit(db, who, "gateway.enrol", body.gateway_id, granted, now)
    except (EnrolError, PkiError) as error:
        if error.reason == "code":
            desk.throttle.fail(key, services.clock.elapsed_s())
        await desk.refusals.note(
            stranger(at, claimed=body.gateway_id), "gateway.enrol", body.gateway_id, reason=error.reason
        )
        raise problem_of(error) from error
    desk.throttle.succeed(key)
    return _answer(request, granted)


@router.post("/gateways/{gateway_id}/certificate", status_code=201)
async def renew(request: Request, gateway_id: GatewayIdPath, body: RenewBody) -> CertificateAnswer:
    """Give a gateway its next certificate over its present one."""
    services, desk = services_of(request), desk_of(request)
    await require_gateway(request, gateway_id)
    wanted = msgspec.convert(body.model_dump(), RenewRequest)
    now = services.clock.now()
    who = Actor(name=gateway_id, role="gateway", unit="", station=station_of(request))
    try:
        async with services.store.begin() as db:
            granted = await enrolment.renew(db, desk.authority, wanted, gateway_id=gateway_id, at=now)
            await _audit(db, who, "gateway.renew", gateway_id, granted, now)
    except (EnrolError, PkiError) as error:
        await desk.refusals.note(who, "gateway.renew", gateway_id, reason=error.reason)
        raise problem_of(error) from error
    return _answer(request, granted)


@router.post("/gateways/{gateway_id}/enrolment-code", status_code=201)
async def new_code(
    request: Request,
    gateway_id: GatewayIdPath,
    body: CodeBody,
    who: Annotated[Caller, Depends(entitled(Right.MANAGE_GATEWAYS))],
) -> CodeAnswer:
    """Make a one-time code; type it in at the gateway."""
    services = services_of(request)
    now = services.clock.now()
    lasts = timedelta(hours=body.lasts_hours)
    async with services.store.begin() as db:
        found = await gateways.find(db, gateway_id)
        require_reach(who, None if found is None else found.node_path)
        assert found is not None  # noqa: S101  # require_reach refuses None
        code = await enrolment.issue_code(db, found.no, by=who.actor.name, at=now, lasts=lasts)
        await audit.append(db, who.actor, "gateway.code", gateway_id, at=now, node_id=found.node_id)
    return CodeAnswer(gateway_id=gateway_id, code=code, expires_at=now + lasts)


@router.post("/gateways/{gateway_id}/revoke")
async def revoke(
    request: Request,
    gateway_id: GatewayIdPath,
    body: RevokeBody,
    who: Annotated[Caller, Depends(entitled(Right.MANAGE_GATEWAYS))],
) -> Revoked:
    """Shut a gateway out from its next request on."""
    services = services_of(request)
    now = services.clock.now()
    async with services.store.begin() as db:
        found = await gateways.find(db, gateway_id)
        require_reach(who, None if found is None else found.node_path)
        assert found is not None  # noqa: S101  # require_reach refuses None
        count = await enrolment.revoke_all(
            db, found.no, body.reason, at=now, with_keys=body.is_key_compromised
        )
        await audit.append(
            db,
            who.actor,
            "gateway.revoke",
            gateway_id,
            at=now,
            node_id=found.node_id,
            detail={"reason": body.reason, "certificates": count, "keys": body.is_key_compromised},
        )
    return Revoked(certificates=count)


@router.get("/gateways/{gateway_id}/certificates")
async def certificates(
    request: Request,
    gateway_id: GatewayIdPath,
    who: Annotated[Caller, Depends(entitled(Right.READ_GATEWAYS))],
) -> CertificateList:
    """Return every certificate a gateway has had."""
    async with services_of(request).store.read() as db:
        found = await gateways.find(db, gateway_id)
        require_reach(who, None if found is None else found.node_path)
        assert found is not None  # noqa: S101  # require_reach refuses None
        query = (
            select(certificate)
            .where(certificate.c.gateway_no == found.no)
            .order_by(certificate.c.issued_at.desc(), certificate.c.fingerprint)
            .limit(200)
        )
        rows = (await db.execute(query)).all()
    return CertificateList(
        items=[
            CertificateRow(
                fingerprint=row.fingerprint.hex(),
                serial=row.serial,
                issued_at=row.issued_at,
                expires_at=row.expires_at,
                revoked_at=row.revoked_at,
                revoke_reason=row.revoke_reason,
            )
            for row in rows
        ]
    )


def _answer(request: Request, granted: Granted) -> CertificateAnswer:
    return CertificateAnswer(
        certificate=granted.issued.chain_pem,
        ca=desk_of(request).authority.root_pem,
        renew_at=granted.issued.renew_at,
    )


async def _audit(
    db: AsyncConnection, who: Actor, action: str, gateway_id: str, granted: Granted, at: datetime
) -> None:
    detail: dict[str, str | int | bool | None] = {
        "serial": granted.issued.serial,
        "fingerprint": granted.issued.fingerprint.hex(),
    }
    await audit.append(db, who, action, gateway_id, at=at, node_id=granted.node_id, detail=detail)
