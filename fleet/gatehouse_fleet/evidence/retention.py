"""Deleting evidence when its time is over: hard, everywhere, unless it is held."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gatehouse_fleet.clock import Clock
from gatehouse_fleet.evidence import clips
from gatehouse_fleet.evidence.errors import VaultError
from gatehouse_fleet.evidence.spool import Spool
from gatehouse_fleet.evidence.vault import Vault
from gatehouse_fleet.store import Store

_log = logging.getLogger(__name__)
EVERY_S: Final = 600.0
_AT_ONCE: Final = 100


class Deleter:
    """`run` looks every ten minutes."""

    def __init__(self, store: Store, clock: Clock, *, vault: Vault, spool: Spool) -> None:
        self._store: Final = store
        self._clock: Final = clock
        self._vault: Final = vault
        self._spool: Final = spool

    async def run(self) -> None:
        """Delete what is due, until cancelled."""
        while True:
            await self.clean()
            await asyncio.sleep(EVERY_S)

    async def clean(self) -> int:
        """Delete everything that is due now; returns how many files.

        The file goes first: a crash in between leaves a row that is looked at again, never a file that nobody knows.
        """
        count = 0
        while True:
            async with self._store.read() as db:
                due = await clips.overdue(db, self._clock.now(), _AT_ONCE)
            for gateway_no, sha256 in due:
                await self._delete(gateway_no, sha256)
                count += 1
            if len(due) < _AT_ONCE:
                break
        if count:
            _log.info("%d pieces of evidence went after their time", count)
        return count

    async def _delete(self, gateway_no: int, sha256: str) -> None:
        async with self._store.read() as db:
            is_needed = await clips.is_kept_elsewhere(db, gateway_no, sha256)
        try:
            if not is_needed:
                await asyncio.to_thread(self._vault.delete, sha256)
            await asyncio.to_thread(self._spool.drop, f"{gateway_no}-{sha256}")
        except OSError as error:
            raise VaultError(f"evidence cannot be deleted: {error}") from error
        async with self._store.begin() as db:
            await clips.gone(db, gateway_no, sha256, now=self._clock.now())
