"""The rig file: which boards stand on this bench and what reaches them. One frozen model; a mistyped key is refused.

The same command runs on simulated boards, on real ones and on those of a labgrid laboratory; only this file differs.
`backend` chooses; the other keys are those of that back end. `docs/rigs/` has one example of each, run by the tests.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.kind import Kind

MAX_FILE_BYTES: Final = 256 * 1024
MAX_BOARDS: Final = 32
"""As many as a powered hub on a bench serves."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Chip = Literal["esp32c3", "esp32s3"]


class Part(BaseModel):
    """Frozen; an unknown key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Fleet(Part):
    """Where records go."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")]
    """Address of the fleet server, without a path."""
    token_file: Path
    """File that holds the bench's bearer token; readable by its owner only."""
    wrap_key_file: Path | None = None
    """X25519 public key of the fleet, PEM. Device keys leave the bench wrapped for it or not at all."""
    ca_file: Path | None = None
    """Certificate of the fleet's authority where it is not a public one."""


class Expected(Part):
    """What the board in this place must be; anything else is not flashed."""

    chip: Chip = "esp32c3"
    mac: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")] | None = None
    """None: any board of that chip."""


class Reset(StrEnum):
    """How a board is brought into its loader."""

    LINES = "lines"
    """By the adapter's DTR and RTS, or the chip's own USB: esptool does it."""
    STRAP = "strap"
    """A relay holds BOOT (GPIO9) low while the power is switched on."""
    HANDS = "hands"
    """The technician holds BOOT and presses RESET when told to."""


class Practice(StrEnum):
    """What a simulated board does wrong, for training and for the tests."""

    NONE = "none"
    POWER_STAYS_ON = "power_stays_on"
    """The hub says off and the supply stays (uhubctl #474, probe-rs #4266)."""
    WRONG_CHIP = "wrong_chip"
    CUT_WHILE_FLASHING = "cut_while_flashing"
    VANISHES = "vanishes"
    """The adapter is pulled while the application is copied."""
    DEAF = "deaf"
    """The port is there and nobody answers."""
    SENSOR_DEAD = "sensor_dead"


class SimulatedBoard(Part):
    """A board that exists in this computer only."""

    name: Name
    kind: Kind = Kind.GAS
    mac: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    expects: Expected = Expected()
    practice: Practice = Practice.NONE
    baud: Annotated[int, Field(ge=9600, le=921_600)] = 115_200
    """Rate at which the simulated console cable is paced, bit/s."""


class LocalBoard(Part):
    """A board on a serial port of this computer."""

    name: Name
    kind: Kind = Kind.GAS
    port: str
    """Console. Use a by-id path: /dev/ttyUSB0 names another board tomorrow."""
    expects: Expected = Expected()
    reset: Reset = Reset.LINES
    power: Name | None = None
    strap: Name | None = None
    uart: str | None = None
    """RS-485 adapter (gas) or UART adapter (lift) at the node's field port."""
    meters: dict[Name, Name] = {}
    """What is measured -> resource: {supply: meter-1}."""


class LabgridBoard(Part):
    """A board that a labgrid exporter serves."""

    name: Name
    kind: Kind = Kind.GAS
    place: str
    port: str | None = None
    """None: the place's NetworkSerialPort, as rfc2217://host:port."""
    expects: Expected = Expected()
    reset: Reset = Reset.LINES
    meters: dict[Name, Name] = {}


class UsbHub(Part):
    """One port of a USB hub that really switches its supply (uhubctl lists them)."""

    type: Literal["usb-hub"]
    name: Name
    hub: Annotated[str, Field(pattern=r"^[0-9]+(-[0-9]+(\.[0-9]+)*)?$")]
    """Location as `uhubctl` prints it: 1-1.3"""
    port: Annotated[int, Field(ge=1, le=16)]


class UsbRelay(Part):
    """One channel of an LCUS serial relay board: A0, channel, 0 or 1, sum of the three."""

    type: Literal["usb-relay"]
    name: Name
    port: str
    channel: Annotated[int, Field(ge=1, le=8)]


class ScpiMeter(Part):
    """A meter on a serial port that answers `MEAS:VOLT:DC?` or `MEAS:CURR:DC?` with a number (SCPI-99)."""

    type: Literal["scpi-meter"]
    name: Name
    port: str
    baud: Annotated[int, Field(ge=1200, le=921_600)] = 9600
    unit: Literal["V", "A"]


Resource = Annotated[UsbHub | UsbRelay | ScpiMeter, Field(discriminator="type")]


class Camera(Part):
    """A camera to be aimed."""

    name: Name
    url: Annotated[str, Field(pattern=r"^(rtsp|http|https|tcp)://[^\s@]+$")]
    """Without user and password: they would stand in every list of processes."""
    user: str = ""
    password_file: Path | None = None


