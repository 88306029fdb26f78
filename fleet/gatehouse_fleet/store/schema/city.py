"""City platforms: what state each target is in, what it has received, and what it would not take."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, Index, LargeBinary, String, Table, Text

from gatehouse_fleet.store.schema.metadata import METADATA, Moment, Number

city_target: Final = Table(
    "city_target",
    METADATA,
    Column("id", String(40), primary_key=True),  # of the target's file
    Column("title", String(128), nullable=False),
    Column("seen_at", Moment, nullable=False),  # first start with this file: cursors were set then
    Column("state", String(16), nullable=False),  # city.desk.TargetState
    Column("state_reason", String(512), nullable=False, server_default=""),
    Column("state_by", String(64), nullable=False),
    Column("state_at", Moment, nullable=False),
    Column("refusals", Number, nullable=False, server_default="0"),  # in a row
    Column("trouble", String(512)),  # what keeps it from receiving; None: nothing
    Column("trouble_since", Moment),
)

city_receipt: Final = Table(
    "city_receipt",
    METADATA,
    Column("target", String(40), primary_key=True),
    Column("gateway_no", Number, ForeignKey("gateway.no"), primary_key=True, autoincrement=False),
    Column("event_id", String(64), primary_key=True),  # "<alarm_id>-<revision>"
    Column("alarm_id", String(26), nullable=False),
    Column("alarm_seq", Number, nullable=False),
    Column("epoch", String(32), nullable=False),
    Column("seq", Number, nullable=False),  # of the journal entry
    Column("sent_at", Moment, nullable=False),  # the try that was answered
    Column("receipt_at", Moment, nullable=False),
    Column("receipt", LargeBinary, nullable=False),  # as given, at most 2000 bytes
    Column("receipt_hash", LargeBinary(32), nullable=False),  # SHA-256 of it
    Column("tries", Number, nullable=False),
    Column("is_verified", Boolean, nullable=False),
)
Index("ix_city_receipt_alarm", city_receipt.c.alarm_id)
Index("ix_city_receipt_entry", city_receipt.c.gateway_no, city_receipt.c.epoch, city_receipt.c.seq)

city_parked: Final = Table(
    "city_parked",
    METADATA,
    Column("target", String(40), primary_key=True),
    Column("gateway_no", Number, ForeignKey("gateway.no"), primary_key=True, autoincrement=False),
    Column("event_id", String(64), primary_key=True),
    Column("alarm_id", String(26), nullable=False),
    Column("alarm_seq", Number, nullable=False),
    Column("epoch", String(32), nullable=False),
    Column("seq", Number, nullable=False),
    Column("epoch_number", Number, nullable=False),
    Column("parked_at", Moment, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("detail", Text, nullable=False),  # printable, cut
    Column("tries", Number, nullable=False),
    Column("retry_wanted", Boolean, nullable=False, server_default="0"),
    Column("resolved_at", Moment),
    Column("resolution", String(16)),  # received | superseded | given_up
    Column("resolved_by", String(64)),
)
Index("ix_city_parked_open", city_parked.c.target, city_parked.c.resolved_at)
Index("ix_city_parked_entry", city_parked.c.gateway_no, city_parked.c.epoch, city_parked.c.seq)
