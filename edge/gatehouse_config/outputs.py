"""What the gateway may switch: siren, lamp, voice, gas valve. Nothing else, and nothing in a lift."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gatehouse_config.part import Id, Part

Serves = Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(min_length=1, max_length=1024)]
"""Device ids, or `all`."""
Point = Annotated[int, Field(ge=0, le=255)]


class Siren(Part):
    """A sounder; silencing lasts 120 s and is never an acknowledgement."""

    kind: Literal["siren"]
    id: Id = Field(description="name of the output")
    io: Id = Field(description="relay board")
    point: Point = Field(description="number of the relay, from 0")
    serves: Serves = Field(description="device ids whose alarms drive it, or all")
    is_quiet: bool = Field(
        default=False, description="true: sounds only when no console shows a new P1 or P2"
    )


class Lamp(Part):
    """A warning lamp: on while an alarm stands."""

    kind: Literal["lamp"]
    id: Id = Field(description="name of the output")
    io: Id = Field(description="relay board")
    point: Point = Field(description="number of the relay, from 0")
    serves: Serves = Field(description="device ids whose alarms drive it, or all")


class Voice(Part):
    """A recorded announcement started by a contact (row 36: e-bike in the lift)."""

    kind: Literal["voice"]
    id: Id = Field(description="name of the output")
    io: Id = Field(description="relay board")
    point: Point = Field(description="number of the relay, from 0")
    serves: Serves = Field(description="device ids whose alarms drive it, or all")
    pulse_ms: int = Field(
        default=500, ge=50, le=10_000, description="length of the contact that starts the player"
    )
    repeat_s: float = Field(
        default=15, ge=1, le=3600, description="pause until it speaks again while the cause stands"
    )


class GasValve(Part):
    """A certified shut-off valve: closed by the gateway, opened only by two people on site (row 27)."""

    kind: Literal["gas_valve"]
    id: Id = Field(description="name of the output")
    io: Id = Field(description="relay board")
    point: Point = Field(description="number of the closing relay, from 0")
    open_point: Point | None = Field(
        default=None, description="number of the opening relay; absent: opened by hand at the valve"
    )
    serves: Serves = Field(description="gas detectors whose high alarm closes it")
    pulse_ms: int = Field(default=500, ge=50, le=60_000, description="length of the closing contact")


Output = Annotated[Siren | Lamp | Voice | GasValve, Field(discriminator="kind")]
"""Any output; told apart by `kind`."""
