"""Six roles, each reaching one subtree, and the rights they carry."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gatehouse_events.states import Label


class Role(StrEnum):
    """What a person is (issue of the fleet server, point 4)."""

    CITY_OPERATOR = "city_operator"
    DISTRICT_OPERATOR = "district_operator"
    PROPERTY_MANAGER = "property_manager"
    GUARD = "guard"
    TECHNICIAN = "technician"
    AUDITOR = "auditor"


class Right(StrEnum):
    """One thing a person may do inside the subtree of the role."""

    READ_ALARMS = "read_alarms"
    ACT_ON_ALARMS = "act_on_alarms"
    """Acknowledge and close from afar."""
    READ_CASES = "read_cases"
    HANDLE_CASES = "handle_cases"
    """Dispatch, hand on, give feedback."""
    VERIFY_CASES = "verify_cases"
    """核查结案 and 综合评价: never by whoever handled the case."""
    READ_CLIPS = "read_clips"
    READ_PERSONAL = "read_personal"
    """Names and telephone numbers (PIPL Art. 28)."""
    HOLD_EVIDENCE = "hold_evidence"
    READ_GATEWAYS = "read_gateways"
    MANAGE_GATEWAYS = "manage_gateways"
    """Enrol, revoke, life-cycle states, tags."""
    MANAGE_CONFIGS = "manage_configs"
    MANAGE_ORG = "manage_org"
    MANAGE_PEOPLE = "manage_people"
    MANAGE_CITY = "manage_city"
    """Targets of the city platform: park, resume, test."""
    READ_AUDIT = "read_audit"
    READ_STATISTICS = "read_statistics"
    SUBMIT_BENCH = "submit_bench"
    """Records and devices from the bench."""


_DESK: Final = frozenset({Right.READ_ALARMS, Right.READ_CASES, Right.READ_GATEWAYS})
_OFFICE: Final = _DESK | {
    Right.ACT_ON_ALARMS,
    Right.HANDLE_CASES,
    Right.READ_CLIPS,
    Right.READ_PERSONAL,
    Right.READ_STATISTICS,
}
_DISTRICT: Final = _OFFICE | {
    Right.VERIFY_CASES,
    Right.HOLD_EVIDENCE,
    Right.MANAGE_GATEWAYS,
    Right.MANAGE_CONFIGS,
    Right.MANAGE_ORG,
    Right.MANAGE_PEOPLE,
}

RIGHTS: Final[dict[Role, frozenset[Right]]] = {
    Role.CITY_OPERATOR: _DISTRICT | {Right.MANAGE_CITY, Right.READ_AUDIT, Right.SUBMIT_BENCH},
    Role.DISTRICT_OPERATOR: _DISTRICT,
    Role.PROPERTY_MANAGER: _OFFICE,
    Role.GUARD: _DESK | {Right.ACT_ON_ALARMS, Right.HANDLE_CASES},
    Role.TECHNICIAN: frozenset({Right.READ_GATEWAYS, Right.MANAGE_GATEWAYS, Right.SUBMIT_BENCH}),
    Role.AUDITOR: frozenset({Right.READ_AUDIT, Right.READ_STATISTICS, Right.READ_CASES, Right.READ_GATEWAYS}),
}
CONTRACTOR_NEVER: Final = frozenset({Right.READ_CLIPS, Right.READ_PERSONAL})
"""A contractor sees no clips and no names, whatever the role (Reg. 2025 Art. 19; domain row 49)."""

LABELS: Final[dict[Role, Label]] = {
    Role.CITY_OPERATOR: Label("市级值守", "city operator"),
    Role.DISTRICT_OPERATOR: Label("区级值守", "district operator"),
    Role.PROPERTY_MANAGER: Label("物业主管", "property manager"),
    Role.GUARD: Label("保安", "guard"),
    Role.TECHNICIAN: Label("维保技术员", "technician"),
    Role.AUDITOR: Label("审计", "auditor"),
}


class Actor(Struct, frozen=True, kw_only=True):
    """Who does something, as registers and the audit log write it down."""

    name: str
    role: str
    unit: str
    station: str


SYSTEM: Final = Actor(name="fleet", role="system", unit="", station="server")
"""Who acts when no person does (deadlines, escalation, adapters)."""


class Caller(Struct, frozen=True, kw_only=True):
    """One authenticated person behind a request."""

    user_id: int
    actor: Actor
    role: Role
    scope_id: int
    scope_path: str
    """Path of the subtree: `/1/5/`. Everything whose path starts with it is within reach."""
    is_contractor: bool = False

    def may(self, right: Right) -> bool:
        """Return whether the role carries `right`."""
        if self.is_contractor and right in CONTRACTOR_NEVER:
            return False
        return right in RIGHTS[self.role]

    def reaches(self, path: str) -> bool:
        """Return whether a place is inside the role's subtree."""
        return path.startswith(self.scope_path)
