"""Evidence put together: where files are kept, the gateways' way in, the deleter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from gatehouse_fleet.evidence import clips
from gatehouse_fleet.evidence.intake import EvidenceIntake, Gateway, Scope
from gatehouse_fleet.evidence.retention import Deleter
from gatehouse_fleet.evidence.spool import Spool
from gatehouse_fleet.evidence.vault import DirectoryVault, Vault
from gatehouse_fleet.ingest.app import Asgi, Downlink, FindDownlink
from gatehouse_fleet.services import Services

FOLDER: Final = "evidence"
SPOOL: Final = "spool"
_MIB: Final = 1024 * 1024


class Evidence:
    """One worker's part. `run` deletes what is due."""

    def __init__(self, services: Services, authenticate: Callable[[Scope, str], Awaitable[Gateway]]) -> None:
        settings = services.settings
        spool = Spool(settings.directory / SPOOL)
        self.vault: Final = vault_of(services)
        self._services: Final = services
        self._intake: Final = EvidenceIntake(
            services.store,
            services.clock,
            authenticate,
            spool=spool,
            vault=self.vault,
            max_bytes=settings.evidence.max_file_mib * _MIB,
        )
        self._deleter: Final = Deleter(services.store, services.clock, vault=self.vault, spool=spool)

    def asking(self, rest: FindDownlink) -> FindDownlink:
        """Return what answers a gateway's status: `rest`, and the files we would like to have."""

        async def find(gateway_no: int) -> Downlink:
            found = await rest(gateway_no)
            async with self._services.store.read() as db:
                limit = self._services.settings.evidence.max_wanted
                asked = await clips.asked_of(db, gateway_no, limit)
            return msgspec.structs.replace(found, evidence_wanted=asked)

        return find

    def front(self, rest: Asgi) -> Asgi:
        """Return the application that takes uploads and gives all else to `rest`."""

        async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # ASGI
            await (self._intake if EvidenceIntake.wants(scope) else rest)(scope, receive, send)

        return app

    async def run(self) -> None:
        """Delete what is due, until cancelled."""
        await self._deleter.run()


def vault_of(services: Services) -> Vault:
    """Return where this server keeps evidence.

    Raises:
        VaultError, SecretError: the S3 store of the settings cannot be used.
    """
    settings = services.settings
    if settings.evidence.s3 is None:
        return DirectoryVault(settings.directory / FOLDER)
    from gatehouse_fleet.evidence.s3 import S3Vault

    return S3Vault(settings.evidence.s3, beside=settings.directory)
