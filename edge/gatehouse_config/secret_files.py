"""Read key and secret files, and tell a real secret from one copied out of an example. Nothing here is logged."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gatehouse_config.fault import ConfigError

KEY_BYTES: Final = 16
"""AES-128, as BTHome v2 and the lift node use it."""
_MAX_FILE_BYTES: Final = 8192
"""A key has 33 bytes, a token at most a few thousand."""
_LEAST_SECRET: Final = 8
_LEAST_DISTINCT_BYTES: Final = 6
"""16 random bytes hold fewer than 6 different values with a chance below 1e-20."""
_PUBLISHED_KEYS: Final = frozenset(
    bytes.fromhex(text)
    for text in (
        "231d39c1d7cc1ab1aee224cd096db932",  # BTHome v2 specification, encryption example
        "000102030405060708090a0b0c0d0e0f",  # AES documents
        "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf",  # RFC 3610 packet vectors
        "404142434445464748494a4b4c4d4e4f",  # NIST SP 800-38C examples
        "2b7e151628aed2a6abf7158809cf4f3c",  # FIPS 197 / SP 800-38A
        "0123456789abcdeffedcba9876543210",  # GB/T 32907 (SM4) example
        "0123456789abcdef0123456789abcdef",
        "deadbeefdeadbeefdeadbeefdeadbeef",
    )
)
_PLACEHOLDER: Final = re.compile(
    r"change.?me|example|placeholder|your.?(token|secret|password|key)|^(secret|password|passw0rd|token|test|admin|x+|0+|1234\d*)$"
    r"|示例|请修改",
    re.IGNORECASE,
)


class SecretError(ConfigError):
    """A key or secret file cannot be used; the message names the file and never its content."""


def read_key(path: Path) -> bytes:
    """Return the 16-byte key in `path`.

    Raises:
        SecretError: no such file, not 32 hex digits, or a key that stands in somebody's example.
    """
    text = _read(path)
    if len(text) != 2 * KEY_BYTES:
        raise SecretError(f"{path} must hold {2 * KEY_BYTES} hex digits, it holds {len(text)} characters")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise SecretError(f"{path} must hold {2 * KEY_BYTES} hex digits") from None
    if len(key) != KEY_BYTES:
        raise SecretError(f"{path} must hold {2 * KEY_BYTES} hex digits")
    if key in _PUBLISHED_KEYS or len(set(key)) < _LEAST_DISTINCT_BYTES:
        raise SecretError(f"{path} holds a key out of an example; make one with: openssl rand -hex 16")
    return key


def read_secret(path: Path) -> str:
    """Return the token or password in `path`, without the line end.

    Raises:
        SecretError: no such file, empty, too short, or a placeholder.
    """
    text = _read(path)
    if not text:
        raise SecretError(f"{path} is empty")
    if _PLACEHOLDER.search(text):
        raise SecretError(f"{path} holds a placeholder, not a secret")
    if len(text) < _LEAST_SECRET or not text.isprintable():
        raise SecretError(f"{path} must hold one line of at least {_LEAST_SECRET} printable characters")
    return text


def read_pin(path: Path) -> str:
    """Return the SIM's PIN in `path`: 4 to 8 digits.

    Raises:
        SecretError: no such file or not a PIN.
    """
    text = _read(path)
    if not re.fullmatch(r"[0-9]{4,8}", text):
        raise SecretError(f"{path} must hold 4 to 8 digits")
    return text


def _read(path: Path) -> str:
    try:
        if not path.is_file():
            raise SecretError(f"there is no file {path}")
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise SecretError(f"{path} cannot be read: {error.__class__.__name__}") from None
    if len(data) > _MAX_FILE_BYTES:
        raise SecretError(f"{path} is too large for a secret")
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise SecretError(f"{path} is not text") from None
