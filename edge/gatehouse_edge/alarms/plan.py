"""What the desk needs to know of the configuration: devices, ladders and outputs. No I/O, no YAML."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from gatehouse_events.alarm import GATEWAY

ALL: Final = "all"
"""In `serves`: every device."""


class Place(Struct, frozen=True, kw_only=True):
    """Where a device stands, as people say it."""

    building: str = ""
    unit: str = ""
    floor: str = ""
    room: str = ""
    name: str = ""

    @property
    def incident_key(self) -> str | None:
        """Building and unit; None: no place of its own, never grouped."""
        return f"{self.building}/{self.unit}" if self.building else None


class DevicePlan(Struct, frozen=True, kw_only=True):
    """One device, or one bus, and the rule that judges it."""

    device_id: str
    kind: str
    """Key of the table of rules."""
    settings: object
    """`Settings` of that rule."""
    place: Place = Place()


class LadderStep(Struct, frozen=True, kw_only=True):
    """Whom to tell when nobody has taken an alarm for `after_s`."""

    after_s: float
    notify: tuple[str, ...]


class OutputKind(StrEnum):
    """What hangs on a relay."""

    SIREN = "siren"
    LAMP = "lamp"
    VOICE = "voice"
    GAS_VALVE = "gas_valve"


class OutputPlan(Struct, frozen=True, kw_only=True):
    """One output and the devices it serves."""

    output_id: str
    kind: OutputKind
    serves: tuple[str, ...] = (ALL,)
    is_quiet: bool = False
    """A siren that the configuration keeps silent: it sounds only when no console shows a new P1 or P2."""
    place: Place = Place()

    def serves_device(self, device_id: str) -> bool:
        """Return whether this output acts for that device."""
        return ALL in self.serves or device_id in self.serves


_LADDER_SOS: Final = (
    LadderStep(after_s=0.0, notify=("desk",)),
    LadderStep(after_s=30.0, notify=("second",)),
    LadderStep(after_s=90.0, notify=("manager", "family")),
    LadderStep(after_s=180.0, notify=("prompt_120",)),
)
_LADDER: Final = (
    LadderStep(after_s=0.0, notify=("desk",)),
    LadderStep(after_s=60.0, notify=("second",)),
    LadderStep(after_s=180.0, notify=("manager",)),
)
DEFAULT_LADDERS: Final[dict[str, tuple[LadderStep, ...]]] = {
    "sos": _LADDER_SOS,
    "gas": _LADDER,
    "lift": _LADDER,
    "throw": _LADDER,
    "gateway": _LADDER,
}
"""Domain row 37 for help calls [O]; the others are our own choice of the same shape. `prompt_120` asks the person at
the desk to call: public numbers are never dialled by a machine."""


class Plan(Struct, frozen=True, kw_only=True):
    """The configuration as the desk sees it."""

    devices: dict[str, DevicePlan]
    escalation: dict[str, tuple[LadderStep, ...]] = {}
    """By code, else by category, else `DEFAULT_LADDERS`."""
    outputs: dict[str, OutputPlan] = {}
    adapters: dict[str, str] = {}
    """Bluetooth adapter -> id of its bus, whose rule also hears beacons and buttons."""

    def place(self, device_id: str) -> Place:
        """Return where a device or output stands; empty for the gateway and what is no longer configured."""
        if device_id in self.devices:
            return self.devices[device_id].place
        output = self.outputs.get(device_id)
        return Place() if output is None else output.place

    def knows(self, device_id: str) -> bool:
        """Return whether observations of this device are let in."""
        return device_id == GATEWAY or device_id in self.devices or device_id in self.outputs
