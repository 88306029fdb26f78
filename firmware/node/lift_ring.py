"""The event ring in flash: what happened is kept through a power loss and repeated until the gateway has it on its disk. Pure.

One NVS entry per event (`e` + sequence modulo 32): the payload of `lift_link` and its CRC. NVS writes an entry whole or not at all, so
a cut leaves the ring before or after the event. The sequence goes on from the newest entry; acknowledged entries stay until overwritten.
"""

from micropython import const

from gatehouse_wire import lift_link
from gatehouse_wire.crc import crc16_ccitt
from gatehouse_wire.errors import WireError

SIZE = const(32)
_SPACE = "gh_run"
_PAYLOAD = const(25)


class Ring:
    """The ring of one node; everything in it is on flash when a call returns."""

    def __init__(self, store):
        self._store = store
        self._entries = {}
        """Ring sequence -> payload, only those not acknowledged."""
        self.is_damaged = False
        """An entry in the middle could not be read: what lay before it is lost."""
        self.boot = store.number(_SPACE, "boot", 0) + 1
        store.put_number(_SPACE, "boot", self.boot)
        found = {}
        for at in range(SIZE):
            payload = self._load(at)
            if payload is not None:
                found[int.from_bytes(payload[:4], "little")] = payload
        self.acked = store.number(_SPACE, "acked", 0)
        self.newest = max(max(found) if found else 0, self.acked)
        self.has_lost = self.acked < self.newest - SIZE
        if self.has_lost:
            self.acked = self.newest - SIZE
        for seq in range(self.acked + 1, self.newest + 1):
            if seq in found:
                self._entries[seq] = found[seq]
            else:
                self._entries = {}
                self.acked = seq
                self.is_damaged = True
                self.has_lost = True

    @property
    def oldest(self):
        """Sequence of the oldest event not acknowledged; one above the newest when there is none."""
        return self.acked + 1

    def append(self, *, cause, state, uptime_ms):
        """Keep an event; the oldest one goes when 32 wait already."""
        seq = self.newest + 1
        event = lift_link.Event(
            None, state, ring_seq=seq, cause=cause, event_boot=self.boot, uptime_ms=uptime_ms & 0xFFFFFFFF
        )
        payload = lift_link.event_payload(event)
        self._store.put_blob(
            _SPACE, "e%d" % (seq % SIZE), payload + crc16_ccitt(payload).to_bytes(2, "little")
        )
        self._entries[seq] = payload
        self.newest = seq
        if seq - self.acked > SIZE:
            self._entries.pop(self.acked + 1)
            self.acked += 1
            self.has_lost = True
        return seq

    def waiting(self, most):
        """Return the payloads of the oldest `most` events that wait, in order."""
        return [self._entries[seq] for seq in range(self.oldest, min(self.oldest + most, self.newest + 1))]

    def acknowledge(self, seq):
        """Forget every event up to `seq`; ignored unless it lies in the ring."""
        if not self.oldest <= seq <= self.newest:
            return
        self._store.put_number(_SPACE, "acked", seq)
        for gone in range(self.oldest, seq + 1):
            self._entries.pop(gone)
        self.acked = seq
        self.has_lost = False

    def _load(self, at):
        raw = self._store.blob(_SPACE, "e%d" % at)
        if raw is None or len(raw) != _PAYLOAD + 2:
            return None
        payload = raw[:_PAYLOAD]
        if crc16_ccitt(payload) != raw[-2] | raw[-1] << 8:
            return None
        try:
            lift_link.parse_event_payload(payload, None)
        except WireError:
            return None
        return payload
