"""The certificate authority inside the server: a root that can be taken away, an intermediate that works.

| file in `DIRECTORY/pki` | mode | what |
|---|---|---|
| root.pem | 0644 | whom gateways and desks trust |
| root.key | 0600 | needed only to renew the intermediate; `gatehouse-fleet ca export-root` takes it away |
| intermediate.pem, intermediate.key | 0644, 0600 | signs gateways and this server |
| intermediate-SERIAL.pem | 0644 | former intermediates, whose certificates still run |
| server.pem, server.key | 0644, 0600 | what the server shows (leaf and intermediate) |

Keys are ECDSA P-256: what every gateway's TLS library and every browser understands. SM2 certificates (TLCP) end in front of
this server (docs/fleet.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import ClientVerifier, PolicyBuilder, Store, VerificationError

from gatehouse_fleet.errors import FleetError
from gatehouse_fleet.pki.files import PRIVATE, PUBLIC, write_file

FOLDER: Final = "pki"
GATEWAY_LIFE: Final = timedelta(days=30)
RENEW_AFTER: Final = timedelta(days=20)
"""Two thirds: ten days of a broken line may pass before a gateway is shut out."""
_EPOCH: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""Not before: a gateway that wakes with its clock at the year of its making still trusts the root."""
_ROOT_LIFE: Final = timedelta(days=20 * 365)
_INTERMEDIATE_LIFE: Final = timedelta(days=5 * 365)
_RENEW_INTERMEDIATE: Final = timedelta(days=365)
_SERVER_LIFE: Final = timedelta(days=397)
"""Browsers refuse server certificates of more than 398 days."""
_RENEW_SERVER: Final = timedelta(days=30)
_SKEW: Final = timedelta(hours=1)
"""A gateway whose clock is up to an hour slow can use its certificate at once."""
_MAX_CSR: Final = 16 * 1024


class PkiError(FleetError):
    """A certificate cannot be made or is not one of ours; `reason` is a stable token."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason: Final = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A gateway's new certificate."""

    chain_pem: str
    fingerprint: bytes
    """SHA-256 of the DER."""
    public_key: bytes
    """SHA-256 of the SubjectPublicKeyInfo."""
    serial: str
    issued_at: datetime
    expires_at: datetime
    renew_at: datetime


