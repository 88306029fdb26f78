"""All open alarms together, and the working copy on which one step of the desk is made.

`AlarmBoard` is the frozen value that the desk holds; `Draft` takes it, collects revisions, journal records and changed
state keys, and gives the next value back. Nothing outside sees a draft half done.

State keys: `alarm/<id>` (open ones), `recent/<device>/<code>`, `waived/<device>/<code>`, `incident/<id>`, `shelf/<device>`,
`flood`, `silence`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, structs

from gatehouse_edge.alarms import annunciation, escalation, flood, incidents, life_cycle, rescue
from gatehouse_edge.alarms.flood import Load
from gatehouse_edge.alarms.incidents import Incident
from gatehouse_edge.alarms.life_cycle import Recent
from gatehouse_edge.alarms.plan import Plan
from gatehouse_edge.alarms.shelving import INHIBITED_CODE, Inhibition
from gatehouse_edge.clock import Now
from gatehouse_edge.rules.condition import Condition
from gatehouse_events.alarm import GATEWAY, Alarm, Change, Hidden, What
from gatehouse_events.states import AlarmState, Disposition, Kind

WAIVE_S: Final = 900.0
"""A cause that a person has declared over raises no new alarm for this long, unless it goes or occurs again."""

REAL_ALARM: Final = "真实报警，演练中止 ended by a real alarm"
"""`close_reason` of a drill that a real alarm has ended."""

_T = TypeVar("_T")


class Waiver(Struct, frozen=True, kw_only=True):
    """A person closed an alarm whose cause is still reported (trapped passenger is out, the sensor says no)."""

    occurrence: int
    until_s: float


class NewRecord(Struct, frozen=True, kw_only=True):
    """Something to be written into the alarm lane."""

    kind: str
    body: Struct


class AlarmBoard(Struct, frozen=True, kw_only=True):
    """The alarms and what is remembered around them. Its dicts are never changed in place."""

    alarms: dict[str, Alarm] = {}
    """Open ones, by alarm id."""
    index: dict[str, dict[str, str]] = {}
    """Device -> code -> id of its open alarm; drills are not in it. Derived."""
    recent: dict[str, Recent] = {}
    """By `device/code`."""
    waived: dict[str, Waiver] = {}
    """By `device/code`."""
    incidents: dict[str, Incident] = {}
    """The latest one of each place."""
    inhibited: dict[str, Inhibition] = {}
    load: Load = Load()
    silenced_until_s: float | None = None


class Draft:
    """One step in the making: call the methods, then `finish`."""

    def __init__(self, board: AlarmBoard, plan: Plan, now: Now) -> None:
        self.plan: Final = plan
        self.now: Final = now
        self.records: Final[list[NewRecord]] = []
        self.state: Final[dict[str, bytes | None]] = {}
        self._before: Final = board
        self._fields: Final[dict[str, Any]] = {}
        self._touched: Final[dict[str, None]] = {}

    @property
    def alarms(self) -> Mapping[str, Alarm]:
        """The open alarms as they stand in this draft."""
        return self._look("alarms", self._before.alarms)

    @property
    def inhibited(self) -> Mapping[str, Inhibition]:
        """The inhibited devices."""
        return self._look("inhibited", self._before.inhibited)

    def open_alarm(self, device_id: str, code: str) -> Alarm | None:
        """Return the open alarm of this cause, drills aside."""
        index: dict[str, dict[str, str]] = self._look("index", self._before.index)
        alarm_id = index.get(device_id, {}).get(code)
        return None if alarm_id is None else self.alarms[alarm_id]

    def judge(self, device_id: str, conditions: Iterable[Condition]) -> None:
        """Bring the alarms of a device in line with everything that is true of it now."""
        index: dict[str, dict[str, str]] = self._look("index", self._before.index)
        known = index.get(device_id, {})
        present = {condition.code: condition for condition in conditions}
        for code, condition in present.items():
            self._meet(device_id, condition, known.get(code))
        for code, alarm_id in tuple(known.items()):
            if code not in present and code != INHIBITED_CODE:
                self.put(life_cycle.leave(self.alarms[alarm_id], self.now))
        waived: dict[str, Waiver] = self._look("waived", self._before.waived)
        for key in [
            k for k in waived if k.startswith(f"{device_id}/") and k.rpartition("/")[2] not in present
        ]:
            self._drop("waived", key)

    def put(self, outcome: Alarm | Change | None) -> None:
        """Take over one revision (a `Change`), or counts and receipts that make no revision (an `Alarm`)."""
        if outcome is None:
            return
        if isinstance(outcome, Alarm):
            self._mine("alarms", self._before.alarms)[outcome.alarm_id] = outcome
            return
        alarm = outcome.alarm
        stamped = structs.replace(outcome, clock=self.now.clock)
        self.records.append(NewRecord(kind="alarm", body=stamped))
        alarms = self._mine("alarms", self._before.alarms)
        if alarm.is_open:
            alarms[alarm.alarm_id] = alarm
            self.state[f"alarm/{alarm.alarm_id}"] = msgspec.json.encode(alarm)
            self._touched[alarm.alarm_id] = None
        else:
            alarms.pop(alarm.alarm_id, None)
            self.state[f"alarm/{alarm.alarm_id}"] = None
            self._touched.pop(alarm.alarm_id, None)
        self._reindex(alarm)
        if outcome.what in _SOUNDS_ANEW and annunciation.sounds(alarm):
            self.silence(None)
            if is_real(alarm):
                self._end_drills()

    def keep(self, alarm: Alarm) -> None:
        """Take over a receipt: no revision, but on disk."""
        self.put(alarm)
        self.state[f"alarm/{alarm.alarm_id}"] = msgspec.json.encode(alarm)

    def raise_alarm(self, change: Change) -> Alarm:
        """Take over the first revision of a new alarm: joined to its incident, counted in the load."""
        place = self.plan.place(change.alarm.device_id).incident_key
        latest: dict[str, Incident] = self._look("incidents", self._before.incidents)
        alarm, incident = incidents.join(
            latest.get(place) if place is not None else None, place, change.alarm, self.now
        )
        if incident is not None:
            old = latest.get(incident.place)
            if old is not None and old.incident_id != incident.incident_id:
                self.state[f"incident/{old.incident_id}"] = None
            self._mine("incidents", self._before.incidents)[incident.place] = incident
            self.state[f"incident/{incident.incident_id}"] = msgspec.json.encode(incident)
        self.put(structs.replace(change, alarm=alarm))
        if flood.counts(alarm):
            self._set_load(flood.raised(self.load, alarm, self.now))
        return alarm

    @property
    def has_real_alarm(self) -> bool:
        """A real alarm wants a person: nothing is played now."""
        return any(is_real(alarm) and annunciation.sounds(alarm) for alarm in self.alarms.values())

    @property
    def load(self) -> Load:
        """The load of the desk."""
        load: Load = self._fields.get("load", self._before.load)
        return load

    def waive(self, alarm: Alarm) -> None:
        """Let the still reported cause of a closed alarm rest for a while."""
        waiver = Waiver(occurrence=alarm.occurrence, until_s=self.now.service_s + WAIVE_S)
        self._keep("waived", f"{alarm.device_id}/{alarm.code}", waiver)

    def inhibit(self, inhibition: Inhibition) -> None:
        """Hide what the device says from now on."""
        self._mine("inhibited", self._before.inhibited)[inhibition.device_id] = inhibition
        self.state[f"shelf/{inhibition.device_id}"] = msgspec.json.encode(inhibition)

    def uninhibit(self, device_id: str) -> None:
        """Show again what the device says; its entry in the list ends."""
        self._mine("inhibited", self._before.inhibited).pop(device_id, None)
        self.state[f"shelf/{device_id}"] = None
        entry = self.open_alarm(device_id, INHIBITED_CODE)
        if entry is not None:
            self.put(life_cycle.close(entry, self.now, Disposition.AUTO, ""))

    def silence(self, until_s: float | None) -> None:
        """Quiet the sirens until then; None: let them sound."""
        if until_s != self._fields.get("silenced_until_s", self._before.silenced_until_s):
            self._fields["silenced_until_s"] = until_s
            self.state["silence"] = None if until_s is None else msgspec.json.encode(until_s)

    def pass_time(self) -> None:
        """Do what is due by the clock: shelves, inhibitions, drills, limits, deadlines, old memories."""
        now = self.now
        for inhibition in tuple(self.inhibited.values()):
            if now.service_s >= inhibition.until_s:
                self.uninhibit(inhibition.device_id)
        for alarm in tuple(self.alarms.values()):
            self._pass_time_of(alarm)
            if alarm.alarm_id in self.alarms:
                self._touched[alarm.alarm_id] = None
        self._set_load(flood.tick(self.load, now))
        self._forget()

    def settle(self, gateway_conditions: Iterable[Condition]) -> None:
        """Finish the step: the gateway's own conditions, then the ladders of everything touched."""
        found = list(gateway_conditions)
        missing = annunciation.unheard(self.alarms.values(), self.now)
        found += [c for c in (flood.condition(self.load), annunciation.condition(missing)) if c is not None]
        self.judge(GATEWAY, found)
        banner = flood.condition(self.load)
        if banner is not None:  # raising may itself have begun the flood
            self.judge(GATEWAY, [*(c for c in found if c.code != banner.code), banner])
        for alarm_id in tuple(self._touched):
            while step := escalation.due_step(self.alarms[alarm_id], self.plan, self.now):
                self.put(step.change)
                self.records.append(NewRecord(kind="escalation", body=step.entry))

    def finish(self) -> AlarmBoard:
        """Return the next board; the same object if nothing changed."""
        return structs.replace(self._before, **self._fields) if self._fields else self._before

    def _meet(self, device_id: str, condition: Condition, alarm_id: str | None) -> None:
        hidden = Hidden.INHIBIT if device_id in self.inhibited else None
        if hidden is None and condition.is_suppressed:
            hidden = Hidden.DESIGN
        if alarm_id is not None:
            self.put(life_cycle.observe(self.alarms[alarm_id], condition, self.now, hidden=hidden))
            return
        if condition.auto_close or self._is_waived(device_id, condition):
            return
        recent: dict[str, Recent] = self._look("recent", self._before.recent)
        known = recent.get(f"{device_id}/{condition.code}")
        self.raise_alarm(life_cycle.begin(device_id, condition, self.now, hidden=hidden, recent=known))

    def _is_waived(self, device_id: str, condition: Condition) -> bool:
        waived: dict[str, Waiver] = self._look("waived", self._before.waived)
        waiver = waived.get(f"{device_id}/{condition.code}")
        if waiver is None:
            return False
        if waiver.occurrence == condition.occurrence and self.now.service_s < waiver.until_s:
            return True
        self._drop("waived", f"{device_id}/{condition.code}")
        return False

    def _pass_time_of(self, alarm: Alarm) -> None:
        now = self.now
        if alarm.kind is Kind.TEST and alarm.deadline_s is not None and now.service_s >= alarm.deadline_s:
            self.put(life_cycle.close(alarm, now, Disposition.TEST, ""))
            return
        until_s = alarm.shelved_until_s
        if alarm.state is AlarmState.SHELVED and until_s is not None and now.service_s >= until_s:
            self.put(life_cycle.expire_shelf(alarm, now))
            return
        if life_cycle.is_overdue_now(alarm, now):
            self.put(life_cycle.overdue(alarm, now))
            alarm = self.alarms[alarm.alarm_id]
        if rescue.is_missed_now(alarm, now):
            self.put(rescue.miss(alarm, now))

    def _end_drills(self) -> None:
        """A real alarm ends every drill: nobody at the desk may have to ask which of two is meant."""
        for drill in [alarm for alarm in self.alarms.values() if alarm.kind is Kind.TEST]:
            self.put(life_cycle.close(drill, self.now, Disposition.TEST, REAL_ALARM))

    def _forget(self) -> None:
        now = self.now
        recent: dict[str, Recent] = self._look("recent", self._before.recent)
        for key in [k for k, r in recent.items() if now.service_s - r.closed_s > life_cycle.JOIN_S]:
            self._drop("recent", key)
        latest: dict[str, Incident] = self._look("incidents", self._before.incidents)
        open_ids = self.alarms.keys()
        for place, incident in tuple(latest.items()):
            if incidents.is_over(incident, set(open_ids), now):
                del self._mine("incidents", self._before.incidents)[place]
                self.state[f"incident/{incident.incident_id}"] = None
        until_s = self._fields.get("silenced_until_s", self._before.silenced_until_s)
        if until_s is not None and now.service_s >= until_s:
            self.silence(None)

    def _reindex(self, alarm: Alarm) -> None:
        if alarm.kind is Kind.TEST:
            return
        index = self._mine("index", self._before.index)
        codes = dict(index.get(alarm.device_id, {}))
        if alarm.is_open:
            codes[alarm.code] = alarm.alarm_id
        else:
            codes.pop(alarm.code, None)
            if alarm.kind is not Kind.INHIBITED:
                remembered = Recent(
                    alarm_id=alarm.alarm_id,
                    closed_s=self.now.service_s,
                    repeats=alarm.repeats,
                    edges_s=alarm.edges_s,
                )
                self._keep("recent", f"{alarm.device_id}/{alarm.code}", remembered)
        if codes:
            index[alarm.device_id] = codes
        else:
            index.pop(alarm.device_id, None)

    def _set_load(self, load: Load) -> None:
        if load is not self.load:
            self._fields["load"] = load
            self.state["flood"] = msgspec.json.encode(load)

    def _keep(self, name: str, key: str, value: Struct) -> None:
        self._mine(name, getattr(self._before, name))[key] = value
        self.state[f"{name}/{key}"] = msgspec.json.encode(value)

    def _drop(self, name: str, key: str) -> None:
        self._mine(name, getattr(self._before, name)).pop(key, None)
        self.state[f"{name}/{key}"] = None

    def _look(self, name: str, before: _T) -> _T:
        value: _T = self._fields.get(name, before)
        return value

    def _mine(self, name: str, before: dict[str, _T]) -> dict[str, _T]:
        """Return this draft's own copy of one of the board's dicts."""
        if name not in self._fields:
            self._fields[name] = dict(before)
        mine: dict[str, _T] = self._fields[name]
        return mine


