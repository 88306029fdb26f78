"""Records of boards, kept octet for octet as they were signed.

A bench numbers the records of each board and chains them. A true record is kept also when one before it is missing here (the
bench's disk or our database may have been restored): it is evidence, and `History` says how it stands. What is refused is a
record that nobody of ours has signed, and one that claims another board's record as its past.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import ColumnElement, Row, Select, and_, case, exists, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gatehouse_events.bench_record import (
    RecordDamagedError,
    SignedRecord,
    Verdict,
    chain_name,
    key_of,
    verify,
)
from gatehouse_fleet.bench import tokens
from gatehouse_fleet.bench.errors import BenchError
from gatehouse_fleet.bench.tokens import BenchToken
from gatehouse_fleet.store.schema.bench import bench_record
from gatehouse_fleet.store.schema.org import org_node

MAX_PER_BOARD: Final = 1000
"""Records of one board from one bench: a board that was on the bench so often has other troubles."""
_LIMITS: Final = {"serial": 32, "kind": 32, "bench": 64, "chain": 96}


class History(StrEnum):
    """How a record stands to the one it names as the one before it."""

    WHOLE = "whole"
    GAP = "gap"
    """That one is not here; look into the bench's own archive."""
    FORK = "fork"
    """The bench has given the number twice: its disk was restored, or somebody has its key."""


class KeptRecord(Struct, frozen=True, kw_only=True):
    """One record as lists show it."""

    no: int
    hash: str
    serial: str
    number: int
    kind: str
    verdict: Verdict
    bench: str
    is_simulated: bool
    ended_at: datetime
    received_at: datetime
    history: History


def read(content: bytes, token: BenchToken) -> SignedRecord:
    """Return the record in `content` once it is proved to be this bench's.

    Raises:
        BenchError: `damaged`, `foreign_key`, `history`, `text`.
    """
    try:
        signed = verify(content)
    except RecordDamagedError as error:
        raise BenchError("damaged", "no record, or changed since it was signed") from error
    if key_of(signed) != token.public_key:
        raise BenchError("foreign_key", "signed with another key than the one this token was made for")
    record = signed.record
    if (record.number == 1) != (record.previous == ""):
        raise BenchError("history", "the first record has none before it, every other one has")
    texts = _texts(signed)
    if any(len(texts[name]) > limit or "\x00" in texts[name] for name, limit in _LIMITS.items()):
        raise BenchError("text", "serial number, kind or bench are not names")
    if any(at.tzinfo is None for at in (record.began_at, record.ended_at)):
        raise BenchError("text", "a time without zone")
    return signed


async def keep(
    db: AsyncConnection, content: bytes, signed: SignedRecord, token: BenchToken, *, at: datetime
) -> bool:
    """Keep a record that `read` returned; return False where it is here already.

    Raises:
        BenchError: `foreign_history`, `too_many`, `allowance`.
    """
    await tokens.lock(db, token, at=at)
    query = select(bench_record.c.no).where(bench_record.c.hash == bytes.fromhex(signed.hash))
    if (await db.execute(query)).one_or_none() is not None:
        return False
    await _check_past(db, signed, token)
    record, texts = signed.record, _texts(signed)
    values = {
        "hash": bytes.fromhex(signed.hash),
        "node_id": token.node_id,
        "public_key": token.public_key,
        "chain": texts["chain"],
        "number": record.number,
        "previous": bytes.fromhex(record.previous) or None,
        "serial": record.serial,
        "kind": record.kind,
        "verdict": record.verdict.value,
        "bench": record.where.bench,
        "is_simulated": int(record.where.is_simulated),
        "ended_at": record.ended_at,
        "received_at": at,
        "token_id": token.id,
        "content": content,
    }
    await db.execute(insert(bench_record).values(values))
    await tokens.take(db, token, len(content), at=at)
    return True


async def raw(db: AsyncConnection, digest: str, *, within: ColumnElement[bool]) -> bytes | None:
    """Return a record octet for octet as its bench signed it; None: there is none within reach."""
    query = (
        select(bench_record.c.content)
        .join(org_node, org_node.c.id == bench_record.c.node_id)
        .where(bench_record.c.hash == bytes.fromhex(digest), within)
    )
    found = (await db.execute(query)).scalar_one_or_none()
    return None if found is None else bytes(found)


def query_records() -> Select[Any]:
    """Return the SELECT whose rows `record_of` reads; add conditions, order and limit."""
    before, twin = bench_record.alias("before"), bench_record.alias("twin")
    mine = bench_record.c
    same = and_(twin.c.public_key == mine.public_key, twin.c.chain == mine.chain)
    is_twice = exists().where(same, twin.c.number == mine.number, twin.c.hash != mine.hash)
    is_followed = exists().where(
        before.c.hash == mine.previous,
        before.c.public_key == mine.public_key,
        before.c.chain == mine.chain,
        before.c.number == mine.number - 1,
    )
    history = case(
        (is_twice, History.FORK.value),
        (or_(mine.previous.is_(None), is_followed), History.WHOLE.value),
        else_=History.GAP.value,
    )
    columns = [column for column in mine if column.name != "content"]
    return select(*columns, history.label("history"), org_node.c.path).join(
        org_node, org_node.c.id == mine.node_id
    )


def record_of(row: Row[Any]) -> KeptRecord:
    """Return a row of `query_records` as a value."""
    return KeptRecord(
        no=row.no,
        hash=row.hash.hex(),
        serial=row.serial,
        number=row.number,
        kind=row.kind,
        verdict=Verdict(row.verdict),
        bench=row.bench,
        is_simulated=bool(row.is_simulated),
        ended_at=row.ended_at,
        received_at=row.received_at,
        history=History(row.history),
    )


async def _check_past(db: AsyncConnection, signed: SignedRecord, token: BenchToken) -> None:
    mine, chain = bench_record.c, chain_name(signed.record)
    if signed.record.previous:
        query = select(mine.public_key, mine.chain).where(mine.hash == bytes.fromhex(signed.record.previous))
        row = (await db.execute(query)).one_or_none()
        if row is not None and (row.public_key, row.chain) != (token.public_key, chain):
            raise BenchError("foreign_history", "the record before it is another board's or another bench's")
    of_board = (mine.public_key == token.public_key, mine.chain == chain)
    if (await db.execute(select(func.count()).where(*of_board))).scalar_one() >= MAX_PER_BOARD:
        raise BenchError("too_many", f"there are {MAX_PER_BOARD} records of this board from this bench")


def _texts(signed: SignedRecord) -> dict[str, str]:
    record = signed.record
    return {
        "serial": record.serial,
        "kind": record.kind,
        "bench": record.where.bench,
        "chain": chain_name(record),
    }
