"""An alarm is not told until a screen at the desk has painted it and a speaker there could sound it.

The console sends a receipt for what it painted. A new P1 or P2 without one after `RECEIPT_S` makes every siren sound, also
those that the configuration keeps quiet, and raises `gateway.console_unheard`, which tells the fleet and goes when the receipt
comes. A page that says it cannot sound makes the quiet sirens sound at once. When the last screen at the desk has gone, what
was told there counts as untold again.

Only a person who may take alarms, at a station on site, is the desk: a tab that is open at somebody's home tells nobody here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import structs

from gatehouse_edge.alarms.commands import DESK_ROLES, LOCAL, Annunciated
from gatehouse_edge.clock import Now
from gatehouse_edge.rules.condition import Condition
from gatehouse_events.alarm import Actor, Alarm
from gatehouse_events.states import AlarmState, Priority

RECEIPT_S: Final = 5.0
UNHEARD_CODE: Final = "gateway.console_unheard"
_SOUNDING: Final = frozenset({Priority.P1, Priority.P2})


def sounds(alarm: Alarm) -> bool:
    """Return whether this alarm asks for a siren: P1 or P2 that nobody has taken."""
    return alarm.state is AlarmState.UNACK and alarm.priority in _SOUNDING


def is_desk(actor: Actor) -> bool:
    """Return whether a screen of this person stands at the desk."""
    return actor.station == LOCAL and actor.role in DESK_ROLES


def receive(alarm: Alarm, receipt: Annunciated, now: Now) -> Alarm | None:
    """Return the alarm marked as told, or as painted without sound; None if the receipt changes nothing.

    A receipt for an older showing does not count, nor one of a page that cannot be seen, nor one from elsewhere.
    """
    is_current = alarm.material_seq <= receipt.seq <= alarm.seq
    if alarm.heard_s is not None or not is_current or not receipt.visible or not is_desk(receipt.actor):
        return None
    if receipt.audible:
        return structs.replace(alarm, heard_s=now.service_s, is_mute=False)
    return None if alarm.is_mute else structs.replace(alarm, is_mute=True)


def leave(alarm: Alarm) -> Alarm | None:
    """Return the alarm as untold, because its screen has gone; None if it needs no telling."""
    is_told = alarm.heard_s is not None or alarm.is_mute
    return structs.replace(alarm, heard_s=None, is_mute=False) if is_told and sounds(alarm) else None


def unheard(alarms: Iterable[Alarm], now: Now) -> list[Alarm]:
    """Return the alarms that should have been told by now and were not."""
    return [
        alarm
        for alarm in alarms
        if sounds(alarm)
        and alarm.code != UNHEARD_CODE
        and alarm.heard_s is None
        and now.service_s - alarm.unack_since_s >= RECEIPT_S
    ]


def untold(alarms: Iterable[Alarm], now: Now) -> list[Alarm]:
    """Return the alarms for which also the quiet sirens sound: unheard, or painted by a page that is mute."""
    shown = list(alarms)
    mute = [alarm for alarm in shown if sounds(alarm) and alarm.heard_s is None and alarm.is_mute]
    return [*unheard(shown, now), *mute]


def condition(missing: list[Alarm]) -> Condition | None:
    """Return the fault while something is untold. It says whether a page was mute; the alarms stand in the list."""
    if not missing:
        return None
    return Condition(
        code=UNHEARD_CODE, text="page is mute" if all(alarm.is_mute for alarm in missing) else ""
    )
