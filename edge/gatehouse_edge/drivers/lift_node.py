"""Our own lift node on a serial line: believed only when proven, acknowledged only when on disk.

The order of an event is: frame, MAC, freshness, `inbox.put` (which returns once the alarm is committed), acknowledgement. Between the
last two the power may fail: the node sends again, the committed ring position drops the duplicate.

An acknowledgement covers *every* event up to its number, so events are taken strictly in order. Whether a number is missing
because noise ate a frame or because the node's ring overwrote it, only a HELLO can tell, so a gap asks for one.
"""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.clock import Clock, Now
from gatehouse_edge.drivers.ble_refusals import RefusalFold
from gatehouse_edge.drivers.node_update import NodeUpdateError, Transfer, UpdateOutcome
from gatehouse_edge.drivers.serial_port import Chunk, PortError, SerialPort, SerialSettings
from gatehouse_edge.ports import Counters, Inbox
from gatehouse_edge.reading import Car, Direction, LiftReading, Quality, RefusalReason, ServiceMode
from gatehouse_wire import lift_link
from gatehouse_wire.cobs import Deframer
from gatehouse_wire.errors import KEY, MAC, WireError

_log = logging.getLogger(__name__)

CHALLENGE_PAUSE_S: Final = 1.0
"""A new nonce makes the one before worthless, so a slow node must get this long to answer."""
UNPROVEN_S: Final = 5.0
"""A sender that goes on for so long without answering a challenge is playing a recording."""
_UPDATE_ANSWER_S: Final = 0.5
"""A piece of an update that is not answered within this is sent again."""
_TAMPER_HOLD_S: Final = 60.0
"""A tamper event is a moment; rules confirm faults over seconds, so it is repeated with the readings this long."""
_BLINDING: Final = (
    lift_link.FAULT_MOTION_SENSOR
    | lift_link.FAULT_DOOR_SENSOR
    | lift_link.FAULT_ZONE_SENSOR
    | lift_link.FAULT_PRESENCE_SENSOR
)
_CARS: Final = {lift_link.CAR_STOPPED: Car.STOPPED, lift_link.CAR_RUNNING: Car.RUNNING}
_DIRECTIONS: Final = (Direction.NONE, Direction.UP, Direction.DOWN)
_MODES: Final = tuple(ServiceMode)
"""In the order of their GB/T 24476-2017 numbers."""


class NodeSettings(Struct, frozen=True, kw_only=True):
    """One node of the allow-list and the line it hangs on."""

    bus_id: str
    device_id: str
    node_id: int
    port: SerialSettings


def ring_counter(device_id: str) -> str:
    """Return the name under which the ledger keeps a node's last committed ring sequence.

    The ledger writes `LiftReading.source_seq` there, in the transaction of what the reading led to. It only rises, except
    for a reading with `is_ring_renewed`: a replaced node starts its ring anew.
    """
    return f"lift/{device_id}/ring"


