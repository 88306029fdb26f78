"""The database: SQLite by default, PostgreSQL when it grows, behind the same few calls."""

from gatehouse_fleet.store.engine import Store, StoreError
from gatehouse_fleet.store.wake import Wake

__all__ = ["Store", "StoreError", "Wake"]
