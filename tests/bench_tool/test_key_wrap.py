"""Device keys leave the bench sealed; a second reading of the format, by hand, opens them."""

from __future__ import annotations

import base64
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_hil.bench.key_wrap import UnwrapError, unwrap, wrap
from gatehouse_hil.bench.provision import key_check

FLEET = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
KEY = bytes(range(16))
SERIAL = "GHG-02A0B1000001"


def test_the_fleet_opens_what_the_bench_sealed() -> None:
    assert unwrap(wrap(KEY, serial=SERIAL, fleet=FLEET.public_key()), serial=SERIAL, fleet=FLEET) == KEY


def test_the_format_is_that_of_its_table_read_by_hand() -> None:
    # HKDF by RFC 5869 with one block, written out with hmac alone.
    raw = base64.b64decode(wrap(KEY, serial=SERIAL, fleet=FLEET.public_key()))
    assert len(raw) == 76
    shared = FLEET.exchange(X25519PublicKey.from_public_bytes(raw[:32]))
    extracted = hmac.digest(raw[:32] + FLEET.public_key().public_bytes_raw(), shared, "sha256")
    expanded = hmac.digest(extracted, b"gatehouse device key 1" + b"\x01", "sha256")
    assert AESGCM(expanded).decrypt(raw[32:44], raw[44:], SERIAL.encode()) == KEY


def test_two_seals_of_one_key_have_nothing_in_common() -> None:
    first, second = (base64.b64decode(wrap(KEY, serial=SERIAL, fleet=FLEET.public_key())) for _ in range(2))
    assert all(first[part] != second[part] for part in (slice(0, 32), slice(32, 44), slice(44, 76)))


@pytest.mark.parametrize(
    ("serial", "fleet"),
    [("GHG-02A0B1000002", FLEET), (SERIAL, X25519PrivateKey.from_private_bytes(bytes(31) + b"\1"))],
)
def test_a_key_for_another_device_or_another_fleet_stays_shut(serial: str, fleet: X25519PrivateKey) -> None:
    with pytest.raises(UnwrapError):
        unwrap(wrap(KEY, serial=SERIAL, fleet=FLEET.public_key()), serial=serial, fleet=fleet)


@given(st.binary(max_size=120).map(lambda raw: base64.b64encode(raw).decode()) | st.text(max_size=40))
def test_anything_else_is_refused(wrapped: str) -> None:
    with pytest.raises(UnwrapError):
        unwrap(wrapped, serial=SERIAL, fleet=FLEET)


def test_the_check_value_is_that_of_the_firmware() -> None:
    # First 4 bytes of HMAC-SHA256(key, "gatehouse key check 1"); openssl dgst -sha256 -mac HMAC gives the same.
    assert key_check(KEY) == hmac.new(KEY, b"gatehouse key check 1", "sha256").hexdigest()[:8]
