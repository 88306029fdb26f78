"""Configurations: texts by their hash, versions of each gateway, templates, rollouts."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from gatehouse_fleet.store.schema.metadata import METADATA, Moment, Number

config_text: Final = Table(
    "config_text",
    METADATA,
    Column("sha256", String(64), primary_key=True),
    Column("text", Text, nullable=False),
)
"""Never changed, never doubled."""

config_template: Final = Table(
    "config_template",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("node_id", Number, ForeignKey("org_node.id"), nullable=False, index=True),  # reaches no further
    Column("revision", Number, nullable=False),
    Column("sha256", String(64), ForeignKey("config_text.sha256"), nullable=False),
    Column("filter", Text, nullable=False),  # JSON of registry.gateways.GatewayFilter: whose template it is
    Column("changed_at", Moment, nullable=False),
    Column("author", Text, nullable=False),  # JSON of people.roles.Actor
    Column("reason", String(256), nullable=False),
)

config_value: Final = Table(
    "config_value",
    METADATA,
    Column("template_id", Number, ForeignKey("config_template.id"), primary_key=True, autoincrement=False),
    Column("gateway_no", Number, ForeignKey("gateway.no"), primary_key=True, autoincrement=False),
    Column("given", Text, nullable=False),  # JSON, name -> value
)

config_version: Final = Table(
    "config_version",
    METADATA,
    Column("gateway_no", Number, ForeignKey("gateway.no"), primary_key=True, autoincrement=False),
    Column("number", Number, primary_key=True, autoincrement=False),  # 1, 2, 3 … without gaps
    Column("sha256", String(64), ForeignKey("config_text.sha256"), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("author", Text, nullable=False),  # JSON of people.roles.Actor
    Column("reason", String(256), nullable=False),
    Column("template_id", Number, ForeignKey("config_template.id")),
    Column("template_revision", Number),
    Column("files", Text, nullable=False),  # JSON: what must lie on the gateway
)

config_rollout: Final = Table(
    "config_rollout",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column(
        "node_id", Number, ForeignKey("org_node.id"), nullable=False, index=True
    ),  # its gateways lie below
    Column("phase", String(16), nullable=False, index=True),  # configs.rollout.Phase
    Column("plan", Text, nullable=False),  # JSON of configs.rollout.Plan
    Column("made_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("author", Text, nullable=False),  # JSON of people.roles.Actor
    Column("reason", String(256), nullable=False),
)

config_member: Final = Table(
    "config_member",
    METADATA,
    Column("rollout_id", Number, ForeignKey("config_rollout.id"), primary_key=True, autoincrement=False),
    Column("gateway_no", Number, ForeignKey("gateway.no"), primary_key=True, autoincrement=False),
    Column("stage", Integer, nullable=False),
    Column("wanted", Text, nullable=False),  # JSON of configs.rollout.Target
    Column("former", Text),  # the same; None: it ran its local file
    Column("standing", String(16), nullable=False),  # configs.rollout.Standing
    Column("why", String(24), nullable=False),  # configs.rollout.Why
    Column("detail", Text, nullable=False, server_default=""),
    Column("ordered_at", Moment),
    Column("returns", Integer, nullable=False, server_default="0"),
)
Index("ix_config_member_gateway", config_member.c.gateway_no)

config_hold: Final = Table(
    "config_hold",
    METADATA,
    Column("gateway_no", Number, ForeignKey("gateway.no"), primary_key=True, autoincrement=False),
    Column("wanted", Number),  # number of the version it was last given; None: none yet
    Column("rollout_id", Number, ForeignKey("config_rollout.id"), index=True),  # in whose hands it is
)
"""What each gateway is to run, and the one rollout that may change it."""
