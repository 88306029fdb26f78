"""Tokens of benches: opaque, kept as a hash, for one subtree, for a while, and bound to the one key the bench signs with.

A bench that nobody has registered signs nothing that we keep: there is no trust on first use. Asked anew for every request, so a
revocation counts from the next one on.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Struct
from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_fleet.bench.errors import BenchError
from gatehouse_fleet.people.roles import Actor, Right
from gatehouse_fleet.store.schema.bench import bench_token
from gatehouse_fleet.store.schema.org import org_node

RIGHTS: Final = frozenset({Right.SUBMIT_BENCH})
"""All that a token may ever do."""
MAX_TOKENS: Final = 10_000
MAX_DAYS: Final = 730
MAX_KEPT_BYTES: Final = 1 << 30
"""What one token may have us keep; a record has about 8 KiB, so a hundred thousand boards. Then it takes another token."""
_MARK: Final = "ghb_"
"""Tells whoever finds one, and every scanner for secrets, what it is."""


class BenchToken(Struct, frozen=True, kw_only=True):
    """One bench's leave to hand in."""

    id: int
    name: str
    node_id: int
    node_path: str
    public_key: bytes
    issued_by: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None
    kept_bytes: int

    def reaches(self, path: str) -> bool:
        """Return whether a place is inside the token's subtree."""
        return path.startswith(self.node_path)

    def actor(self, station: str) -> Actor:
        """Return who hands in, as the audit log writes it down."""
        return Actor(name=self.name, role="bench", unit="", station=station)


class NewToken(Struct, frozen=True, kw_only=True):
    """What a token is made of."""

    name: str
    node_id: int
    public_key: bytes
    """Raw Ed25519 public key of the bench."""
    lasts: timedelta


def read_key(pem: str) -> bytes:
    """Return the raw key of a bench's `bench.pub`.

    Raises:
        BenchError: `key`: not an Ed25519 public key in PEM.
    """
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise BenchError("key", "not the Ed25519 public key of a bench: take the bench's file bench.pub")
    return key.public_bytes_raw()


async def make(db: AsyncConnection, new: NewToken, *, by: str, at: datetime) -> tuple[BenchToken, str]:
    """Make a token; its second half is the token itself, told once and never again.

    Raises:
        BenchError: `place`, `too_many`.
    """
    if (await db.execute(select(org_node.c.id).where(org_node.c.id == new.node_id))).one_or_none() is None:
        raise BenchError("place", f"there is no place {new.node_id}: see gatehouse-fleet org list")
    if (await db.execute(select(func.count()).select_from(bench_token))).scalar_one() >= MAX_TOKENS:
        raise BenchError("too_many", f"there are {MAX_TOKENS} tokens of benches already")
    secret = _MARK + secrets.token_urlsafe(32)
    made = insert(bench_token).values(
        token_hash=_hash(secret),
        name=new.name,
        node_id=new.node_id,
        public_key=new.public_key,
        issued_by=by,
        issued_at=at,
        expires_at=at + new.lasts,
    )
    number = (await db.execute(made.returning(bench_token.c.id))).scalar_one()
    return await get(db, number), secret


async def get(db: AsyncConnection, number: int) -> BenchToken:
    """Return a token by its number.

    Raises:
        BenchError: `not_found`.
    """
    row = (await db.execute(query_tokens().where(bench_token.c.id == number))).one_or_none()
    if row is None:
        raise BenchError("not_found", f"there is no token {number}: see gatehouse-fleet bench list")
    return token_of(row)


async def find(db: AsyncConnection, secret: str, *, at: datetime) -> BenchToken:
    """Return whose token this is.

    Raises:
        BenchError: `unknown`, `revoked`, `expired`.
    """
    row = (await db.execute(query_tokens().where(bench_token.c.token_hash == _hash(secret)))).one_or_none()
    if row is None:
        raise BenchError("unknown", "nobody's token")
    found = token_of(row)
    _check(found, at)
    return found


async def revoke(db: AsyncConnection, found: BenchToken, *, at: datetime) -> BenchToken:
    """End a token from the next request on; one that has ended stays as it was."""
    await db.execute(
        update(bench_token)
        .where(bench_token.c.id == found.id, bench_token.c.revoked_at.is_(None))
        .values(revoked_at=at)
    )
    return await get(db, found.id)


async def lock(db: AsyncConnection, found: BenchToken, *, at: datetime) -> None:
    """Let one hand-in of a token at a time through: the same thing told twice at once is kept once.

    Raises:
        BenchError: `revoked`, `expired`: meanwhile.
    """
    await db.execute(select(bench_token.c.id).where(bench_token.c.id == found.id).with_for_update())
    _check(await get(db, found.id), at)


async def take(db: AsyncConnection, found: BenchToken, size: int, *, at: datetime) -> None:
    """Note that a token was used, and take `size` bytes of its allowance. Behind `lock`.

    Raises:
        BenchError: `allowance`.
    """
    done = await db.execute(
        update(bench_token)
        .where(bench_token.c.id == found.id, bench_token.c.kept_bytes <= MAX_KEPT_BYTES - size)
        .values(used_at=at, kept_bytes=bench_token.c.kept_bytes + size)
    )
    if done.rowcount != 1:
        raise BenchError("allowance", "this token has had its share of the disk; ask for another")


def query_tokens() -> Select[Any]:
    """Return the SELECT whose rows `token_of` reads; add conditions, order and limit."""
    return select(bench_token, org_node.c.path).join(org_node, org_node.c.id == bench_token.c.node_id)


def token_of(row: Row[Any]) -> BenchToken:
    """Return a row of `query_tokens` as a value."""
    return BenchToken(
        id=row.id,
        name=row.name,
        node_id=row.node_id,
        node_path=row.path,
        public_key=row.public_key,
        issued_by=row.issued_by,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        used_at=row.used_at,
        kept_bytes=row.kept_bytes,
    )


def _check(found: BenchToken, at: datetime) -> None:
    if found.revoked_at is not None:
        raise BenchError("revoked", "this token was revoked; ask for another")
    if found.expires_at <= at:
        raise BenchError("expired", "this token has expired; ask for another")


def _hash(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
