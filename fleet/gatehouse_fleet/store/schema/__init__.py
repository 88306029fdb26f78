"""Every table, by area. One `MetaData`; the Alembic migrations are checked against it on both databases."""

from gatehouse_fleet.store.schema import (
    alarms,
    bench,
    cases,
    city,
    configs,
    evidence,
    gateways,
    journal,
    orders,
    org,
    people,
    webhooks,
)
from gatehouse_fleet.store.schema.metadata import METADATA

__all__ = [
    "METADATA",
    "alarms",
    "bench",
    "cases",
    "city",
    "configs",
    "evidence",
    "gateways",
    "journal",
    "orders",
    "org",
    "people",
    "webhooks",
]
