"""Users and sessions of the console, in their own SQLite file (0600). Blocking; the API calls it in a thread.

| table | columns |
|---|---|
| user | name, role, hash (argon2id), is_disabled, created_at |
| session | token_hash (SHA-256), user, expires_s (service time) |

The first user is made with a one-time code that is printed locally; it exists only while there is no user.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from msgspec import Struct
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from gatehouse_edge.console.roles import Role

FILE: Final = "users.db"
CODE_FILE: Final = "first-user-code"
MAX_USERS: Final = 200
MAX_SESSIONS: Final = 500
"""More than any estate has browsers; the oldest gives way."""
MIN_PASSWORD: Final = 10
MAX_PASSWORD: Final = 128
"""Argon2 takes any length; a bound keeps a flood of long ones cheap."""
_CODE_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_LENGTH: Final = 10
"""50 bits, five tries per five minutes."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS user (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, hash TEXT NOT NULL, is_disabled INTEGER NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS session (
  token_hash BLOB PRIMARY KEY, user TEXT NOT NULL REFERENCES user(name), expires_s REAL NOT NULL) STRICT;
"""


class AccountError(Exception):
    """A user cannot be made or changed so; `reason` is a stable token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class User(Struct, frozen=True, kw_only=True):
    """One person."""

    name: str
    role: Role
    is_disabled: bool = False


class Session(Struct, frozen=True, kw_only=True):
    """One login of one person."""

    user: User
    expires_s: float


