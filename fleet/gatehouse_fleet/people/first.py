"""The first user, made with a one-time code that only somebody on the server can read."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import Final

from gatehouse_fleet.pki.files import PRIVATE, write_file

FILE: Final = "first-user-code"
_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_LENGTH: Final = 10
"""50 bits, five tries per address and five minutes."""


class FirstCode:
    """The code in its file (0600): every worker reads the same one, and it is gone once it was used."""

    def __init__(self, directory: Path) -> None:
        self.path: Final = directory / FILE

    def ensure(self) -> str:
        """Return the code, made if there is none. Call this only while there is no user."""
        found = self._read()
        if found is not None:
            return found
        letters = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        code = f"{letters[:5]}-{letters[5:]}"
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(self.path, f"{code}\n".encode(), PRIVATE)
        return code

    def fits(self, given: str) -> bool:
        """Return whether somebody knows the code."""
        code = self._read()
        said = given.strip().upper().replace("-", "").encode("utf-8", "surrogatepass")
        return code is not None and secrets.compare_digest(said, code.replace("-", "").encode())

    def drop(self) -> None:
        """There is a user now."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return self.path.read_text(encoding="ascii").strip() or None
        return None
