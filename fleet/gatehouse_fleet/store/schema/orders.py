"""The orders lane of each gateway: what the fleet told it, and what became of it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text

from gatehouse_fleet.store.schema.metadata import METADATA, Moment, Number

order_lane: Final = Table(
    "order_lane",
    METADATA,
    Column("gateway_no", Number, ForeignKey("gateway.no"), primary_key=True, autoincrement=False),
    Column("epoch", String(32), nullable=False),
    Column("head", Number, nullable=False),  # last order given out; the row is locked while one is issued
    Column("began_at", Moment, nullable=False),
)

order: Final = Table(
    "gateway_order",
    METADATA,
    Column("gateway_no", Number, ForeignKey("gateway.no"), primary_key=True, autoincrement=False),
    Column("epoch", String(32), primary_key=True),
    Column("seq", Number, primary_key=True, autoincrement=False),  # 1, 2, 3 … without gaps
    Column("issued_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("issuer", Text, nullable=False),  # orders.Issuer, JSON
    Column("kind", String(32), nullable=False),  # tag of the action
    Column("alarm_id", String(26)),  # the alarm it is about
    Column("body", Text, nullable=False),  # gatehouse_events.orders.Order, JSON
    Column("result", String(16)),  # orders.OrderResult; None: no outcome yet
    Column("result_at", Moment),  # as the gateway's clock said
    Column("result_detail", Text),
    Column("result_alarm_seq", Number),  # revision of the alarm afterwards
)
Index("ix_gateway_order_alarm", order.c.alarm_id)
