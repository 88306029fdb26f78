"""Lets gateways in by their client certificate, for the raw applications; every refusal is audited."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from gatehouse_events.states import Label
from gatehouse_fleet.api.desk import Desk
from gatehouse_fleet.api.problems import ProblemError
from gatehouse_fleet.ingest.identity import GatewayIdentity, Refusal
from gatehouse_fleet.people.refusals import stranger
from gatehouse_fleet.pki.identity import IdentityError

_TEXT: Final = Label("客户端证书无效", "the client certificate is refused")


class GatewayGate:
    """One per worker."""

    def __init__(self, desk: Desk) -> None:
        self._desk: Final = desk

    async def identify(self, scope: Mapping[str, Any]) -> GatewayIdentity | Refusal:
        """Return whose certificate a request came with, or why it is refused (`ingest.identity.Identify`)."""
        try:
            found = await self._desk.identifier.identify(dict(scope))
        except IdentityError as error:
            await self._note(scope, error)
            return Refusal(status=error.status, reason=error.reason, text=_TEXT)
        return GatewayIdentity(no=found.no, id=found.id, node_id=found.node_id, node_path=found.node_path)

    async def require(self, scope: MutableMapping[str, Any], gateway_id: str) -> GatewayIdentity:
        """Return the gateway whose own path this is.

        Raises:
            ProblemError: 401 or 403.
        """
        found = await self.identify(scope)
        if isinstance(found, Refusal):
            raise ProblemError(found.status, found.reason, found.text)
        if found.id != gateway_id:
            raise ProblemError(403, "foreign_gateway", _TEXT)
        return found

    async def _note(self, scope: Mapping[str, Any], error: IdentityError) -> None:
        if error.reason == "no_certificate":
            return
        client = scope.get("client")
        at = "" if client is None else str(client[0])
        who = stranger(at, claimed=error.claimed)
        await self._desk.refusals.note(who, "gateway.refused", error.claimed, reason=error.reason)
