"""Ingest put together: the vault that fits the database, its writer, and the application for the gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from gatehouse_fleet.ingest.app import FindDownlink, IngestApp
from gatehouse_fleet.ingest.contact import Contacts
from gatehouse_fleet.ingest.identity import Identify
from gatehouse_fleet.ingest.postgres import PostgresVault
from gatehouse_fleet.ingest.sqlite import SqliteVault
from gatehouse_fleet.ingest.vault import Vault
from gatehouse_fleet.ingest.writer import Committed, Writer
from gatehouse_fleet.services import Services


def vault_of(services: Services) -> Vault:
    """Return the vault of the open database."""
    return SqliteVault(services.store) if services.store.is_sqlite else PostgresVault(services.store)


class Ingest:
    """`app` answers the gateways while `run` runs."""

    def __init__(
        self,
        services: Services,
        *,
        identify: Identify,
        find_downlink: FindDownlink,
        on_committed: Callable[[Sequence[Committed]], None],
    ) -> None:
        self._vault: Final = vault_of(services)
        self._writer: Final = Writer(self._vault, services.clock, on_committed=on_committed)
        self.contacts: Final = Contacts(services.store, services.clock, services.wake)
        self.app: Final = IngestApp(
            self._writer,
            store=services.store,
            clock=services.clock,
            identify=identify,
            contacts=self.contacts,
            find_downlink=find_downlink,
        )

    async def run(self) -> None:
        """Commit batches and note contacts until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._writer.run(), name="ingest writer")
                tasks.create_task(self.contacts.run(), name="ingest contacts")
        finally:
            await self._vault.close()
