"""How a device key leaves the bench: sealed for the fleet's public key, so that nobody in between can read it.

X25519 between a key made for this one message and the fleet's, HKDF-SHA256 (salt: both public keys; info:
`gatehouse device key 1`), AES-256-GCM with the serial number as associated data. As bytes, then base64:

| offset | type | name |
|---|---|---|
| 0 | 32 bytes | public key of this message |
| 32 | 12 bytes | nonce |
| 44 | 32 bytes | 16 bytes of key and the tag |
"""

from __future__ import annotations

import base64
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

INFO: Final = b"gatehouse device key 1"
_WRAPPED_BYTES: Final = 32 + 12 + 16 + 16


class UnwrapError(ValueError):
    """These bytes are no device key for us and for this serial number."""


def wrap(key: bytes, *, serial: str, fleet: X25519PublicKey) -> str:
    """Return the 16-byte device key of `serial`, sealed for `fleet`, base64."""
    ours = X25519PrivateKey.generate()
    public = ours.public_key().public_bytes_raw()
    nonce = secrets.token_bytes(12)
    cipher = AESGCM(_derive(ours.exchange(fleet), public + fleet.public_bytes_raw()))
    return base64.b64encode(public + nonce + cipher.encrypt(nonce, key, serial.encode())).decode()


def unwrap(wrapped: str, *, serial: str, fleet: X25519PrivateKey) -> bytes:
    """Return the device key; the fleet's half, here so that both halves are proved in one place.

    Raises:
        UnwrapError: not for this key, not for this serial number, or damaged.
    """
    try:
        raw = base64.b64decode(wrapped, validate=True)
        if len(raw) != _WRAPPED_BYTES:
            raise UnwrapError(f"{len(raw)} bytes; a wrapped key has {_WRAPPED_BYTES}")
        public = X25519PublicKey.from_public_bytes(raw[:32])
        salt = raw[:32] + fleet.public_key().public_bytes_raw()
        return AESGCM(_derive(fleet.exchange(public), salt)).decrypt(raw[32:44], raw[44:], serial.encode())
    except InvalidTag as error:
        raise UnwrapError("sealed for another key or another serial number, or damaged") from error
    except ValueError as error:
        raise UnwrapError(str(error)) from error


def _derive(shared: bytes, salt: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=INFO).derive(shared)
