"""Technicians' benches: who may hand in, what they handed in, and the devices that came from them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table

from gatehouse_fleet.store.schema.metadata import METADATA, Moment, Number

bench_token: Final = Table(
    "bench_token",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),  # SHA-256; the token is on the bench
    Column("name", String(64), nullable=False),  # of the bench, as people say it
    Column("node_id", Number, ForeignKey("org_node.id"), nullable=False, index=True),  # its subtree
    Column("public_key", LargeBinary(32), nullable=False),  # Ed25519: the one key it may sign records with
    Column("issued_by", String(64), nullable=False),
    Column("issued_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("used_at", Moment),  # last time it handed something in
    Column("kept_bytes", Number, nullable=False, server_default="0"),  # of its allowance
)

bench_record: Final = Table(
    "bench_record",
    METADATA,
    Column("no", Number, primary_key=True, autoincrement=True),
    Column("hash", LargeBinary(32), nullable=False, unique=True),  # SHA-256 of the record's canonical JSON
    Column("node_id", Number, ForeignKey("org_node.id"), nullable=False, index=True),  # of the token
    Column("public_key", LargeBinary(32), nullable=False),
    Column("chain", String(96), nullable=False),  # events.bench_record.chain_name
    Column("number", Number, nullable=False),
    Column("previous", LargeBinary(32)),  # hash of the one before; None: the first
    Column("serial", String(32), nullable=False, index=True),  # empty: the board never said who it is
    Column("kind", String(32), nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("bench", String(64), nullable=False, index=True),  # as the record says
    Column("is_simulated", Integer, nullable=False),
    Column("ended_at", Moment, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("token_id", Number, ForeignKey("bench_token.id"), nullable=False),
    Column("content", LargeBinary, nullable=False),  # octet for octet as it was signed
)
Index("ix_bench_record_chain", bench_record.c.public_key, bench_record.c.chain, bench_record.c.number)

bench_device: Final = Table(
    "bench_device",
    METADATA,
    Column("serial", String(32), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("mac", String(12), nullable=False),
    Column("key_check", String(8), nullable=False),  # first 4 bytes of an HMAC: names the key, tells nothing
    Column("key_id", Integer, nullable=False),
    Column("wrapped_key", LargeBinary(76)),  # events.key_wrap; None: a simulated board
    Column("node_id", Number, ForeignKey("org_node.id"), nullable=False, index=True),  # whose stock it is
    Column("device_no", Number, ForeignKey("device.no"), unique=True),  # None: in store, behind no gateway
    Column("registered_at", Moment, nullable=False),
    Column("token_id", Number, ForeignKey("bench_token.id"), nullable=False),
)
"""One row for each serial number, as last registered."""

bench_registration: Final = Table(
    "bench_registration",
    METADATA,
    Column("hash", LargeBinary(32), primary_key=True),  # SHA-256 of the registration's canonical JSON
    Column("serial", String(32), nullable=False, index=True),
    Column("key_check", String(8), nullable=False),
    Column("registered_at", Moment, nullable=False),
    Column("token_id", Number, ForeignKey("bench_token.id"), nullable=False),
)
"""Every registration there was: an old one that is told again must not bring an old key back."""
