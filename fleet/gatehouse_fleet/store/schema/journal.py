"""The fleet's copy of every gateway's journal, and where it stands in each lane."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Index, LargeBinary, SmallInteger, String, Table, Text

from gatehouse_fleet.store.schema.metadata import METADATA, Number

entry: Final = Table(
    "entry",
    METADATA,
    Column("gateway_no", Number, primary_key=True, autoincrement=False),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),  # 1 alarm, 2 telemetry
    Column("epoch_number", Number, primary_key=True, autoincrement=False),  # epoch.number
    Column("seq", Number, primary_key=True, autoincrement=False),
    Column("at_us", Number, nullable=False),
    Column("boot", String(64), nullable=False),
    Column("mono_ns", Number, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("body_hash", LargeBinary(32), nullable=False),
    Column("prev_hash", LargeBinary(32), nullable=False),
    Column("body", LargeBinary),  # None: erased
    Column("doubt", String(16)),  # replication.Doubt; None: verified
    Column("received_us", Number, nullable=False),
)
"""In the order of its key the entries of a lane stand as they arrived; there is no other order and no other index."""

epoch: Final = Table(
    "epoch",
    METADATA,
    Column("gateway_no", Number, primary_key=True, autoincrement=False),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", Number, primary_key=True, autoincrement=False),  # 1, 2, … in order of arrival
    Column("epoch", LargeBinary(16), nullable=False),
    Column("first_seq", Number, nullable=False),
    Column("removed_through", Number, nullable=False, server_default="0"),  # by the fleet's retention
    Column("reason", Text, nullable=False, server_default=""),
    Column("opened_us", Number, nullable=False),
)
Index("ix_epoch_value", epoch.c.gateway_no, epoch.c.lane, epoch.c.epoch)
"""Runs of arrival: one for each life of a journal, and one more for each second story about sequence numbers that were
already told (same epoch, higher number, `doubt` on its entries). So nothing is ever put before what a reader has read."""

lane_cursor: Final = Table(
    "lane_cursor",
    METADATA,
    Column("gateway_no", Number, primary_key=True, autoincrement=False),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch", LargeBinary(16), nullable=False),  # empty: nothing has come yet
    Column("seq", Number, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("doubt", String(16)),  # why this epoch cannot be believed any more; until the next one
    Column("epoch_number", Number, nullable=False),  # the run that is being written
    Column("last_seq", Number, nullable=False),  # and its last entry; 0: it has none
    Column("moved_us", Number, nullable=False),
)
"""Where each lane stands. Whoever writes entries holds this row."""

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
