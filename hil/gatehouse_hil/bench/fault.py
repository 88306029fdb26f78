"""What can go wrong at the bench: each with a name, the facts, a sentence in both languages and an exit code."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

_FACT_LENGTH: Final = 200
"""Longest fact in a sentence; tools and boards can say much more than a technician will read."""


class Fault(StrEnum):
    """Names of faults. Their sentences are in `words.py` under the same name."""

    # Misuse: nothing was touched.
    RIG_UNREADABLE = "rig_unreadable"
    RIG_WRONG = "rig_wrong"
    RIG_UNKNOWN_KEY = "rig_unknown_key"
    PLAN_UNREADABLE = "plan_unreadable"
    PLAN_WRONG = "plan_wrong"
    PLAN_NO_LIMITS = "plan_no_limits"
    NO_SUCH_BOARD = "no_such_board"
    NO_RESOURCE = "no_resource"
    NO_SUCH_FILE = "no_such_file"
    NO_SUCH_PROFILE = "no_such_profile"
    GAS_NOT_NAMED = "gas_not_named"
    WORD_MISSING = "word_missing"
    # The board.
    WRONG_CHIP = "wrong_chip"
    WRONG_BOARD = "wrong_board"
    WRONG_KIND = "wrong_kind"
    OTHER_SERIAL = "other_serial"
    NO_ANSWER = "no_answer"
    NOT_PROVISIONED = "not_provisioned"
    HALF_WRITTEN = "half_written"
    HASH_DIFFERS = "hash_differs"
    KEY_CHECK_DIFFERS = "key_check_differs"
    SELF_TEST_FAILED = "self_test_failed"
    OUT_OF_LIMITS = "out_of_limits"
    CALIBRATION_REFUSED = "calibration_refused"
    NODE_REFUSED = "node_refused"
    # The rig.
    PORT_BUSY = "port_busy"
    PORT_GONE = "port_gone"
    PORT_FORBIDDEN = "port_forbidden"
    POWER_STAYS_ON = "power_stays_on"
    RIG_BROKEN = "rig_broken"
    INSTRUMENT_SILENT = "instrument_silent"
    PLACE_TAKEN = "place_taken"
    LABGRID_SAID = "labgrid_said"
    TOOL_ABSENT = "tool_absent"
    TOOL_FAILED = "tool_failed"
    NO_RADIO = "no_radio"
    PRINTER_ABSENT = "printer_absent"
    # Files and gas.
    IMAGE_DAMAGED = "image_damaged"
    IMAGE_OTHER_CHIP = "image_other_chip"
    GAS_EXPIRED = "gas_expired"
    # The fleet and the record.
    NO_FLEET_KEY = "no_fleet_key"
    FLEET_UNREACHABLE = "fleet_unreachable"
    FLEET_REFUSED = "fleet_refused"
    RECORD_DAMAGED = "record_damaged"
    RECORD_STRANGER = "record_stranger"
    HISTORY_BROKEN = "history_broken"
    TRACE_DIFFERS = "trace_differs"


MISUSE: Final = frozenset(
    {
        Fault.RIG_UNREADABLE,
        Fault.RIG_WRONG,
        Fault.RIG_UNKNOWN_KEY,
        Fault.PLAN_UNREADABLE,
        Fault.PLAN_WRONG,
        Fault.PLAN_NO_LIMITS,
        Fault.NO_SUCH_BOARD,
        Fault.NO_RESOURCE,
        Fault.NO_SUCH_FILE,
        Fault.NO_SUCH_PROFILE,
        Fault.GAS_NOT_NAMED,
        Fault.WORD_MISSING,
    }
)
"""Faults of the order, not of a board: exit code 2."""

OF_THE_RIG: Final = frozenset({Fault.POWER_STAYS_ON, Fault.INSTRUMENT_SILENT})
"""Faults that are remembered against a resource of the rig until somebody says what was mended."""


class BenchError(Exception):
    """Something the technician must know. `facts` fill the sentence; `resource` is the part of the rig at fault."""

    def __init__(self, fault: Fault, /, *, resource: str = "", **facts: object) -> None:
        self.fault = fault
        self.resource = resource
        self.facts = {name: printable(str(value)) for name, value in facts.items()}
        super().__init__(f"{fault}: {self.facts}")

    @property
    def exit_code(self) -> int:
        """1: failed. 2: misuse."""
        return 2 if self.fault in MISUSE else 1


def printable(text: str, *, limit: int = _FACT_LENGTH) -> str:
    """Return `text` of a tool, a board or a file in one line, without control characters, cut to `limit`."""
    kept = "".join(mark if mark.isprintable() else " " for mark in text)
    kept = " ".join(kept.split())
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"
