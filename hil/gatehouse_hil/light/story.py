"""What happens in a light community: alarms with a whole life, each revision as a gateway would write it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Final

from msgspec.structs import replace

from gatehouse_events.alarm import SYSTEM, Actor, Alarm, Change, What, Word
from gatehouse_events.clock import ClockQuality, ClockSource
from gatehouse_events.codes import CODES
from gatehouse_events.states import ACK_LIMIT_S, AlarmState, Disposition, Kind

GUARD: Final = Actor(name="示例保安", role="operator", station="local")
_CLOCK: Final = ClockQuality(synced=True, offset_ms=4.0, source=ClockSource.NTP)
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
KINDS: Final[tuple[tuple[str, str, float | None, str | None], ...]] = (
    ("gas.low_alarm", "gas-1-101", 12.0, "%LEL"),
    ("gas.high_alarm", "gas-2-503", 27.0, "%LEL"),
    ("lift.trapped_off_level", "lift-1", None, None),
    ("lift.repeated_door_cycle", "lift-2", None, None),
    ("sos.pressed", "btn-1-302", None, None),
    ("throw.object_falling", "cam-1-n", None, None),
    ("gas.sensor_fault", "gas-1-101", None, None),
    ("sos.low_battery", "btn-1-302", None, None),
)
"""Code, device, value, unit: some of each priority."""


@dataclass(slots=True)
class Story:
    """The open alarms of one community; every method returns the revision to be written down."""

    random: Random
    open: dict[str, Alarm] = field(default_factory=dict)

    def raise_alarm(self, at: datetime, *, code: str | None = None, kind: Kind | None = None) -> Change:
        """Raise one alarm, of `code` or of any of `KINDS`; `kind` test makes it a drill."""
        rows = [row for row in KINDS if code in {None, row[0]}]
        if not rows:
            raise ValueError(
                f"{code} is not among the light gateways' alarms: {', '.join(row[0] for row in KINDS)}"
            )
        name, device, value, unit = self.random.choice(rows)
        row = CODES[name]
        alarm = Alarm(
            alarm_id=self._ulid(at),
            seq=1,
            device_id=device,
            code=name,
            kind=kind or row.kind,
            priority=row.priority,
            state=AlarmState.UNACK,
            is_active=True,
            raised_at=at,
            raised_s=at.timestamp(),
            changed_at=at,
            changed_s=at.timestamp(),
            unack_since_s=at.timestamp(),
            ack_due_s=_due(at.timestamp(), ACK_LIMIT_S[row.priority]),
            value=value,
            unit=unit,
        )
        return self._told(alarm, What.RAISED, Word.TEST if alarm.kind is Kind.TEST else Word.RAISED)

    def acknowledge(self, alarm_id: str, at: datetime, *, actor: Actor = GUARD) -> Change:
        """Somebody takes it."""
        alarm = self._next(alarm_id, at)
        taken = replace(alarm, state=AlarmState.ACKED, acked_by=actor.name, acked_at=at, ack_due_s=None)
        return self._told(taken, What.ACKNOWLEDGED, Word.ACKNOWLEDGED, actor=actor)

    def give_back(self, alarm_id: str, at: datetime) -> Change:
        """The cause goes away."""
        alarm = self._next(alarm_id, at)
        state = AlarmState.LATCHED if alarm.state is AlarmState.ACKED and alarm.is_latched else alarm.state
        state = AlarmState.RTN if alarm.state is AlarmState.UNACK else state
        return self._told(
            replace(alarm, is_active=False, returned_at=at, state=state), What.RETURNED, Word.UPDATED
        )

    def close(self, alarm_id: str, at: datetime, *, disposition: Disposition = Disposition.HANDLED) -> Change:
        """It ends with a finding."""
        alarm = self._next(alarm_id, at)
        closed = replace(
            alarm,
            state=AlarmState.CLOSED,
            is_active=False,
            closed_at=at,
            closed_s=at.timestamp(),
            disposition=disposition,
            close_reason="示例：现场处理完毕",
        )
        word = Word.FALSE_ALARM if disposition is Disposition.FALSE_ALARM else Word.CLEARED
        return self._told(closed, What.CLOSED, word, actor=GUARD)

    def go_on(self, at: datetime) -> Change:
        """Take the next likely step: new alarms, or somebody works off the oldest open one."""
        if not self.open or self.random.random() < 0.3:
            return self.raise_alarm(at)
        alarm = next(iter(self.open.values()))
        if alarm.state is AlarmState.UNACK:
            return self.acknowledge(alarm.alarm_id, at)
        if alarm.is_active:
            return self.give_back(alarm.alarm_id, at)
        return self.close(alarm.alarm_id, at)

    def _next(self, alarm_id: str, at: datetime) -> Alarm:
        alarm = self.open[alarm_id]
        seq = alarm.seq + 1
        return replace(alarm, seq=seq, material_seq=seq, changed_at=at, changed_s=at.timestamp())

    def _told(self, alarm: Alarm, what: What, word: Word, *, actor: Actor = SYSTEM) -> Change:
        if alarm.is_open:
            self.open[alarm.alarm_id] = alarm
        else:
            self.open.pop(alarm.alarm_id, None)
        return Change(alarm=alarm, what=what, word=word, actor=actor, clock=_CLOCK)

    def _ulid(self, at: datetime) -> str:
        number = (int(at.timestamp() * 1000) & (1 << 48) - 1) << 80 | self.random.getrandbits(80)
        return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def _due(now_s: float, limit_s: float | None) -> float | None:
    return None if limit_s is None else now_s + limit_s
