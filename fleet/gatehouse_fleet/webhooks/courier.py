"""Carries the feed to the webhooks: each has a cursor of its own, so a receiver that is down holds nobody up.

A delivery is a POST of up to 100 lines, oldest first. The cursor moves after the receiver has said 2xx; a delivery whose answer
was lost is sent again, with the same `X-Gatehouse-Delivery`. One worker delivers for a hook at a time (lease).
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

import httpx
from msgspec import Raw, Struct
from sqlalchemy import Row, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from gatehouse_events.chain import canonical
from gatehouse_fleet.clock import Clock
from gatehouse_fleet.projection.feed import FEED_TOPIC
from gatehouse_fleet.projection.tail import FeedLine, FeedTail
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.webhooks import webhook
from gatehouse_fleet.webhooks import patience
from gatehouse_fleet.webhooks.guard import ForbiddenAddressError, Network, resolve
from gatehouse_fleet.webhooks.hook import NamedHook
from gatehouse_fleet.webhooks.signing import HEADER, sign

MAX_LINES: Final = 100
"""Of one delivery; a line has a few hundred bytes."""
LOOK_EVERY_S: Final = 15.0
LEASE: Final = timedelta(seconds=60)
"""Twice the longest time-out of a delivery."""
_MAX_ERROR: Final = 200
_log = logging.getLogger(__name__)


class Line(Struct, frozen=True, kw_only=True):
    """One line of the feed as a receiver gets it."""

    position: int
    at: datetime
    topic: str
    subject: str
    body: Raw


class Delivery(Struct, frozen=True, kw_only=True):
    """Body of a delivery."""

    hook: str
    lines: tuple[Line, ...]


class Failure(Struct, frozen=True, kw_only=True):
    """Why a delivery was not taken."""

    words: str
    is_final: bool = False
    """Trying again changes nothing: somebody has to look."""


class Courier:
    """Delivers for every hook until cancelled."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        wake: Wake,
        hooks: Sequence[NamedHook],
        networks: Sequence[Network],
        *,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Take what is needed.

        Args:
            store: the database.
            clock: of deadlines and signatures.
            wake: tells of new lines.
            hooks: the receivers.
            networks: where deliveries may go; empty: nowhere.
            trust: certificates to believe; default the system's.
        """
        self._store: Final = store
        self._clock: Final = clock
        self._wake: Final = wake
        self._hooks: Final = tuple(hooks)
        self._networks: Final = tuple(networks)
        self._trust: Final = trust or ssl.create_default_context()
        self._tail: Final = FeedTail(store)
        self._owner: Final = secrets.token_hex(16)

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for hook in self._hooks:
                tasks.create_task(self._serve(hook), name=f"webhook {hook.name}")

    async def _serve(self, hook: NamedHook) -> None:
        while True:
            seen = self._wake.count(FEED_TOPIC)
            if not await self.deliver(hook):
                await self._wake.wait(FEED_TOPIC, seen, timeout_s=await self._rest_s(hook))

    async def _rest_s(self, hook: NamedHook) -> float:
        """Return how long nothing can happen but a new line: till the next try, at most a quarter of a minute."""
        async with self._store.read() as db:
            at = (
                await db.execute(select(webhook.c.next_at).where(webhook.c.name == hook.name))
            ).scalar_one_or_none()
        left: float = LOOK_EVERY_S if at is None else (at - self._clock.now()).total_seconds()
        return min(max(left, 0.1), LOOK_EVERY_S)

    async def deliver(self, hook: NamedHook) -> bool:
        """Try one delivery; True when there may be more to do at once."""
        if not await self._has_work(hook):
            return False
        row = await self._claim(hook)
        if row is None:
            return False
        lines = await self._tail.after(row.position)
        if not lines:
            return False
        wanted = [line for line in lines if _is_wanted(line, hook)][:MAX_LINES]
        through = wanted[-1].position if len(wanted) == MAX_LINES else lines[-1].position
        failure = await self._send(hook, wanted) if wanted else None
        if failure is None:
            await self._moved(hook, through, is_sent=bool(wanted))
            return True
        await self._failed(hook, row, failure)
        return False

    async def _has_work(self, hook: NamedHook) -> bool:
        """Look without writing: most looks find nothing."""
        async with self._store.read() as db:
            row = (await db.execute(select(webhook).where(webhook.c.name == hook.name))).one_or_none()
        if row is None:
            return True
        is_waiting = row.parked_at is not None or (
            row.next_at is not None and row.next_at > self._clock.now()
        )
        return not is_waiting and bool(await self._tail.after(row.position))

    async def _claim(self, hook: NamedHook) -> Row[Any] | None:
        """Take the lease of a hook that may be tried now; a hook nobody has seen begins at the end of the feed."""
        now = self._clock.now()
        async with self._store.begin() as db:
            make = postgresql.insert if db.dialect.name == "postgresql" else sqlite.insert
            known = await db.execute(select(webhook.c.name).where(webhook.c.name == hook.name))
            if known.one_or_none() is None:
                values = {"name": hook.name, "position": await self._tail.head()}
                await db.execute(make(webhook).values(values).on_conflict_do_nothing())
            taken = await db.execute(
                update(webhook)
                .where(
                    webhook.c.name == hook.name,
                    webhook.c.parked_at.is_(None),
                    or_(webhook.c.next_at.is_(None), webhook.c.next_at <= now),
                    or_(
                        webhook.c.lease_owner == self._owner,
                        webhook.c.lease_until.is_(None),
                        webhook.c.lease_until < now,
                    ),
                )
                .values(lease_owner=self._owner, lease_until=now + LEASE)
                .returning(webhook)
            )
            row: Row[Any] | None = taken.one_or_none()
            return row

    async def _send(self, hook: NamedHook, lines: Sequence[FeedLine]) -> Failure | None:
        body = canonical(
            Delivery(
                hook=hook.name,
                lines=tuple(
                    Line(
                        position=line.position,
                        at=line.at,
                        topic=line.topic,
                        subject=line.subject,
                        body=Raw(line.body.encode()),
                    )
                    for line in lines
                ),
            )
        )
        try:
            async with asyncio.timeout(hook.hook.timeout_s):
                whereto = await resolve(hook.hook.url, self._networks)
                headers = {
                    "Host": whereto.host_header,
                    "Content-Type": "application/json",
                    "User-Agent": "gatehouse-fleet",
                    "X-Gatehouse-Delivery": f"{hook.name}-{lines[0].position}-{lines[-1].position}",
                    HEADER: sign(hook.secret, body, int(self._clock.now().timestamp())),
                }
                async with (
                    httpx.AsyncClient(verify=self._trust, follow_redirects=False, trust_env=False) as client,
                    client.stream(
                        "POST",
                        whereto.url,
                        content=body,
                        headers=headers,
                        extensions={"sni_hostname": whereto.host},
                    ) as answer,
                ):
                    return _failure(answer.status_code)
        except ForbiddenAddressError as error:
            return Failure(words=str(error), is_final=True)
        except (httpx.HTTPError, OSError, TimeoutError, ssl.SSLError) as error:
            return Failure(words=f"{type(error).__name__}: {error}"[:_MAX_ERROR])

    async def _moved(self, hook: NamedHook, through: int, *, is_sent: bool) -> None:
        values: dict[str, Any] = {"position": through}
        if is_sent:
            values |= {
                "delivered_at": self._clock.now(),
                "failures": 0,
                "failing_since": None,
                "next_at": None,
                "last_error": None,
            }
        async with self._store.begin() as db:
            await db.execute(
                update(webhook)
                .where(webhook.c.name == hook.name, webhook.c.lease_owner == self._owner)
                .values(values)
            )

    async def _failed(self, hook: NamedHook, row: Row[Any], failure: Failure) -> None:
        now = self._clock.now()
        since, failures = row.failing_since or now, row.failures + 1
        is_parked = failure.is_final or patience.is_hopeless(since, now)
        async with self._store.begin() as db:
            await db.execute(
                update(webhook)
                .where(webhook.c.name == hook.name, webhook.c.lease_owner == self._owner)
                .values(
                    failures=failures,
                    failing_since=since,
                    next_at=now + patience.pause(failures, random.random()),  # noqa: S311  # spreads, hides nothing
                    last_error="".join(c if c.isprintable() else "?" for c in failure.words)[:_MAX_ERROR],
                    parked_at=now if is_parked else None,
                )
            )
        if failures == 1 or is_parked:
            _log.warning(
                "webhook %s %s: %s", hook.name, "is parked" if is_parked else "fails", ascii(failure.words)
            )


async def resume(store: Store, name: str) -> bool:
    """Let a parked hook try again at once, from where it stands; False: there is none of that name."""
    async with store.begin() as db:
        done = await db.execute(
            update(webhook)
            .where(webhook.c.name == name)
            .values(parked_at=None, failures=0, failing_since=None, next_at=None, last_error=None)
        )
    return bool(done.rowcount)


def _is_wanted(line: FeedLine, hook: NamedHook) -> bool:
    return line.topic in hook.hook.topics and line.node_path.startswith(hook.hook.scope_path)


def _failure(status: int) -> Failure | None:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    words = f"the receiver answered {status}"
    return Failure(words=words, is_final=status == HTTPStatus.GONE)
