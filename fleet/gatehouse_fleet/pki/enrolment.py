"""From a one-time code to a client certificate, the next certificate, and its revocation.

Every function works inside the caller's transaction, so certificate, used-up code and audit entry commit together.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from msgspec import Struct
from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.fleet_api import EnrolRequest, RenewRequest
from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.pki.authority import Authority, Issued
from gatehouse_fleet.registry.life import SHUT_OUT, LifeState
from gatehouse_fleet.store.schema.gateways import (
    certificate,
    enrolment_code,
    gateway,
    gateway_key,
    journal_key,
)

CODE_LIFE: Final = timedelta(hours=24)
MAX_CODE_LIFE: Final = timedelta(days=7)
MAX_LIVE_CERTIFICATES: Final = 4
"""An answer may be lost and asked for again; the oldest give way."""
MAX_JOURNAL_KEYS: Final = 16
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_LENGTH: Final = 12
"""59 bits, five tries per address and five minutes."""


class EnrolError(FleetError):
    """A gateway gets no certificate; `reason` is a stable token."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason: Final = reason


class Granted(Struct, frozen=True, kw_only=True):
    """A certificate, and whose."""

    gateway_no: int
    node_id: int
    issued: Issued


async def issue_code(
    db: AsyncConnection, gateway_no: int, *, by: str, at: datetime, lasts: timedelta = CODE_LIFE
) -> str:
    """Return a fresh one-time code for a gateway; earlier unused codes of it end.

    Args:
        db: the writing transaction.
        gateway_no: whose.
        by: login of the person.
        at: this instant.
        lasts: at most 7 days.
    """
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    code = "-".join(letters[n : n + 4] for n in range(0, _LENGTH, 4))
    unused = (enrolment_code.c.gateway_no == gateway_no) & enrolment_code.c.used_at.is_(None)
    await db.execute(
        update(enrolment_code).where(unused, enrolment_code.c.expires_at > at).values(expires_at=at)
    )
    await db.execute(
        insert(enrolment_code).values(
            code_hash=_code_hash(code),
            gateway_no=gateway_no,
            issued_by=by,
            issued_at=at,
            expires_at=at + min(lasts, MAX_CODE_LIFE),
        )
    )
    return code


async def enrol(db: AsyncConnection, authority: Authority, request: EnrolRequest, *, at: datetime) -> Granted:
    """Use up a code and return the first certificate; certificates the gateway had before are revoked.

    Raises:
        EnrolError: `code`: unknown, used, expired, or another gateway's (which one is not told); `state`, `key_taken`,
            `key_revoked`.
        PkiError: `csr`.
    """
    row = (await db.execute(select(gateway).where(gateway.c.id == request.gateway_id))).one_or_none()
    used = await db.execute(
        update(enrolment_code)
        .where(
            enrolment_code.c.code_hash == _code_hash(request.code),
            enrolment_code.c.gateway_no == (-1 if row is None else row.no),
            enrolment_code.c.used_at.is_(None),
            enrolment_code.c.expires_at > at,
        )
        .values(used_at=at)
    )
    if row is None or used.rowcount != 1:
        raise EnrolError("code", "no such code for this gateway, or it is used up or has expired")
    if LifeState(row.state) in SHUT_OUT:
        raise EnrolError("state", f"the gateway is {row.state}; put it back into store first")
    issued = authority.sign_gateway(request.csr, request.gateway_id, at=at)
    await _claim_key(db, row.no, issued.public_key)
    await _claim_journal_keys(db, row.no, (request.journal_key,), at)
    await revoke_all(db, row.no, "superseded by a new enrolment", at=at, with_keys=False)
    await _keep(db, row.no, issued)
    state = LifeState.DEPLOYED if row.state == LifeState.STORED else LifeState(row.state)
    await db.execute(
        update(gateway).where(gateway.c.no == row.no).values(state=state.value, version=request.version)
    )
    return Granted(gateway_no=row.no, node_id=row.node_id, issued=issued)


