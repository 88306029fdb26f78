"""Clips and pictures of alarms: what exists, what is here, who keeps it longer, who looked at it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, Index, LargeBinary, String, Table

from gatehouse_fleet.store.schema.metadata import METADATA, Moment, Number

evidence: Final = Table(
    "evidence",
    METADATA,
    Column("gateway_no", Number, ForeignKey("gateway.no"), primary_key=True, autoincrement=False),
    Column("sha256", String(64), primary_key=True),
    Column("node_id", Number, nullable=False, index=True),  # community at that time
    Column("alarm_id", String(26), nullable=False, index=True),
    Column("kind", String(16), nullable=False),  # clip | snapshot | trace | log
    Column("is_masked", Boolean, nullable=False),  # faces and plates made unrecognisable (Reg. 2025 Art. 22)
    Column("captured_at", Moment, nullable=False),
    Column("keep_until", Moment, nullable=False, index=True),  # deleted then, unless held
    Column("named_at", Moment, nullable=False),  # first told of here
    Column("state", String(16), nullable=False),  # evidence.clips.ClipState
    Column("wanted_at", Moment),
    Column("wanted_by", String(64)),
    Column("size_bytes", Number),  # as the gateway said with its first piece
    Column("received_at", Moment),
    Column("deleted_at", Moment),
)
Index("ix_evidence_wanted", evidence.c.gateway_no, evidence.c.state)

evidence_hold: Final = Table(
    "evidence_hold",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("gateway_no", Number, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("reason", String(256), nullable=False),
    Column("held_by", String(64), nullable=False),
    Column("held_at", Moment, nullable=False),
    Column("released_by", String(64)),
    Column("released_at", Moment),
    Column("release_reason", String(256)),
)
Index("ix_evidence_hold_clip", evidence_hold.c.gateway_no, evidence_hold.c.sha256)

evidence_view: Final = Table(
    "evidence_view",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("gateway_no", Number, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("node_id", Number, nullable=False, index=True),
    Column("alarm_id", String(26), nullable=False),
    Column("purpose", String(16), nullable=False),  # evidence.register.Purpose
    Column("reason", String(256), nullable=False),
    Column("viewer", String(64), nullable=False),  # login
    Column("role", String(32), nullable=False),
    Column("unit", String(128), nullable=False),
    Column("station", String(64), nullable=False),
    Column("handed_to", String(256), nullable=False, server_default=""),  # police: officer, unit, document
    Column("at", Moment, nullable=False, index=True),
    Column("expires_at", Moment, nullable=False),
    Column("token_hash", LargeBinary(32), nullable=False, unique=True),
    Column("first_opened_at", Moment),
)
"""Every look and every copy: reason, content, person and unit (Reg. 2025 Art. 16(3); domain row 10)."""