class Accounts:
    """The store. Thread safe: one lock around everything; session lookups touch memory only."""

    def __init__(self, db: sqlite3.Connection, directory: Path, *, argon2: Argon2Hasher) -> None:
        self._db: Final = db
        self._directory: Final = directory
        self._hasher: Final = PasswordHash((argon2,))
        self._lock: Final = threading.Lock()
        self._users: dict[str, User] = {}
        self._sessions: dict[bytes, tuple[str, float]] = {}
        self._code: str | None = None
        # Verified against when the name is unknown, so that the answer takes as long.
        self._decoy: Final = self._hasher.hash(secrets.token_urlsafe(16))

    @classmethod
    def open(cls, directory: Path, *, argon2: Argon2Hasher | None = None) -> Self:
        """Open or make the store in `directory` (made 0700); makes the one-time code while there is no user.

        Args:
            directory: folder of the console's own files.
            argon2: cost of a password; the library's recommendation unless a test wants less.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / FILE
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.executescript(_SCHEMA)
        store = cls(db, directory, argon2=argon2 or Argon2Hasher())
        store._load()
        return store

    @property
    def first_code(self) -> str | None:
        """The one-time code to print locally; None once there is a user, or after it was used up."""
        return self._code

    @property
    def has_users(self) -> bool:
        """False: the console asks for the one-time code."""
        return bool(self._users)

    def users(self) -> list[User]:
        """Return everybody by name."""
        with self._lock:
            return sorted(self._users.values(), key=lambda user: user.name)

    def make_first(self, code: str, name: str, password: str, *, at: datetime) -> User:
        """Make the first user, an administrator.

        Raises:
            AccountError: `code`, `has_users`, or as `make`.
        """
        with self._lock:
            if self._users:
                raise AccountError("has_users")
            given = code.strip().upper().replace("-", "").encode()
            if self._code is None or not secrets.compare_digest(given, self._code.replace("-", "").encode()):
                raise AccountError("code")
            user = self._make(name, password, Role.ADMIN, at)
            self._drop_code()
            return user

    def make(self, name: str, password: str, role: Role, *, at: datetime) -> User:
        """Make a user.

        Raises:
            AccountError: `name_taken`, `name`, `password` or `too_many`.
        """
        with self._lock:
            return self._make(name, password, role, at)

    def change(
        self,
        name: str,
        *,
        role: Role | None = None,
        is_disabled: bool | None = None,
        password: str | None = None,
    ) -> User:
        """Change a user; a changed role, password or a disabling ends all its sessions.

        Raises:
            AccountError: `unknown_user`, `password`, or `last_admin`.
        """
        with self._lock:
            old = self._users.get(name)
            if old is None:
                raise AccountError("unknown_user")
            new = User(
                name=name,
                role=old.role if role is None else role,
                is_disabled=old.is_disabled if is_disabled is None else is_disabled,
            )
            admins = {
                user.name for user in self._users.values() if user.role is Role.ADMIN and not user.is_disabled
            }
            if admins == {name} and (new.role is not Role.ADMIN or new.is_disabled):
                raise AccountError("last_admin")
            if password is not None:
                _check_password(name, password)
                hashed = self._hasher.hash(password)
                self._db.execute("UPDATE user SET hash = ? WHERE name = ?", (hashed, name))
            self._db.execute(
                "UPDATE user SET role = ?, is_disabled = ? WHERE name = ?",
                (new.role.value, new.is_disabled, name),
            )
            self._users[name] = new
            if new != old or password is not None:
                self._end_sessions_of(name)
            return new

    def log_in(self, name: str, password: str, *, now_s: float, lasts_s: float) -> tuple[str, Session] | None:
        """Return a new session's token and the session, None if name or password is wrong. Takes about 50 ms."""
        with self._lock:
            row = self._db.execute(
                "SELECT hash FROM user WHERE name = ? AND NOT is_disabled", (name,)
            ).fetchone()
            is_right = self._hasher.verify(password[:MAX_PASSWORD], row[0] if row else self._decoy)
            if row is None or not is_right or len(password) > MAX_PASSWORD:
                return None
            token = secrets.token_urlsafe(32)
            expires_s = now_s + lasts_s
            self._forget_expired(now_s)
            self._db.execute("INSERT INTO session VALUES (?, ?, ?)", (_hash(token), name, expires_s))
            self._sessions[_hash(token)] = (name, expires_s)
            return token, Session(user=self._users[name], expires_s=expires_s)

    def session(self, token: str, *, now_s: float) -> Session | None:
        """Return the session of a cookie, None if there is none or it has ended. Memory only."""
        found = self._sessions.get(_hash(token))
        if found is None or found[1] <= now_s:
            return None
        user = self._users.get(found[0])
        return None if user is None or user.is_disabled else Session(user=user, expires_s=found[1])

    def log_out(self, token: str) -> None:
        """End one session."""
        with self._lock:
            self._sessions.pop(_hash(token), None)
            self._db.execute("DELETE FROM session WHERE token_hash = ?", (_hash(token),))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _load(self) -> None:
        for name, role, is_disabled in self._db.execute("SELECT name, role, is_disabled FROM user"):
            self._users[name] = User(name=name, role=Role(role), is_disabled=bool(is_disabled))
        for token_hash, name, expires_s in self._db.execute(
            "SELECT token_hash, user, expires_s FROM session"
        ):
            self._sessions[token_hash] = (name, expires_s)
        if self._users:
            self._drop_code()
            return
        letters = "".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LENGTH))
        self._code = f"{letters[:5]}-{letters[5:]}"
        path = self._directory / CODE_FILE
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(self._code + "\n")

    def _drop_code(self) -> None:
        self._code = None
        (self._directory / CODE_FILE).unlink(missing_ok=True)

    def _make(self, name: str, password: str, role: Role, at: datetime) -> User:
        name = name.strip()
        if not 1 <= len(name) <= 40 or not name.isprintable():  # noqa: PLR2004  # fits the screen
            raise AccountError("name")
        if name in self._users:
            raise AccountError("name_taken")
        if len(self._users) >= MAX_USERS:
            raise AccountError("too_many")
        _check_password(name, password)
        hashed = self._hasher.hash(password)
        self._db.execute(
            "INSERT INTO user (name, role, hash, created_at) VALUES (?, ?, ?, ?)",
            (name, role.value, hashed, at.isoformat()),
        )
        self._users[name] = User(name=name, role=role)
        return self._users[name]

    def _end_sessions_of(self, name: str) -> None:
        self._sessions = {key: value for key, value in self._sessions.items() if value[0] != name}
        self._db.execute("DELETE FROM session WHERE user = ?", (name,))

    def _forget_expired(self, now_s: float) -> None:
        live = {key: value for key, value in self._sessions.items() if value[1] > now_s}
        for key in sorted(live, key=lambda key: live[key][1])[: max(0, len(live) - MAX_SESSIONS + 1)]:
            del live[key]
        gone = self._sessions.keys() - live.keys()
        self._sessions = live
        self._db.executemany("DELETE FROM session WHERE token_hash = ?", [(key,) for key in gone])


def _check_password(name: str, password: str) -> None:
    is_long = MIN_PASSWORD <= len(password) <= MAX_PASSWORD
    if not is_long or len(set(password)) < 5 or name.lower() in password.lower():  # noqa: PLR2004  # aaaaaaaaaa
        raise AccountError("password")


def _hash(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
