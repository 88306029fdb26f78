"""The uplink as one part of the gateway: one client, its loops, and the certificate renewed in time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gatehouse_config import GatewayConfig
from gatehouse_config.fleet import Fleet
from gatehouse_edge.clock import Clock
from gatehouse_edge.ledger import Ledger
from gatehouse_edge.uplink import identity
from gatehouse_edge.uplink.backoff import Backoff
from gatehouse_edge.uplink.errors import NotEnrolledError, RefusedError, UplinkError
from gatehouse_edge.uplink.evidence import EvidenceQueue, EvidenceSender
from gatehouse_edge.uplink.fleet_client import FleetClient
from gatehouse_edge.uplink.link import Link
from gatehouse_edge.uplink.order_desk import ConfigDesk, HoldDesk, OrderDesk
from gatehouse_edge.uplink.order_feed import OrderFeed
from gatehouse_edge.uplink.replicator import Replicator
from gatehouse_edge.uplink.status import ConfigOrigin, status_of
from gatehouse_events.fleet_api import STATUS_EVERY_S, GatewayStatus, RenewRequest
from gatehouse_journal import JournalError
from gatehouse_journal.signer import public_keys

_NOT_ENROLLED_PAUSE_S: Final = 15.0
_RENEW_LOOK_S: Final = 10.0
_COUNT_EVERY_S: Final = 10.0
_GOODBYE_S: Final = 0.5
"""A stop takes 2 s in all; the fleet notices the silence anyhow."""
_MAX_KEYS: Final = 16
_log = logging.getLogger(__name__)


class _RenewedError(Exception):
    """Not a failure: the connections are made anew with the next certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The gateway around the uplink: what it reads, writes and asks."""

    ledger: Ledger
    clock: Clock
    link: Link
    configs: ConfigDesk
    evidence: EvidenceQueue
    holds: HoldDesk
    journal_directory: Path
    version: str
    """Of this program."""
    origin: Callable[[], ConfigOrigin]
    reload_config: Callable[[], None]


class Uplink:
    """Made afresh for each configuration; `run` is kept by the keeper."""

    def __init__(
        self, config: GatewayConfig, fleet: Fleet, home: Home, *, rng: random.Random | None = None
    ) -> None:
        self.client: FleetClient | None = None
        """While there is one."""
        self._config: Final = config
        self._fleet: Final = fleet
        self._home: Final = home
        self._ledger: Final = home.ledger
        self._clock: Final = home.clock
        self._link: Final = home.link
        self._rng: Final = rng or random.Random()  # noqa: S311  # jitter, no secret
        self._started_at: Final = home.clock.now().wall
        self._status_wanted: Final = asyncio.Event()
        self._replicator: Replicator | None = None
        self._feed: OrderFeed | None = None

    def report_status(self) -> None:
        """Tell the fleet how we are, now."""
        self._status_wanted.set()

    async def run(self) -> None:
        """Speak with the fleet until cancelled."""
        while True:
            try:
                tls = await asyncio.to_thread(self._tls)
            except NotEnrolledError as error:
                self._link.failed(error)
                await asyncio.sleep(_NOT_ENROLLED_PAUSE_S)
                continue
            try:
                await self._speak(tls)
            except* _RenewedError:
                _log.info("the certificate was renewed")

    async def say_goodbye(self) -> None:
        """Say once that an orderly end comes; what cannot be said in half a second is left unsaid."""
        if self.client is None:
            return
        with contextlib.suppress(TimeoutError, UplinkError):
            async with asyncio.timeout(_GOODBYE_S):
                await self.client.status(self._status(is_stopping=True))

    def _tls(self) -> ssl.SSLContext | None:
        if self._fleet.url.startswith("http://"):
            return None  # loopback only; the configuration sees to that
        return identity.tls_context(self._config.fleet_directory)

    async def _speak(self, tls: ssl.SSLContext | None) -> None:
        gateway_id = self._config.gateway.id
        client = FleetClient(self._fleet.url, gateway_id, tls=tls, proxy=self._fleet.proxy)
        async with client:
            self.client = client
            self._replicator = replicator = Replicator(
                client,
                self._ledger,
                self._home.journal_directory,
                gateway_id,
                link=self._link,
                clock=self._clock,
                rng=self._rng,
            )
            desk = OrderDesk(
                self._ledger,
                self._home.configs,
                self._home.evidence,
                self._home.holds,
                now=self._link.fleet_now,
                report_status=self.report_status,
                reload_config=self._home.reload_config,
            )
            self._feed = feed = OrderFeed(
                client,
                lambda: self._ledger.orders,
                desk.carry,
                link=self._link,
                clock=self._clock,
                rng=self._rng,
                may_stream=self._fleet.orders == "auto",
            )
            sender = EvidenceSender(
                client,
                self._home.evidence,
                wait_quiet=replicator.wait_quiet,
                keep=self._ledger.keep,
                kib_s=self._fleet.evidence_kib_s,
                link=self._link,
                rng=self._rng,
            )
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(replicator.run(), name="uplink journal")
                    tasks.create_task(feed.run(), name="uplink orders")
                    tasks.create_task(sender.run(), name="uplink evidence")
                    tasks.create_task(self._tell_status(client), name="uplink status")
                    tasks.create_task(self._count(replicator), name="uplink backlog")
                    if tls is not None:
                        tasks.create_task(self._renew(client, replicator), name="uplink certificate")
            finally:
                self.client = None

    async def _tell_status(self, client: FleetClient) -> None:
        backoff = Backoff(rng=self._rng, most_s=STATUS_EVERY_S)
        while True:
            self._status_wanted.clear()
            pause_s = STATUS_EVERY_S
            try:
                status = self._status()
                answer = await client.status(status)
            except UplinkError as error:
                self._link.failed(error)
                pause_s = backoff.next_s(at_least_s=1.0)
            else:
                backoff.reset()
                self._link.answered()
                self._link.told_status(status.config_version, answer.at)
                if self._feed is not None:
                    self._feed.compare(answer.orders_epoch, answer.orders_head)
                await asyncio.to_thread(self._home.evidence.want, answer.evidence_wanted)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._status_wanted.wait()

    async def _count(self, replicator: Replicator) -> None:
        while True:
            await asyncio.sleep(_COUNT_EVERY_S)
            try:
                await replicator.count()
            except JournalError as error:
                _log.warning("the backlog cannot be counted: %s", error)

    async def _renew(self, client: FleetClient, replicator: Replicator) -> None:
        """Ask for the next certificate when it is time, or when the fleet has to hear of a new journal key.

        Raises:
            _RenewedError: it is there; connect anew.
        """
        backoff = Backoff(rng=self._rng, first_s=30.0, most_s=3600.0)
        directory = self._config.fleet_directory
        while True:
            due = await asyncio.to_thread(identity.renew_at, directory)
            if self._link.fleet_now() >= due or replicator.is_key_doubted.is_set():
                try:
                    await self._ask_next(client, directory)
                except (UplinkError, OSError) as error:
                    _log.warning("the certificate is not renewed yet: %s", error)
                    retry_s = error.retry_after_s if isinstance(error, RefusedError) else None
                    await asyncio.sleep(backoff.next_s(at_least_s=retry_s or 5.0))
                    continue
                raise _RenewedError
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RENEW_LOOK_S):
                    await replicator.is_key_doubted.wait()

    async def _ask_next(self, client: FleetClient, directory: Path) -> None:
        request = await asyncio.to_thread(identity.new_request, self._config.gateway.id)
        keys = await asyncio.to_thread(public_keys, self._home.journal_directory)
        answer = await client.renew(RenewRequest(csr=request.csr_pem, journal_keys=keys[-_MAX_KEYS:]))
        await asyncio.to_thread(identity.store, directory, request, answer)

    def _status(self, *, is_stopping: bool = False) -> GatewayStatus:
        replicator = self._replicator
        return status_of(
            self._ledger,
            self._clock,
            version=self._home.version,
            started_at=self._started_at,
            origin=self._home.origin(),
            acknowledged=lambda lane: 0 if replicator is None else replicator.position(lane),
            is_stopping=is_stopping,
        )
