"""Consistent Overhead Byte Stuffing: frames without a zero byte, so that a zero can end them.

| offset | type  | name      | unit  | meaning                                                             |
|--------|-------|-----------|-------|---------------------------------------------------------------------|
| 0      | u8    | code      | bytes | n = 1..254: n-1 bytes follow, then a zero is meant (unless last)    |
|        |       |           |       | 255: 254 bytes follow and no zero is meant                          |
| 1      | bytes | run       |       | code-1 bytes, none of them zero; then the next code, and so on      |
| end    | u8    | delimiter |       | 0x00, not part of the encoded frame                                 |

Source: S. Cheshire, M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7(2), 1999.
"""

from gatehouse_wire.errors import FRAMING, WireError

DELIMITER = b"\x00"


def encode(data) -> bytes:
    """Return `data` stuffed, without a delimiter; at most one byte longer per 254 begun."""
    out = bytearray(1)
    at = 0
    code = 1
    for position in range(len(data)):
        byte = data[position]
        if byte:
            out.append(byte)
            code += 1
        if not byte or (code == 255 and position + 1 < len(data)):
            out[at] = code
            at = len(out)
            out.append(0)
            code = 1
    out[at] = code
    return bytes(out)


def decode(frame) -> bytes:
    """Return the bytes stuffed into `frame` (no delimiter).

    Raises:
        WireError: reason FRAMING; empty, a zero inside, or cut short.
    """
    size = len(frame)
    if not size:
        raise WireError(FRAMING, "empty frame")
    out = bytearray()
    at = 0
    while at < size:
        code = frame[at]
        if not code or at + code > size:
            raise WireError(FRAMING, "run of %d at %d of %d bytes" % (code, at, size))
        run = frame[at + 1 : at + code]
        if 0 in run:
            raise WireError(FRAMING, "zero inside a run")
        out.extend(run)
        at += code
        if code < 255 and at < size:
            out.append(0)
    return bytes(out)


def wrap(data) -> bytes:
    """Return `data` ready for the line: a delimiter on both sides, so noise before it costs nothing."""
    return DELIMITER + encode(data) + DELIMITER


class Deframer:
    """Cuts a byte stream into decoded frames; holds at most `max_len` bytes; finds its feet after garbage.

    `bad` counts frames thrown away: too long, or wrongly stuffed. Empty frames are idle filling, not errors.
    """

    def __init__(self, max_len: int):
        self.max_len = max_len
        self.bad = 0
        self._held = b""
        self._skipping = False

    def feed(self, data) -> list[bytes]:
        """Return the frames that `data` completes, decoded, oldest first."""
        frames: list[bytes] = []
        start = 0
        while True:
            end = data.find(DELIMITER, start)
            if end < 0:
                self._hold(data[start:])
                return frames
            self._hold(data[start:end])
            start = end + 1
            held = self._held
            skipped = self._skipping
            self._held = b""
            self._skipping = False
            if skipped or not held:
                continue
            try:
                frames.append(decode(held))
            except WireError:
                self.bad += 1

    def _hold(self, piece):
        if self._skipping:
            return
        if len(self._held) + len(piece) > self.max_len:
            self._held = b""
            self._skipping = True
            self.bad += 1
            return
        self._held += bytes(piece)
