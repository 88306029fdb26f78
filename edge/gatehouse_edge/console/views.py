"""What the console shows of alarms and devices, as plain data. Pure.

Times ending in `_s` are on the gateway's service scale, as is `service_s` in every beat: the page computes ages from
these two and never from its own clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from gatehouse_config.devices import Resident
from gatehouse_edge.alarms.plan import Place, Plan
from gatehouse_edge.clock import Now
from gatehouse_edge.ledger import DeviceView, OutputView
from gatehouse_edge.outputs import Valve
from gatehouse_edge.reading import (
    AnyObservation,
    BeaconReading,
    BusReading,
    ButtonReading,
    CameraReading,
    GasReading,
    InputReading,
    LiftReading,
)
from gatehouse_edge.uplink.link import LinkView
from gatehouse_events.alarm import Alarm
from gatehouse_events.codes import CODES
from gatehouse_events.states import Kind, Label

Row = dict[str, Any]
_ZERO: Final = timedelta(0)

_ALARM_FIELDS: Final = (
    "alarm_id", "seq", "device_id", "code", "kind", "priority", "state", "is_active", "raised_at", "raised_s",
    "changed_at", "changed_s", "unack_since_s", "returned_at", "acked_by", "acked_at", "shelved_by",
    "shelved_until_s", "shelf_reason", "first_out", "incident_id", "ack_due_s", "is_overdue", "deadline_s",
    "escalation_step", "rescue", "value", "unit", "threshold", "text", "facts", "evidence", "is_chattering",
)  # fmt: skip


class Viewpoint:
    """The configuration as the screens need it: places and residents."""

    def __init__(self, plan: Plan, residents: Mapping[str, Resident]) -> None:
        self._plan: Final = plan
        self._residents: Final = residents

    def alarm(self, alarm: Alarm, *, is_clear: bool) -> Row:
        """Return one alarm. `is_clear` False: residents are masked and notes left out."""
        row: Row = {name: msgspec.to_builtins(getattr(alarm, name)) for name in _ALARM_FIELDS}
        row |= {
            "label": label(alarm.code),
            "place": place(self._plan.place(alarm.device_id)),
            "times": alarm.times,
            "is_latched": alarm.is_latched,
            "shelving": alarm.shelving.value,
            "resident": self._resident(alarm.device_id, is_clear=is_clear),
            "notes": msgspec.to_builtins(alarm.notes) if is_clear else [],
            "note_count": len(alarm.notes),
        }
        return row

    def device(self, view: DeviceView, *, is_clear: bool) -> Row:
        """Return one device with its last data; `last_s` is when that came, on the service scale."""
        last = view.last
        return {
            "id": view.device_id,
            "kind": view.kind,
            "place": place(view.place),
            "state": state_word(view),
            "codes": [{"code": code, "label": label(code)} for code in view.codes],
            "last": None if last is None else told(last),
            "last_at": None if last is None else last.at.wall.isoformat(),
            "last_s": None if last is None else last.at.service_s,
            "age_s": view.age_s,
            "silence": None
            if view.silence is None
            else {"reason": view.silence.reason.value, "detail": view.silence.detail},
            "is_inhibited": view.is_inhibited,
            "inhibition": None
            if view.inhibition is None
            else {
                "by": view.inhibition.actor,
                "until_s": view.inhibition.until_s,
                "reason": view.inhibition.reason,
            },
            "resident": self._resident(view.device_id, is_clear=is_clear),
        }

    def _resident(self, device_id: str, *, is_clear: bool) -> Row | None:
        resident = self._residents.get(device_id)
        if resident is None:
            return None
        if is_clear:
            return resident.model_dump(include={"name", "phone", "lives_alone", "note"}) | {
                "is_masked": False
            }
        return {"name": masked_name(resident.name), "phone": masked_phone(resident.phone), "is_masked": True}


def masked_name(name: str) -> str:
    """Return a name of which only the family name can be told: 王** ."""
    return f"{name[:1]}**" if name else ""


def masked_phone(phone: str) -> str:
    """Return a number of which only the last two digits can be told."""
    return f"{'*' * max(0, len(phone) - 2)}{phone[-2:]}" if len(phone) > 4 else "*" * len(phone)  # noqa: PLR2004  # shorter ones hide nothing


def state_word(view: DeviceView) -> str:
    """Return how a device is: inhibited, alarm, silent, fault, unknown (nothing heard since the start) or normal."""
    kinds = {CODES[code].kind for code in view.codes if code in CODES}
    if view.is_inhibited:
        return "inhibited"
    if Kind.ALARM in kinds:
        return "alarm"
    if view.silence is not None or any(
        code.endswith((".offline", "_silent", "_lost")) for code in view.codes
    ):
        return "silent"
    if kinds:
        return "fault"
    # The gateway itself answers this question, so it is alive; whatever else has not spoken yet is not called normal.
    return "unknown" if view.last is None and view.kind != "gateway" else "normal"


def told(last: AnyObservation) -> Row:
    """Return what a device said last, as far as a list shows it."""
    fields: tuple[str, ...]
    match last:
        case GasReading():
            fields = (
                "value", "unit", "quality", "flags", "low_set", "high_set", "full_scale", "temperature_c",
                "humidity_pct", "warm_up_left_s",
            )  # fmt: skip
        case LiftReading():
            fields = (
                "quality", "car", "direction", "door_zone", "door_closed", "passenger", "floor", "speed_mps",
                "service_mode", "faults", "foreign_codes", "is_alarm_button",
            )  # fmt: skip
        case ButtonReading():
            fields = ("event", "battery_pct", "rssi_dbm", "adapter")
        case BeaconReading():
            fields = ("adapter", "rssi_dbm")
        case InputReading():
            fields = ("role", "is_on", "subject", "quality")
        case CameraReading():
            fields = ("picture", "frames_per_s", "detail", "flaws", "figures", "last_throw")
        case BusReading():
            fields = ("is_up", "detail")
        case _:
            fields = ()
    return {"what": type(last).__name__, **{name: _plain(getattr(last, name)) for name in fields}}


def place(place_: Place) -> Row:
    """Return where something is, with the words people use: 3号楼2单元5层501."""
    parts = (
        (place_.building, "号楼" if place_.building.isdecimal() else ""),
        (place_.unit, "单元"),
        (place_.floor, "层"),
        (place_.room, "室" if place_.room.isdecimal() else ""),
        (place_.name, ""),
    )
    zh = "".join(f"{text}{suffix}" for text, suffix in parts if text)
    en = "-".join(text for text, _ in parts if text)
    return {**msgspec.to_builtins(place_), "zh": zh, "en": en}


def label(code: str) -> Row:
    """Return the words for a code; an unknown one speaks for itself."""
    row = CODES.get(code)
    text = Label(code, code) if row is None else row.label
    return {"zh": text.zh, "en": text.en}


def valve(output_id: str, state: Valve) -> Row:
    """Return one gas valve."""
    return {"id": output_id, **msgspec.to_builtins(state)}


def output(view: OutputView) -> Row:
    """Return one output; `read_s` is when its relay was last judged, on the service scale."""
    last = view.last
    return {
        "id": view.output_id,
        "kind": view.kind.value,
        "place": place(view.place),
        "is_quiet": view.is_quiet,
        "is_wanted": view.is_wanted,
        "is_tested": view.is_tested,
        "is_on": None if last is None else last.is_on,
        "is_ok": None if last is None else last.is_ok and not view.failed,
        "read_s": None if last is None else last.at.service_s,
        "failed": view.failed,
    }


def beat(now: Now, *, is_storage_failing: bool, link: LinkView) -> Row:
    """Return what every beat says: the gateway's own time, whether it is believed, and how the way to the fleet is."""
    return {
        "at": now.wall.isoformat(),
        "utc_offset_s": int((now.wall.astimezone().utcoffset() or _ZERO).total_seconds()),
        "service_s": now.service_s,
        "clock": msgspec.to_builtins(now.clock),
        "is_storage_failing": is_storage_failing,
        "fleet": {
            "state": link.state,
            "label": msgspec.to_builtins(link.label),
            "since_s": link.since_s,
            "queued": link.queued_alarm,
        },
    }


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else msgspec.to_builtins(value)
