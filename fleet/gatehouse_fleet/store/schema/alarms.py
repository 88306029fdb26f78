"""Alarms as they stand now, drawn from the journals, and the feed that screens follow."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text

from gatehouse_fleet.store.schema.metadata import METADATA, Moment, Number

alarm: Final = Table(
    "alarm",
    METADATA,
    Column("alarm_id", String(26), primary_key=True),  # ULID of the gateway
    Column("gateway_no", Number, ForeignKey("gateway.no"), nullable=False, index=True),
    Column("node_id", Number, nullable=False, index=True),  # community at that time
    Column("device_id", String(64), nullable=False),
    Column("seq", Number, nullable=False),  # revision of the alarm
    Column("entry_epoch", String(32), nullable=False),
    Column("entry_seq", Number, nullable=False),  # journal entry that told this revision
    Column("code", String(64), nullable=False),
    Column("category", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("priority", String(2), nullable=False),
    Column("state", String(16), nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("raised_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("committed_at", Moment, nullable=False),  # first revision at the fleet
    Column("case_id", Number, index=True),
    Column("is_verified", Boolean, nullable=False),
    Column("body", Text, nullable=False),  # gatehouse_events.alarm.Alarm, JSON
)
Index("ix_alarm_open", alarm.c.is_open, alarm.c.priority, alarm.c.raised_at)

alarm_revision: Final = Table(
    "alarm_revision",
    METADATA,
    Column("alarm_id", String(26), primary_key=True),
    Column("epoch_number", Number, primary_key=True, autoincrement=False),
    Column("entry_seq", Number, primary_key=True, autoincrement=False),
    Column("gateway_no", Number, nullable=False),
)
"""Which entries of the alarm lane tell of an alarm."""

feed: Final = Table(
    "feed",
    METADATA,
    Column("position", Number, primary_key=True, autoincrement=False),  # taken under a lock: visible in order
    Column("at", Moment, nullable=False),
    Column("topic", String(16), nullable=False),  # alarm | case | gateway | rollout | city
    Column("subject", String(128), nullable=False),
    Column("node_path", String(512), nullable=False),  # who may see it: prefix of the tree
    Column("body", Text, nullable=False),
)

feed_head: Final = Table(
    "feed_head",
    METADATA,
    Column("one", Number, primary_key=True, autoincrement=False),  # always 1
    Column("position", Number, nullable=False),
)
