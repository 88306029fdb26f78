"""Whether a screen at the desk is open. When the last one has gone, the gateway takes the sounding over again.

A page that painted an alarm and was closed afterwards, or whose computer was switched off, sounds no more: its receipt must
not keep the siren quiet for an alarm that nobody has taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from ulid import ULID

from gatehouse_edge.alarms.annunciation import RECEIPT_S, leave
from gatehouse_edge.alarms.commands import DeskLeft
from gatehouse_edge.clock import Clock
from gatehouse_edge.console.port import DeskPort
from gatehouse_edge.ledger import LedgerError
from gatehouse_events.alarm import SYSTEM

_LOOK_EVERY_S: Final = 1.0
_log = logging.getLogger(__name__)


class Attendance:
    """Watches the number of open screens; `run` must be running."""

    def __init__(self, desk: DeskPort, clock: Clock, screens: Callable[[], int]) -> None:
        """Take the parts.

        Args:
            desk: the ledger.
            clock: the gateway's clock.
            screens: how many live streams stand at the desk.
        """
        self._desk: Final = desk
        self._clock: Final = clock
        self._screens: Final = screens

    async def run(self) -> None:
        """Tell the desk when it has been left, until cancelled. A page that reloads is back within the time allowed."""
        seen_s = self._clock.now().service_s
        while True:
            now_s = self._clock.now().service_s
            if self._screens():
                seen_s = now_s
            elif now_s - seen_s >= RECEIPT_S and any(
                leave(alarm) is not None for alarm in self._desk.alarms()
            ):
                _log.warning("no screen is open at the desk: what was told there counts as untold")
                try:
                    await self._desk.submit(DeskLeft(actor=SYSTEM, command_id=str(ULID())))
                except LedgerError:
                    return  # the gateway is stopping
            await asyncio.sleep(_LOOK_EVERY_S)
