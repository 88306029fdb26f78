"""Profiles: what a device's registers, points or codes mean, as data with a source. Users add their own files.

A profile without provenance, or a gas profile without a unit, is refused (domain table row 2 and 22).
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from gatehouse_config.buses import Baud
from gatehouse_config.fault import Fault
from gatehouse_config.part import Id, Part

OWN_GAS_PROFILE: Final = "gatehouse_gas_node"
"""The profile of our own gas node, the only detector that has keys and takes updates over its bus."""
MAX_PROFILE_BYTES: Final = 256 * 1024
"""The largest we ship has 4 KiB; more than this is not a profile."""
MAX_BLOCK_REGISTERS: Final = 125
"""Registers one Modbus read may return (Modbus application protocol V1.1b3 §6.3)."""

_SIGN: Final = 0x8000
"""Sign bit of a 16-bit register."""
UnitName = Literal["%LEL", "ppm", "%VOL", "mg/m3", "ppb"]
FlagName = Literal[
    "warming_up", "pre_warning", "low_alarm", "high_alarm", "stel_alarm", "twa_alarm", "over_range",
    "data_fault", "sensor_fault", "access_fault", "calibration_due", "timeout", "comm_fault",
]  # fmt: skip
Register = Annotated[int, Field(ge=0, le=0xFFFF)]
Provenance = Annotated[str, StringConstraints(min_length=10, max_length=1000, strip_whitespace=True)]
"""Vendor document with page, standard with clause, or code with its revision. Never empty."""


class Block(Part):
    """Contiguous registers read in one request."""

    start: Register = Field(description="first register, as on the wire (from 0)")
    count: int = Field(ge=1, le=MAX_BLOCK_REGISTERS, description="number of registers")

    @property
    def registers(self) -> range:
        """Return the register numbers in the block."""
        return range(self.start, self.start + self.count)


class BitField(Part):
    """Some bits of a register, looked up in a table."""

    register_: Register = Field(alias="register", description="register")
    shift: int = Field(default=0, ge=0, le=15, description="right shift")
    mask: Register = Field(default=0xFFFF, ge=1, description="mask after the shift")

    def of(self, word: int) -> int:
        """Return the bits of `word`."""
        return (word >> self.shift) & self.mask


class UnitTable(BitField):
    """The detector tells its unit."""

    map: dict[int, UnitName] = Field(min_length=1, description="code -> unit; other codes are refused")


class DecimalsTable(BitField):
    """The detector tells its decimals."""

    map: dict[int, Annotated[int, Field(ge=0, le=6)]] = Field(min_length=1, description="code -> decimals")


class StatusCodes(BitField):
    """A status register with one code at a time."""

    codes: dict[int, tuple[FlagName, ...]] = Field(
        min_length=1, description="code -> flags; other codes are refused"
    )


class StatusBits(Part):
    """A status register with a bit per fact."""

    register_: Register = Field(alias="register", description="register")
    bits: dict[Annotated[int, Field(ge=0, le=15)], FlagName] = Field(min_length=1, description="bit -> flag")
    reserved_mask: Register = Field(
        default=0, description="bits that must be 0; set, the answer is not believed"
    )
    measuring_bit: int | None = Field(
        default=None, ge=0, le=15, description="0 here: the value means nothing; the other bits stay flags"
    )
    ready_bit: int | None = Field(
        default=None, ge=0, le=15, description="0 here: warming up, the other bits are no flags"
    )
    warm_up_s_per_step: float | None = Field(
        default=None,
        gt=0,
        le=60,
        description="the word is the remaining warm-up in these steps while not ready",
    )


class Linear(Part):
    """`(register - offset) * scale`."""

    register_: Register = Field(alias="register", description="register")
    scale: float = Field(default=1, description="factor")
    offset: int = Field(default=0, ge=-65_536, le=65_536, description="subtracted first")
    is_signed: bool = Field(default=False, description="true: two's complement")
    absent: Register | None = Field(default=None, description="word that means: not known")

    def of(self, word: int) -> float | None:
        """Return the physical value of `word`, None where the device does not know it."""
        if word == self.absent:
            return None
        number = word - 0x10000 if self.is_signed and word & _SIGN else word
        # Rounded: 0.1 has no exact binary form, and 608 * 0.1 must read 60.8.
        return round((number - self.offset) * self.scale, 6)


class Identity(Part):
    """A constant that proves the map: a dead register bank never passes for a detector."""

    register_: Register = Field(alias="register", description="register")
    word: Register = Field(description="what it must hold")


class Plausible(Part):
    """What a believable reading looks like (row 18)."""

    low: float = Field(description="least believable value")
    high: float = Field(description="greatest believable value")
    max_rate_per_s: float = Field(gt=0, description="fastest believable change per second")


class Serial(Part):
    """How the device leaves the factory."""

    baud: Baud = Field(default=9600, description="bits per second")
    parity: Literal["N", "E", "O"] = Field(default="N", description="parity")
    stop_bits: Literal[1, 2] = Field(default=1, description="stop bits")


class GasProfile(Part):
    """The register map of a gas detector."""

    kind: Literal["gas"]
    id: Id
    provenance: Provenance = Field(description="where every row was read")
    serial: Serial = Field(default_factory=Serial, description="factory setting of the line")
    function_code: Literal[3, 4] = Field(default=3, description="Modbus function code")
    blocks: tuple[Block, ...] = Field(min_length=1, max_length=8, description="reads, alarm registers first")
    min_gap_ms: int = Field(
        default=0, ge=0, le=10_000, description="vendor's least pause between requests to one address"
    )
    min_poll_ms: int = Field(default=100, ge=20, le=60_000, description="least time from poll to poll")
    identity: Identity | None = Field(default=None, description="constant that proves the map")
    value_register: Register = Field(description="concentration")
    value_absent: Register | None = Field(default=None, description="word that means: no value")
    value_is_signed: bool = Field(default=False, description="true: two's complement")
    decimals: DecimalsTable | Annotated[int, Field(ge=0, le=6)] | Literal["device"] = Field(
        description="table, number, or `device`: stated in gateway.yaml"
    )
    unit: UnitTable | UnitName | Literal["device"] = Field(
        description="table, unit, or `device`: stated in gateway.yaml; never left out (row 22)"
    )
    status: tuple[StatusCodes | StatusBits, ...] = Field(
        min_length=1, max_length=4, description="status registers"
    )
    low_set_register: Register | None = Field(
        default=None, description="low alarm set point, scaled as the value"
    )
    high_set_register: Register | None = Field(
        default=None, description="high alarm set point, scaled as the value"
    )
    full_scale_register: Register | None = Field(default=None, description="range, scaled as the value")
    warm_up_left_s: Linear | None = Field(default=None, description="remaining warm-up")
    temperature_c: Linear | None = Field(default=None, description="temperature at the sensor")
    humidity_pct: Linear | None = Field(default=None, description="relative humidity at the sensor")
    heartbeat_register: Register | None = Field(
        default=None, description="counter that moves while the detector works; standing still is a fault"
    )
    plausible: dict[UnitName, Plausible] = Field(
        default_factory=dict, description="believable values per unit"
    )

    def registers(self) -> frozenset[int]:
        """Return every register the meaning of an answer depends on."""
        named = {
            self.value_register, self.low_set_register, self.high_set_register, self.full_scale_register,
            self.heartbeat_register, *(status.register_ for status in self.status),
        }  # fmt: skip
        for part in (
            self.decimals,
            self.unit,
            self.identity,
            self.warm_up_left_s,
            self.temperature_c,
            self.humidity_pct,
        ):
            if isinstance(part, BitField | Linear | Identity):
                named.add(part.register_)
        return frozenset(number for number in named if number is not None)

    def settled(self, *, unit: str | None, decimals: int | None) -> GasProfile:
        """Return the profile with what the installer stated in gateway.yaml; `check` has seen that it fits."""
        changes: dict[str, object] = {}
        if self.unit == "device" and unit is not None:
            changes["unit"] = unit
        if self.decimals == "device" and decimals is not None:
            changes["decimals"] = decimals
        return self.model_copy(update=changes) if changes else self

    @model_validator(mode="after")
    def _reads_what_it_needs(self) -> GasProfile:
        readable = {number for block in self.blocks for number in block.registers}
        unread = sorted(self.registers() - readable)
        if unread:
            raise ValueError(f"registers {', '.join(f'{n:#06x}' for n in unread)} are in no block")
        if self.status[0].register_ not in self.blocks[0].registers:
            raise ValueError("the first block must hold the first status register: alarms are read first")
        return self

    @property
    def least_poll_ms(self) -> int:
        """Return the shortest poll the vendor's gap allows with all blocks read each time."""
        return max(self.min_poll_ms, self.min_gap_ms * len(self.blocks))


