"""The lift node's side of `lift_link`: what it sends, and what it obeys. Pure: octets in, octets out."""

from micropython import const

from gatehouse_wire import lift_link
from gatehouse_wire.cobs import Deframer
from gatehouse_wire.errors import WireError

_AT_ONCE = const(4)
"""Events sent per round: the oldest, in order; the rest follows their acknowledgement."""


class LiftTalk:
    """One run of the node on its line. `state` is a `lift_link.State`, `flags` as in the frame header."""

    def __init__(self, *, identity, ring, updates, send, firmware, reset_cause):
        """`send(octets)` puts them on the line."""
        self.state = lift_link.State()
        self.flags = 0
        self.answered = 0
        """Rightly sealed frames of the gateway obeyed since the start."""
        self._identity = identity
        self._ring = ring
        self._updates = updates
        self._send = send
        self._firmware = firmware
        self._reset_cause = reset_cause
        self._seq = 0
        self._frames = Deframer(lift_link.MAX_STUFFED)

    def say_hello(self, nonce=lift_link.NO_NONCE):
        """Say HELLO: at the start, and with the nonce of a challenge."""
        ring = self._ring
        self._say(
            lift_link.Hello(
                self._header(),
                ring_oldest=ring.oldest,
                ring_newest=ring.newest,
                firmware=self._firmware,
                reset_cause=self._reset_cause,
                nonce=nonce,
            )
        )

    def say_status(self):
        """Send the live state."""
        self._say(lift_link.Status(self._header(), self.state))

    def say_events(self):
        """Send the oldest events that wait; return how many."""
        waiting = self._ring.waiting(_AT_ONCE)
        for payload in waiting:
            self._say(lift_link.parse_event_payload(payload, self._header()))
        return len(waiting)

    def hear(self, octets):
        """Take octets of the line; obey every frame in them that is rightly sealed and meant for this start."""
        for frame in self._frames.feed(octets):
            try:
                message = lift_link.decode(frame, self._mac_for)
            except WireError:
                continue
            self._obey(message)

    def _obey(self, message):
        if message.type == lift_link.CHALLENGE:
            self.answered += 1
            self.say_hello(message.nonce)
            self.say_events()
            return
        if message.type not in (lift_link.ACK, lift_link.UPDATE):
            return  # our own frames, echoed or played back
        if not lift_link.is_addressed(message, boot=self._ring.boot, seq=self._seq):
            return
        self.answered += 1
        if message.type == lift_link.ACK:
            self._ring.acknowledge(message.ring_seq)
            if not self._ring.has_lost:
                self.flags &= ~lift_link.EVENTS_LOST
        else:
            self._say(lift_link.UpdateAnswer(self._header(), data=self._updates.handle(message.data)))

    def _mac_for(self, node_id, key_id):
        return self._identity.mac_for(key_id) if node_id == self._identity.node else None

    def _header(self):
        self._seq += 1
        return lift_link.Header(
            node_id=self._identity.node,
            key_id=self._identity.key_id,
            boot=self._ring.boot,
            seq=self._seq,
            flags=self.flags,
        )

    def _say(self, message):
        mac = self._identity.mac_for(message.header.key_id)
        if mac is not None:  # a node without a key keeps silent
            self._send(lift_link.encode(message, mac))
