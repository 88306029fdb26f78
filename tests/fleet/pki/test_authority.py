"""The authority's files: made once, renewed in time, usable without the root's key, and checked by OpenSSL's own tool."""

from __future__ import annotations

import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.clock import SystemClock
from gatehouse_fleet.pki.authority import GATEWAY_LIFE, RENEW_AFTER, Authority, PkiError

NOW = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
GATEWAY = "wh-371002-0007-gw1"


def csr(key: object | None = None) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anything")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def leaf(issued) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.chain_pem.encode())


def der(issued) -> bytes:
    return leaf(issued).public_bytes(serialization.Encoding.DER)


def test_keys_are_readable_by_the_servers_user_only(tmp_path: Path) -> None:
    Authority.open(tmp_path / "pki", at=NOW).server_files([], at=NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "pki").iterdir()}
    assert {name: mode for name, mode in modes.items() if name.endswith(".key")} == {
        "root.key": 0o600,
        "intermediate.key": 0o600,
        "server.key": 0o600,
    }
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    def files() -> dict[str, bytes]:
        Authority.open(tmp_path, at=NOW).server_files(["fleet.example"], at=NOW)
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert files() == files()


def test_openssl_itself_follows_the_chain(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path, at=SystemClock().now())
    issued = authority.sign_gateway(csr(), GATEWAY, at=SystemClock().now())
    chain = tmp_path / "gateway.pem"
    chain.write_text(issued.chain_pem)
    server, _ = authority.server_files([], at=SystemClock().now())
    for file, purpose, is_good in (
        (chain, "sslclient", True),
        (chain, "sslserver", False),
        (server, "sslserver", True),
        (server, "sslclient", False),
    ):
        done = subprocess.run(
            [
                "openssl",
                "verify",
                "-x509_strict",
                *("-purpose", purpose),
                *("-CAfile", str(tmp_path / "root.pem")),
                *("-untrusted", str(tmp_path / "intermediate.pem")),
                str(file),
            ],
            capture_output=True,
            check=False,
        )
        assert (done.returncode == 0, purpose) == (is_good, purpose), done.stderr


def test_a_gateways_certificate_is_short_and_good_for_nothing_else(tmp_path: Path) -> None:
    issued = Authority.open(tmp_path, at=NOW).sign_gateway(csr(), GATEWAY, at=NOW)
    cert = leaf(issued)
    assert cert.not_valid_after_utc == issued.expires_at == NOW + GATEWAY_LIFE
    assert issued.renew_at == NOW + RENEW_AFTER
    usage = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.parametrize(
    "key",
    [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())],
    ids=["RSA", "P-384"],
)
def test_only_one_kind_of_key_is_signed(tmp_path: Path, key: object) -> None:
    with pytest.raises(PkiError, match="P-256"):
        Authority.open(tmp_path, at=NOW).sign_gateway(csr(key), GATEWAY, at=NOW)


def test_a_request_whose_signature_does_not_fit_is_refused(tmp_path: Path) -> None:
    from base64 import b64decode, b64encode

    lines = csr().splitlines()
    raw = bytearray(b64decode("".join(lines[1:-1])))
    raw[-1] ^= 1
    broken = "\n".join([lines[0], b64encode(raw).decode(), lines[-1]])
    with pytest.raises(PkiError) as refused:
        Authority.open(tmp_path, at=NOW).sign_gateway(broken, GATEWAY, at=NOW)
    assert refused.value.reason == "csr"


@given(st.text(max_size=200))
def test_any_text_is_refused_as_a_request_and_nothing_else_happens(tmp_path: Path, text: str) -> None:
    authority = Authority.open(tmp_path / "pki", at=NOW)
    with pytest.raises(PkiError) as refused:
        authority.sign_gateway(text, GATEWAY, at=NOW)
    assert refused.value.reason == "csr"


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_as_a_client_certificate(tmp_path: Path, raw: bytes) -> None:
    authority = Authority.open(tmp_path / "pki", at=NOW)
    with pytest.raises(PkiError) as refused:
        authority.check_client(raw, at=NOW)
    assert refused.value.reason == "certificate"


