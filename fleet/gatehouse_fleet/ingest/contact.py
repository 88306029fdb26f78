"""Last contact and last status of every gateway, gathered in memory and written down together every second.

A gateway says the same again within `STATUS_EVERY_S`, so what a crash takes is told again; ten thousand gateways cost
one small transaction a second instead of hundreds.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, update
from sqlalchemy.exc import SQLAlchemyError

from gatehouse_events.fleet_api import GatewayStatus
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.gateways import gateway

FLUSH_EVERY_S: Final = 1.0
_log = logging.getLogger(__name__)


class Contacts:
    """`seen` and `told` only note; `run` writes down."""

    def __init__(self, store: Store, clock: Clock, wake: Wake) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._wake: Final = wake
        self._seen: dict[int, datetime] = {}
        self._told: dict[int, tuple[datetime, GatewayStatus]] = {}

    def seen(self, gateway_no: int) -> None:
        """Note an authenticated request of a gateway."""
        self._seen[gateway_no] = self._clock.now()

    def told(self, gateway_no: int, status: GatewayStatus) -> None:
        """Note what a gateway says of itself."""
        self._told[gateway_no] = (self._clock.now(), status)

    async def run(self) -> None:
        """Write down every second until cancelled; a database that is away is tried again."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            try:
                await self.flush()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("contacts are not written down yet: %s", error)

    async def flush(self) -> None:
        """Write down what was noted since the last time.

        Raises:
            SQLAlchemyError: the database refuses; nothing noted is forgotten.
        """
        seen, told = self._seen, self._told
        if not seen and not told:
            return
        self._seen, self._told = {}, {}
        try:
            async with self._store.begin() as db:
                # In the order of the numbers: two workers must not wait for each other's rows.
                if seen:
                    await db.execute(
                        update(gateway).where(gateway.c.no == bindparam("gateway")),
                        [{"gateway": no, "last_contact_at": at} for no, at in sorted(seen.items())],
                    )
                if told:
                    await db.execute(
                        update(gateway).where(gateway.c.no == bindparam("gateway")),
                        [_facts(no, at, status) for no, (at, status) in sorted(told.items())],
                    )
        except BaseException:
            self._seen, self._told = seen | self._seen, told | self._told
            raise
        if told:
            self._wake.notify("status")


def _facts(no: int, at: datetime, status: GatewayStatus) -> dict[str, Any]:
    return {
        "gateway": no,
        "status_at": at,
        "status": msgspec.json.encode(status).decode(),
        "version": status.version,
        "config_version": status.config_version,
        "clock_offset_ms": (status.sent_at - at).total_seconds() * 1e3,
        "alarm_backlog": max(0, status.alarm.head - status.alarm.acknowledged),
        "telemetry_backlog": max(0, status.telemetry.head - status.telemetry.acknowledged),
        "is_stopped": status.is_stopping,
    }
