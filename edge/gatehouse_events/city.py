"""From a line of the alarm lane to the event that goes to a city: pure, and needing nothing but the lane itself.

Each start and each new configuration writes a `SiteCard` into the lane, so whoever reads it (exporter, uplink, fleet)
knows site, datum and asset of every alarm without the gateway's configuration.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from gatehouse_events.alarm import Alarm, Change
from gatehouse_events.clock import ClockQuality
from gatehouse_events.codes import CODES
from gatehouse_events.event import (
    AlarmData,
    Asset,
    Event,
    EventSite,
    EventState,
    Evidence,
    LiftState,
    Measure,
    Message,
    ThrowFacts,
    event_for,
)
from gatehouse_events.states import SEVERITY, Kind

UNKNOWN_CLOCK: Final = ClockQuality(synced=False, offset_ms=None)
_MESSAGE_CHARS: Final = 200
_Facts = TypeVar("_Facts", bound=Struct)
_UNITS: Final = frozenset({"%LEL", "ppm", "%VOL", "mg/m3", "ppb", "m/s", "s", "pct"})


class AssetCard(Struct, frozen=True, kw_only=True):
    """One device as the city knows it."""

    asset: Asset
    building: str = ""
    unit: str = ""
    floor: str = ""
    room: str = ""
    is_personal: bool = False
    """Its alarms tell something of a person (help buttons, detectors in a flat): PIPL Art. 28."""


class SiteCard(Struct, frozen=True, kw_only=True):
    """The community and its devices; part of a journal entry of kind `config`."""

    gateway_id: str
    site: EventSite
    assets: dict[str, AssetCard]


def event_of(change: Change, card: SiteCard, *, reported_at: datetime, is_buffered: bool = False) -> Event:
    """Return the city's event of one revision of an alarm.

    Args:
        change: body of an `alarm` entry.
        card: the site card in force when the entry was written.
        reported_at: time of the entry, corrected if its clock was put right later.
        is_buffered: it waited because the city could not be reached.
    """
    alarm = change.alarm
    asset = card.assets.get(alarm.device_id) or AssetCard(asset=Asset(id=alarm.device_id, kind="gateway"))
    data = AlarmData(
        alarm_id=alarm.alarm_id,
        seq=alarm.seq,
        state=EventState(change.word.value),
        category=alarm.category,
        code=alarm.code,
        severity=SEVERITY[alarm.priority],
        raised_at=alarm.raised_at,
        reported_at=reported_at,
        clock=change.clock or UNKNOWN_CLOCK,
        site=msgspec.structs.replace(
            card.site,
            building=asset.building or None,
            unit=asset.unit or None,
            floor=asset.floor or None,
            room=asset.room or None,
        ),
        asset=asset.asset,
        message=_message(alarm, asset),
        evidence=tuple(msgspec.convert(item, Evidence) for item in alarm.evidence),
        kind=alarm.kind,
        incident_id=alarm.incident_id,
        cleared_at=alarm.cleared_at or (reported_at if change.word.value == EventState.CLEARED else None),
        buffered=is_buffered,
        measure=_measure(alarm),
        lift=_facts(alarm, "lift", LiftState) or (LiftState() if alarm.category == "lift" else None),
        throw=_facts(alarm, "throw", ThrowFacts) or (ThrowFacts() if alarm.category == "throw" else None),
        personal=asset.is_personal,
    )
    return event_for(data, gateway_id=card.gateway_id)


def _measure(alarm: Alarm) -> Measure | None:
    if alarm.value is None or alarm.unit not in _UNITS:
        return None
    return Measure(
        value=alarm.value, unit=alarm.unit, threshold=alarm.threshold, status=alarm.code.partition(".")[2]
    )


def _facts(alarm: Alarm, name: str, kind: type[_Facts]) -> _Facts | None:
    found = alarm.facts.get(name)
    return None if found is None else msgspec.convert(found, kind)


def _message(alarm: Alarm, asset: AssetCard) -> Message:
    label = CODES[alarm.code].label
    parts = ((asset.building, "号楼"), (asset.unit, "单元"), (asset.floor, "层"), (asset.room, "室"))
    place = "".join(word + suffix if word.isdigit() else word for word, suffix in parts if word)
    value = "" if alarm.value is None or alarm.unit is None else f" {alarm.value:g}{alarm.unit}"
    drill_zh, drill_en = ("【演练】", "[drill] ") if alarm.kind is Kind.TEST else ("", "")
    # The device id fills up what would otherwise be shorter than the schema's four characters say anything.
    zh = f"{drill_zh}{place or alarm.device_id} {label.zh}{value}"
    en = f"{drill_en}{alarm.device_id}: {label.en}{value}"
    return Message(zh=zh[:_MESSAGE_CHARS], en=en[:_MESSAGE_CHARS])
