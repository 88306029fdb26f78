"""The field devices. Only what is listed here is let in (allow-list, domain table row 15)."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from gatehouse_config.part import BleAddress, FilePath, Id, MaxSilenceS, Part, Text, UnitId


class Location(Part):
    """Where a device is, in the words of the estate. Numbers are taken as text."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)
    building: Text = Field(default="", description="building 楼")
    unit: Text = Field(default="", description="entrance 单元")
    floor: Text = Field(default="", description="floor 层")
    room: Text = Field(default="", description="room 室")
    name: Text = Field(default="", description="further words: 'north facade', 'boiler room'")

    @model_validator(mode="after")
    def _says_something(self) -> Location:
        if not (self.building or self.name):
            raise ValueError("needs a building or a name: an alarm without a place helps nobody")
        return self


class Key(Part):
    """One 16-byte key. A device may list two while keys are being changed."""

    id: int = Field(ge=1, le=255, description="number of the key, as the device sends it")
    file: FilePath = Field(description="file with 32 hex digits, readable by the gateway only")


Keys = Annotated[tuple[Key, ...], Field(min_length=1, max_length=2)]


class Resident(Part):
    """Who lives with a help button. Personal data: masked for viewers."""

    name: Text = Field(default="", description="name to call")
    phone: Annotated[str, StringConstraints(pattern=r"^(\+?[0-9][0-9 -]{2,19})?$")] = Field(
        default="", description="number to call back"
    )
    lives_alone: bool = Field(
        default=False, description="true: 48 h without a sign of life asks for a visit (row 40)"
    )
    note: Text = Field(default="", description="what helpers should know")
    family_contacts: tuple[Id, ...] = Field(
        default=(), max_length=8, description="contacts meant by `family` in the ladder"
    )


class GasDevice(Part):
    """A gas detector on a Modbus bus."""

    kind: Literal["gas"]
    id: Id = Field(description="name of the device")
    location: Location = Field(description="where it is")
    bus: Id = Field(description="bus it hangs on")
    unit_id: UnitId = Field(description="Modbus unit id")
    profile: Id = Field(description="register map")
    poll_ms: int = Field(default=1000, ge=20, le=60_000, description="time from poll to poll")
    unit: Literal["%LEL", "ppm", "%VOL", "mg/m3", "ppb"] | None = Field(
        default=None, description="unit, only where the detector does not tell it"
    )
    decimals: int | None = Field(
        default=None, ge=0, le=6, description="decimals, only where the detector does not tell them"
    )
    gas: Literal["methane", "lpg", "carbon_monoxide", "other"] = Field(
        default="methane", description="what it smells"
    )
    keys: tuple[Key, ...] = Field(
        default=(), max_length=2, description="keys of our own gas node, to update it; absent for others"
    )
    installed_on: date = Field(description="date of installation; life counts from here (row 25)")
    life_years: float = Field(
        default=5, gt=0, le=20, description="5 for households, 3 for commerce (CJJ/T 146)"
    )
    max_silence_s: MaxSilenceS = Field(default=10, description="longest time without a good answer")


class LiftDevice(Part):
    """A lift, seen through our own node or its controller's push link. Never written to (row 29)."""

    kind: Literal["lift"]
    id: Id = Field(description="name of the device")
    location: Location = Field(description="where it is")
    bus: Id = Field(description="serial line it hangs on")
    profile: Id = Field(description="dialect of the line")
    node_id: int | None = Field(
        default=None, ge=1, le=65_535, description="number of our node; absent for foreign controllers"
    )
    keys: tuple[Key, ...] = Field(
        default=(), max_length=2, description="keys of our node; two while changing them"
    )
    rescue_code: Annotated[str, StringConstraints(pattern=r"^\d{5,7}$")] | None = Field(
        default=None, description="应急救援识别码 for 96333, 5 to 7 digits, in quotes"
    )
    registration_code: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{10,24}$")] | None = Field(
        default=None, description="registration code of the lift, in quotes"
    )
    rated_speed_mps: float | None = Field(
        default=None, gt=0, le=20, description="rated speed; absent: overspeed is not inferred"
    )
    bottom_floor: Text | None = Field(
        default=None, description="lowest landing as the source names it, in quotes"
    )
    top_floor: Text | None = Field(
        default=None, description="highest landing; absent: overrun is not inferred"
    )
    max_silence_s: MaxSilenceS = Field(default=5, description="longest time without a good frame")


