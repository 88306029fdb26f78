"""How one city works its cases: deadlines, lights, who is told, what opens a case. Data with provenance, read from YAML.

`data/policy.yaml` ships as an example and is in force where no city has imported its own. The document is kept as it was
read, named by its SHA-256, and every deadline says which document and which row gave it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import time, timedelta
from enum import StrEnum
from functools import cached_property
from importlib.resources import files
from typing import Annotated, Final, Self
from zoneinfo import ZoneInfo

import yaml
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gatehouse_events.codes import CODES
from gatehouse_events.states import Kind, Priority
from gatehouse_fleet.cases.calendar import Calendar
from gatehouse_fleet.cases.deadline import Allowance, Basis, Window, WorkingTime
from gatehouse_fleet.cases.errors import PolicyError
from gatehouse_fleet.cases.lights import Light
from gatehouse_fleet.people.roles import Role

MAX_FILE_BYTES: Final = 256 * 1024
ANY: Final = "*"
PREVENTIVE: Final = "preventive"
"""What a preventive case 未诉先办 is called in the table of deadlines."""
_CATEGORIES: Final = frozenset(name.partition(".")[0] for name in CODES)

Provenance = Annotated[
    str, Field(min_length=3, max_length=500, description="law, handbook, or [O] own choice")
]


class Stage(StrEnum):
    """What a deadline is for."""

    FILING = "filing"
    DISPATCHING = "dispatching"
    TAKING = "taking"
    HANDLING = "handling"
    """处置时限: from the dispatch to the feedback."""
    VERIFYING = "verifying"
    EVALUATING = "evaluating"
    RESCUE = "rescue"
    """Somebody arrives at the trapped (domain row 34)."""
    ACCIDENT_REPORT = "accident_report"
    """Reported to the authorities (domain row 48)."""


STEP_STAGES: Final = tuple(stage for stage in Stage if stage not in {Stage.RESCUE, Stage.ACCIDENT_REPORT})
"""Every case has these, so the default row of the table must give each of them."""


class Audience(StrEnum):
    """Who is told."""

    HANDLER = "handler"
    """The person the case was dispatched to, else guards and manager of its community."""
    GUARD = Role.GUARD.value
    PROPERTY_MANAGER = Role.PROPERTY_MANAGER.value
    DISTRICT_OPERATOR = Role.DISTRICT_OPERATOR.value
    CITY_OPERATOR = Role.CITY_OPERATOR.value


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WorkingHours(_Part):
    """One stretch of the working day."""

    opens: time
    closes: time


class Lights(_Part):
    """When lights change."""

    yellow_from: Annotated[float, Field(gt=0, lt=1, description="part of the time that is used up")] = 0.75
    provenance: Provenance


class OpenRule(_Part):
    """Alarms that open a case by themselves."""

    kind: Kind
    priorities: Annotated[tuple[Priority, ...], Field(min_length=1)]
    except_codes: tuple[str, ...] = ()
    is_filed: bool = Field(default=True, description="案件建立 without a person")
    is_dispatched: bool = Field(
        default=False, description="and dispatched to the guards of its community at once"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = [code for code in self.except_codes if code not in CODES]
        if unknown:
            raise ValueError(f"unknown alarm codes: {', '.join(unknown)}")
        if self.is_dispatched and not self.is_filed:
            raise ValueError("a case cannot be dispatched that is not filed")
        return self


class DeadlineRow(_Part):
    """How much time one kind of event has for one stage."""

    match: Annotated[
        str, Field(max_length=64, description="alarm code, category (gas, lift, …), preventive, or *")
    ]
    stage: Stage
    basis: Basis
    amount: float
    provenance: Provenance

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.match not in {ANY, PREVENTIVE, *_CATEGORIES} and self.match not in CODES:
            raise ValueError(f"{self.match!r} is no alarm code, no category, not {PREVENTIVE} and not {ANY}")
        _ = self.allowance
        return self

    @property
    def allowance(self) -> Allowance:
        """The time there is."""
        return Allowance(basis=self.basis, amount=self.amount)

    @property
    def name(self) -> str:
        """What explanations call this row."""
        return f"{self.match}/{self.stage}"


class Rung(_Part):
    """Who is told, and when after a light has changed."""

    light: Light
    after_min: Annotated[int, Field(ge=0, le=60 * 24 * 60, description="minutes after the light changed")] = 0
    tell: Annotated[tuple[Audience, ...], Field(min_length=1)]

    @field_validator("light")
    @classmethod
    def _changes(cls, value: Light) -> Light:
        if value is Light.GREEN:
            raise ValueError("nobody is told of a green light")
        return value

    @property
    def after(self) -> timedelta:
        """How long after the light changed."""
        return timedelta(minutes=self.after_min)


class Ladder(_Part):
    """Whom to tell while a deadline passes (domain rows 37, 46)."""

    priorities: Annotated[tuple[Priority, ...], Field(min_length=1)]
    stages: tuple[Stage, ...] = Field(default=(), description="empty: every stage")
    rungs: Annotated[tuple[Rung, ...], Field(min_length=1, max_length=20)]
    provenance: Provenance


class Merging(_Part):
    """When alarms are one case."""

    place_window_min: Annotated[
        int, Field(ge=0, le=24 * 60, description="one building and unit, so near in time")
    ]
    provenance: Provenance


class Prevention(_Part):
    """When repeats open a preventive case 未诉先办."""

    repeats: Annotated[int, Field(ge=2, le=1000)]
    false_alarms: Annotated[int, Field(ge=2, le=1000)]
    days: Annotated[int, Field(ge=1, le=31)] = 7
    provenance: Provenance


class Ruling(Struct, frozen=True, kw_only=True):
    """The row that gives a deadline, and whether it was meant for this event."""

    row: DeadlineRow
    is_default: bool
    """No row names this event's code or category: the one for everything was taken."""