class _Bench(Part):
    name: Name
    """Of the rig: stands in every record."""
    fleet: Fleet | None = None
    printer: str | None = None
    """CUPS name of the label printer."""
    cameras: tuple[Camera, ...] = ()
    """Cameras that are aimed with this bench. A simulated rig has one of its own, named `facade`."""


class SimulatedRig(_Bench):
    """Boards that exist in this computer only."""

    backend: Literal["simulated"]
    asks: bool = False
    """true: for training. The technician is asked for gas and floors as on a real bench; false: they come by themselves."""
    boards: Annotated[tuple[SimulatedBoard, ...], Field(min_length=1, max_length=MAX_BOARDS)]


class LocalRig(_Bench):
    """Boards on this computer's own ports."""

    backend: Literal["local"]
    resources: tuple[Resource, ...] = ()
    boards: Annotated[tuple[LocalBoard, ...], Field(min_length=1, max_length=MAX_BOARDS)]

    @model_validator(mode="after")
    def _names_exist(self) -> LocalRig:
        known = {resource.name for resource in self.resources}
        for board in self.boards:
            wanted = {name for name in (board.power, board.strap, *board.meters.values()) if name}
            if missing := sorted(wanted - known):
                raise ValueError(
                    f"board '{board.name}' names '{missing[0]}', which is no resource of this rig"
                )
            if board.reset is Reset.STRAP and not (board.power and board.strap):
                raise ValueError(f"board '{board.name}': reset 'strap' needs power and strap")
        return self


class LabgridRig(_Bench):
    """Boards of a labgrid laboratory, reached through `labgrid-client`."""

    backend: Literal["labgrid"]
    coordinator: Annotated[str, Field(pattern=r"^[\w.-]+(:[0-9]+)?$")]
    client: str = "labgrid-client"
    """Program to call; labgrid lives in an environment of its own because its pyserial replaces ours."""
    resources: tuple[ScpiMeter, ...] = ()
    boards: Annotated[tuple[LabgridBoard, ...], Field(min_length=1, max_length=MAX_BOARDS)]


Rig = SimulatedRig | LocalRig | LabgridRig
_RIG: Final[TypeAdapter[Rig]] = TypeAdapter(Annotated[Rig, Field(discriminator="backend")])
_MODELS: Final[dict[int | str, type[BaseModel]]] = {
    "simulated": SimulatedRig,
    "local": LocalRig,
    "labgrid": LabgridRig,
}


def load(path: Path) -> Rig:
    """Return the rig in the file at `path`.

    Raises:
        BenchError: RIG_UNREADABLE; RIG_UNKNOWN_KEY with the nearest known one; RIG_WRONG.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BenchError(Fault.RIG_UNREADABLE, path=path, why=error.strerror or "") from error
    if len(raw) > MAX_FILE_BYTES:
        raise BenchError(Fault.RIG_UNREADABLE, path=path, why=f"more than {MAX_FILE_BYTES} bytes")
    try:
        return parse(yaml.safe_load(raw))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BenchError(Fault.RIG_UNREADABLE, path=path, why=str(error)) from error


def parse(data: object) -> Rig:
    """Return the rig that `data` (what YAML gave) describes.

    Raises:
        BenchError: RIG_UNKNOWN_KEY, RIG_WRONG.
    """
    try:
        rig = _RIG.validate_python(data)
    except ValidationError as error:
        raise _first_fault(error) from error
    names = [board.name for board in rig.boards]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BenchError(Fault.RIG_WRONG, where="boards", why=f"'{twice[0]}' twice")
    return rig


def _first_fault(error: ValidationError) -> BenchError:
    """A mistyped key explains the missing one beside it, so it is named first."""
    items = error.errors(include_url=False, include_context=False)
    item = next((each for each in items if each["type"] == "extra_forbidden"), items[0])
    place = ".".join(str(step) for step in item["loc"] if step not in _MODELS)
    if item["type"] != "extra_forbidden":
        return BenchError(Fault.RIG_WRONG, where=place or "the file", why=item["msg"])
    key = str(item["loc"][-1])
    known = sorted(_keys_beside(item["loc"]))
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return BenchError(Fault.RIG_UNKNOWN_KEY, key=key, where=place, near=near[0] if near else ", ".join(known))


def _keys_beside(loc: tuple[int | str, ...]) -> set[str]:
    """Keys of the model that the last step of pydantic's place `loc` was looked for in."""
    models: list[type[BaseModel]] = (
        [_MODELS[str(loc[0])]] if loc and loc[0] in _MODELS else [*_MODELS.values()]
    )
    for step in loc[1:-1] if loc and loc[0] in _MODELS else loc[:-1]:
        if isinstance(step, int):
            continue
        tagged = [model for model in models if step in _tags(model)]
        fields = [field for model in models if (field := model.model_fields.get(step)) is not None]
        models = tagged or [model for field in fields for model in _models_in(field.annotation)]
    return {name for model in models for name in model.model_fields}


def _tags(model: type[BaseModel]) -> tuple[object, ...]:
    field = model.model_fields.get("type")
    return () if field is None else get_args(field.annotation)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
