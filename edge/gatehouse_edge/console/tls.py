"""The console's own CA and certificate, made at first start. A fleet replaces them after enrolment.

| file | mode | what |
|---|---|---|
| ca.pem | 0644 | certificate of this gateway's CA; install it on the desk's computers |
| ca.key | 0600 | its key |
| server.pem | 0644 | the console's certificate and the CA's |
| server.key | 0600 | the console's key |
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_EPOCH: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""Not before: earlier than any sane clock here, so that a gateway that wakes in 1970 still makes a usable certificate."""
_CA_LIFE: Final = timedelta(days=3653)
_LIFE: Final = timedelta(days=397)
"""Browsers refuse server certificates of more than 398 days."""
_RENEW_BEFORE: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """What the server needs, and what a person compares."""

    certificate: Path
    private_key: Path
    ca: Path | None
    ca_fingerprint: str
    """SHA-256 of the CA certificate in hex pairs; empty for certificates from elsewhere."""


def ensure_own(directory: Path, *, gateway_id: str, names: Sequence[str], at: datetime) -> TlsFiles:
    """Return the console's TLS files, made or renewed where needed.

    Args:
        directory: folder of the console's own files.
        gateway_id: goes into the CA's name.
        names: DNS names and addresses the console is reached under.
        at: this instant, aware; a clock before 2025 counts as 2025.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    at = max(at, _EPOCH)
    ca_cert, ca_key = _authority(directory, gateway_id, at)
    wanted = [*dict.fromkeys(["localhost", "127.0.0.1", "::1", *names])]
    if not _is_usable(directory, ca_cert, wanted, at):
        _issue(directory, ca_cert, ca_key, wanted, at)
    return TlsFiles(
        certificate=directory / "server.pem",
        private_key=directory / "server.key",
        ca=directory / "ca.pem",
        ca_fingerprint=ca_cert.fingerprint(hashes.SHA256()).hex(":").upper(),
    )


def _authority(
    directory: Path, gateway_id: str, at: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        cert = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
    except (OSError, ValueError):
        return _new_authority(directory, gateway_id, at)
    is_pair = isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == cert.public_key()
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not is_pair or cert.not_valid_after_utc <= at:
        return _new_authority(directory, gateway_id, at)
    return cert, key


def _new_authority(
    directory: Path, gateway_id: str, at: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Gatehouse {gateway_id}"[:64])])
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_EPOCH)
        .not_valid_after(at + _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(directory / "ca.key", key)
    _write(directory / "ca.pem", cert.public_bytes(serialization.Encoding.PEM), 0o644)
    return cert, key


def _is_usable(directory: Path, ca: x509.Certificate, wanted: list[str], at: datetime) -> bool:
    try:
        cert = x509.load_pem_x509_certificate((directory / "server.pem").read_bytes())
        key = serialization.load_pem_private_key((directory / "server.key").read_bytes(), password=None)
        cert.verify_directly_issued_by(ca)
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001  # whatever is wrong with it, a new one is made
        return False
    is_current = cert.not_valid_before_utc <= at <= cert.not_valid_after_utc - _RENEW_BEFORE
    return is_current and key.public_key() == cert.public_key() and list(names) == _names(wanted)


def _issue(
    directory: Path, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, wanted: list[str], at: datetime
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    from_ = max(_EPOCH, at - timedelta(days=1))
    cert = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gatehouse console")]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(from_)
        .not_valid_after(min(from_ + _LIFE, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(wanted)), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    _write_key(directory / "server.key", key)
    chain = cert.public_bytes(serialization.Encoding.PEM) + ca.public_bytes(serialization.Encoding.PEM)
    _write(directory / "server.pem", chain, 0o644)


def _names(wanted: list[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for name in wanted:
        try:
            names.append(x509.IPAddress(ip_address(name)))
        except ValueError:
            names.append(x509.DNSName(name.encode("idna").decode("ascii")))
    return names


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(path, pem, 0o600)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write all or nothing: a power cut leaves the old file or the new one."""
    draft = path.with_suffix(path.suffix + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
