"""The signature: a vector from outside, and nothing else passes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse_fleet.webhooks.signing import is_genuine, sign

SECRET = b"k" * 32
BODY = b'{"hook":"duty"}'
AT = 1795570000


def test_the_signature_is_the_one_another_program_computes() -> None:
    # printf '1795570000.{"hook":"duty"}' | openssl dgst -sha256 -hmac "$(printf 'k%.0s' {1..32})"
    expected = "0fdd3dfd55aeb2f693e0a6cf145b1175492776f517b83c9fec76d40f7d4e0822"
    assert sign(SECRET, BODY, AT) == f"t={AT},v1={expected}"


@pytest.mark.parametrize("late_s", [-300, 0, 300])
def test_a_fresh_delivery_is_genuine(late_s: int) -> None:
    assert is_genuine(SECRET, BODY, sign(SECRET, BODY, AT), AT + late_s)


@pytest.mark.parametrize("late_s", [-301, 301])
def test_an_old_delivery_is_not(late_s: int) -> None:
    assert not is_genuine(SECRET, BODY, sign(SECRET, BODY, AT), AT + late_s)


@given(secret=st.binary(min_size=1, max_size=40), body=st.binary(max_size=40), header=st.text(max_size=90))
def test_nothing_else_is_genuine(secret: bytes, body: bytes, header: str) -> None:
    assert not is_genuine(SECRET, BODY, header, AT)
    assert is_genuine(SECRET, BODY, sign(secret, body, AT), AT) == ((secret, body) == (SECRET, BODY))
