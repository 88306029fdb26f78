"""Gateway configurations: every version of each gateway, templates with variables, and how they are brought out."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, String, Table, Text

from gatehouse_fleet.store.schema.metadata import METADATA, Moment, Number

config_version: Final = Table(
    "config_version",
    METADATA,
    Column("gateway_no", Number, ForeignKey("gateway.no"), primary_key=True, autoincrement=False),
    Column("number", Number, primary_key=True, autoincrement=False),  # 1, 2, 3 …
    Column(
        "version", String(128), nullable=False
    ),  # what the gateway is told: "<number>-<8 hex of the hash>"
    Column("sha256", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("origin", String(160), nullable=False, server_default=""),  # template it was made of
    Column("note", String(256), nullable=False, server_default=""),
    Column("made_by", String(64), nullable=False),
    Column("made_at", Moment, nullable=False),
)

config_template: Final = Table(
    "config_template",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),  # gateway.yaml with ${variables}
    Column("note", String(256), nullable=False, server_default=""),
    Column("made_by", String(64), nullable=False),
    Column("made_at", Moment, nullable=False),
)

config_group: Final = Table(
    "config_group",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("node_id", Number, nullable=False),  # whoever reaches this place manages the group
    Column("template", String(64), nullable=False),
    Column("variables", Text, nullable=False),  # JSON, same for all members
)

config_member: Final = Table(
    "config_member",
    METADATA,
    Column("gateway_no", Number, ForeignKey("gateway.no"), primary_key=True, autoincrement=False),
    Column("group_name", String(64), ForeignKey("config_group.name"), nullable=False, index=True),
    Column("variables", Text, nullable=False),  # JSON, of this gateway
)

config_rollout: Final = Table(
    "config_rollout",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("title", String(128), nullable=False),
    Column("node_id", Number, nullable=False),
    Column("state", String(16), nullable=False, index=True),  # configs.rollout.RolloutState
    Column("why", String(512), nullable=False, server_default=""),  # of the state
    Column("pilots", Number, nullable=False),
    Column("batch", Number, nullable=False),
    Column("max_failures", Number, nullable=False),
    Column("soak_s", Float, nullable=False),  # between pilots and the rest
    Column("confirm_within_s", Float, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
)

config_step: Final = Table(
    "config_step",
    METADATA,
    Column("rollout_id", Number, ForeignKey("config_rollout.id"), primary_key=True, autoincrement=False),
    Column("gateway_no", Number, ForeignKey("gateway.no"), primary_key=True, autoincrement=False),
    Column("position", Number, nullable=False),
    Column("is_pilot", Boolean, nullable=False),
    Column("number", Number, nullable=False),  # config_version it goes to
    Column("before", Number),  # and comes from; None: a local file that is not here
    Column("state", String(16), nullable=False),  # configs.rollout.StepState
    Column("order_epoch", String(32)),
    Column("order_seq", Number),
    Column("ordered_at", Moment),
    Column("expires_at", Moment),
    Column("settled_at", Moment),
    Column("detail", Text, nullable=False, server_default=""),
)
Index("ix_config_step_order", config_step.c.gateway_no, config_step.c.order_epoch, config_step.c.order_seq)