class LiftNodeDriver:
    """Owns the line of one node. `keys` maps key ids to 16 bytes; two of them during a rotation."""

    def __init__(
        self,
        settings: NodeSettings,
        *,
        keys: Mapping[int, bytes],
        inbox: Inbox,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self.settings: Final = settings
        self._macs: dict[int, Callable[[bytes], bytes]] = {}
        self._inbox: Final = inbox
        self._clock: Final = clock
        self._counters: Final = counters
        self._refused: Final = RefusalFold(settings.bus_id)
        self._gate: Final = lift_link.Gate()
        self._port: Final = SerialPort(
            settings.bus_id, settings.port, device_ids=(settings.device_id,), inbox=inbox, clock=clock
        )
        self._deframer = Deframer(lift_link.MAX_STUFFED)
        self._bad_seen = 0
        self._ring: _Ring | None = None
        self._status: lift_link.State | None = None
        self._challenged_s: float | None = None
        self._doubtful_since_s: float | None = None
        self._tampered_s: float | None = None
        self._transfer: Transfer | None = None
        self._asked_s: float | None = None
        self._head: lift_link.Header | None = None
        """Header of the node's latest fresh frame: what speaks to it must repeat one."""
        self.set_keys(keys)

    def set_keys(self, keys: Mapping[int, bytes]) -> None:
        """Replace the keys without touching the session: a rotation loses nothing (domain row 19).

        Raises:
            ValueError: no key, more than two, or one that is not 16 bytes long.
        """
        if not 1 <= len(keys) <= 2 or any(len(key) != 16 for key in keys.values()):  # noqa: PLR2004  # the sentence above
            raise ValueError("a node has one or two keys of 16 bytes")
        self._macs = {key_id: _mac(bytes(key)) for key_id, key in keys.items()}

    async def run(self) -> None:
        """Read the line until cancelled."""
        try:
            with self._port:
                while True:
                    chunk = await self._port.read()
                    await self._take(chunk)
                    await self._pump(chunk.at.service_s)
        finally:
            if self._transfer is not None:
                self._transfer.stop("the line was stopped")

    async def update(self, transfer: Transfer) -> UpdateOutcome:
        """Carry a new image to the node while its events go on; return how it ended.

        Raises:
            NodeUpdateError: another update is under way.
        """
        if self._transfer is not None:
            raise NodeUpdateError(
                f"another update of {self.settings.device_id} is under way; wait for its end"
            )
        self._transfer, self._asked_s = transfer, None
        try:
            await transfer.ended.wait()
        finally:
            self._transfer = None
        assert transfer.outcome is not None  # noqa: S101  # for the type checker: that is what `ended` means
        return transfer.outcome

    async def _pump(self, now_s: float) -> None:
        """Send the next piece of an update. The node speaks twice a second, so this runs often enough without a timer.

        Only this task writes to the port, and events and their acknowledgements were served just before.
        """
        transfer, head = self._transfer, self._head
        if transfer is None or head is None:
            return
        if self._asked_s is not None:
            if now_s - self._asked_s < _UPDATE_ANSWER_S:
                return
            self._asked_s = None
            transfer.miss(now_s, "no answer")
        request = transfer.request(now_s)
        if request is None:
            return
        self._asked_s = now_s
        header = lift_link.Header(node_id=head.node_id, key_id=head.key_id, boot=head.boot, seq=head.seq)
        await self._send(lift_link.Update(header, data=request))

    async def _take(self, chunk: Chunk) -> None:
        if chunk.is_fresh:
            self._deframer = Deframer(lift_link.MAX_STUFFED)
            self._bad_seen = 0
        for frame in self._deframer.feed(chunk.octets):
            try:
                message = lift_link.decode(frame, self._mac_for)
            except WireError as error:
                self._refuse(_REASONS.get(error.reason, RefusalReason.BAD_FRAME), error.detail, chunk.at)
            else:
                await self._judge(message, chunk.at)
        for _ in range(self._deframer.bad - self._bad_seen):
            self._refuse(RefusalReason.BAD_FRAME, self.settings.bus_id, chunk.at)
        self._bad_seen = self._deframer.bad
        for refusal in self._refused.collect(chunk.at):
            await self._inbox.put(refusal)

    def _mac_for(self, node_id: int, key_id: int) -> Callable[[bytes], bytes] | None:
        return self._macs.get(key_id) if node_id == self.settings.node_id else None

    def _refuse(self, reason: RefusalReason, source: str, at: Now) -> None:
        self._refused.add(reason, source, at_s=at.service_s)

    async def _judge(
        self,
        message: lift_link.Hello | lift_link.Status | lift_link.Event | lift_link.UpdateAnswer | object,
        at: Now,
    ) -> None:
        """Let in what is fresh."""
        if not isinstance(
            message, lift_link.Hello | lift_link.Status | lift_link.Event | lift_link.UpdateAnswer
        ):
            # Rightly sealed, but the gateway's own words: somebody plays our half of a recording back to us.
            self._refuse(RefusalReason.REPLAY, f"node {self.settings.node_id}", at)
            return
        known_boot = self._gate.boot
        verdict = self._gate.admit(message)
        if verdict == lift_link.FRESH:
            self._doubtful_since_s = None
            await self._believe(message, at)
        elif verdict == lift_link.REPLAY:
            self._refuse(RefusalReason.REPLAY, f"node {self.settings.node_id}", at)
        else:
            self._doubt(known_boot is not None and message.header.boot < known_boot, at)
            await self._challenge(message.header.key_id)

    def _doubt(self, is_older: bool, at: Now) -> None:  # private
        """Count what cannot be an ordinary start of the node: an earlier boot, or one that never proves itself."""
        if self._doubtful_since_s is None:
            self._doubtful_since_s = at.service_s
        if is_older or at.service_s - self._doubtful_since_s >= UNPROVEN_S:
            self._refuse(RefusalReason.REPLAY, f"node {self.settings.node_id}", at)

    async def _challenge(self, key_id: int) -> None:
        now_s = (
            self._clock.now().service_s
        )  # not of arrival: frames that waited for a commit must not cause two
        if self._challenged_s is not None and now_s - self._challenged_s < CHALLENGE_PAUSE_S:
            return
        self._challenged_s = now_s
        nonce = os.urandom(8)
        self._gate.challenge(nonce)
        header = lift_link.Header(node_id=self.settings.node_id, key_id=key_id)
        await self._send(lift_link.Challenge(header, nonce=nonce))

    async def _believe(
        self, message: lift_link.Hello | lift_link.Status | lift_link.Event | lift_link.UpdateAnswer, at: Now
    ) -> None:
        self._head = message.header
        if isinstance(message, lift_link.UpdateAnswer):
            if self._transfer is not None and self._asked_s is not None:
                self._asked_s = None
                self._transfer.take(bytes(message.data), at.service_s)
        elif isinstance(message, lift_link.Hello):
            self._meet(message)
        elif isinstance(message, lift_link.Status):
            self._status = message.state
            await self._inbox.put(self._reading(message.state, message.header, at))
        else:
            await self._take_event(message, at)

    def _meet(self, hello: lift_link.Hello) -> None:
        """Agree on the ring: where it stands, and whether it is the one we know."""
        last = self._ring.last if self._ring else self._counters.get(ring_counter(self.settings.device_id))
        before, is_renewed = hello.ring_oldest - 1, False
        if last is None or hello.ring_newest < last:
            is_renewed = last is not None
            if is_renewed:
                _log.warning(
                    "node of %s starts its event ring anew: %d after %d", self.settings.device_id, before, last,
                    extra={"device_id": self.settings.device_id},
                )  # fmt: skip
            last = before
        elif before > last:
            _log.warning(
                "node of %s has lost %d events", self.settings.device_id, before - last,
                extra={"device_id": self.settings.device_id},
            )  # fmt: skip
            last = before
        self._ring = _Ring(last=last, history_to=hello.ring_newest, is_renewed=is_renewed)

    async def _take_event(self, event: lift_link.Event, at: Now) -> None:
        ring = self._ring
        if ring is None or event.ring_seq > ring.last + 1:
            await self._challenge(event.header.key_id)
            return
        if event.ring_seq == ring.last + 1:
            if event.cause == lift_link.CAUSE_TAMPER:
                self._tampered_s = at.service_s
            await self._inbox.put(self._event_reading(event, ring, at))
            self._ring = structs.replace(ring, last=event.ring_seq, is_renewed=False)
        head = event.header
        header = lift_link.Header(node_id=head.node_id, key_id=head.key_id, boot=head.boot, seq=head.seq)
        await self._send(lift_link.Ack(header, ring_seq=event.ring_seq))

    def _event_reading(self, event: lift_link.Event, ring: _Ring, at: Now) -> LiftReading:
        """An event from before this session tells what happened, not how things stand: points are taken from the present."""
        is_history = event.ring_seq <= ring.history_to or event.event_boot != event.header.boot
        state = (self._status or lift_link.State()) if is_history else event.state
        reading = self._reading(state, event.header, at)
        return structs.replace(
            reading,
            is_alarm_button=reading.is_alarm_button
            or event.cause == lift_link.CAUSE_ALARM_BUTTON
            or event.state.alarm_button is True,
            source_seq=event.ring_seq,
            is_ring_renewed=ring.is_renewed,
        )

    def _reading(self, state: lift_link.State, header: lift_link.Header, at: Now) -> LiftReading:
        return LiftReading(
            device_id=self.settings.device_id,
            at=at,
            quality=Quality.FAULT if state.faults & _BLINDING else Quality.GOOD,
            car=_CARS.get(state.car),
            direction=_DIRECTIONS[state.direction],
            door_zone=state.door_zone,
            door_closed=state.door_closed,
            passenger=state.passenger,
            floor=state.floor or None,
            speed_mps=None if state.speed_mm_s is None else state.speed_mm_s / 1000,
            service_mode=_MODES[state.mode],
            foreign_codes=self._remarks(state, header, at),
            is_alarm_button=state.alarm_button is True,
        )

    def _remarks(self, state: lift_link.State, header: lift_link.Header, at: Now) -> tuple[str, ...]:
        """What the node says of itself and no canonical lift fault has a name for."""
        is_tampered = self._tampered_s is not None and at.service_s - self._tampered_s < _TAMPER_HOLD_S
        said = (
            ("tamper", is_tampered),
            ("events_lost", bool(header.flags & lift_link.EVENTS_LOST)),
            ("ring_fault", bool(state.faults & lift_link.FAULT_RING)),
            ("pressure_sensor", bool(state.faults & lift_link.FAULT_PRESSURE_SENSOR)),
            ("node_on_battery", bool(header.flags & lift_link.ON_BATTERY)),
        )
        return tuple(name for name, is_said in said if is_said)

    async def _send(self, message: lift_link.Ack | lift_link.Challenge | lift_link.Update) -> None:
        try:
            await self._port.write(lift_link.encode(message, self._macs[message.header.key_id]))
        except (
            PortError,
            KeyError,
        ) as error:  # KeyError: the key was withdrawn while the alarm was being committed
            # The node repeats; the port itself says what is wrong with it.
            _log.debug("nothing sent to the node of %s: %s", self.settings.device_id, error)


class _Ring(Struct, frozen=True, kw_only=True):
    """Where the node's event ring stands, as agreed in this session."""

    last: int
    """Highest sequence on our disk."""
    history_to: int
    """Newest sequence when the session began."""
    is_renewed: bool
    """The next event is the first of a ring that began anew."""


_REASONS: Final = {KEY: RefusalReason.UNKNOWN_NODE, MAC: RefusalReason.BAD_TAG}


def _mac(key: bytes) -> Callable[[bytes], bytes]:
    return lambda octets: hmac.digest(key, octets, "sha256")
