"""Who this gateway is towards its fleet: key and certificate in one file, so that the two can never disagree.

| file in the fleet directory | mode | what |
|---|---|---|
| identity.pem | 0600 | key (made here, never leaves), certificate, intermediate |
| ca.pem | 0644 | root: servers signed below it are believed |
| enrolment.json | 0644 | when to renew |
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct

from gatehouse_edge.uplink.errors import AnswerError, NotEnrolledError
from gatehouse_events.fleet_api import EnrolAnswer
from gatehouse_journal.durable import write_file

IDENTITY: Final = "identity.pem"
CA: Final = "ca.pem"
FACTS: Final = "enrolment.json"


class Facts(Struct, frozen=True, kw_only=True):
    """What is remembered of the last certificate."""

    renew_at: datetime


class Request(Struct, frozen=True, kw_only=True):
    """A new key, and the request for its certificate."""

    key_pem: bytes
    csr_pem: str


def new_request(gateway_id: str) -> Request:
    """Make a key (ECDSA P-256) and a request that names the gateway."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway_id)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return Request(
        key_pem=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        csr_pem=csr.public_bytes(serialization.Encoding.PEM).decode("ascii"),
    )


def store(directory: Path, request: Request, answer: EnrolAnswer) -> None:
    """Put the new identity in place, all or nothing.

    Raises:
        AnswerError: the certificate is not for this key, or none at all; nothing was changed.
        OSError: the directory cannot be written.
    """
    try:
        chain = x509.load_pem_x509_certificates(answer.certificate.encode("ascii"))
        key = serialization.load_pem_private_key(request.key_pem, password=None)
        x509.load_pem_x509_certificates(answer.ca.encode("ascii"))
    except ValueError as error:
        raise AnswerError("the fleet's answer holds no certificate") from error
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if chain[0].public_key().public_bytes(encoding, form) != key.public_key().public_bytes(encoding, form):
        raise AnswerError("the fleet's certificate is for another key")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(directory / CA, answer.ca.encode("ascii"), mode=0o644)
    write_file(directory / IDENTITY, request.key_pem + answer.certificate.encode("ascii"), mode=0o600)
    # Last: a power cut before it only means that the next renewal comes early.
    write_file(directory / FACTS, msgspec.json.encode(Facts(renew_at=answer.renew_at)), mode=0o644)


def tls_context(directory: Path) -> ssl.SSLContext:
    """Return the context that shows our certificate and believes the fleet's root alone.

    Raises:
        NotEnrolledError: not enrolled yet, or the files cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=str(directory / CA))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(str(directory / IDENTITY))
    except FileNotFoundError as error:
        raise NotEnrolledError("not enrolled yet: gatehouse-edge enrol gateway.yaml") from error
    except (ssl.SSLError, OSError, ValueError) as error:
        raise NotEnrolledError(f"the identity in {directory.name} cannot be used: enrol again") from error
    return context


def renew_at(directory: Path) -> datetime:
    """Return when the next certificate is to be asked for; at once if that is not known."""
    try:
        return msgspec.json.decode((directory / FACTS).read_bytes(), type=Facts).renew_at
    except (OSError, msgspec.DecodeError):
        return datetime(1970, 1, 1, tzinfo=UTC)
