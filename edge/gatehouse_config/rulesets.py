"""The limits of the rules, with the defaults of the domain table (rows 23 to 40 and 44)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gatehouse_config.part import Part


class GasRules(Part):
    """Gas detectors."""

    expiry_notice_days: tuple[int, ...] = Field(
        (90, 30, 0), max_length=8, description="days before end of life (row 25)"
    )
    implausible_hold_s: float = Field(
        10, ge=0, le=600, description="how long an impossible value is held against it"
    )
    warm_up_limit_s: float = Field(600, ge=10, le=7200, description="warming up for longer is a sensor fault")


class LiftRules(Part):
    """Lifts (rows 30 to 35)."""

    off_zone_stop_s: float = Field(
        45, ge=45, le=600, description="standing outside the door zone; below 45 s is refused"
    )
    door_motion_debounce_s: float = Field(
        30, ge=0, le=300, description="door open while running must hold this long"
    )
    confirm_s: float = Field(5, ge=0, le=120, description="a fault must hold this long")
    trapped_after_s: float = Field(
        45, ge=10, le=600, description="somebody inside a standing, shut car for this long"
    )
    presence_flicker_s: float = Field(10, ge=0, le=120, description="radar gaps up to this are ignored")
    trapped_auto_close_s: float = Field(
        9000, ge=1800, le=86_400, description="150 min, closed by the rule and marked so"
    )
    rescue_limit_s: float = Field(1800, ge=300, le=7200, description="helpers must have arrived (row 34)")
    door_cycles: int = Field(5, ge=2, le=100, description="so many openings at one floor ...")
    door_cycle_window_s: float = Field(
        120, ge=10, le=3600, description="... within this time are repeated door cycles"
    )
    ebike_hold_s: float = Field(5, ge=0, le=300, description="the e-bike alarm stays at least this long")


class SosRules(Part):
    """Help buttons (rows 37 to 40)."""

    visit_after_h: float = Field(48, ge=1, le=168, description="no sign of life from somebody living alone")
    low_battery_pct: float = Field(15, ge=1, le=90, description="battery below this is low")


class PowerRules(Part):
    """Mains and UPS (row 26)."""

    mains_confirm_s: float = Field(2, ge=0, le=300, description="mains must be gone this long")


class CameraRules(Part):
    """Camera pictures."""

    confirm_s: float = Field(
        0, ge=0, le=600, description="a bad picture must hold this long after the driver named it"
    )


class ThrowRules(Part):
    """Objects thrown from height."""

    minimum_confidence: float = Field(0.5, ge=0, le=1, description="less certain detections are only logged")


class NodeRules(Part):
    """Refused senders (rows 15, 17, 18)."""

    fold_s: float = Field(60, ge=1, le=3600, description="refusals are folded into one count per this time")
    flood_count: int = Field(100, ge=1, le=1_000_000, description="so many bad frames per fold are a flood")
    hold_s: float = Field(
        300, ge=1, le=86_400, description="the alarm stands this long after the last refusal"
    )


class AlarmRules(Part):
    """Alarm management (row 44)."""

    flood_count: int = Field(10, ge=2, le=1000, description="so many new alarms ...")
    flood_window_s: float = Field(600, ge=10, le=7200, description="... within this time are a flood")
    chatter_count: int = Field(3, ge=2, le=100, description="so many returns of one alarm ...")
    chatter_window_s: float = Field(
        600, ge=10, le=7200, description="... within this time are chatter, folded into one"
    )
    repeat_window_s: float = Field(
        28_800, ge=60, le=86_400, description="the same cause within 8 h joins the open alarm"
    )
    incident_window_s: float = Field(
        900, ge=10, le=7200, description="alarms of one place within this are one incident"
    )


class Rules(Part):
    """All limits."""

    gas: GasRules = Field(default_factory=GasRules, description="gas detectors")
    lift: LiftRules = Field(default_factory=LiftRules, description="lifts")
    sos: SosRules = Field(default_factory=SosRules, description="help buttons")
    power: PowerRules = Field(default_factory=PowerRules, description="mains and UPS")
    camera: CameraRules = Field(default_factory=CameraRules, description="cameras")
    throw: ThrowRules = Field(default_factory=ThrowRules, description="throwing")
    node: NodeRules = Field(default_factory=NodeRules, description="refused senders")
    alarms: AlarmRules = Field(default_factory=AlarmRules, description="alarm management")


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
        (Step(after_s=0, notify=("desk",)),), max_length=16, description="ladder of gas alarms"
    )
    lift: Ladder = Field(
        (Step(after_s=0, notify=("desk",)),), max_length=16, description="ladder of lift alarms"
    )
    sos: Ladder = Field(
        (
            Step(after_s=0, notify=("desk",)),
            Step(after_s=90, notify=("family",)),
            Step(after_s=180, notify=("prompt_120",)),
        ),
        max_length=16,
        description="ladder of help calls (row 37)",
    )
    throw: Ladder = Field(
        (Step(after_s=0, notify=("desk",)),), max_length=16, description="ladder of throwing"
    )
    gateway: Ladder = Field(
        (Step(after_s=0, notify=("desk",)),), max_length=16, description="ladder of the gateway's own"
    )


Category = Literal["gas", "lift", "sos", "throw", "gateway"]
