"""Wakes between workers: PostgreSQL's LISTEN/NOTIFY, one connection per worker. A lost one costs the waiter's time-out."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Final

import asyncpg

if TYPE_CHECKING:
    from gatehouse_fleet.services import Services

CHANNEL: Final = "gatehouse_wake"
_MAX_PAYLOAD: Final = 7_000
"""PostgreSQL takes less than 8000 bytes."""
_CHECK_S: Final = 20.0


async def relay_wakes(services: Services) -> None:
    """Pass on what this worker notifies and hear what others do, until cancelled or the connection breaks.

    Raises:
        OSError: the connection is gone; the keeper makes the next one.
    """
    own = secrets.token_hex(4)
    wake = services.wake
    url = services.store.url.set(drivername="postgresql")
    db = await asyncpg.connect(url.render_as_string(hide_password=False))

    def heard(_db: Any, _pid: int, _channel: str, payload: Any) -> None:  # noqa: ANN401  # asyncpg's own signature
        sender, *topics = str(payload).split("\n")
        if sender != own:
            for topic in topics:
                wake.hear(topic)

    try:
        await db.add_listener(CHANNEL, heard)
        # What happened while nobody listened is unknown: everybody looks again.
        wake.hear_all()
        while True:
            topics = await wake.outgoing(timeout_s=_CHECK_S)
            if not topics:
                await db.execute("SELECT 1")
            for payload in _payloads(own, topics):
                await db.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ConnectionError(f"the database connection of the wakes is gone: {error}") from error
    finally:
        async with asyncio.timeout(2):
            await db.close(timeout=1)


def _payloads(own: str, topics: list[str]) -> list[str]:
    payloads = [own]
    for topic in topics:
        if len(payloads[-1]) + len(topic) + 1 > _MAX_PAYLOAD:
            payloads.append(own)
        payloads[-1] += f"\n{topic}"
    return payloads if topics else []
