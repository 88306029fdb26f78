"""Keys and requests as a gateway makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID


@dataclass(kw_only=True)
class FakeGateway:
    """What a gateway has before it enrols: two keys and a name."""

    id: str
    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    journal_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def csr(self) -> str:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.id)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.key, hashes.SHA256())
        return request.public_bytes(serialization.Encoding.PEM).decode()

    def enrol_body(self, code: str) -> dict[str, Any]:
        return {
            "gateway_id": self.id,
            "code": code,
            "csr": self.csr,
            "journal_key": self.journal_key.public_key().public_bytes_raw().hex(),
            "version": "0.1.0",
        }

    def keep(self, chain_pem: str) -> tuple[Path, Path]:
        """Write certificate chain and key as a TLS client takes them."""
        chain, key = self.folder / f"{self.id}.pem", self.folder / f"{self.id}.key"
        chain.write_text(chain_pem)
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return chain, key


@pytest.fixture
def fake_gateway(tmp_path: Path) -> Callable[[str], FakeGateway]:
    return lambda gateway_id: FakeGateway(id=gateway_id, folder=tmp_path)
