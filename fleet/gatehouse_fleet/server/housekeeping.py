"""What a server does by itself once in a while: ended sessions, old audit entries, certificates that nobody renews."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final

from sqlalchemy import delete

from gatehouse_fleet.people import audit
from gatehouse_fleet.pki.authority import GATEWAY_LIFE, RENEW_AFTER
from gatehouse_fleet.pki.identity import expiries
from gatehouse_fleet.registry.measuring import SAMPLE_EVERY_S, sample
from gatehouse_fleet.services import Services
from gatehouse_fleet.store.schema.cases import occurrence
from gatehouse_fleet.store.schema.gateways import enrolment_code
from gatehouse_fleet.store.schema.people import session

EVERY_S: Final = 3600.0
_LATE: Final = (GATEWAY_LIFE - RENEW_AFTER) / 2
"""A certificate in its last five days: its gateway should have asked five days ago."""
_MAX_NAMED: Final = 20
_OCCURRENCES: Final = timedelta(days=32)
"""How often a cause came is asked for at most 31 days back (`cases.policy.Prevention`)."""

_log = logging.getLogger(__name__)


async def keep_house(services: Services) -> None:
    """Look after the tables of people and certificates, every hour, until cancelled."""
    while True:
        await clean(services)
        await asyncio.sleep(EVERY_S)


async def take_samples(services: Services) -> None:
    """Count the cameras that are online, every ten minutes, until cancelled."""
    while True:
        async with services.store.begin() as db:
            await sample(db, now=services.clock.now(), zone=services.settings.time_zone)
        await asyncio.sleep(SAMPLE_EVERY_S)


async def clean(services: Services) -> None:
    """Do it once."""
    now = services.clock.now()
    days = services.settings.retention.audit_days
    async with services.store.begin() as db:
        await db.execute(delete(session).where(session.c.expires_at <= now))
        await db.execute(
            delete(enrolment_code).where(enrolment_code.c.expires_at < now - audit.MIN_RETENTION)
        )
        await db.execute(delete(occurrence).where(occurrence.c.at < now - _OCCURRENCES))
        gone = await audit.prune(db, before=now - timedelta(days=days), now=now)
    if gone:
        _log.info("%d audit entries older than %d days went", gone, days)
    late = await expiries(services.store, before=now + _LATE)
    if late:
        named = ", ".join(gateway_id for gateway_id, _ in late[:_MAX_NAMED])
        _log.warning("%d gateways have not renewed their certificates: %s", len(late), named)
