"""The limits of the rules, with the defaults of the domain table (rows 23 to 40)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gatehouse_config.part import Part


class GasRules(Part):
    """Gas detectors."""

    warm_up_limit_s: float = Field(
        default=180, ge=10, le=7200, description="warming up for longer is a sensor fault"
    )
    normal_s: float = Field(
        default=5, ge=0, le=600, description="an alarm goes when all is normal for this long ..."
    )
    normal_count: int = Field(default=3, ge=1, le=100, description="... and in so many readings")
    own_confirm_s: float = Field(
        default=15,
        ge=0,
        le=60,
        description="a value over its set point without the detector's own alarm must hold this long",
    )
    max_rate_fs_per_s: float = Field(
        default=0.5,
        gt=0,
        le=100,
        description="fastest believable change, in parts of full scale per second (row 18)",
    )


class LiftRules(Part):
    """Lifts (rows 30 to 35)."""

    confirm_s: float = Field(default=5, ge=0, le=120, description="a fault must hold this long")
    off_zone_stop_s: float = Field(
        default=45,
        ge=45,
        le=600,
        description="standing outside the door zone; below 45 s is refused (row 31)",
    )
    door_motion_debounce_s: float = Field(
        default=30, ge=0, le=300, description="door open while running must hold this long"
    )
    door_cycle_count: int = Field(default=5, ge=2, le=100, description="so many openings without a trip ...")
    door_cycle_window_s: float = Field(
        default=120, ge=10, le=3600, description="... within this time are repeated door cycles"
    )
    overspeed_ratio: float = Field(
        default=1.15, gt=1, le=2, description="overspeed from this times the rated speed"
    )
    presence_settle_s: float = Field(
        default=10, ge=0, le=120, description="radar gaps up to this are ignored (row 30)"
    )
    presence_after_close_s: float = Field(
        default=5, ge=0, le=60, description="presence may still change this long after the door has shut"
    )
    trapped_mode: Literal["auto", "confirmed"] = Field(
        default="auto", description="confirmed: only with the alarm button of the car"
    )
    trapped_after_s: float = Field(
        default=60, ge=10, le=600, description="somebody inside a standing, shut car for this long"
    )
    trapped_clear_s: float = Field(
        default=5, ge=0, le=120, description="level and open must last this long (row 32)"
    )
    trapped_auto_close_s: float = Field(
        default=9000, ge=1800, le=86_400, description="150 min; closed by the rule and marked so"
    )
    rescue_limit_s: float = Field(
        default=1800, ge=300, le=7200, description="helpers must have arrived (row 34)"
    )
    ebike_clear_s: float = Field(
        default=10, ge=0, le=300, description="the e-bike alarm stays this long after the last sign"
    )
    button_hold_s: float = Field(
        default=10, ge=0, le=300, description="a press of the car's alarm button stands this long"
    )


class SosRules(Part):
    """Help buttons (rows 37 to 40)."""

    press_hold_s: float = Field(
        default=30, ge=1, le=600, description="a press stands this long; its alarm is latched"
    )
    visit_after_s: float = Field(
        default=172_800,
        ge=3600,
        le=604_800,
        description="48 h without a sign of life from somebody living alone (row 40)",
    )
    heartbeat_is_life: bool = Field(
        default=True,
        description="false: only a press counts as a sign of life, the button's own heartbeat does not",
    )
    low_battery_pct: float = Field(default=15, ge=1, le=90, description="battery below this is low")
    battery_ok_pct: float = Field(default=25, ge=1, le=100, description="battery above this is no longer low")
    tamper_hold_s: float = Field(default=60, ge=1, le=3600, description="a tamper report stands this long")

    @model_validator(mode="after")
    def _has_hysteresis(self) -> SosRules:
        if self.battery_ok_pct <= self.low_battery_pct:
            raise ValueError("battery_ok_pct must be above low_battery_pct")
        return self


class PowerRules(Part):
    """Inputs of relay boards: mains, UPS, lids, valve feedback (row 26)."""

    on_s: float = Field(default=1, ge=0, le=300, description="a contact must say 'wrong' this long")
    off_s: float = Field(
        default=10, ge=0, le=600, description="and 'right' this long until its condition goes"
    )
    valve_travel_s: float = Field(
        default=15, ge=1, le=120, description="time a gas valve may take to reach its end position"
    )


class CameraRules(Part):
    """Camera pictures."""

    ok_s: float = Field(default=5, ge=0, le=600, description="a good picture must last this long")


class ThrowRules(Part):
    """Objects thrown from height."""

    hold_s: float = Field(
        default=30, ge=1, le=600, description="a throw stands this long; its alarm is latched"
    )


class NodeRules(Part):
    """Refused senders (rows 15, 17, 18)."""

    quiet_s: float = Field(
        default=300, ge=10, le=86_400, description="the alarm goes this long after the last refusal"
    )
    frame_limit: int = Field(default=50, ge=1, le=1_000_000, description="so many bad frames ...")
    frame_window_s: float = Field(
        default=60, ge=1, le=3600, description="... within this time are no longer noise"
    )


class BusRules(Part):
    """Buses and their supervision."""

    up_s: float = Field(default=3, ge=0, le=600, description="a bus must stay up this long to count as back")
    recover_count: int = Field(
        default=2,
        ge=1,
        le=100,
        description="signs of life until a lost device counts as back (help buttons: 1)",
    )


class Rules(Part):
    """All limits."""

    gas: GasRules = Field(default_factory=GasRules, description="gas detectors")
    lift: LiftRules = Field(default_factory=LiftRules, description="lifts")
    sos: SosRules = Field(default_factory=SosRules, description="help buttons")
    power: PowerRules = Field(default_factory=PowerRules, description="inputs of relay boards")
    camera: CameraRules = Field(default_factory=CameraRules, description="cameras")
    throw: ThrowRules = Field(default_factory=ThrowRules, description="throwing")
    node: NodeRules = Field(default_factory=NodeRules, description="refused senders")
    bus: BusRules = Field(default_factory=BusRules, description="buses and supervision")


class Step(Part):
    """One rung of an escalation ladder."""

    after_s: float = Field(
        ge=0, le=86_400, description="seconds after raising, while nobody has acknowledged"
    )
    notify: tuple[str, ...] = Field(
        min_length=1, max_length=16, description="contact ids, or desk, family, prompt_120, prompt_110"
    )


Ladder = tuple[Step, ...]


class Escalation(Part):
    """Who is told when nobody answers. prompt_120 and prompt_110 ask the operator; no public number is ever dialled."""

    gas: Ladder = Field(
        default=(Step(after_s=0, notify=("desk",)),), max_length=16, description="ladder of gas alarms"
    )
    lift: Ladder = Field(
        default=(Step(after_s=0, notify=("desk",)),), max_length=16, description="ladder of lift alarms"
    )
    sos: Ladder = Field(
        default=(
            Step(after_s=0, notify=("desk",)),
            Step(after_s=90, notify=("family",)),
            Step(after_s=180, notify=("prompt_120",)),
        ),
        max_length=16,
        description="ladder of help calls (row 37)",
    )
    throw: Ladder = Field(
        default=(Step(after_s=0, notify=("desk",)),), max_length=16, description="ladder of throwing"
    )
    gateway: Ladder = Field(
        default=(Step(after_s=0, notify=("desk",)),), max_length=16, description="ladder of the gateway's own"
    )
