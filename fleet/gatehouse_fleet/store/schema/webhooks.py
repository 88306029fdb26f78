"""Where each webhook stands in the feed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Integer, String, Table

from gatehouse_fleet.store.schema.metadata import METADATA, Moment, Number

webhook: Final = Table(
    "webhook",
    METADATA,
    Column("name", String(64), primary_key=True),  # of its file in the folder of webhooks
    Column("position", Number, nullable=False),  # last line of the feed that its receiver has taken
    Column("delivered_at", Moment),
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row
    Column("failing_since", Moment),
    Column("next_at", Moment),  # not before; None: at once
    Column("last_error", String(200)),
    Column("parked_at", Moment),  # no more tries until a person resumes it
    Column("lease_owner", String(32)),
    Column("lease_until", Moment),  # one worker delivers at a time
)
