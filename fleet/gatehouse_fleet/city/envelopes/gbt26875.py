"""Component status of GB/T 26875.3 for the devices a centre has numbered; the bytes are in `city.gbt26875`."""

from __future__ import annotations

from datetime import tzinfo
from typing import Final

from gatehouse_events.event import Event
from gatehouse_fleet.city.codemap import CodeMap
from gatehouse_fleet.city.errors import UnsayableError
from gatehouse_fleet.city.exchange import Message
from gatehouse_fleet.city.gbt26875 import Component, Status, component_data, time_label
from gatehouse_fleet.city.target import Gbt26875


class Gbt26875Envelope:
    """Says how one component is: every bit that stands, after each change. An alarm beside a fault is both."""

    tells_states: Final = True

    def __init__(self, settings: Gbt26875, *, codes: CodeMap, zone: tzinfo) -> None:
        self._settings: Final = settings
        self._codes: Final = codes
        self._zone: Final = zone

    def render(self, event: Event, standing: tuple[str, ...]) -> Message | None:
        """See `Envelope.render`. The body is application data; the connection puts it into a frame."""
        settings = self._settings
        address = settings.components.get(event.subject)
        if address is None:
            raise UnsayableError(f"envelope.components has no address for {event.subject}")
        self._codes.word(event)  # of what has ended too: nobody was ever told a code that has no bit
        status = Status(0)
        for word in self._codes.words(event, standing):
            status |= Status(int(word))
        component = Component(
            system_type=settings.system_type,
            system_address=settings.system_address,
            component_type=settings.component_type,
            address=address,
            status=status or Status.NORMAL,
            description=event.data.message.zh,
            time=time_label(event.data.reported_at, self._zone),
        )
        return Message(
            event_id=event.id, body=component_data((component,)), content_type="application/octet-stream"
        )
