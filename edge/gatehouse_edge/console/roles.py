"""Who may do what at the console (console brief §7), as one table."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a person is at this console."""

    VIEWER = "viewer"
    """观察"""
    OPERATOR = "operator"
    """值班"""
    SUPERVISOR = "supervisor"
    """主管"""
    TECHNICIAN = "technician"
    """维保"""
    ADMIN = "admin"
    """管理"""


class Right(StrEnum):
    """One thing a person may do."""

    WATCH = "watch"
    ACKNOWLEDGE = "acknowledge"
    SHELVE = "shelve"
    RESET = "reset"
    NOTE = "note"
    CLOSE = "close"
    RESCUE = "rescue"
    SILENCE = "silence"
    ABSENCE = "absence"
    INHIBIT = "inhibit"
    TEST = "test"
    VALVE_REQUEST = "valve_request"
    VALVE_CONFIRM = "valve_confirm"
    READ_JOURNAL = "read_journal"
    READ_RESIDENTS = "read_residents"
    """See names, telephone numbers and notes (PIPL Art 28; contractors do not, domain table row 49)."""
    SEE_EVIDENCE = "see_evidence"
    """Know what is kept of an alarm and see it masked."""
    SEE_ORIGINAL = "see_original"
    """See clips as the camera sent them."""
    HOLD_EVIDENCE = "hold_evidence"
    READ_REGISTER = "read_register"
    """See who has looked at what."""
    CALIBRATE = "calibrate"
    """Draw façades and zones on a still of a camera."""
    MANAGE_USERS = "manage_users"


_DESK: Final = frozenset({Role.OPERATOR, Role.SUPERVISOR, Role.ADMIN})
_LEAD: Final = frozenset({Role.SUPERVISOR, Role.ADMIN})
_EVERYBODY: Final = frozenset(Role)

RIGHTS: Final[dict[Right, frozenset[Role]]] = {
    Right.WATCH: _EVERYBODY,
    Right.ACKNOWLEDGE: _DESK,
    Right.SHELVE: _DESK,
    Right.RESET: _DESK,
    Right.NOTE: _DESK | {Role.TECHNICIAN},
    Right.CLOSE: _LEAD,
    Right.RESCUE: _DESK,
    Right.SILENCE: _DESK,
    Right.ABSENCE: _DESK,
    Right.INHIBIT: _LEAD | {Role.TECHNICIAN},
    Right.TEST: _DESK | {Role.TECHNICIAN},
    Right.VALVE_REQUEST: _DESK,
    Right.VALVE_CONFIRM: _LEAD,
    Right.READ_JOURNAL: _DESK,
    Right.READ_RESIDENTS: _DESK,
    Right.SEE_EVIDENCE: _DESK,
    Right.SEE_ORIGINAL: _LEAD,
    Right.HOLD_EVIDENCE: _LEAD,
    Right.READ_REGISTER: _LEAD,
    Right.CALIBRATE: _LEAD | {Role.TECHNICIAN},
    Right.MANAGE_USERS: frozenset({Role.ADMIN}),
}


def may(role: Role, right: Right) -> bool:
    """Return whether this role has this right."""
    return role in RIGHTS[right]
