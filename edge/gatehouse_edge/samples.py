"""Which readings are worth a line in the telemetry lane: a change beyond a deadband, or one a minute."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from msgspec import Struct

from gatehouse_edge.reading import (
    AnyObservation,
    BeaconReading,
    BusReading,
    ButtonReading,
    CameraReading,
    GasReading,
    InputReading,
    LiftReading,
    ThrowReading,
)

EVERY_S: Final = 60.0
_GAS_BAND: Final = 0.01
"""Part of full scale by which a concentration must move; 1 % is below what a household detector resolves."""
_FULL_SCALE: Final = 100.0
"""Where the detector does not tell its own."""


class Sample(Struct, frozen=True, kw_only=True):
    """Body of a telemetry entry of kind `reading`."""

    device_id: str
    at: datetime
    values: dict[str, object]


class Kept(Struct, frozen=True, kw_only=True):
    """What was last written of one device."""

    at_s: float
    words: tuple[object, ...]
    """Everything that has no deadband."""
    value: float | None


def sample(observation: AnyObservation, before: Kept | None) -> tuple[Sample, Kept] | None:
    """Return the line to be written for this reading and what to remember, None if it says nothing new."""
    found = _values(observation)
    if found is None:
        return None
    values, value, band = found
    words = tuple(values.values())
    at_s = observation.at.service_s
    if before is not None and at_s - before.at_s < EVERY_S and words == before.words:
        if value is None and before.value is None:
            return None
        if value is not None and before.value is not None and abs(value - before.value) < band:
            return None
    if value is not None:
        values = {**values, "value": value}
    line = Sample(device_id=observation.device_id, at=observation.at.wall, values=values)
    return line, Kept(at_s=at_s, words=words, value=value)


def _values(observation: AnyObservation) -> tuple[dict[str, object], float | None, float] | None:
    """Return the words, the number and its deadband of a reading; None: no telemetry (alarms and faults have entries)."""
    match observation:
        case GasReading():
            words: dict[str, object] = {
                "unit": observation.unit.value,
                "quality": observation.quality.value,
                "flags": sorted(flag.value for flag in observation.flags),
            }
            return words, observation.value, _GAS_BAND * (observation.full_scale or _FULL_SCALE)
        case LiftReading():
            words = {
                "car": None if observation.car is None else observation.car.value,
                "door_closed": observation.door_closed,
                "door_zone": observation.door_zone,
                "passenger": observation.passenger,
                "floor": observation.floor,
                "mode": observation.service_mode.value,
                "faults": sorted(observation.faults),
            }
            return words, None, 0.0
        case ButtonReading():
            words = {"event": observation.event.value, "battery_pct": observation.battery_pct}
            return words, None, 0.0
        case InputReading():
            return {observation.role: observation.is_on, "subject": observation.subject}, None, 0.0
        case CameraReading():
            flaws = sorted(flaw.value for flaw, text in observation.flaws.items() if text)
            return {"picture": observation.picture.value, "flaws": flaws}, None, 0.0
        case ThrowReading():
            # Each has another time, so each is a line: what was only suspected stands nowhere else.
            words = {
                "throw": observation.throw_id,
                "is_alarm": observation.is_alarm,
                "floors": [observation.floor_low, observation.floor_high],
                "confidence": round(observation.confidence, 3),
                "began_at": None if observation.began_at is None else observation.began_at.isoformat(),
            }
            return words, None, 0.0
        case BeaconReading():
            return {"adapter": observation.adapter}, None, 0.0
        case BusReading():
            return {"is_up": observation.is_up, "detail": observation.detail}, None, 0.0
        case _:
            return None
