# mypy: ignore-errors
"""`cryptolib.aes` with the modes an ESP32 has and we use: ECB (1) and CBC (2)."""

import _board
import uctypes


class aes:
    def __init__(self, key, mode, IV=None):
        if len(key) not in (16, 32):
            raise ValueError("key")
        if mode not in (1, 2) or (mode == 2) != (IV is not None):
            raise ValueError("mode")
        self._key, self._mode, self._iv = bytes(key), mode, IV and bytes(IV)

    def _ecb(self, data, is_encrypting):
        out = bytearray(len(data))
        _board.aes_ecb(
            uctypes.addressof(self._key),
            len(self._key),
            uctypes.addressof(data),
            uctypes.addressof(out),
            len(data),
            is_encrypting,
        )
        return out

    def _blocks(self, data, out, is_encrypting):
        data = bytes(data)
        if not data or len(data) % 16:
            raise ValueError("blksize % 16")
        if self._mode == 1:
            result = self._ecb(data, is_encrypting)
        else:
            result = bytearray()
            for at in range(0, len(data), 16):
                block = data[at : at + 16]
                mixed = bytes([a ^ b for a, b in zip(block, self._iv)]) if is_encrypting else block
                piece = self._ecb(mixed, is_encrypting)
                result += piece if is_encrypting else bytes([a ^ b for a, b in zip(piece, self._iv)])
                self._iv = bytes(piece) if is_encrypting else block
        if out is None:
            return bytes(result)
        out[:] = result
        return out

    def encrypt(self, data, out=None):
        return self._blocks(data, out, True)

    def decrypt(self, data, out=None):
        return self._blocks(data, out, False)