def test_a_path_that_does_not_lead_to_our_root_now_is_refused(tmp_path: Path) -> None:
    ours, foreign = (Authority.open(tmp_path / name, at=NOW) for name in ("ours", "foreign"))
    issued = ours.sign_gateway(csr(), GATEWAY, at=NOW)
    assert ours.check_client(der(issued), at=NOW).subject.rfc4514_string() == f"CN={GATEWAY}"
    server = x509.load_pem_x509_certificate(ours.server_files([], at=NOW)[0].read_bytes())
    for raw, at in (
        (der(foreign.sign_gateway(csr(), GATEWAY, at=NOW)), NOW),
        (der(issued), NOW + GATEWAY_LIFE + timedelta(seconds=1)),
        (der(issued), NOW - timedelta(hours=2)),
        (server.public_bytes(serialization.Encoding.DER), NOW),
    ):
        with pytest.raises(PkiError) as refused:
            ours.check_client(raw, at=at)
        assert refused.value.reason == "chain"


def test_the_server_works_on_without_the_roots_key_until_the_intermediate_ends(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path, at=NOW)
    key = authority.read_root_key()
    authority.drop_root_key()
    in_four_years = NOW + timedelta(days=4 * 365 + 30)
    again = Authority.open(tmp_path, at=in_four_years)
    assert not again.has_root_key
    assert again.intermediate_expires_at == authority.intermediate_expires_at
    again.sign_gateway(csr(), GATEWAY, at=in_four_years)
    too_late = authority.intermediate_expires_at + timedelta(days=1)
    with pytest.raises(PkiError, match=r"put root\.key back"):
        Authority.open(tmp_path, at=too_late)
    (tmp_path / "root.key").write_bytes(key)
    renewed = Authority.open(tmp_path, at=too_late)
    assert renewed.root_pem == authority.root_pem, "gateways and desks go on trusting the same root"


def test_a_renewed_intermediate_leaves_the_old_certificates_good(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path, at=NOW)
    late = authority.intermediate_expires_at - timedelta(days=300)
    old = authority.sign_gateway(csr(), GATEWAY, at=late)
    renewed = Authority.open(tmp_path, at=late)
    assert renewed.intermediate_expires_at > authority.intermediate_expires_at
    assert renewed.check_client(der(old), at=late)
    assert Authority.open(tmp_path, at=late).check_client(der(old), at=late), "and after the next start"


def test_a_lost_root_is_not_replaced_silently(tmp_path: Path) -> None:
    Authority.open(tmp_path, at=NOW)
    (tmp_path / "root.pem").unlink()
    with pytest.raises(PkiError, match="bring it back"):
        Authority.open(tmp_path, at=NOW)


def test_a_foreign_intermediate_is_not_taken(tmp_path: Path) -> None:
    Authority.open(tmp_path / "ours", at=NOW)
    Authority.open(tmp_path / "foreign", at=NOW)
    for name in ("intermediate.pem", "intermediate.key"):
        (tmp_path / "ours" / name).write_bytes((tmp_path / "foreign" / name).read_bytes())
    with pytest.raises(PkiError, match="not signed by"):
        Authority.open(tmp_path / "ours", at=NOW)


def test_the_server_certificate_follows_names_and_time(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path, at=NOW)

    def names(wanted: list[str], at: datetime) -> tuple[bytes, set[str]]:
        chain, _ = authority.server_files(wanted, at=at)
        found = x509.load_pem_x509_certificate(chain.read_bytes())
        san = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return chain.read_bytes(), {str(name.value) for name in san}

    first, shown = names(["fleet.example"], NOW)
    assert shown == {"localhost", "127.0.0.1", "::1", "fleet.example"}
    assert names(["fleet.example"], NOW + timedelta(days=300))[0] == first
    assert names(["fleet.example"], NOW + timedelta(days=380))[0] != first
    assert "other.example" in names(["other.example"], NOW)[1]
