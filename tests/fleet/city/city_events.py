"""Example events of the domain notes, varied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gatehouse_events.event import Event, EventState, LiftState, decode

VECTORS = Path(__file__).parents[2] / "vectors"


def example(name: str) -> Event:
    return decode((VECTORS / "events" / f"{name}.json").read_bytes()).event


def lift(code: str = "lift.trapped_off_level", *, direction: str | None = None, **fields: Any) -> Event:
    event = example("lift")
    state = LiftState(direction=direction, floor="7", passenger=True, door_closed=True, door_zone=False)
    return varied(event, code=code, lift=state, **fields)


def varied(event: Event, **fields: Any) -> Event:
    return msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, **fields))


def revised(event: Event, seq: int, state: EventState, **fields: Any) -> Event:
    data = msgspec.structs.replace(event.data, seq=seq, state=state, **fields)
    return msgspec.structs.replace(event, data=data, id=f"{data.alarm_id}-{seq}", sequence=str(seq))
