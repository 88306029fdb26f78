"""From one of our events to what a platform reads: pure, one module for each dialect, chosen by the target's file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, assert_never
from zoneinfo import ZoneInfo

from gatehouse_events.event import Event
from gatehouse_fleet.city.codemap import load
from gatehouse_fleet.city.envelopes.cloudevents import CloudEventsEnvelope
from gatehouse_fleet.city.envelopes.gbt26875 import Gbt26875Envelope
from gatehouse_fleet.city.envelopes.one_hot import OneHotEnvelope, load_dialect
from gatehouse_fleet.city.envelopes.text_frames import TextFramesEnvelope
from gatehouse_fleet.city.exchange import Message
from gatehouse_fleet.city.target import CloudEvents, Gbt26875, OneHot, Target, TextFrames


class Envelope(Protocol):
    """Renders events in one dialect."""

    @property
    def tells_states(self) -> bool:
        """Whether a message tells how a device is, so that `standing` matters."""
        ...

    def render(self, event: Event, standing: tuple[str, ...]) -> Message | None:
        """Return the message; None: this dialect has nothing to say of such a change.

        Args:
            event: one revision of one alarm.
            standing: codes of all alarms and faults of the same device that are there after this revision.

        Raises:
            UnsayableError: it should be told and cannot be.
            EventError: the event does not satisfy the schema.
        """
        ...


def envelope_for(target: Target, *, beside: Path) -> Envelope:
    """Return the envelope a target's file asks for; tables are looked up beside that file.

    Raises:
        CodeMapError, CityError: a table is missing or unusable.
    """
    codes = None if target.codes is None else load(target.codes.map, beside=beside)
    zone = ZoneInfo(target.time.zone)
    match target.envelope:
        case CloudEvents():
            may_leave_out = target.codes is not None and target.codes.unmapped == "leave_out"
            return CloudEventsEnvelope(
                target.envelope, codes=codes, may_leave_out=may_leave_out, crs=target.crs, zone=zone
            )
        case OneHot():
            assert codes is not None  # noqa: S101  # target._cross_faults
            return OneHotEnvelope(
                target.envelope, dialect=load_dialect(target.envelope.dialect, beside=beside), codes=codes
            )
        case TextFrames():
            assert codes is not None  # noqa: S101  # target._cross_faults
            return TextFramesEnvelope(target.envelope, codes=codes)
        case Gbt26875():
            assert codes is not None  # noqa: S101  # target._cross_faults
            return Gbt26875Envelope(target.envelope, codes=codes, zone=zone)
        case _:
            assert_never(target.envelope)
