"""CloudEvents 1.0 JSON, structured mode: our own event, checked against its schema before it leaves."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Final

import msgspec

from gatehouse_events.event import AlarmData, Crs, Event, encode, event_for
from gatehouse_fleet.city.codemap import CodeMap
from gatehouse_fleet.city.coordinates import to_crs
from gatehouse_fleet.city.errors import UnsayableError
from gatehouse_fleet.city.exchange import Message
from gatehouse_fleet.city.target import CloudEvents

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"


class CloudEventsEnvelope:
    """Says everything: each revision of each alarm."""

    tells_states: Final = False

    def __init__(
        self,
        settings: CloudEvents,
        *,
        codes: CodeMap | None,
        may_leave_out: bool,
        crs: Crs | None,
        zone: tzinfo,
    ) -> None:
        self._settings: Final = settings
        self._codes: Final = codes
        self._may_leave_out: Final = may_leave_out
        self._crs: Final = crs
        self._zone: Final = zone

    def render(self, event: Event, standing: tuple[str, ...]) -> Message | None:  # noqa: ARG002  # Envelope
        """See `Envelope.render`."""
        data = self._data(event)
        gateway_id = event.source.rpartition(":")[2]
        told = event_for(data, gateway_id=gateway_id, prefix=self._settings.prefix)
        told = msgspec.structs.replace(told, time=self._local(told.time))
        return Message(event_id=event.id, body=encode(told), content_type=CONTENT_TYPE)

    def _data(self, event: Event) -> AlarmData:
        data, site = event.data, event.data.site
        if site.position is not None:
            site = msgspec.structs.replace(site, position=to_crs(site.position, self._crs))
        return msgspec.structs.replace(
            data,
            site=site,
            codes=self._coded(event),
            raised_at=self._local(data.raised_at),
            reported_at=self._local(data.reported_at),
            cleared_at=None if data.cleared_at is None else self._local(data.cleared_at),
        )

    def _coded(self, event: Event) -> dict[str, str]:
        if self._codes is None:
            return event.data.codes
        try:
            return {**event.data.codes, "platform": self._codes.word(event)}
        except UnsayableError:
            if self._may_leave_out:
                return event.data.codes
            raise

    def _local(self, at: datetime) -> datetime:
        return at.astimezone(self._zone)