class LiftProfile(Part):
    """A lift fault-code dialect, and the wire that speaks it if a lift may be read in it."""

    kind: Literal["lift"]
    id: Id
    provenance: Provenance = Field(description="where every code was read")
    confidence: str = Field(default="", max_length=400, description="how sure the source is")
    wire: Literal["gatehouse_lift", "hash10_json"] | None = Field(
        default=None, description="framing on the serial line; absent: a code table only"
    )
    is_push_only: bool = Field(default=True, description="true: zero bytes are sent to it (row 29)")
    code_system: str = Field(min_length=1, max_length=64, description="name of the code system in events")
    codes: dict[str, str] = Field(min_length=1, description="canonical name -> code of this dialect")
    aliases: dict[str, str] = Field(
        default_factory=dict,
        description="names of this dialect that are finer than the canonical ones -> canonical",
    )

    def canonical(self, code: str) -> str | None:
        """Return the canonical fault name of a code, None for a code this dialect does not define."""
        name = next((name for name, known in self.codes.items() if known == code), None)
        return None if name is None else self.aliases.get(name, name)

    @model_validator(mode="after")
    def _is_injective(self) -> LiftProfile:
        if len(set(self.codes.values())) != len(self.codes):
            raise ValueError("two names share one code")
        unknown = sorted({self.aliases.get(name, name) for name in self.codes} - CANONICAL_FAULTS)
        if unknown:
            raise ValueError(f"unknown canonical names: {', '.join(unknown)}")
        return self


