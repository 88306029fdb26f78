"""A lift controller's push link: we listen and never say a word, by type (domain row 29).

`ListeningPort` has no write method and its descriptor cannot write. `need_login`, `kick`, `ping` and whatever else asks for an
answer stays unanswered.

| field                   | values                | becomes                                              |
|-------------------------|-----------------------|------------------------------------------------------|
| direction               | 0 none, 1 up, 2 down  | direction; car runs unless 0                          |
| inposition              | 0, 1 (or false, true) | door zone                                            |
| floor                   | number or text        | floor                                                |
| door                    | 0 open, 1 closed      | door closed                                          |
| haspeople               | 0, 1                  | passenger                                            |
| reparing, inmaintenance | 0, 1                  | service mode inspection; both 0: normal              |
| fault                   | list of codes         | canonical names of the profile, or a foreign code    |

Field names: domain notes §1.2 row 3 (public code of a lift platform; `reparing` is its spelling). The source gives no table of
values: those above follow the notes' GB/T 24476 dictionary and must be proven on the real controller when it is
commissioned. Any other value is unknown: the point is not reported and `name=value` is shown as a foreign code.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec
from msgspec import Struct

from gatehouse_config.profiles import LiftProfile
from gatehouse_edge.clock import Clock, Now
from gatehouse_edge.drivers.ble_refusals import RefusalFold
from gatehouse_edge.drivers.serial_port import Chunk, ListeningPort, SerialSettings
from gatehouse_edge.ports import Inbox
from gatehouse_edge.reading import Car, Direction, LiftReading, RefusalReason, ServiceMode
from gatehouse_wire import lift_push

_log = logging.getLogger(__name__)

MAX_FAULTS: Final = 32
"""More codes at once than any dialect has is garbage; the rest is not looked at."""
MAX_TEXT: Final = 16
_INFO_FIELDS: Final = frozenset(
    {"direction", "inposition", "floor", "door", "haspeople", "reparing", "inmaintenance", "fault"}
)
_DIRECTIONS: Final = {0: Direction.NONE, 1: Direction.UP, 2: Direction.DOWN}

Scalar = bool | int | str | None


class Info(Struct, frozen=True):
    """One `info` message, exactly as it came."""

    direction: Scalar = None
    inposition: Scalar = None
    floor: Scalar = None
    door: Scalar = None
    haspeople: Scalar = None
    reparing: Scalar = None
    inmaintenance: Scalar = None
    fault: tuple[Scalar, ...] | Scalar = None


class _Envelope(Struct, frozen=True):
    """A message of any kind: what it calls itself, and its body if that is apart."""

    type: str | None = None
    info: Info | None = None


class PushError(ValueError):
    """A payload that is no message of this dialect."""


def parse(payload: bytes) -> Info | None:
    """Return the state in one payload, or None for a message that is not about the state (login, kick, ping).

    Raises:
        PushError: not JSON, not an object, or a field of a type the dialect does not have.
    """
    try:
        envelope = msgspec.json.decode(payload, type=_Envelope)
        if envelope.info is not None:
            return envelope.info
        if envelope.type not in (None, "info"):
            return None
        flat = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        if not _INFO_FIELDS & flat.keys():
            return None
        return msgspec.json.decode(payload, type=Info)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PushError(str(error)) from error


def reading(info: Info, profile: LiftProfile, *, device_id: str, at: Now) -> LiftReading:
    """Return what one message says, in canonical names."""
    strange: list[str] = []

    def flag(name: str) -> bool | None:
        value = getattr(info, name)
        if value is None or value in (0, 1):
            return None if value is None else bool(value)
        strange.append(f"{name}={_text(value)}")
        return None

    direction = None
    if info.direction is not None:
        direction = None if isinstance(info.direction, bool | str) else _DIRECTIONS.get(info.direction)
        if direction is None:
            strange.append(f"direction={_text(info.direction)}")
    car = None if direction is None else Car.STOPPED if direction is Direction.NONE else Car.RUNNING
    faults, foreign = _faults(info, profile)
    works = (flag("reparing"), flag("inmaintenance"))
    return LiftReading(
        device_id=device_id,
        at=at,
        car=car,
        direction=direction or Direction.NONE,
        door_zone=flag("inposition"),
        door_closed=flag("door"),
        passenger=flag("haspeople"),
        floor=None if info.floor is None else _text(info.floor) or None,
        service_mode=_mode(works),
        faults=faults,
        foreign_codes=(*foreign, *strange),
        is_alarm_button="alarm_button" in faults,
    )


class LiftControllerDriver:
    """Owns the line of one push-only controller."""

    def __init__(
        self,
        *,
        bus_id: str,
        device_id: str,
        port: SerialSettings,
        profile: LiftProfile,
        inbox: Inbox,
        clock: Clock,
    ) -> None:
        self.device_id: Final = device_id
        self.ignored = 0
        """Messages that wanted an answer or were not about the state."""
        self._bus_id: Final = bus_id
        self._profile: Final = profile
        self._inbox: Final = inbox
        self._refused: Final = RefusalFold(bus_id)
        self._port: Final = ListeningPort(bus_id, port, device_ids=(device_id,), inbox=inbox, clock=clock)
        self._deframer = lift_push.Deframer()
        self._bad_seen = 0

    async def run(self) -> None:
        """Listen until cancelled."""
        with self._port:
            while True:
                await self._take(await self._port.read())

    async def _take(self, chunk: Chunk) -> None:
        if chunk.is_fresh:
            self._deframer, self._bad_seen = lift_push.Deframer(), 0
        for payload in self._deframer.feed(chunk.octets):
            try:
                info = parse(payload)
            except PushError:
                self._refuse(chunk.at)
                continue
            if info is None:
                self.ignored += 1
                continue
            await self._inbox.put(reading(info, self._profile, device_id=self.device_id, at=chunk.at))
        for _ in range(self._deframer.bad - self._bad_seen):
            self._refuse(chunk.at)
        self._bad_seen = self._deframer.bad
        for refusal in self._refused.collect(chunk.at):
            await self._inbox.put(refusal)

    def _refuse(self, at: Now) -> None:
        self._refused.add(RefusalReason.BAD_FRAME, self._bus_id, at_s=at.service_s)


def _faults(info: Info, profile: LiftProfile) -> tuple[frozenset[str], tuple[str, ...]]:
    given = info.fault if isinstance(info.fault, tuple) else () if info.fault in (None, "") else (info.fault,)
    known, foreign = set(), []
    for item in given[:MAX_FAULTS]:
        code = _text(item)
        name = profile.canonical(code)
        if name is not None:
            known.add(name)
        elif code:
            foreign.append(code)
    return frozenset(known), tuple(dict.fromkeys(foreign))


def _mode(works: tuple[bool | None, bool | None]) -> ServiceMode:
    """A mechanic at work suppresses fault alarms (row 33); unknown is not normal."""
    if True in works:
        return ServiceMode.INSPECTION
    return ServiceMode.UNKNOWN if None in works else ServiceMode.NORMAL


def _text(value: Scalar) -> str:
    """Return a value as printable text of at most `MAX_TEXT` characters."""
    text = "" if value is None else str(value)
    return "".join(char for char in text if char.isprintable()).strip()[:MAX_TEXT]
