"""Text frames that a lift controller's push link sends by itself. The gateway never answers: zero bytes.

| offset | type  | name    | unit | meaning                                    |
|--------|-------|---------|------|--------------------------------------------|
| 0      | 4 B   | start   |      | `#10#`                                     |
| 4      | bytes | payload |      | JSON, UTF-8; parsed by the driver          |
| end    | 4 B   | end     |      | `#13#`                                     |

Between frames: anything (controllers send line ends). Source: domain notes §1.2 row 3 (public code of a lift platform).
"""

START = b"#10#"
END = b"#13#"
MAX_PAYLOAD = 4096
"""The largest `info` message seen is below 1 KiB."""


def encode(payload) -> bytes:
    """Return one frame (for the simulated controller)."""
    return START + bytes(payload) + END


class Deframer:
    """Cuts the stream into payloads; holds at most `max_len` bytes and two markers.

    A start marker inside a frame means that the end of the one before was lost: that one is dropped. `bad` counts
    dropped frames (cut or too long); `skipped` counts bytes outside frames.
    """

    def __init__(self, max_len: int = MAX_PAYLOAD):
        self.max_len = max_len
        self.bad = 0
        self.skipped = 0
        self._held = b""
        self._inside = False

    def feed(self, data) -> list[bytes]:
        """Return the payloads that `data` completes, oldest first."""
        payloads: list[bytes] = []
        # In slices, so that one huge read cannot grow what we hold beyond its bound.
        for at in range(0, len(data), 1024):
            self._held += bytes(data[at : at + 1024])
            while self._step(payloads):
                pass
        return payloads

    def _step(self, payloads):
        start = self._held.find(START)
        if not self._inside:
            if start < 0:
                self._drop_outside(max(0, len(self._held) - len(START) + 1))
                return False
            self._drop_outside(start)
            self._held = self._held[len(START) :]
            self._inside = True
            return True
        end = self._held.find(END)
        if 0 <= start and (end < 0 or start < end):
            self.bad += 1
            self._held = self._held[start + len(START) :]
            return True
        if end < 0:
            if len(self._held) > self.max_len + len(END):
                self._give_up()
            return False
        if end > self.max_len:
            self.bad += 1
        else:
            payloads.append(self._held[:end])
        self._held = self._held[end + len(END) :]
        self._inside = False
        return True

    def _give_up(self):
        self.bad += 1
        self._inside = False
        self._drop_outside(len(self._held) - len(START) + 1)

    def _drop_outside(self, count):
        self.skipped += count
        self._held = self._held[count:]
