"""The fleet's copy of every gateway's journal, and where it stands in each lane."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Index, LargeBinary, SmallInteger, String, Table, Text, UniqueConstraint

from gatehouse_fleet.store.schema.metadata import METADATA, Number

entry: Final = Table(
    "entry",
    METADATA,
    Column(
        "id", Number, primary_key=True, autoincrement=True
    ),  # never a cursor: ids become visible out of order
    Column("gateway_no", Number, nullable=False),
    Column("lane", SmallInteger, nullable=False),  # 1 alarm, 2 telemetry
    Column("epoch", LargeBinary(16), nullable=False),
    Column("seq", Number, nullable=False),
    Column("at_us", Number, nullable=False),
    Column("boot", String(64), nullable=False),
    Column("mono_ns", Number, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("body_hash", LargeBinary(32), nullable=False),
    Column("prev_hash", LargeBinary(32), nullable=False),
    Column("body", LargeBinary),  # None: erased
    Column("doubt", String(16)),  # replication.Doubt; None: verified
    Column("received_us", Number, nullable=False),
    UniqueConstraint("gateway_no", "lane", "epoch", "seq"),
)

doubtful: Final = Table(
    "doubtful_entry",
    METADATA,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("gateway_no", Number, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("epoch", LargeBinary(16), nullable=False),
    Column("seq", Number, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("doubt", String(16), nullable=False),
    Column("wire", LargeBinary, nullable=False),  # the entry as it came, JSON
    Column("received_us", Number, nullable=False),
    UniqueConstraint("gateway_no", "lane", "epoch", "seq", "hash"),
)
"""A second story about a sequence number that is already told: kept beside it, shown, forwarded as unverified."""

lane_cursor: Final = Table(
    "lane_cursor",
    METADATA,
    Column("gateway_no", Number, primary_key=True, autoincrement=False),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch", LargeBinary(16), nullable=False),
    Column("seq", Number, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("moved_us", Number, nullable=False),
)

epoch: Final = Table(
    "epoch",
    METADATA,
    Column("gateway_no", Number, primary_key=True, autoincrement=False),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", Number, primary_key=True, autoincrement=False),  # 1, 2, … in order of arrival
    Column("epoch", LargeBinary(16), nullable=False),
    Column("first_seq", Number, nullable=False),
    Column("last_seq", Number, nullable=False),  # where it ended; of the running one: as of its start
    Column("reason", Text, nullable=False, server_default=""),
)
Index("uq_epoch_value", epoch.c.gateway_no, epoch.c.lane, epoch.c.epoch, unique=True)

reader_cursor: Final = Table(
    "reader_cursor",
    METADATA,
    Column("reader", String(64), primary_key=True),  # "projection", "city:weihai", …
    Column("gateway_no", Number, primary_key=True, autoincrement=False),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch_number", Number, nullable=False),  # epoch.number
    Column("seq", Number, nullable=False),
)
"""Where each reader stands: per gateway, lane and epoch, on `seq`."""
