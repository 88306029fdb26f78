"""Every table, by area. One `MetaData`; the Alembic migrations are checked against it on both databases."""

from gatehouse_fleet.store.schema import (
    alarms,
    cases,
    city,
    gateways,
    journal,
    orders,
    org,
    people,
)
from gatehouse_fleet.store.schema.metadata import METADATA

__all__ = ["METADATA", "alarms", "cases", "city", "gateways", "journal", "orders", "org", "people"]