@dataclass(frozen=True, slots=True)
class _Pair:
    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class Authority:
    """The files of `DIRECTORY/pki`, open. `open` makes what is missing."""

    def __init__(
        self,
        directory: Path,
        root: x509.Certificate,
        intermediate: _Pair,
        former: Sequence[x509.Certificate] = (),
    ) -> None:
        self.directory: Final = directory
        self._root: Final = root
        self._intermediate: Final = intermediate
        self._intermediates: Final = [intermediate.cert, *former]
        self._store: Final = Store([root])

    @classmethod
    def open(cls, directory: Path, *, at: datetime) -> Self:
        """Open the authority in `directory`; made at the first start, the intermediate renewed in its last year.

        Raises:
            PkiError: `root_key`: the intermediate must be renewed and the root's key is not here.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        at = max(at, _EPOCH)
        root = _load_cert(directory / "root.pem")
        root_key = _load_key(directory / "root.key")
        if root is None:
            if (directory / "intermediate.pem").exists():
                raise PkiError("root", f"{directory}/root.pem is missing; bring it back from the backup")
            made = _make_root(directory, at)
            root, root_key = made.cert, made.key
        intermediate = _load_intermediate(directory, root, at)
        if intermediate is None or intermediate.cert.not_valid_after_utc - at < _RENEW_INTERMEDIATE:
            if root_key is not None:
                intermediate = _make_intermediate(directory, _Pair(root, root_key), at)
            elif intermediate is None:
                raise PkiError(
                    "root_key",
                    f"the intermediate must be made anew: put root.key back into {directory} and start again",
                )
        former = [_load_cert(path) for path in sorted(directory.glob("intermediate-*.pem"))]
        return cls(directory, root, intermediate, [cert for cert in former if cert is not None])

    @property
    def root_pem(self) -> str:
        """Certificate of the root."""
        return _pem(self._root)

    @property
    def trusted_pem(self) -> str:
        """Root and intermediates, former ones too: what the TLS layer checks client certificates against."""
        return "".join(_pem(cert) for cert in (self._root, *self._intermediates))

    @property
    def root_fingerprint(self) -> str:
        """SHA-256 of the root in hex pairs, for a person to compare."""
        return self._root.fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def has_root_key(self) -> bool:
        """The root's key still lies on this machine."""
        return (self.directory / "root.key").exists()

    @property
    def intermediate_expires_at(self) -> datetime:
        """When the root's key is needed again; a year before this at the latest."""
        return self._intermediate.cert.not_valid_after_utc

    def sign_gateway(self, csr_pem: str, gateway_id: str, *, at: datetime) -> Issued:
        """Return a client certificate for the key in a request; everything else in the request is ignored.

        Raises:
            PkiError: `csr`: not a PKCS #10 request with a P-256 key and a valid signature.
        """
        request = _read_csr(csr_pem)
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise PkiError("csr", "the key of the request must be ECDSA P-256")
        expires_at = min(at + GATEWAY_LIFE, self._intermediate.cert.not_valid_after_utc)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway_id)])
        cert = (
            _builder(name, self._intermediate.cert.subject, key, (at - _SKEW, expires_at))
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:gatehouse:{gateway_id}")]),
                critical=False,
            )
            .add_extension(_authority_key(self._intermediate.cert), critical=False)
            .sign(self._intermediate.key, hashes.SHA256())
        )
        return Issued(
            chain_pem=_pem(cert) + _pem(self._intermediate.cert),
            fingerprint=cert.fingerprint(hashes.SHA256()),
            public_key=public_key_hash(cert),
            serial=f"{cert.serial_number:x}",
            issued_at=at,
            expires_at=cert.not_valid_after_utc,
            renew_at=at + (expires_at - at) * 2 / 3,
        )

    def check_client(self, der: bytes, *, at: datetime) -> x509.Certificate:
        """Return a client certificate after full path validation up to the root.

        Raises:
            PkiError: `certificate`: not one; `chain`: not ours, not for clients, or not valid at `at`.
        """
        try:
            cert = x509.load_der_x509_certificate(der)
        except ValueError as error:
            raise PkiError("certificate", "not a certificate") from error
        verifier: ClientVerifier = PolicyBuilder().store(self._store).time(at).build_client_verifier()
        try:
            verifier.verify(cert, self._intermediates)
        except VerificationError as error:
            raise PkiError("chain", f"the certificate does not lead to our root: {error}") from error
        return cert

    def server_files(self, names: Sequence[str], *, at: datetime) -> tuple[Path, Path]:
        """Return certificate chain and key of this server, made or renewed where needed.

        Args:
            names: DNS names and addresses the server is reached under, beside the loopback's.
            at: this instant.
        """
        at = max(at, _EPOCH)
        wanted = _general_names([*dict.fromkeys(["localhost", "127.0.0.1", "::1", *names])])
        chain, private = self.directory / "server.pem", self.directory / "server.key"
        if not self._is_server_usable(chain, private, wanted, at):
            self._issue_server(chain, private, wanted, at)
        return chain, private

    def _is_server_usable(
        self, chain: Path, private: Path, wanted: list[x509.GeneralName], at: datetime
    ) -> bool:
        cert, key = _load_cert(chain), _load_key(private)
        if cert is None or key is None or key.public_key() != cert.public_key():
            return False
        try:
            cert.verify_directly_issued_by(self._intermediate.cert)
            names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except Exception:  # noqa: BLE001  # whatever is wrong with it, a new one is made
            return False
        return list(names) == wanted and at <= cert.not_valid_after_utc - _RENEW_SERVER

    def _issue_server(self, chain: Path, private: Path, wanted: list[x509.GeneralName], at: datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        from_ = max(_EPOCH, at - timedelta(days=1))
        until = min(from_ + _SERVER_LIFE, self._intermediate.cert.not_valid_after_utc)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gatehouse fleet")])
        cert = (
            _builder(name, self._intermediate.cert.subject, key.public_key(), (from_, until))
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(wanted), critical=False)
            .add_extension(_authority_key(self._intermediate.cert), critical=False)
            .sign(self._intermediate.key, hashes.SHA256())
        )
        write_file(private, _key_pem(key), PRIVATE)
        write_file(chain, (_pem(cert) + _pem(self._intermediate.cert)).encode(), PUBLIC)

    def read_root_key(self) -> bytes:
        """Return the root's key (PEM).

        Raises:
            PkiError: `root_key`: it is not here.
        """
        try:
            return (self.directory / "root.key").read_bytes()
        except FileNotFoundError:
            raise PkiError("root_key", "the root's key has been taken away already") from None

    def drop_root_key(self) -> None:
        """Remove the root's key from this machine; the server works on until the intermediate must be renewed."""
        (self.directory / "root.key").unlink()


