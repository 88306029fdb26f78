"""AES-CCM with a 4-byte tag (RFC 3610) on the chip's AES-ECB; `cryptolib` has no CCM."""

from cryptolib import aes
from micropython import const

_ECB = const(1)
TAG_BYTES = const(4)


def sealer(key):
    """Return `seal(nonce, plain)`, which returns ciphertext and tag; the nonce has 13 bytes, the plain text at most 65535."""
    encrypt = aes(key, _ECB).encrypt

    def seal(nonce, plain):
        nonce = bytes(nonce)
        tag = encrypt(bytes([(TAG_BYTES - 2) // 2 << 3 | 1]) + nonce + len(plain).to_bytes(2, "big"))
        padded = plain + bytes(-len(plain) % 16)
        sealed = b""
        for at in range(0, len(padded), 16):
            block = padded[at : at + 16]
            tag = encrypt(_xor(tag, block))
            sealed += _xor(block, encrypt(_counter(nonce, at // 16 + 1)))
        return sealed[: len(plain)] + _xor(tag, encrypt(_counter(nonce, 0)))[:TAG_BYTES]

    return seal


def _counter(nonce, number):
    return b"\x01" + nonce + number.to_bytes(2, "big")


def _xor(left, right):
    return bytes([left[at] ^ right[at] for at in range(16)])
