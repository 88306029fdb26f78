"""The fleet as one part of the gateway: uplink, trial of its configurations, pruning behind its receipts, fault when it is lost.

All of it can fail or wait for ever: nothing local waits with it. Without a `fleet` section none of this runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from gatehouse_edge.clock import Clock
from gatehouse_edge.ledger import Ledger, LedgerError
from gatehouse_edge.uplink.config_trial import ConfigHost, ConfigTrials, left_trial
from gatehouse_edge.uplink.evidence import FOLDER, EvidenceQueue
from gatehouse_edge.uplink.link import Link
from gatehouse_edge.uplink.order_desk import RECEIPT_KEY, HoldDesk, Receipt
from gatehouse_journal import JournalError, Reader
from gatehouse_journal.outgoing import Outgoing

if TYPE_CHECKING:
    from gatehouse_edge.uplink.uplink import Uplink

LOST: Final = "gateway.fleet_lost"
_LOOK_EVERY_S: Final = 5.0
_PRUNE_EVERY_S: Final = 3600.0
_PRUNE_PAUSE_S: Final = 5.0
"""Between two pieces: an alarm is never behind more than one of them."""
_log = logging.getLogger(__name__)


class FleetPart:
    """Owned by the gateway for its whole life; `run` is hired while a fleet is configured."""

    def __init__(
        self,
        host: ConfigHost,
        ledger: Ledger,
        *,
        clock: Clock,
        directory: Path,
        state: Mapping[str, bytes],
        holds: HoldDesk,
        reload_config: Callable[[], None],
    ) -> None:
        config = host.config
        self.link: Final = Link(clock, is_configured=config.fleet is not None)
        self._host: Final = host
        self._ledger: Final = ledger
        self._directory: Final = directory
        self._uplink: Uplink | None = None
        self._evidence: Final = EvidenceQueue(directory / FOLDER, state)
        self._trials: Final = ConfigTrials(
            ledger,
            host,
            lambda: None if self._uplink is None else self._uplink.client,
            directory=config.fleet_directory,
            link=self.link,
            clock=clock,
            left=left_trial(state),
        )
        self._clock: Final = clock
        self._holds: Final = holds
        self._reload_config: Final = reload_config

    async def run(self) -> None:
        """Speak with the configured fleet until cancelled."""
        config = self._host.config
        if config.fleet is None:
            return
        self.link.configure(is_configured=True)
        # Imported where there is a fleet: HTTP client and compression cost memory that a gateway by itself never needs.
        from gatehouse_edge.uplink.uplink import Home, Uplink

        home = Home(
            ledger=self._ledger,
            clock=self._clock,
            link=self.link,
            configs=self._trials,
            evidence=self._evidence,
            holds=self._holds,
            journal_directory=self._directory,
            version=version("gatehouse"),
            origin=lambda: self._host.origin,
            reload_config=self._reload_config,
        )
        self._uplink = uplink = Uplink(config, config.fleet, home)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(uplink.run(), name="uplink")
                tasks.create_task(self._watch(config.fleet.lost_after_s), name="fleet watch")
                tasks.create_task(self._prune(config.gateway.id), name="retention")
        finally:
            self._uplink = None

    async def try_configs(self) -> None:
        """Try what the fleet orders; goes on while `run` is replaced, which a trial may do."""
        await self._trials.run()

    def report_status(self) -> None:
        """Tell the fleet how we are, now."""
        if self._uplink is not None:
            self._uplink.report_status()

    async def forget(self) -> None:
        """The configuration has no fleet any more."""
        self.link.configure(is_configured=False)
        await self._ledger.report(LOST, is_true=False)

    async def say_goodbye(self) -> None:
        """Say that an orderly end comes."""
        if self._uplink is not None:
            await self._uplink.say_goodbye()

    async def _watch(self, lost_after_s: float) -> None:
        told: bool | None = None
        while True:
            is_lost = self.link.lost_for_s() >= lost_after_s
            if is_lost is not told:
                await self._ledger.report(LOST, self.link.view().why, is_true=is_lost)
                told = is_lost
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _prune(self, gateway_id: str) -> None:
        """Let go what is signed for, received by the city and older than the retention; a little at a time."""
        while True:
            try:
                seq = await asyncio.to_thread(self._received, gateway_id)
                while seq and await self._ledger.prune(seq):  # noqa: ASYNC110  # one piece, then a pause for alarms
                    await asyncio.sleep(_PRUNE_PAUSE_S)
            except (LedgerError, JournalError) as error:
                _log.warning("old entries stay for now: %s", error)
            await asyncio.sleep(_PRUNE_EVERY_S)

    def _received(self, gateway_id: str) -> int:
        """Return the last entry the city has; 0 when none, or when its receipt is about a life that is not ours."""
        value = self._ledger.kept(RECEIPT_KEY)
        if value is None:
            return 0
        try:
            receipt = msgspec.json.decode(value, type=Receipt)
        except msgspec.DecodeError:
            return 0  # another version's; the next receipt puts it right
        with Reader.open(self._directory) as reader:
            return receipt.seq if Outgoing(reader, gateway_id).knows(receipt.epoch) else 0
