"""The bodies the API accepts. Unknown keys are refused; every text is bounded."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from gatehouse_edge.alarms.commands import MAX_TEXT, RescueStep
from gatehouse_edge.console.accounts import MAX_PASSWORD
from gatehouse_edge.console.roles import Role
from gatehouse_edge.outputs import TEST_LIMIT_S
from gatehouse_events.drill import DrillKind
from gatehouse_events.states import Disposition, Kind, Priority

Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_TEXT)]
CommandId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}$")]
Seconds = Annotated[float, Field(ge=0, le=366 * 86_400, allow_inf_nan=False)]


class Body(BaseModel):
    """A JSON object without surprises."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Order(Body):
    """What every command carries."""

    command_id: CommandId | None = Field(
        default=None, description="chosen by the caller, unique: the same id twice is done once"
    )
    seen_seq: Annotated[int, Field(ge=1, le=2**53)] | None = Field(
        default=None, description="revision of the alarm the person was looking at"
    )


class ShelveOrder(Order):
    """Hide until later."""

    duration_s: Seconds
    reason: Reason


class CloseOrder(Order):
    """End with a finding."""

    disposition: Disposition
    reason: Reason


class NoteOrder(Order):
    """Write something."""

    text: Reason


class RescueOrder(Order):
    """How far the rescue is."""

    step: RescueStep
    reason: Reason = ""


class InhibitOrder(Order):
    """Record, do not annunciate."""

    duration_s: Seconds
    reason: Reason


class AbsenceOrder(Order):
    """The resident is away; 0 ends it."""

    duration_s: Seconds


class ValveOrder(Order):
    """Open a gas valve."""

    reason: Reason = ""


class TestOrder(Order):
    """Start a drill."""

    __test__ = False
    device_id: Annotated[str, StringConstraints(max_length=64)]
    code: Annotated[str, StringConstraints(max_length=64)]
    duration_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 300.0


class OutputTestOrder(Body):
    """Switch an output on to hear or see it."""

    duration_s: Annotated[float, Field(gt=0, le=TEST_LIMIT_S, allow_inf_nan=False)] = 3.0


class SelfTest(Body):
    """What a person saw or heard."""

    what: Literal[DrillKind.SCREEN, DrillKind.SOUND]
    is_good: bool
    note: Reason = ""


class Receipt(Body):
    """A page has painted this revision of an alarm."""

    alarm_id: Annotated[str, StringConstraints(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$")]
    seq: Annotated[int, Field(ge=1, le=2**53)]
    visible: bool
    audible: bool


class Receipts(Body):
    """Several at once: a page paints many alarms in one frame."""

    receipts: Annotated[list[Receipt], Field(min_length=1, max_length=200)]


Password = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PASSWORD)]
MAX_NAME: Final = 40
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)]


class Login(Body):
    """A person and a password."""

    name: Name
    password: Password


class Setup(Login):
    """The first user, with the one-time code."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=40)]


class NewUser(Login):
    """Another user."""

    role: Role


class UserChange(Body):
    """What changes of a user."""

    role: Role | None = None
    is_disabled: bool | None = None
    password: Password | None = None


class PastQuery(Body):
    """Which alarms of the past are asked for."""

    since: AwareDatetime
    until: AwareDatetime
    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)] = Field(
        default="", description="words that must all fit: room, resident, device, code, text, person"
    )
    category: Annotated[list[Literal["gas", "lift", "sos", "throw", "gateway"]], Field(max_length=5)] = []
    priority: Annotated[list[Priority], Field(max_length=4)] = []
    kind: Annotated[list[Kind], Field(max_length=5)] = []
    device: Annotated[str, StringConstraints(max_length=64)] = ""
    has_evidence: bool = False
    after: Annotated[str, StringConstraints(max_length=48)] = Field(
        default="", description="`next` of the page before"
    )
    limit: Annotated[int, Field(ge=1, le=500)] = 100


LaneName = Literal["alarm", "telemetry"]
