"""What a driver has seen, typed and aged: the only thing that crosses from drivers to rules.

A missing, late or untrustworthy answer is a `Silence` or a quality with a name, never a zero and never the
last good value.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from gatehouse_edge.clock import Now


class Unit(StrEnum):
    """Units of concentration of the event schema, plus the two a detector may report besides."""

    PCT_LEL = "%LEL"
    PPM = "ppm"
    PCT_VOL = "%VOL"
    MG_M3 = "mg/m3"
    PPB = "ppb"


class Quality(StrEnum):
    """How far a value may be believed."""

    GOOD = "good"
    WARMING_UP = "warming_up"
    OVER_RANGE = "over_range"
    FAULT = "fault"
    STALE = "stale"


class GasFlag(StrEnum):
    """What a gas detector says of itself; several at once are possible (e.g. low and high alarm)."""

    WARMING_UP = "warming_up"
    PRE_WARNING = "pre_warning"
    LOW_ALARM = "low_alarm"
    HIGH_ALARM = "high_alarm"
    STEL_ALARM = "stel_alarm"
    TWA_ALARM = "twa_alarm"
    OVER_RANGE = "over_range"
    DATA_FAULT = "data_fault"
    SENSOR_FAULT = "sensor_fault"
    ACCESS_FAULT = "access_fault"
    CALIBRATION_DUE = "calibration_due"
    TIMEOUT = "timeout"
    COMM_FAULT = "comm_fault"


class Observation(Struct, frozen=True, kw_only=True):
    """What every reading carries: who, when received (wall and monotonic), and the source's own time if any."""

    device_id: str
    at: Now
    source_at: datetime | None = None


class GasReading(Observation, frozen=True, kw_only=True):
    """One poll of one gas detector. `value` is None when the detector is not measuring (never 0 for that)."""

    value: float | None
    unit: Unit
    quality: Quality
    flags: frozenset[GasFlag]
    low_set: float | None = None
    high_set: float | None = None
    full_scale: float | None = None
    temperature_c: float | None = None
    humidity_pct: float | None = None
    warm_up_left_s: float | None = None


class Car(StrEnum):
    """Is the car moving."""

    STOPPED = "stopped"
    RUNNING = "running"


class Direction(StrEnum):
    """Where the car is heading."""

    NONE = "none"
    UP = "up"
    DOWN = "down"


class ServiceMode(StrEnum):
    """GB/T 24476-2017 service modes 0 to 7 (domain notes §3.1)."""

    OUT_OF_SERVICE = "out_of_service"
    NORMAL = "normal"
    INSPECTION = "inspection"
    FIRE_RECALL = "fire_recall"
    FIREFIGHTER = "firefighter"
    EMERGENCY_POWER = "emergency_power"
    EARTHQUAKE = "earthquake"
    UNKNOWN = "unknown"


class LiftReading(Observation, frozen=True, kw_only=True):
    """One state of one lift. None means this source does not report that point."""

    quality: Quality = Quality.GOOD
    car: Car | None = None
    direction: Direction = Direction.NONE
    door_zone: bool | None = None
    door_closed: bool | None = None
    passenger: bool | None = None
    floor: str | None = None
    speed_mps: float | None = None
    service_mode: ServiceMode = ServiceMode.UNKNOWN
    faults: frozenset[str] = frozenset()
    """Canonical fault names of `lift_fault_codes.json` (`overspeed`, `trapped_level`, ...), already mapped."""
    foreign_codes: tuple[str, ...] = ()
    """Codes of the controller's own dialect that its profile does not know; kept, shown, never guessed."""
    is_alarm_button: bool = False
    source_seq: int | None = None
    """Sequence of the node's event ring; the wire acknowledgement follows the commit."""
    is_ring_renewed: bool = False
    """True: the node proved that its ring began anew (replaced, flash lost); `source_seq` may lie below the last one."""


class ButtonEvent(StrEnum):
    """What a help button said."""

    PRESS = "press"
    ALIVE = "alive"
    TAMPER = "tamper"


class ButtonReading(Observation, frozen=True, kw_only=True):
    """One accepted advert of one help button: authenticated, its counter never seen before."""

    event: ButtonEvent
    counter: int
    key_id: int
    battery_pct: float | None = None
    rssi_dbm: int | None = None
    adapter: str = ""


class BeaconReading(Observation, frozen=True, kw_only=True):
    """The mains-powered beacon was heard on this adapter: the scanner is alive."""

    adapter: str
    rssi_dbm: int | None = None
    counter: int = 0
    key_id: int = 0


class InputReading(Observation, frozen=True, kw_only=True):
    """One digital input: mains present, UPS low, e-bike contact, valve feedback, lid."""

    role: str
    """An `InputRole` of the configuration."""
    is_on: bool
    """True: what the role names is the case (mains present, UPS low, valve closed, lid open, e-bike seen)."""
    subject: str = ""
    """Device or output the input is about (the lift of an e-bike contact, the valve of a feedback), as configured."""
    quality: Quality = Quality.GOOD


class OutputReading(Observation, frozen=True, kw_only=True):
    """An output began to fail to do what it was told, obeys again, or was read back as newly demanded; `device_id` is its id."""

    is_ok: bool
    wanted: bool
    is_on: bool | None = None
    """What the relay reads back; None: its board does not answer."""
    detail: str = ""


class PictureState(StrEnum):
    """What a camera's picture is worth."""

    OK = "ok"
    FROZEN = "frozen"
    BLACK = "black"
    LOST = "lost"


class CameraReading(Observation, frozen=True, kw_only=True):
    """Health of one camera's picture, on change and every few seconds."""

    picture: PictureState
    frames_per_s: float | None = None
    detail: str = ""


class ThrowReading(Observation, frozen=True, kw_only=True):
    """One throw that a detector process has proven, its files already on disk."""

    floor_low: int
    floor_high: int
    confidence: float
    track_points: int
    evidence: tuple[dict[str, object], ...] = ()
    model_sha256: str | None = None


class SilenceReason(StrEnum):
    """Why there is no reading."""

    NO_ANSWER = "no_answer"
    BAD_FRAME = "bad_frame"
    REFUSED = "refused"
    """The device answered with an exception."""
    WRONG_ANSWER = "wrong_answer"
    """Answered, but what it said cannot be true: unknown unit, foreign unit id, impossible length."""
    PORT_LOST = "port_lost"
    QUARANTINED = "quarantined"


class Silence(Observation, frozen=True, kw_only=True):
    """A device that should have spoken did not, or not believably."""

    reason: SilenceReason
    detail: str = ""


class BusReading(Observation, frozen=True, kw_only=True):
    """A bus went down or came back; `device_id` is the bus id."""

    is_up: bool
    detail: str = ""


class RefusalReason(StrEnum):
    """Why a message was not let in."""

    UNKNOWN_NODE = "unknown_node"
    BAD_TAG = "bad_tag"
    REPLAY = "replay"
    BAD_FRAME = "bad_frame"


class Refusal(Observation, frozen=True, kw_only=True):
    """Messages refused since the last report, folded into a count (a flood is one entry, not 10 000)."""

    reason: RefusalReason
    count: int
    source: str
    """Peer as the wire names it (address, unit id), printable, at most 64 characters."""


AnyObservation = (
    GasReading
    | LiftReading
    | ButtonReading
    | BeaconReading
    | InputReading
    | OutputReading
    | CameraReading
    | ThrowReading
    | Silence
    | BusReading
    | Refusal
)