def public_key_hash(holder: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    """Return the SHA-256 of the SubjectPublicKeyInfo: the identity of a key, whatever certificate it is in."""
    raw = holder.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return sha256(raw).digest()


def _read_csr(pem: str) -> x509.CertificateSigningRequest:
    if len(pem) > _MAX_CSR:
        raise PkiError("csr", "the request is too large")
    try:
        request = x509.load_pem_x509_csr(pem.encode("ascii"))
        is_signed = request.is_signature_valid
    except Exception as error:  # a parser's many ways to say no
        raise PkiError("csr", "not a certificate request (PKCS #10, PEM)") from error
    if not is_signed:
        raise PkiError("csr", "the request is not signed by its own key")
    return request


def _make_root(directory: Path, at: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Gatehouse root")])
    cert = (
        _builder(name, name, key.public_key(), (_EPOCH, at + _ROOT_LIFE), path_length=1)
        .add_extension(_authority_key_of(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_file(directory / "root.key", _key_pem(key), PRIVATE)
    write_file(directory / "root.pem", _pem(cert).encode(), PUBLIC)
    return _Pair(cert, key)


def _make_intermediate(directory: Path, root: _Pair, at: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Gatehouse intermediate {at:%Y-%m-%d}")])
    until = min(at + _INTERMEDIATE_LIFE, root.cert.not_valid_after_utc)
    cert = (
        _builder(name, root.cert.subject, key.public_key(), (_EPOCH, until), path_length=0)
        .add_extension(_authority_key(root.cert), critical=False)
        .sign(root.key, hashes.SHA256())
    )
    former = _load_cert(directory / "intermediate.pem")
    if former is not None:  # what it has signed stays good until it runs out
        kept = directory / f"intermediate-{former.serial_number:x}.pem"
        write_file(kept, _pem(former).encode(), PUBLIC)
    write_file(directory / "intermediate.key", _key_pem(key), PRIVATE)
    write_file(directory / "intermediate.pem", _pem(cert).encode(), PUBLIC)
    return _Pair(cert, key)


def _load_intermediate(directory: Path, root: x509.Certificate, at: datetime) -> _Pair | None:
    cert, key = _load_cert(directory / "intermediate.pem"), _load_key(directory / "intermediate.key")
    if cert is None or key is None or key.public_key() != cert.public_key():
        return None
    try:
        cert.verify_directly_issued_by(root)
    except Exception as error:  # a foreign intermediate is not replaced silently
        raise PkiError("root", f"{directory}/intermediate.pem is not signed by root.pem") from error
    return None if cert.not_valid_after_utc <= at else _Pair(cert, key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    life: tuple[datetime, datetime],
    *,
    path_length: int | None = None,
) -> x509.CertificateBuilder:
    is_ca = path_length is not None
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(life[0])
        .not_valid_after(life[1])
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
        .add_extension(_usage(is_ca=is_ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    key = issuer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101  # we made it
    return _authority_key_of(key)


def _authority_key_of(key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _general_names(wanted: list[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for name in wanted:
        try:
            names.append(x509.IPAddress(ip_address(name)))
        except ValueError:
            names.append(x509.DNSName(name.encode("idna").decode("ascii")))
    return names


def _load_cert(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise PkiError("file", f"{path} is not a certificate; bring it back from the backup") from error


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise PkiError("file", f"{path} is not a key; bring it back from the backup") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError("file", f"{path} is not an ECDSA key")
    return key


def _pem(cert: x509.Certificate) -> str:
    return cert.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
