"""Gateways, their certificates and enrolment codes, devices."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, Float, ForeignKey, LargeBinary, String, Table, Text, UniqueConstraint

from gatehouse_fleet.store.schema.metadata import METADATA, Moment, Number

gateway: Final = Table(
    "gateway",
    METADATA,
    Column("no", Number, primary_key=True, autoincrement=True),  # short key of the hot tables
    Column("id", String(64), nullable=False, unique=True),  # "wh-371002-0007-gw1"
    Column("node_id", Number, ForeignKey("org_node.id"), nullable=False, index=True),  # its community
    Column("state", String(16), nullable=False),  # registry.life.LifeState
    Column("created_at", Moment, nullable=False),
    Column("last_contact_at", Moment),  # any authenticated request
    Column("status_at", Moment),  # last GatewayStatus
    Column("status", Text),  # its JSON as received
    Column("version", String(128)),
    Column("config_version", String(128)),
    Column("clock_offset_ms", Float),  # gateway minus fleet, at the last status
    Column("alarm_backlog", Number, nullable=False, server_default="0"),
    Column("telemetry_backlog", Number, nullable=False, server_default="0"),
    Column("is_stopped", Boolean, nullable=False, server_default="0"),  # said goodbye
    Column("integrity_fault", String(64)),  # last replication.Doubt; None: whole
    Column("integrity_at", Moment),
    Column("tags", Text, nullable=False, server_default="[]"),  # JSON list of strings
    Column("site_card", Text),  # gatehouse_events.city.SiteCard as last told
)

journal_key: Final = Table(
    "journal_key",
    METADATA,
    Column("gateway_no", Number, ForeignKey("gateway.no"), nullable=False),
    Column("key", LargeBinary(32), nullable=False),  # Ed25519 public
    Column("added_at", Moment, nullable=False),
    UniqueConstraint("gateway_no", "key"),
    UniqueConstraint("key"),  # two gateways with one key are refused
)

gateway_key: Final = Table(
    "gateway_key",
    METADATA,
    Column("public_key", LargeBinary(32), primary_key=True),  # SHA-256 of the SubjectPublicKeyInfo
    Column("gateway_no", Number, ForeignKey("gateway.no"), nullable=False, index=True),
    Column("revoked_at", Moment),  # a revoked certificate's key gets no other
)
"""Whose TLS key it is: two gateways with one key are refused, also when they ask at the same instant."""

certificate: Final = Table(
    "certificate",
    METADATA,
    Column("fingerprint", LargeBinary(32), primary_key=True),  # SHA-256 of the DER
    Column("gateway_no", Number, ForeignKey("gateway.no"), nullable=False, index=True),
    Column("public_key", LargeBinary(32), nullable=False, index=True),  # SHA-256 of the SubjectPublicKeyInfo
    Column("serial", String(64), nullable=False, unique=True),
    Column("issued_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("revoke_reason", String(256)),
)

enrolment_code: Final = Table(
    "enrolment_code",
    METADATA,
    Column("code_hash", LargeBinary(32), primary_key=True),
    Column("gateway_no", Number, ForeignKey("gateway.no"), nullable=False, index=True),
    Column("issued_by", String(64), nullable=False),
    Column("issued_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
)

device: Final = Table(
    "device",
    METADATA,
    Column("no", Number, primary_key=True, autoincrement=True),
    Column("gateway_no", Number, ForeignKey("gateway.no"), nullable=False),
    Column("id", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),  # registry.life.LifeState
    Column("building", String(32), nullable=False, server_default=""),
    Column("unit", String(32), nullable=False, server_default=""),
    Column("floor", String(32), nullable=False, server_default=""),
    Column("room", String(32), nullable=False, server_default=""),
    Column("is_personal", Boolean, nullable=False, server_default="0"),
    Column("card", Text, nullable=False, server_default="{}"),  # gatehouse_events.city.AssetCard
    Column("online", Boolean),  # None: nobody has said
    Column("seen_at", Moment),
    Column("tags", Text, nullable=False, server_default="[]"),
    UniqueConstraint("gateway_no", "id"),
)

saved_filter: Final = Table(
    "saved_filter",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("user_id", Number, ForeignKey("fleet_user.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("filter", Text, nullable=False),  # JSON of registry.gateways.GatewayFilter
    UniqueConstraint("user_id", "name"),
)

coverage_day: Final = Table(
    "coverage_day",
    METADATA,
    Column("node_id", Number, ForeignKey("org_node.id"), primary_key=True, autoincrement=False),
    Column("day", String(10), primary_key=True),  # "2026-11-25" in the server's zone
    Column("camera_samples", Number, nullable=False),
    Column("camera_online_samples", Number, nullable=False),
)
"""Cameras times samples of a community on one day, and in how many of them they were online: the month's up-time."""
