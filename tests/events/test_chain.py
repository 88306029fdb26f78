"""The hash chain against bytes laid out by hand, and its limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_events.chain import (
    ZERO_HASH,
    ChainError,
    Entry,
    Lane,
    Position,
    Stamp,
    body_hash,
    canonical,
    chain,
    entry_hash,
    header_bytes,
    microseconds,
    moment,
)

VECTOR = dict(
    line.split(" ", 1)
    for line in (Path(__file__).parents[1] / "vectors" / "chain.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
ENTRY = Entry(
    epoch=VECTOR["epoch"],
    lane=Lane(VECTOR["lane"]),
    seq=int(VECTOR["seq"]),
    at=datetime.fromisoformat(VECTOR["at"]),
    boot=VECTOR["boot"],
    mono_ns=int(VECTOR["mono_ns"]),
    kind=VECTOR["kind"],
    body_hash=bytes.fromhex(VECTOR["body_hash"]),
    prev_hash=ZERO_HASH,
    body=VECTOR["body"].encode(),
)
START = Position("ab" * 16, 0, ZERO_HASH)
STAMP = Stamp(at=datetime(2026, 1, 1, tzinfo=UTC), boot="b", mono_ns=1)


def test_header_and_hash_are_those_laid_out_by_hand() -> None:
    assert header_bytes(ENTRY).hex() == VECTOR["header"]
    assert entry_hash(ENTRY).hex() == VECTOR["hash"]
    assert body_hash(VECTOR["body"].encode()).hex() == VECTOR["body_hash"]


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": "ff" * 16},
        {"lane": Lane.TELEMETRY},
        {"seq": 8},
        {"at": ENTRY.at + timedelta(microseconds=1)},
        {"boot": "b002"},
        {"mono_ns": 1},
        {"kind": "alarn"},
        {"body_hash": bytes(32)},
        {"prev_hash": b"\1" * 32},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_of_the_header_is_in_the_hash(change: dict[str, object]) -> None:
    assert entry_hash(msgspec.structs.replace(ENTRY, **change)) != entry_hash(ENTRY)


def test_boot_and_kind_cannot_borrow_letters_from_each_other() -> None:
    one = msgspec.structs.replace(ENTRY, boot="ab", kind="c")
    other = msgspec.structs.replace(ENTRY, boot="a", kind="bc")
    assert entry_hash(one) != entry_hash(other)


def test_an_erased_body_does_not_change_the_hash() -> None:
    assert entry_hash(msgspec.structs.replace(ENTRY, body=None)) == entry_hash(ENTRY)


def test_the_zone_a_time_is_written_in_does_not_change_the_hash() -> None:
    local = ENTRY.at.astimezone(timezone(timedelta(hours=8)))
    assert entry_hash(msgspec.structs.replace(ENTRY, at=local)) == entry_hash(ENTRY)


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_entries_follow_each_other_without_gaps(bodies: list[bytes]) -> None:
    entries = chain(START, Lane.ALARM, [("alarm", body, STAMP) for body in bodies])
    assert [entry.seq for entry in entries] == list(range(1, len(bodies) + 1))
    assert [entry.prev_hash for entry in entries] == [ZERO_HASH, *map(entry_hash, entries)][: len(entries)]


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_survives_as_microseconds(at: datetime) -> None:
    assert moment(microseconds(at)) == at


@pytest.mark.parametrize("epoch", ["", "zz" * 16, "00" * 15, "00" * 17])
def test_an_epoch_is_32_hex_digits(epoch: str) -> None:
    with pytest.raises(ChainError):
        header_bytes(msgspec.structs.replace(ENTRY, epoch=epoch))


def test_a_time_outside_the_calendar_is_refused() -> None:
    with pytest.raises(ChainError):
        moment(2**63 - 1)


def test_canonical_json_is_sorted_and_without_spaces() -> None:
    assert canonical({"b": "守", "a": {"d": 1, "c": 2.5}}) == '{"a":{"c":2.5,"d":1},"b":"守"}'.encode()
