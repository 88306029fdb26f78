"""Users, sessions, audit."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, Integer, LargeBinary, String, Table, Text

from gatehouse_fleet.store.schema.metadata import METADATA, Moment, Number

user: Final = Table(
    "fleet_user",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False, unique=True),  # login
    Column("full_name", String(64), nullable=False),
    Column("unit", String(128), nullable=False),  # organisation; part of every entry in registers
    Column("role", String(32), nullable=False),  # people.roles.Role
    Column("scope_id", Number, ForeignKey("org_node.id"), nullable=False),  # the subtree the role reaches
    Column("password_hash", String(256)),  # None: logs in by OIDC only
    Column("oidc_subject", String(256), unique=True),
    Column("is_contractor", Boolean, nullable=False),  # sees no clips and no names (domain row 49)
    Column("is_active", Boolean, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_login_at", Moment),
)

session: Final = Table(
    "session",
    METADATA,
    Column(
        "token_hash", LargeBinary(32), primary_key=True
    ),  # SHA-256; the token itself is only in the browser
    Column("user_id", Number, ForeignKey("fleet_user.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("last_seen_at", Moment, nullable=False),
    Column("station", String(64), nullable=False),
)

oidc_attempt: Final = Table(
    "oidc_attempt",
    METADATA,
    Column(
        "state_hash", LargeBinary(32), primary_key=True
    ),  # SHA-256; the state itself is only in the browser
    Column("nonce", String(64), nullable=False),
    Column("verifier", String(128), nullable=False),  # PKCE
    Column("redirect_uri", String(512), nullable=False),
    Column("created_at", Moment, nullable=False),
)
"""Logins begun at the organisation's own provider: used once, gone after ten minutes."""

audit: Final = Table(
    "audit",
    METADATA,
    Column("seq", Number, primary_key=True, autoincrement=False),  # without gaps
    Column("at", Moment, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("role", String(32), nullable=False),
    Column("unit", String(128), nullable=False),
    Column("station", String(64), nullable=False),
    Column("action", String(64), nullable=False, index=True),  # "gateway.revoke", "clip.view", …
    Column("subject", String(256), nullable=False, index=True),  # what it was done to
    Column("node_id", Number),  # where in the tree, for scoped reading
    Column("detail", Text, nullable=False),  # canonical JSON, no secrets
    Column("outcome", Integer, nullable=False),  # 0 refused, 1 done
    Column("prev_hash", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
)

audit_anchor: Final = Table(
    "audit_anchor",
    METADATA,
    Column("one", Number, primary_key=True, autoincrement=False),  # always 1
    Column("seq", Number, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
)
"""Last entry that retention cut off: the chain goes on from here."""
