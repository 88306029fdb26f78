"""The test plan: what is measured on a board, and between which limits. A plan without limits is refused.

A measurement may be written once for several rows (`each`): a row fills the `{names}` in the texts and overrides fields,
as pytest's parametrize does. Plans are data in `plans/`; `docs/bench.md` explains how to write one.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.kind import Kind
from gatehouse_hil.bench.rig import Name, Part

MAX_FILE_BYTES: Final = 256 * 1024
MAX_MEASUREMENTS: Final = 200
_PLANS: Final = Path(__file__).with_name("plans")


class _Limits(Part):
    name: Name
    zh: Annotated[str, Field(min_length=1, max_length=60)]
    en: Annotated[str, Field(min_length=1, max_length=60)]
    unit: Annotated[str, Field(max_length=12)] = ""
    low: float | None = None
    high: float | None = None
    equals: float | None = None

    @model_validator(mode="after")
    def _in_order(self) -> _Limits:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"'{self.name}': low is above high")
        return self

    @property
    def has_limits(self) -> bool:
        """Whether anything could fail this measurement."""
        return not (self.low is None and self.high is None and self.equals is None)

    def admits(self, value: float) -> bool:
        """Whether `value` is within the limits; NaN never is."""
        return (
            value == value  # noqa: PLR0124  # NaN is the only value that differs from itself
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.equals is None or value == self.equals)
        )


class OfMeter(_Limits):
    """An instrument of the rig: `meters` of the board in the rig file."""

    measure: Literal["meter"]
    meter: Name


class OfSelfTestCheck(_Limits):
    """One check of the node's self-test: 1 passed, 0 not."""

    measure: Literal["self_test_check"]
    check: str


class OfSelfTestValue(_Limits):
    """One value that the node's self-test measured."""

    measure: Literal["self_test_value"]
    key: str


class OfNode(_Limits):
    """A number that an expression has on the node: `__import__('gc').mem_alloc()`."""

    measure: Literal["node_number"]
    expression: Annotated[str, Field(max_length=200)]


class OfRegister(_Limits):
    """A field of the gas node's register map, read over its RS-485 port while its program runs."""

    measure: Literal["register"]
    field: Literal[
        "status", "value", "heartbeat", "temperature_c", "humidity_pct", "uptime_s", "reset_cause", "slot"
    ]


class OfBus(_Limits):
    """How the gas node answers on its bus: share of good answers (`good_pct`) or the slowest one (`worst_ms`)."""

    measure: Literal["bus"]
    figure: Literal["good_pct", "worst_ms"]
    reads: Annotated[int, Field(ge=1, le=1000)] = 20


class OfPowerOff(_Limits):
    """1 when the board is really off after "off"."""

    measure: Literal["power_off"]


Measure = Annotated[
    OfMeter | OfSelfTestCheck | OfSelfTestValue | OfNode | OfRegister | OfBus | OfPowerOff,
    Field(discriminator="measure"),
]


class Plan(Part):
    """A plan, rows filled in."""

    plan: Name
    kind: Kind
    measurements: Annotated[tuple[Measure, ...], Field(min_length=1, max_length=MAX_MEASUREMENTS)]


class LoadedPlan(Part):
    """A plan and the hash of the file it came from, which stands in the record."""

    plan: Plan
    digest: str


_PLAN: Final = TypeAdapter(Plan)


def shipped(kind: Kind) -> Path:
    """Return the plan that comes with the bench for this kind."""
    return _PLANS / f"{kind}.yaml"


def load(path: Path) -> LoadedPlan:
    """Return the plan in the file at `path`.

    Raises:
        BenchError: PLAN_UNREADABLE; PLAN_NO_LIMITS with the measurement; PLAN_WRONG.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BenchError(Fault.PLAN_UNREADABLE, path=path, why=error.strerror or "") from error
    if len(raw) > MAX_FILE_BYTES:
        raise BenchError(Fault.PLAN_UNREADABLE, path=path, why=f"more than {MAX_FILE_BYTES} bytes")
    try:
        data = yaml.safe_load(raw)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BenchError(Fault.PLAN_UNREADABLE, path=path, why=str(error)) from error
    return LoadedPlan(plan=parse(data), digest=sha256(raw).hexdigest())


def parse(data: object) -> Plan:
    """Return the plan that `data` (what YAML gave) describes, rows filled in.

    Raises:
        BenchError: PLAN_NO_LIMITS, PLAN_WRONG.
    """
    try:
        plan = _PLAN.validate_python(_with_rows(data))
    except ValidationError as error:
        item = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(step) for step in item["loc"])
        raise BenchError(Fault.PLAN_WRONG, where=place or "the file", why=item["msg"]) from error
    for measurement in plan.measurements:
        if not measurement.has_limits:
            raise BenchError(Fault.PLAN_NO_LIMITS, name=measurement.name)
    names = [measurement.name for measurement in plan.measurements]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BenchError(Fault.PLAN_WRONG, where="measurements", why=f"'{twice[0]}' twice")
    return plan


def _with_rows(data: object) -> object:
    """Write out the measurements that are given once for several rows."""
    if not isinstance(data, dict) or not isinstance(data.get("measurements"), list):
        return data
    written: list[object] = []
    for item in data["measurements"]:
        rows = item.get("each") if isinstance(item, dict) else None
        if not isinstance(rows, list):
            written.append(item)
            continue
        common = {key: value for key, value in item.items() if key != "each"}
        written.extend(_filled(common, row) for row in rows[:MAX_MEASUREMENTS] if isinstance(row, dict))
    return {**data, "measurements": written}


def _filled(common: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """A row's keys that are fields of a measurement override; the others only fill `{names}`."""
    filled = {key: _fill(value, row) if isinstance(value, str) else value for key, value in common.items()}
    return filled | {key: value for key, value in row.items() if key in _OVERRIDES}


def _fill(text: str, row: dict[str, Any]) -> str:
    for name, value in row.items():
        text = text.replace("{" + str(name) + "}", str(value))
    return text


_OVERRIDES: Final = frozenset(
    {
        "low",
        "high",
        "equals",
        "unit",
        "zh",
        "en",
        "check",
        "key",
        "meter",
        "field",
        "expression",
        "figure",
        "reads",
    }
)
