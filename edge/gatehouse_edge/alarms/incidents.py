"""Incidents: alarms of one place and time belong together, so gas + lift + help call in one stairwell is one case.

The first alarm of a place opens an incident and carries 首警 (`first_out`); an alarm that comes within `JOIN_S` of the
latest one of the same building and unit joins it. Faults, drills and the gateway's own alarms form no incidents.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from gatehouse_edge.alarms.alarm_id import ulid
from gatehouse_edge.clock import Now
from gatehouse_events.alarm import Alarm
from gatehouse_events.states import Kind

JOIN_S: Final = 600.0
MAX_MEMBERS: Final = 200
_CORRELATED: Final = frozenset({"gas", "lift", "sos"})


class Incident(Struct, frozen=True, kw_only=True):
    """What happened in one place at one time."""

    incident_id: str
    place: str
    """`building/unit`."""
    opened_s: float
    latest_s: float
    alarm_ids: tuple[str, ...]
    categories: frozenset[str]

    @property
    def is_correlated(self) -> bool:
        """Several kinds of sensors agree that something is wrong here."""
        return len(self.categories & _CORRELATED) > 1


def join(
    incident: Incident | None, place: str | None, alarm: Alarm, now: Now
) -> tuple[Alarm, Incident | None]:
    """Return a newly raised alarm marked with its incident, and that incident.

    Args:
        incident: the latest one of this place, if any.
        place: building and unit; None: the device has no place.
        alarm: its first revision, not yet written.
        now: this instant.
    """
    if place is None or alarm.kind is not Kind.ALARM or alarm.hidden is not None:
        return alarm, None
    if (
        incident is None
        or now.service_s - incident.latest_s > JOIN_S
        or len(incident.alarm_ids) >= MAX_MEMBERS
    ):
        opened = Incident(
            incident_id=ulid(now, "incident", place),
            place=place,
            opened_s=now.service_s,
            latest_s=now.service_s,
            alarm_ids=(alarm.alarm_id,),
            categories=frozenset({alarm.category}),
        )
        return structs.replace(alarm, incident_id=opened.incident_id, first_out=True), opened
    grown = structs.replace(
        incident,
        latest_s=now.service_s,
        alarm_ids=(*incident.alarm_ids, alarm.alarm_id),
        categories=incident.categories | {alarm.category},
    )
    return structs.replace(alarm, incident_id=grown.incident_id), grown


def is_over(incident: Incident, open_ids: frozenset[str] | set[str], now: Now) -> bool:
    """Return whether all its alarms have ended and none can join any more."""
    return now.service_s - incident.latest_s > JOIN_S and open_ids.isdisjoint(incident.alarm_ids)
