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
    lowest_priority: Literal["P1", "P2", "P3"] = Field("P2", description="alarms below this do not sound it")
    max_on_s: float = Field(600, ge=10, le=86_400, description="longest time it sounds without a new alarm")


class Lamp(Part):
    """A warning lamp: on while an alarm stands."""

    kind: Literal["lamp"]
    id: Id = Field(description="name of the output")
    io: Id = Field(description="relay board")
    point: Point = Field(description="number of the relay, from 0")
    serves: Serves = Field(description="device ids whose alarms drive it, or all")
    lowest_priority: Literal["P1", "P2", "P3", "P4"] = Field(
        "P3", description="alarms below this do not light it"
    )


class Voice(Part):
    """A recorded announcement started by a contact (row 36: e-bike in the lift)."""

    kind: Literal["voice"]
    id: Id = Field(description="name of the output")
    io: Id = Field(description="relay board")
    point: Point = Field(description="number of the relay, from 0")
    serves: Serves = Field(description="device ids whose alarms drive it, or all")
    codes: tuple[Annotated[str, Field(max_length=64)], ...] = Field(
        ("lift.ebike_in_car",), min_length=1, max_length=32, description="alarm codes that start it"
    )
    pulse_ms: int = Field(500, ge=50, le=10_000, description="length of the contact that starts the player")
    repeat_s: float = Field(
        15, ge=1, le=3600, description="pause until it speaks again while the cause stands"
    )


class GasValve(Part):
    """A certified shut-off valve: closed by the gateway, opened only by two people on site (row 27)."""

    kind: Literal["gas_valve"]
    id: Id = Field(description="name of the output")
    io: Id = Field(description="relay board")
    point: Point = Field(description="number of the closing relay, from 0")
    open_point: Point | None = Field(
        None, description="number of the opening relay; absent: opened by hand at the valve"
    )
    serves: Serves = Field(description="gas detectors whose high alarm closes it")
    pulse_ms: int = Field(500, ge=50, le=60_000, description="length of the closing contact")
    feedback_limit_s: float = Field(10, ge=0.5, le=120, description="time the feedback contact has to follow")
    open_confirm_limit_s: float = Field(
        60, ge=10, le=600, description="time the second person has to confirm opening"
    )


Output = Annotated[Siren | Lamp | Voice | GasValve, Field(discriminator="kind")]
"""Any output; told apart by `kind`."""
