"""Many light gateways at once, and what can go wrong with some of them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Self

from gatehouse_events.replication import MessageError
from gatehouse_hil.light.community import Community
from gatehouse_hil.light.gateway import LightGateway
from gatehouse_hil.light.link import LinkError

_log = logging.getLogger(__name__)
_BACK_OFF_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
_REPORT_EVERY_S: Final = 20.0


class Fault(StrEnum):
    """What can befall a gateway."""

    OFFLINE = "offline"
    """Cut off; it goes on writing and sends it all when it is back."""
    FLAPPING = "flapping"
    """On and off the net every few seconds."""
    WRONG_CLOCK = "wrong_clock"
    """Believes it is 1970."""
    WIPED = "wiped"
    """Lost its disk: a new journal, a new key, the old identity."""
    NONE = "none"


class LightFleet:
    """An async context manager over `count` gateways; `run` makes them live until cancelled."""

    def __init__(
        self,
        directory: Path,
        *,
        url: str,
        communities: Sequence[Community],
        now: Callable[[], datetime],
        seed: int = 0,
    ) -> None:
        self.gateways: Final = [
            LightGateway(directory / community.gateway_id, community, url=url, now=now, seed=seed)
            for community in communities
        ]
        self.faults: Final[dict[str, Fault]] = {}
        self.counts: Final[Counter[str]] = Counter()
        self._random: Final = Random(f"fleet-{seed}")

    async def __aenter__(self) -> Self:
        for gateway in self.gateways:
            await gateway.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for gateway in self.gateways:
            await gateway.close()

    async def afflict(self, gateway: LightGateway, fault: Fault) -> None:
        """Make `fault` befall a gateway; `Fault.NONE` heals it."""
        self.faults[gateway.gateway_id] = fault
        gateway.is_online = fault is not Fault.OFFLINE
        gateway.wrong_clock_by = timedelta(0)
        if fault is Fault.WRONG_CLOCK:
            gateway.wrong_clock_by = datetime(1970, 1, 1, tzinfo=gateway.now().tzinfo) - gateway.now()
        elif fault is Fault.WIPED:
            await gateway.wipe()
        if not gateway.is_online:
            await gateway.hang_up()

    async def run(self, *, alarm_every_s: float) -> None:
        """Let every gateway live: something happens in each about every `alarm_every_s`; send, report, obey."""
        async with asyncio.TaskGroup() as tasks:
            for gateway in self.gateways:
                tasks.create_task(
                    self._live(gateway, alarm_every_s), name=f"happenings of {gateway.gateway_id}"
                )
                tasks.create_task(self._talk(gateway), name=f"uplink of {gateway.gateway_id}")

    async def _live(self, gateway: LightGateway, alarm_every_s: float) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1 / alarm_every_s))
            change = gateway.story.go_on(gateway.now())
            await gateway.write(change)
            await gateway.sample(5)
            self.counts[change.what.value] += 1

    async def _talk(self, gateway: LightGateway) -> None:
        loop = asyncio.get_running_loop()
        failures, report_at = 0, 0.0
        while True:
            if self.faults.get(gateway.gateway_id) is Fault.FLAPPING:
                gateway.is_online = self._random.random() < 0.5
            try:
                self.counts["entries"] += await gateway.send()
                self.counts["orders"] += await gateway.obey()
                if loop.time() >= report_at:
                    await gateway.report()
                    report_at = loop.time() + _REPORT_EVERY_S
                failures = 0
                await asyncio.sleep(0.5 + self._random.random())
            except (LinkError, MessageError) as error:
                if failures == 0:
                    _log.warning("%s: %s", gateway.gateway_id, error)
                await gateway.hang_up()
                wait_s = _BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)]
                failures += 1
                await asyncio.sleep(wait_s * (0.5 + self._random.random()))