def is_real(alarm: Alarm) -> bool:
    """Return whether this is an alarm or a tampering, not a drill and not a fault (a drill may bring faults to light)."""
    return alarm.kind in {Kind.ALARM, Kind.TAMPER}


_SOUNDS_ANEW: Final = frozenset({What.RAISED, What.REPEATED, What.EXPOSED, What.SHELF_EXPIRED})


def restore(state: Mapping[str, bytes]) -> tuple[AlarmBoard, tuple[str, ...]]:
    """Return the board from its state keys, and the keys that could not be read."""
    damaged: list[str] = []

    def load(prefix: str, kind: type[_T]) -> dict[str, _T]:
        found = {}
        for key, value in state.items():
            if key.startswith(prefix):
                try:
                    found[key.removeprefix(prefix)] = msgspec.json.decode(value, type=kind)
                except msgspec.DecodeError:
                    damaged.append(key)
        return found

    alarms = load("alarm/", Alarm)
    index: dict[str, dict[str, str]] = {}
    for alarm in alarms.values():
        if alarm.kind is not Kind.TEST:
            index.setdefault(alarm.device_id, {})[alarm.code] = alarm.alarm_id
    latest = sorted(load("incident/", Incident).values(), key=lambda incident: incident.latest_s)
    board = AlarmBoard(
        alarms=alarms,
        index=index,
        recent=load("recent/", Recent),
        waived=load("waived/", Waiver),
        incidents={incident.place: incident for incident in latest},
        inhibited=load("shelf/", Inhibition),
        load=load("flood", Load).get("", Load()),
        silenced_until_s=load("silence", float).get(""),
    )
    return board, tuple(damaged)