class Policy(_Part):
    """The whole document."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    provenance: Provenance
    zone: str = "Asia/Shanghai"
    working_hours: Annotated[tuple[WorkingHours, ...], Field(min_length=1, max_length=6)]
    lights: Lights
    opens: tuple[OpenRule, ...]
    deadlines: Annotated[tuple[DeadlineRow, ...], Field(max_length=1000)]
    ladders: Annotated[tuple[Ladder, ...], Field(max_length=50)]
    merging: Merging
    prevention: Prevention

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [row.name for row in self.deadlines]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"deadlines given twice: {', '.join(twice)}")
        missing = [stage.value for stage in STEP_STAGES if f"{ANY}/{stage}" not in names]
        if missing:
            raise ValueError(f"deadlines: the default row * is missing for {', '.join(missing)}")
        for priority in Priority:
            if not any(priority in ladder.priorities and not ladder.stages for ladder in self.ladders):
                raise ValueError(f"ladders: none for {priority} and every stage: somebody must be told")
        _ = self.working_time(Calendar(()))
        return self

    @field_validator("zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is no time zone") from error
        return value

    @cached_property
    def _rows(self) -> dict[str, DeadlineRow]:
        return {row.name: row for row in self.deadlines}

    def working_time(self, calendar: Calendar) -> WorkingTime:
        """Return when the city works."""
        windows = tuple(Window(opens=hours.opens, closes=hours.closes) for hours in self.working_hours)
        return WorkingTime(zone=ZoneInfo(self.zone), windows=windows, calendar=calendar)

    def opening(self, kind: Kind, priority: Priority, code: str) -> OpenRule | None:
        """Return how such an alarm opens a case; None: it does not."""
        for rule in self.opens:
            if rule.kind is kind and priority in rule.priorities and code not in rule.except_codes:
                return rule
        return None

    def ruling(self, code: str, stage: Stage) -> Ruling | None:
        """Return the deadline of `code` for `stage`: its own row, else its category's, else the default's.

        None: there is no such duty (a rescue for a gas alarm).
        """
        for match in (code, code.partition(".")[0], ANY):
            row = self._rows.get(f"{match}/{stage}")
            if row is not None:
                return Ruling(row=row, is_default=match == ANY)
        return None

    def ladder(self, priority: Priority, stage: Stage) -> tuple[Rung, ...]:
        """Return whom to tell; the ladder that names the stage goes before the one for every stage."""
        fitting = [ladder for ladder in self.ladders if priority in ladder.priorities]
        named = next((ladder for ladder in fitting if stage in ladder.stages), None)
        return (named or next(ladder for ladder in fitting if not ladder.stages)).rungs


class Document(Struct, frozen=True, kw_only=True):
    """A policy and the text it was read from."""

    policy: Policy
    text: str
    sha256: str


def parse(raw: bytes) -> Document:
    """Return the policy in a YAML file.

    Raises:
        PolicyError: it does not fit; the text names every place at once.
    """
    if len(raw) > MAX_FILE_BYTES:
        raise PolicyError(f"{len(raw)} bytes; a policy has at most {MAX_FILE_BYTES}")
    try:
        text = raw.decode("utf-8")
        policy = Policy.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        raise PolicyError("时限表不正确 the policy does not fit:\n" + "\n".join(_faults(error))) from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise PolicyError(f"时限表不是 YAML the policy is no YAML: {error}") from error
    return Document(policy=policy, text=text, sha256=hashlib.sha256(raw).hexdigest())


def shipped() -> Document:
    """Return the example that comes with the program."""
    return parse((files("gatehouse_fleet.cases") / "data" / "policy.yaml").read_bytes())


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors()[:50]:
        yield f"  {'.'.join(str(step) for step in fault['loc']) or '(document)'}: {fault['msg']}"
