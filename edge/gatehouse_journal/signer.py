"""The key with which a gateway vouches for its journal (Ed25519)."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gatehouse_journal.durable import move_aside, write_file

_SEED_BYTES: Final = 32
_PRIVATE: Final = "journal-key"
_PUBLIC: Final = "journal-key.pub"


class Signer:
    """Signs with one key. The private half is never logged nor exported."""

    def __init__(self, seed: bytes, *, is_replacement: bool = False) -> None:
        self._private: Final = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key: Final = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
        """Hex, 64 digits."""
        self.is_replacement: Final = is_replacement
        """True when an earlier key was lost or unreadable: the journal then opens a new epoch."""

    @classmethod
    def load_or_create(cls, directory: Path) -> Signer:
        """Return the key kept in `directory`; make one (0600) at the first start or when the old one is unreadable.

        Raises:
            OSError: the directory cannot be written.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        path = directory / _PRIVATE
        known = public_keys(directory)
        seed = _read_seed(path)
        if seed is None:
            if path.exists():
                move_aside([path], directory / "damaged" / f"key-{secrets.token_hex(4)}")
            seed = secrets.token_bytes(_SEED_BYTES)
            write_file(path, seed.hex().encode("ascii") + b"\n", mode=0o600)
            signer = cls(seed, is_replacement=bool(known))
        else:
            os.chmod(path, 0o600)  # noqa: PTH101  # see durable.py
            signer = cls(seed)
        if signer.public_key not in known:
            lines = "".join(f"{key}\n" for key in (*known, signer.public_key))
            write_file(directory / _PUBLIC, lines.encode("ascii"), mode=0o644)
        return signer

    def sign(self, message: bytes) -> str:
        """Return the signature of `message`, hex."""
        return self._private.sign(message).hex()


def public_keys(directory: Path) -> tuple[str, ...]:
    """Return every public key the journal in `directory` ever had, oldest first."""
    try:
        lines = (directory / _PUBLIC).read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return ()
    return tuple(line for line in lines if _is_key(line))


def is_signed(message: bytes, *, signature: str, key: str) -> bool:
    """Return whether `signature` (hex) over `message` was made with the key whose public half is `key` (hex)."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_key(line: str) -> bool:
    try:
        return len(bytes.fromhex(line)) == _SEED_BYTES
    except ValueError:
        return False


def _read_seed(path: Path) -> bytes | None:
    """Return the seed, None when there is no readable one."""
    try:
        seed = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (FileNotFoundError, ValueError):
        return None
    return seed if len(seed) == _SEED_BYTES else None