class ButtonDevice(Part):
    """A help button 一键求助."""

    kind: Literal["button"]
    id: Id = Field(description="name of the device")
    location: Location = Field(description="where it is")
    address: BleAddress = Field(description="Bluetooth address")
    keys: Keys = Field(description="keys of the button; two while changing them")
    resident: Resident = Field(default_factory=Resident, description="who lives with it")
    max_silence_s: MaxSilenceS = Field(
        default=64_800, description="three missed signs of life (row 39): 3 x 6 h"
    )


class BeaconDevice(Part):
    """A mains-powered beacon that proves that a scanner is alive."""

    kind: Literal["beacon"]
    id: Id = Field(description="name of the device")
    location: Location = Field(description="where it is")
    address: BleAddress = Field(description="Bluetooth address")
    keys: Keys = Field(description="keys of the beacon; two while changing them")
    max_silence_s: MaxSilenceS = Field(default=8, description="longest time unheard")


class InputRole(StrEnum):
    """What a digital input means."""

    MAINS = "mains"
    UPS_LOW = "ups_low"
    EBIKE = "ebike"
    VALVE_CLOSED = "valve_closed"
    VALVE_OPEN = "valve_open"
    LID = "lid"
    SPARE = "spare"


class Input(Part):
    """One digital input of a relay board."""

    point: int = Field(ge=0, le=255, description="number of the input, from 0")
    role: InputRole = Field(description="what it means when it is on")
    active: Literal["high", "low"] = Field(
        default="high", description="low: the input means its role while it is open"
    )
    device: Id | None = Field(
        default=None, description="lift of an e-bike contact; valve output of a feedback contact"
    )
    debounce_ms: int = Field(default=50, ge=0, le=10_000, description="how long it must hold to count")


class IoDevice(Part):
    """A relay board: coils drive the outputs, inputs report mains, UPS, contacts."""

    kind: Literal["io"]
    id: Id = Field(description="name of the device")
    location: Location = Field(description="where it is")
    bus: Id = Field(description="bus it hangs on")
    unit_id: UnitId = Field(description="Modbus unit id")
    profile: Id = Field(description="point map")
    poll_ms: int = Field(default=500, ge=20, le=60_000, description="time from poll to poll")
    inputs: tuple[Input, ...] = Field(default=(), max_length=64, description="what its inputs mean")
    max_silence_s: MaxSilenceS = Field(default=5, description="longest time without an answer")


class CameraDevice(Part):
    """A camera that watches a facade; refused without the sign the law asks for (row 12)."""

    kind: Literal["camera"]
    id: Id = Field(description="name of the device")
    location: Location = Field(description="where it is")
    url: FilePath = Field(description="rtsp://..., /dev/videoN, or a file")
    transport: Literal["tcp", "udp"] = Field(
        default="tcp", description="how RTSP brings its packets; udp loses some that evidence needs"
    )
    repeat_file: bool = Field(
        default=True, description="a file that has ended begins anew; false: it is lost"
    )
    sign_posted: Literal[True] = Field(
        description="true once the notice sign hangs (视频条例 Art 13, PIPL Art 26); anything else is refused"
    )
    frozen_after_s: float = Field(
        default=5, ge=1, le=600, description="an unchanged picture for this long is frozen"
    )
    black_after_s: float = Field(
        default=2, ge=1, le=600, description="a black picture for this long is a fault"
    )
    min_frames_per_s: float = Field(
        default=8, ge=1, le=60, description="fewer pictures a second are a fault: a fall would have holes"
    )
    detect: Literal["off", "watch", "alarm"] | None = Field(
        default=None,
        description="throws: off, watch (shown, no alarm), alarm; absent: alarm if the models are marked as fit for alarms, else watch",
    )
    threshold: float | None = Field(
        default=None,
        ge=0.05,
        le=0.999,
        description="probability from which a throw is told; absent: the models' own",
    )
    models_directory: FilePath | None = Field(
        default=None, description="folder of a release of the throw models; absent: the one that came along"
    )
    calibration_file: FilePath | None = Field(
        default=None,
        description="what is drawn on a still of this camera (JSON), until somebody draws at the console",
    )
    memory_limit_mib: int = Field(
        default=512,
        ge=128,
        le=8192,
        description="a process of this camera that grows beyond it is started anew",
    )
    gb28181_id: Annotated[str, StringConstraints(pattern=r"^\d{20}$")] | None = Field(
        default=None, description="GB/T 28181 id, 20 digits, in quotes"
    )
    max_silence_s: MaxSilenceS = Field(default=5, description="longest time without a frame")


Device = Annotated[
    GasDevice | LiftDevice | ButtonDevice | BeaconDevice | IoDevice | CameraDevice,
    Field(discriminator="kind"),
]
"""Any device; told apart by `kind`."""
