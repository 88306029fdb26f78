"""A gateway's calls to its fleet server, one after the other over one kept connection."""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx
import msgspec
import zstandard
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gatehouse_events import fleet_api, replication
from gatehouse_events.chain import Lane
from gatehouse_events.clock import ClockQuality, ClockSource
from gatehouse_events.orders import OrderBatch

_TIMEOUT_S: Final = 30.0


class LinkError(Exception):
    """The fleet cannot be reached or does not speak as it should."""


class Refused(LinkError):  # noqa: N818  # says what happened; LinkError is its base
    """The fleet answers with a problem document."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status: Final = status
        self.reason: Final = reason


class Identity:
    """Key and certificate of one gateway, kept in its folder."""

    def __init__(self, folder: Path, gateway_id: str) -> None:
        self.folder: Final = folder
        self.gateway_id: Final = gateway_id

    @property
    def is_enrolled(self) -> bool:
        """There is a certificate."""
        return (self.folder / "identity.pem").exists()

    def request(self) -> tuple[bytes, str]:
        """Make a fresh key; return it and its signing request, both PEM. Nothing is kept until `take`."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.gateway_id)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return plain, request.public_bytes(Encoding.PEM).decode("ascii")

    def take(self, key: bytes, answer: fleet_api.EnrolAnswer) -> None:
        """Keep what the fleet has signed, with its key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "identity.key"
        path.touch(mode=0o600)
        path.write_bytes(key)
        (self.folder / "identity.pem").write_text(answer.certificate, encoding="ascii")
        (self.folder / "ca.pem").write_text(answer.ca, encoding="ascii")

    def context(self, ca: Path | None = None) -> ssl.SSLContext:
        """Return how to connect: the server checked against `ca` or the enrolled root, our certificate shown if there is one."""
        context = ssl.create_default_context(cafile=str(ca or self.folder / "ca.pem"))
        if self.is_enrolled:
            context.load_cert_chain(self.folder / "identity.pem", self.folder / "identity.key")
        return context


class FleetLink:
    """An async context manager over one connection."""

    def __init__(self, url: str, gateway_id: str, context: ssl.SSLContext | None) -> None:
        self._gateway_id: Final = gateway_id
        self._client: Final = httpx.AsyncClient(
            base_url=url,
            verify=context if context is not None else True,
            timeout=_TIMEOUT_S,
            trust_env=False,
            limits=httpx.Limits(
                max_connections=2, max_keepalive_connections=1, keepalive_expiry=fleet_api.KEEP_ALIVE_S
            ),
        )
        self._packer: Final = zstandard.ZstdCompressor(level=3)

    async def enrol(self, request: fleet_api.EnrolRequest) -> fleet_api.EnrolAnswer:
        """Redeem a one-time code.

        Raises:
            LinkError: unreachable or refused.
        """
        raw = await self._call("POST", fleet_api.ENROL_PATH, msgspec.json.encode(request))
        return fleet_api.decode(raw, fleet_api.EnrolAnswer)

    async def renew(self, request: fleet_api.RenewRequest) -> fleet_api.EnrolAnswer:
        """Ask for the next certificate over the present one; journal keys are told along.

        Raises:
            LinkError: unreachable or refused.
        """
        path = fleet_api.gateway_path(self._gateway_id, "certificate")
        return fleet_api.decode(
            await self._call("POST", path, msgspec.json.encode(request)), fleet_api.EnrolAnswer
        )

    async def post(self, batch: replication.ReplicationBatch) -> replication.Answer:
        """Send one batch.

        Raises:
            LinkError: unreachable or refused; the batch may or may not be stored.
        """
        raw = await self._call(
            "POST",
            fleet_api.journal_path(self._gateway_id, batch.lane),
            self._packer.compress(replication.encode(batch)),
            headers={"Content-Encoding": "zstd"},
        )
        return replication.decode_answer(raw)

    async def cursor(self, lane: Lane) -> fleet_api.Cursor:
        """Ask where the fleet stands.

        Raises:
            LinkError: unreachable or refused.
        """
        raw = await self._call("GET", fleet_api.journal_path(self._gateway_id, lane))
        return fleet_api.decode(raw, fleet_api.Cursor)

    async def report(self, status: fleet_api.GatewayStatus) -> fleet_api.StatusAnswer:
        """Say how the gateway is.

        Raises:
            LinkError: unreachable or refused.
        """
        raw = await self._call(
            "POST", fleet_api.gateway_path(self._gateway_id, "status"), msgspec.json.encode(status)
        )
        return fleet_api.decode(raw, fleet_api.StatusAnswer)

    async def orders(self, *, epoch: str, after: int, wait_s: float) -> OrderBatch | None:
        """Ask for orders behind `after`, waiting for the first; None: nothing was ever ordered.

        Raises:
            LinkError: unreachable or refused.
        """
        path = fleet_api.gateway_path(self._gateway_id, "orders")
        raw = await self._call("GET", f"{path}?epoch={epoch}&after={after}&wait_s={wait_s:g}", wait_s=wait_s)
        return fleet_api.decode(raw, OrderBatch) if raw else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        headers: dict[str, str] | None = None,
        wait_s: float = 0.0,
    ) -> bytes:
        told = {"Content-Type": "application/json", **(headers or {})} if body is not None else headers
        try:
            answer = await self._client.request(
                method, path, content=body, headers=told, timeout=_TIMEOUT_S + wait_s
            )
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise LinkError(f"{method} {path}: {type(error).__name__}") from error
        if answer.is_success:
            return answer.content
        raise Refused(answer.status_code, _reason(answer.content))


class _Problem(msgspec.Struct):
    reason: str = "?"


def _reason(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Problem).reason[:64]
    except msgspec.DecodeError:
        return "?"


def status_of(  # every field is somebody's figure
    *,
    now: datetime,
    boot: str,
    epoch: str,
    started_at: datetime,
    heads: dict[Lane, int],
    acknowledged: dict[Lane, int],
    devices: int,
    open_alarms: int,
) -> fleet_api.GatewayStatus:
    """Return the report of a light gateway."""
    return fleet_api.GatewayStatus(
        sent_at=now,
        version="0.1.0-light",
        boot=boot,
        epoch=epoch,
        started_at=started_at,
        alarm=fleet_api.LaneStatus(head=heads[Lane.ALARM], acknowledged=acknowledged[Lane.ALARM]),
        telemetry=fleet_api.LaneStatus(head=heads[Lane.TELEMETRY], acknowledged=acknowledged[Lane.TELEMETRY]),
        clock=ClockQuality(synced=True, offset_ms=5.0, source=ClockSource.NTP),
        devices=devices,
        devices_online=devices,
        open_alarms=open_alarms,
    )