class IoProfile(Part):
    """The points of a relay board."""

    kind: Literal["io"]
    id: Id
    provenance: Provenance = Field(description="where the map was read")
    serial: Serial = Field(default_factory=Serial, description="factory setting of the line")
    input_function_code: Literal[1, 2] = Field(
        default=2, description="Modbus function code that reads the inputs"
    )
    input_start: Register = Field(default=0, description="address of input 0")
    input_count: int = Field(ge=0, le=256, description="number of inputs")
    coil_start: Register = Field(default=0, description="address of relay 0")
    coil_count: int = Field(ge=0, le=256, description="number of relays")
    write_function_code: Literal[5, 15] = Field(
        default=5, description="Modbus function code that switches a relay"
    )
    min_gap_ms: int = Field(default=0, ge=0, le=10_000, description="vendor's least pause between requests")
    min_poll_ms: int = Field(default=50, ge=20, le=60_000, description="least time from poll to poll")


Profile = GasProfile | LiftProfile | IoProfile

CANONICAL_FAULTS: Final = frozenset({
    "safety_circuit_open", "door_close_fault", "door_open_fault", "stopped_outside_unlocking_zone",
    "unintended_car_movement", "motor_run_time_limiter", "floor_position_lost", "anti_restart_fault", "overrun_top",
    "overrun_bottom", "trapped", "trapped_level", "trapped_off_level", "overspeed", "door_open_while_running",
    "motion_door_open", "repeated_door_cycle", "ebike_in_car", "mode_auto", "mains_lost", "mode_out_of_service",
    "mode_inspection", "mode_fire_recall", "mode_firefighter", "mode_emergency_power", "mode_earthquake",
    "alarm_button", "other_fault",
})  # fmt: skip
"""The names rules and events use; domain vocabulary (b)."""

_ADAPTER: Final[TypeAdapter[Profile]] = TypeAdapter(Annotated[Profile, Field(discriminator="kind")])


def parse(text: str, *, where: str) -> tuple[Profile | None, tuple[Fault, ...]]:
    """Return the profile in a JSON text, or everything that is wrong with it. `where` names the file in faults."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        return None, (Fault(path=where, message=f"not JSON: {error}"),)
    try:
        return _ADAPTER.validate_python(raw), ()
    except ValidationError as error:
        return None, tuple(
            Fault(
                path=f"{where}: {'.'.join(str(step) for step in item['loc'][1:])}",
                message=_sentence(item["type"], item["msg"]),
            )
            for item in error.errors(include_url=False, include_input=False)
        )


def _sentence(kind: str, message: str) -> str:
    return "missing" if kind == "missing" else message.removeprefix("Value error, ")


def shipped() -> dict[str, Profile]:
    """Return the profiles inside the package, by id."""
    return dict(_shipped())


@cache
def _shipped() -> dict[str, Profile]:
    found: dict[str, Profile] = {}
    for entry in sorted(
        files("gatehouse_config").joinpath("profiles").iterdir(), key=lambda entry: entry.name
    ):
        if not entry.name.endswith(".json"):
            continue
        profile, faults = parse(entry.read_text(encoding="utf-8"), where=entry.name)
        if profile is None:
            raise ValueError("; ".join(str(fault) for fault in faults))
        found[profile.id] = profile
    return found


def load_directory(directory: Path) -> tuple[dict[str, Profile], tuple[Fault, ...]]:
    """Return the profiles in a folder of `*.json`, and everything wrong with those that cannot be used."""
    found: dict[str, Profile] = {}
    faults: list[Fault] = []
    if not directory.is_dir():
        return {}, (Fault(path="profiles_directory", message=f"there is no folder {directory}"),)
    for path in sorted(directory.glob("*.json")):
        try:
            data = path.read_bytes()
            text = data[: MAX_PROFILE_BYTES + 1].decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            faults.append(Fault(path=path.name, message=f"cannot be read: {error}"))
            continue
        if len(data) > MAX_PROFILE_BYTES:
            faults.append(Fault(path=path.name, message=f"larger than {MAX_PROFILE_BYTES} bytes"))
            continue
        profile, wrong = parse(text, where=path.name)
        faults.extend(wrong)
        if profile is None:
            continue
        if profile.id in found:
            faults.append(Fault(path=path.name, message=f"profile '{profile.id}' is in this folder twice"))
        found[profile.id] = profile
    return found, tuple(faults)
