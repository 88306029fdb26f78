"""Signatures over a message: HMAC with SHA-256 or SM3, and SM2 with SM3 (GB/T 32918.2) where the extra `gm` is installed.

Signed are the timestamp (whole seconds since 1970, as sent beside it), a full stop, and the body: a captured message cannot
be told again later without its old time showing.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from enum import StrEnum
from typing import Final, assert_never

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from gatehouse_fleet.city.errors import SigningError

SM2_USER_ID: Final = b"1234567812345678"
"""The identity GB/T 32918.2 signatures use when none was agreed on; `distid` of OpenSSL."""
_SCALAR_BYTES: Final = 32


class SignatureKind(StrEnum):
    """How a message is signed."""

    HMAC_SHA256 = "hmac_sha256"
    HMAC_SM3 = "hmac_sm3"
    SM2_SM3 = "sm2_sm3"


Sign = Callable[[bytes], str]
"""From the signed bytes to what stands in the header."""


def signed_bytes(timestamp: str, body: bytes) -> bytes:
    """Return the bytes a signature covers."""
    return timestamp.encode("ascii") + b"." + body


def signer(kind: SignatureKind, key: bytes) -> Sign:
    """Return the function that signs with `key` (a shared secret; for SM2 the private scalar as 64 hex digits).

    Raises:
        SigningError: the key does not fit, or this build has no such algorithm.
    """
    match kind:
        case SignatureKind.HMAC_SHA256:
            return lambda data: "sha256=" + hmac.new(key, data, hashlib.sha256).hexdigest()
        case SignatureKind.HMAC_SM3:
            return lambda data: "sm3=" + _hmac_sm3(key, data).hex()
        case SignatureKind.SM2_SM3:
            return _sm2_signer(key)
        case _:
            assert_never(kind)


def _hmac_sm3(key: bytes, data: bytes) -> bytes:
    try:
        mac = HMAC(key, hashes.SM3())
    except UnsupportedAlgorithm as error:
        raise SigningError("this build of the cryptography library has no SM3") from error
    mac.update(data)
    return mac.finalize()


def _sm2_signer(key: bytes) -> Sign:
    try:
        from gmalg import SM2
    except ImportError as error:
        raise SigningError("SM2 needs the extra `gm`: pip install gatehouse[fleet,gm]") from error
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    try:
        scalar = bytes.fromhex(key.decode("ascii"))
    except ValueError as error:
        raise SigningError("an SM2 key file holds the private scalar as 64 hex digits") from error
    if len(scalar) != _SCALAR_BYTES:
        raise SigningError(f"an SM2 private scalar has {_SCALAR_BYTES} bytes, not {len(scalar)}")
    sm2 = SM2(scalar, uid=SM2_USER_ID)

    def sign(data: bytes) -> str:
        r, s = sm2.sign(data)
        return "sm2=" + encode_dss_signature(int.from_bytes(r), int.from_bytes(s)).hex()

    return sign