async def renew(
    db: AsyncConnection,
    authority: Authority,
    request: RenewRequest,
    *,
    gateway_id: str,
    at: datetime,
) -> Granted:
    """Return the next certificate of a gateway that has proved itself with its present one.

    Raises:
        EnrolError: `state`, `key_taken`, `key_revoked`, `journal_key_taken`, `too_many_keys`.
        PkiError: `csr`.
    """
    row = (await db.execute(select(gateway).where(gateway.c.id == gateway_id))).one_or_none()
    if row is None or LifeState(row.state) in SHUT_OUT:
        raise EnrolError("state", "this gateway gets no certificate")
    issued = authority.sign_gateway(request.csr, gateway_id, at=at)
    await _claim_key(db, row.no, issued.public_key)
    await _claim_journal_keys(db, row.no, request.journal_keys, at)
    await _keep(db, row.no, issued)
    live = (
        select(certificate.c.fingerprint)
        .where(certificate.c.gateway_no == row.no, certificate.c.revoked_at.is_(None))
        .order_by(certificate.c.issued_at.desc(), certificate.c.fingerprint)
        .offset(MAX_LIVE_CERTIFICATES)
    )
    old = [found.fingerprint for found in (await db.execute(live)).all()]
    if old:
        await db.execute(
            update(certificate)
            .where(certificate.c.fingerprint.in_(old))
            .values(revoked_at=at, revoke_reason="rotated")
        )
    return Granted(gateway_no=row.no, node_id=row.node_id, issued=issued)


async def revoke_all(
    db: AsyncConnection, gateway_no: int, reason: str, *, at: datetime, with_keys: bool
) -> int:
    """Revoke every certificate of a gateway at once; return how many there were.

    Args:
        db: the writing transaction; the next request after its commit is refused.
        gateway_no: whose.
        reason: in a person's words.
        at: this instant.
        with_keys: the keys are no longer trusted either and get no further certificate.
    """
    live = (certificate.c.gateway_no == gateway_no) & certificate.c.revoked_at.is_(None)
    done = await db.execute(update(certificate).where(live).values(revoked_at=at, revoke_reason=reason[:256]))
    if with_keys:
        mine = (gateway_key.c.gateway_no == gateway_no) & gateway_key.c.revoked_at.is_(None)
        await db.execute(update(gateway_key).where(mine).values(revoked_at=at))
        unused = (enrolment_code.c.gateway_no == gateway_no) & enrolment_code.c.used_at.is_(None)
        await db.execute(
            update(enrolment_code).where(unused, enrolment_code.c.expires_at > at).values(expires_at=at)
        )
    return done.rowcount


async def _claim_key(db: AsyncConnection, gateway_no: int, public_key: bytes) -> None:
    await _insert_new(db, gateway_key, {"public_key": public_key, "gateway_no": gateway_no})
    owner = (await db.execute(select(gateway_key).where(gateway_key.c.public_key == public_key))).one()
    if owner.gateway_no != gateway_no:
        raise EnrolError("key_taken", "another gateway has this key; make a new one on the gateway")
    if owner.revoked_at is not None:
        raise EnrolError("key_revoked", "this key was revoked; make a new one on the gateway")


async def _claim_journal_keys(
    db: AsyncConnection, gateway_no: int, keys: tuple[str, ...], at: datetime
) -> None:
    for key in (bytes.fromhex(text) for text in keys):
        await _insert_new(db, journal_key, {"gateway_no": gateway_no, "key": key, "added_at": at})
        owner = (
            await db.execute(select(journal_key.c.gateway_no).where(journal_key.c.key == key))
        ).scalar_one()
        if owner != gateway_no:
            raise EnrolError("journal_key_taken", "another gateway's journal is signed with this key")
    count = len((await db.execute(select(journal_key).where(journal_key.c.gateway_no == gateway_no))).all())
    if count > MAX_JOURNAL_KEYS:
        raise EnrolError(
            "too_many_keys", f"a gateway's journal has at most {MAX_JOURNAL_KEYS} keys in its life"
        )


async def _insert_new(db: AsyncConnection, table: object, values: dict[str, object]) -> None:
    # ON CONFLICT waits for a concurrent transaction with the same key, so that exactly one of two gets it.
    statement = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
    await db.execute(statement(table).values(values).on_conflict_do_nothing())  # type: ignore[arg-type]  # both dialects take a Table


async def _keep(db: AsyncConnection, gateway_no: int, issued: Issued) -> None:
    await db.execute(
        insert(certificate).values(
            fingerprint=issued.fingerprint,
            gateway_no=gateway_no,
            public_key=issued.public_key,
            serial=issued.serial,
            issued_at=issued.issued_at,
            expires_at=issued.expires_at,
        )
    )


def _code_hash(code: str) -> bytes:
    letters = code.strip().upper().replace("-", "").replace(" ", "")
    return sha256(letters.encode("utf-8", "surrogatepass")).digest()
