"""The one `MetaData`, and the column types that mean the same on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Dialect, Integer, MetaData, TypeDecorator
from typing_extensions import override

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Number: Final = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits; SQLite gives row ids to INTEGER keys only."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """An aware time, kept as microseconds since 1970: sorts and compares the same on both databases."""

    impl = BigInteger
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return microseconds; a naive time is a bug."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without zone cannot be stored: {value.isoformat()}")
        return (value - _EPOCH) // timedelta(microseconds=1)

    @override
    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Return the time, UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=int(value))
