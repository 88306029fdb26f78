"""What a driver has seen, typed and aged: the only thing that crosses from drivers to rules.

A missing, late or untrustworthy answer is a `Silence` or a quality with a name, never a zero and never the
last good value.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from gatehouse_edge.clock import Now
from gatehouse_events.evidence import ClockBasis


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


class Flaw(StrEnum):
    """What may be wrong with a camera whose picture lives; several at once."""

    BLURRED = "blurred"
    MOVED = "moved"
    """It looks elsewhere than when its view was taken for reference."""
    SLOW = "slow"
    UNEVEN = "uneven"
    """Enough pictures, with holes in which a fall cannot be followed."""
    RESIZED = "resized"
    """Another picture size than was drawn on, or than the stream began with."""
    CORRUPT = "corrupt"
    UNTIMED = "untimed"
    """No usable time stamps: capture time is the time of arrival."""
    CLOCK = "clock"
    """Its clock disagrees with the gateway's."""
    UNSTABLE = "unstable"
    """The stream breaks again and again, each time for less than would call it lost."""
    DETECTOR = "detector"
    """The throw models cannot be used: the camera is seen, nothing is detected."""


class CameraFigures(Struct, frozen=True, kw_only=True):
    """What one camera costs and loses, since its process began."""

    frames: int = 0
    """Decoded."""
    frames_skipped: int = 0
    """Decoded and not looked at, because detection was slower than the camera."""
    repeats: int = 0
    """Pictures sent twice by the camera and stepped over."""
    tiles_skipped: int = 0
    """Places in which something moved beyond the budget of a frame."""
    undecodable: int = 0
    openings: int = 0
    """How often the stream was opened."""
    ms_per_frame: float | None = None
    """Processor time of detection; None: nothing is detected."""
    cpu_share: float = 0.0
    """Of one core, all threads, since the last report."""
    rss_mib: float = 0.0
    ring_s: float = 0.0
    """How far back a clip could begin now."""
    lag_s: float = 0.0
    """How far the newest decoded picture is behind the quickest one."""
    size_px: tuple[int, int] | None = None
    clock: ClockBasis = ClockBasis.ARRIVAL
    """What capture times rest on."""
    clock_offset_s: float | None = None
    """The camera's clock minus the gateway's; None: it does not tell."""
    detect: str = "off"
    """`off`, `watch` or `alarm`: what is done with a throw."""
    models: str = ""
    """Version of the models at work."""
    is_calibrated: bool = False
    throws: int = 0
    """Found since the process began, alarms or not."""


class CameraReading(Observation, frozen=True, kw_only=True):
    """Health of one camera's picture, on change and every few seconds."""

    picture: PictureState
    frames_per_s: float | None = None
    detail: str = ""
    flaws: dict[Flaw, str] = {}
    """Words for a flaw that stands; "" for one that was looked for and is not there; absent: not judged."""
    figures: CameraFigures | None = None
    last_throw: str = ""
    """The last throw since its process began, in words, whether it raised an alarm or not."""


class ThrowReading(Observation, frozen=True, kw_only=True):
    """One throw that a camera's process has found. Its files follow as an `EvidenceReading`, where some were promised."""

    confidence: float
    """Calibrated probability that it is a throw."""
    track_points: int
    throw_id: str = ""
    floor_low: int | None = None
    """None: nobody has drawn this camera's floors."""
    floor_high: int | None = None
    floor_probability: float | None = None
    """That the true floor is one of them."""
    column: int | None = None
    """Window column from the left, 1 the first."""
    landing_px: tuple[float, float] | None = None
    """Where it was last seen, in the picture."""
    fall_s: float | None = None
    """From release to where it was last seen, estimated."""
    speed_m_s: float | None = None
    began_at: datetime | None = None
    """When it was first and last seen."""
    ended_at: datetime | None = None
    clock: ClockBasis = ClockBasis.ARRIVAL
    is_alarm: bool = True
    """False: shown, not raised; the models are not marked as fit for alarms and nobody has said otherwise."""
    awaits_evidence: bool = False
    evidence: tuple[dict[str, object], ...] = ()
    model_sha256: str | None = None


class EvidenceReading(Observation, frozen=True, kw_only=True):
    """The files of one throw are no longer awaited: they lie on the disk, or it is known what is missing."""

    throw_id: str
    missing: str = ""
    """What is not there and why; may stand beside files that are (a clip that ends early)."""


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
    | EvidenceReading
    | Silence
    | BusReading
    | Refusal
)
