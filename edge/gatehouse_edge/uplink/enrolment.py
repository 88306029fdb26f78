"""First contact with a fleet: whom to believe is settled before the one-time code leaves this machine.

The server's root certificate is given as a file, or its fingerprint is (printed by `gatehouse-fleet serve`, beside the code): then
the root is fetched without trust, compared, and only a server signed below it gets the code.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Final

import httpx
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gatehouse_edge.uplink import identity
from gatehouse_edge.uplink.errors import AnswerError, NotEnrolledError, UnreachableError
from gatehouse_edge.uplink.fleet_client import FleetClient
from gatehouse_events.fleet_api import EnrolRequest

CA_PATH: Final = "/api/v1/ca"
_TIMEOUT_S: Final = 15.0
_MAX_CA_BYTES: Final = 64 * 1024
_FINGERPRINT: Final = re.compile(r"[0-9A-F]{64}")


class _Trust(msgspec.Struct, frozen=True):
    ca: str


async def fetch_root(url: str, fingerprint: str, *, proxy: str | None = None) -> str:
    """Return the server's root certificate (PEM), which has `fingerprint` (SHA-256, hex, colons allowed).

    Raises:
        NotEnrolledError: the fingerprint is none, or the server's root has another one: it is not that server.
        UnreachableError: no answer.
        AnswerError: not a fleet server.
    """
    wanted = fingerprint.replace(":", "").replace(" ", "").upper()
    if not _FINGERPRINT.fullmatch(wanted):
        raise NotEnrolledError(
            "a fingerprint has 64 hex digits (SHA-256), as gatehouse-fleet serve prints it"
        )
    # Nothing secret is sent over this connection, and nothing is believed of it but what has the fingerprint.
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    try:
        async with (
            httpx.AsyncClient(verify=blind, trust_env=False, proxy=proxy, timeout=_TIMEOUT_S) as web,
            web.stream("GET", url + CA_PATH) as answer,
        ):
            body = b""
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > _MAX_CA_BYTES:
                    raise AnswerError("the answer is too large for a certificate")
        root = msgspec.json.decode(body, type=_Trust).ca
        found = x509.load_pem_x509_certificate(root.encode("ascii")).fingerprint(hashes.SHA256())
    except (httpx.HTTPError, OSError) as error:
        raise UnreachableError(f"{url} does not answer: {type(error).__name__}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise AnswerError(f"{url} is not a fleet server") from error
    if found.hex().upper() != wanted:
        raise NotEnrolledError(
            f"the root certificate of {url} has another fingerprint: this is not the server you mean"
        )
    return root


async def enrol(
    directory: Path,
    *,
    url: str,
    gateway_id: str,
    code: str,
    root_pem: str,
    journal_key: str,
    version: str,
    proxy: str | None = None,
) -> None:
    """Make a key, trade the code for its certificate, and keep both in `directory`.

    Raises:
        UplinkError: no server, not that server, or it refused; nothing was changed here.
        OSError: the directory cannot be written.
    """
    context = ssl.create_default_context(cadata=root_pem)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    request = identity.new_request(gateway_id)
    async with FleetClient(url, gateway_id, tls=context, proxy=proxy) as fleet:
        answer = await fleet.enrol(
            EnrolRequest(
                gateway_id=gateway_id,
                code=code,
                csr=request.csr_pem,
                journal_key=journal_key,
                version=version,
            )
        )
    identity.store(directory, request, answer)
