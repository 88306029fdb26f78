"""HMAC-SHA256 (RFC 2104); MicroPython has no hmac module."""

from hashlib import sha256


def mac_of(key):
    """Return the function that makes the 32-byte authenticator of some bytes with `key` (at most 64 bytes)."""
    padded = key + bytes(64 - len(key))
    inner = bytes([byte ^ 0x36 for byte in padded])
    outer = bytes([byte ^ 0x5C for byte in padded])

    def mac(data):
        return sha256(outer + sha256(inner + data).digest()).digest()

    return mac


def key_check(key):
    """Return the 8 hex digits that name a key without telling it (README)."""
    return mac_of(key)(b"gatehouse key check 1")[:4].hex()
