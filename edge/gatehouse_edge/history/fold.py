"""From an entry of the journal to the rows of the index. Pure; what cannot be read is stepped over.

A row of a deed says what a person would tell of it: commands about one alarm are told by the alarm's own revisions, so only
orders about devices, outputs and the desk become deeds here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gatehouse_edge.alarms.commands import (
    Annunciated,
    ConfirmValveOpen,
    Inhibit,
    RequestValveOpen,
    SetAbsence,
    SilenceSounder,
    TestOutput,
    Uninhibit,
)
from gatehouse_edge.desk import CommandOutcome
from gatehouse_edge.history.rows import Deed
from gatehouse_edge.outputs import ValveMoved
from gatehouse_events.alarm import Change
from gatehouse_events.chain import Entry, EntryKind
from gatehouse_events.drill import DrillReport
from gatehouse_events.escalation import Escalation
from gatehouse_events.evidence import Deleted, EvidenceError, Held, Lifted, Missed, Viewed, decode_register

_CHANGE: Final = msgspec.json.Decoder(Change)
_OUTCOME: Final = msgspec.json.Decoder(CommandOutcome)
_RECEIPT: Final = msgspec.json.Decoder(Annunciated)
_DRILL: Final = msgspec.json.Decoder(DrillReport)
_VALVE: Final = msgspec.json.Decoder(ValveMoved)
_STEP: Final = msgspec.json.Decoder(Escalation)
VIEWED: Final = "evidence_viewed"
KEPT: Final = "evidence_kept"
_MAX_TEXT: Final = 200
_QUIET_AUDITS: Final = frozenset({"journal_read", "history_read"})
"""Looking back is no event of the shift."""


def change_of(entry: Entry) -> Change | None:
    """Return the revision in an entry of kind `alarm`; None: erased, or of a version that is not known here."""
    try:
        return _CHANGE.decode(entry.body or b"")
    except (msgspec.DecodeError, RecursionError):
        return None


def drill_of(entry: Entry) -> DrillReport | None:
    """Return the report in an entry of kind `drill`; None: erased, or of a version that is not known here."""
    try:
        return _DRILL.decode(entry.body or b"")
    except (msgspec.DecodeError, RecursionError):
        return None


def deed_of(entry: Entry, at_us: int) -> Deed | None:
    """Return what an entry of another kind says; None: nothing that is told."""
    try:
        found = _fields(entry)
    except (msgspec.DecodeError, RecursionError):
        return None
    if found is None:
        return None
    fields: dict[str, str] = {"what": "", "actor": "", "station": "", "subject": "", "text": ""} | found
    fields["text"] = fields["text"][:_MAX_TEXT]
    return Deed(seq=entry.seq, at_us=at_us, kind=entry.kind, **fields)


def _fields(entry: Entry) -> dict[str, str] | None:
    body = entry.body
    if body is None:
        return None
    match entry.kind:
        case EntryKind.OUTCOME:
            return _order(body)
        case EntryKind.OUTPUT:
            moved = _VALVE.decode(body)
            what = "valve_closed" if moved.is_closed else "valve_opened"
            actor = " + ".join(dict.fromkeys(actor.name for actor in moved.actors))
            return {"what": what, "actor": actor, "subject": moved.output_id, "text": moved.cause}
        case EntryKind.DRILL:
            drill = _DRILL.decode(body)
            return {
                "what": f"drill_{drill.outcome}",
                "actor": drill.actor.name,
                "station": drill.actor.station,
                "subject": drill.device_id,
                "text": drill.code or drill.kind.value,
            }
        case EntryKind.ESCALATION:
            step = _STEP.decode(body)
            told = ", ".join(step.notify)
            return {"what": "escalated", "actor": told, "subject": step.alarm_id, "text": step.code}
        case EntryKind.EVIDENCE:
            return _register(body)
        case EntryKind.AUDIT:
            return _audit(body)
        case EntryKind.START | EntryKind.STOP | EntryKind.EPOCH:
            return {"what": f"gateway_{entry.kind}"}
        case EntryKind.CONFIG:
            config: dict[str, Any] = msgspec.json.decode(body, type=dict)
            return {"what": "config_taken" if config.get("is_accepted") else "config_refused"}
        case _:
            return None


def _order(body: bytes) -> dict[str, str] | None:
    try:
        outcome = _OUTCOME.decode(body)
    except msgspec.ValidationError:
        return None  # an order of the fleet has a body of its own; its effects stand in the alarms
    command = outcome.command
    head = {"actor": command.actor.name, "station": command.actor.station}
    if outcome.result.refused is not None:
        return None
    match command:
        case SilenceSounder():
            return head | {"what": "silenced"}
        case Inhibit():
            text = f"{command.duration_s / 60:.0f} min: {command.reason}"
            return head | {"what": "inhibited", "subject": command.device_id, "text": text}
        case Uninhibit():
            return head | {"what": "uninhibited", "subject": command.device_id}
        case SetAbsence():
            what = "absence_set" if command.duration_s else "absence_ended"
            return head | {"what": what, "subject": command.device_id}
        case RequestValveOpen():
            return head | {"what": "valve_asked", "subject": command.output_id, "text": command.reason}
        case ConfirmValveOpen():
            return head | {"what": "valve_confirmed", "subject": command.output_id}
        case TestOutput():
            return head | {"what": "output_tested", "subject": command.output_id}
        case _:
            return None


def _register(body: bytes) -> dict[str, str] | None:
    """Return a line of the register of evidence. Who has looked at what is for those who may read the register."""
    try:
        entry = decode_register(body)
    except EvidenceError:
        return None
    head = {
        "what": VIEWED if isinstance(entry, Viewed) else f"evidence_{entry.__struct_config__.tag}",
        "subject": entry.alarm_id,
    }
    match entry:
        case Viewed() | Held() | Lifted():
            return head | {
                "actor": entry.actor.name,
                "station": entry.actor.station,
                "text": entry.reason,
            }
        case Missed() | Deleted():
            return head | {"text": entry.why}
        case _:
            return head


def _audit(body: bytes) -> dict[str, str] | None:
    fields: Mapping[str, Any] = msgspec.json.decode(body, type=dict)
    if fields.get("type") == Annunciated.__name__:
        receipt = _RECEIPT.decode(body)
        what = "painted_heard" if receipt.audible else "painted_mute"
        return {
            "what": what,
            "actor": receipt.actor.name,
            "station": receipt.actor.station,
            "subject": receipt.alarm_id,
        }
    if fields.get("type") == "DeskLeft":
        return {"what": "desk_left"}
    if fields.get("what") == "node_update":
        outcome = fields.get("outcome")
        version = str(outcome.get("to_version", "")) if isinstance(outcome, dict) else ""
        is_done = bool(version) and isinstance(outcome, dict) and outcome.get("result") == "confirmed"
        device_id, by = str(fields.get("device_id", "")), str(fields.get("by", ""))
        what = "node_updated" if is_done else "node_update_failed"
        return {"what": what, "actor": by, "subject": device_id, "text": version}
    said = fields.get("what")
    if not isinstance(said, str) or said in _QUIET_AUDITS:
        return None
    who, station, detail = (str(fields.get(name, "")) for name in ("who", "station", "detail"))
    return {"what": said[:40], "actor": who, "station": station, "text": detail}
