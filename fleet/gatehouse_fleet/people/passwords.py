"""Passwords: argon2id off the loop, two at a time, and what a password must be."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from gatehouse_fleet.errors import FleetError

MIN_PASSWORD: Final = 10
MAX_PASSWORD: Final = 128
"""Argon2 takes any length; a bound keeps a flood of long ones cheap."""
_MIN_DIFFERENT: Final = 5
_AT_ONCE: Final = 2
"""Each takes 64 MiB and some 50 ms of a core."""


class AccountError(FleetError):
    """A user cannot be made or changed so; `reason` is a stable token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason


class Passwords:
    """Hashes and verifies; one per worker."""

    def __init__(self, argon2: Argon2Hasher | None = None) -> None:
        self._hasher: Final = PasswordHash((argon2 or Argon2Hasher(),))
        self._turn: Final = asyncio.Semaphore(_AT_ONCE)
        # Verified against when the name is unknown, so that the answer takes as long.
        self._decoy: Final = self._hasher.hash(secrets.token_urlsafe(16))

    async def hash(self, name: str, password: str) -> str:
        """Return the hash of a new password.

        Raises:
            AccountError: `password`: too short, too monotonous, or the login itself.
        """
        check_password(name, password)
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def is_right(self, password: str, hashed: str | None) -> bool:
        """Return whether a password fits; takes as long without a hash."""
        async with self._turn:
            fits = await asyncio.to_thread(
                self._hasher.verify, password[:MAX_PASSWORD], hashed or self._decoy
            )
        return fits and hashed is not None and len(password) <= MAX_PASSWORD


def check_password(name: str, password: str) -> None:
    """Refuse a password that a list or a look at the login gives away.

    Raises:
        AccountError: `password`.
    """
    is_long = MIN_PASSWORD <= len(password) <= MAX_PASSWORD
    if not is_long or len(set(password)) < _MIN_DIFFERENT or name.lower() in password.lower():
        raise AccountError("password")
