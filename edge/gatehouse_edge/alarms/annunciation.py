"""An alarm is not told until a screen has painted it and a speaker could sound it.

The console sends a receipt for what it painted. A new P1 or P2 without one after `RECEIPT_S` makes every siren sound, also
those that the configuration keeps quiet, and raises `gateway.console_unheard`, which goes when the receipt comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import structs

from gatehouse_edge.alarms.commands import Annunciated
from gatehouse_edge.clock import Now
from gatehouse_edge.rules.condition import Condition
from gatehouse_events.alarm import Alarm
from gatehouse_events.states import AlarmState, Priority

RECEIPT_S: Final = 5.0
UNHEARD_CODE: Final = "gateway.console_unheard"
_SOUNDING: Final = frozenset({Priority.P1, Priority.P2})


def sounds(alarm: Alarm) -> bool:
    """Return whether this alarm asks for a siren: P1 or P2 that nobody has taken."""
    return alarm.state is AlarmState.UNACK and alarm.priority in _SOUNDING


def receive(alarm: Alarm, receipt: Annunciated, now: Now) -> Alarm | None:
    """Return the alarm marked as told, None if the receipt changes nothing.

    A receipt for an older showing does not count, nor one of a page that could not be seen or could not sound.
    """
    is_full = receipt.visible and receipt.audible
    if alarm.heard_s is not None or not is_full or not alarm.material_seq <= receipt.seq <= alarm.seq:
        return None
    return structs.replace(alarm, heard_s=now.service_s)


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


def condition(missing: list[Alarm]) -> Condition | None:
    """Return the fault while something is untold. It names the count, not the alarms: they stand in the list."""
    return Condition(code=UNHEARD_CODE) if missing else None
