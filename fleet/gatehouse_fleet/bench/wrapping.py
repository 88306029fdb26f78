"""The key that benches seal device keys for. Its private half stands in the server's directory, 0600, and nowhere else.

It goes into the backup with the directory: without it no device key that was ever handed in can be opened again.
"""

from __future__ import annotations

import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gatehouse_events.key_wrap import UnwrapError, key_check, unwrap
from gatehouse_fleet.bench.errors import BenchError
from gatehouse_fleet.pki.files import PRIVATE, write_file

FILE: Final = "bench-wrapping.key"


class WrappingPair:
    """The fleet's own X25519 pair."""

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private: Final = private
        public = private.public_key()
        self.public_pem: Final = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        self.fingerprint: Final = sha256(public.public_bytes_raw()).hexdigest()

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Return the pair of a server's directory; made at the first use. Processes that begin together get the same one.

        Raises:
            BenchError: `wrapping_key`, the file is something else.
        """
        path = directory / FILE
        if not path.exists():
            _make(path)
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except ValueError:
            key = None
        if not isinstance(key, X25519PrivateKey):
            raise BenchError(
                "wrapping_key", f"{path} is damaged: take it from a backup, never make a new one"
            )
        return cls(key)

    def fits(self, wrapped: str, *, serial: str, check: str) -> bool:
        """Return whether a sealed key is for us, for this serial number, and the one that the label names."""
        try:
            return key_check(unwrap(wrapped, serial=serial, fleet=self._private)) == check
        except UnwrapError:
            return False


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = X25519PrivateKey.generate()
    draft = path.with_name(f"{FILE}.{secrets.token_hex(8)}")
    write_file(draft, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), PRIVATE)
    try:
        os.link(draft, path)  # unlike a rename it never replaces what another process has made
    except FileExistsError:
        return
    finally:
        draft.unlink()
