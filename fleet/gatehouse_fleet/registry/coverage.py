"""How much of a district is watched, and how well: the figures a property manager and a city are judged by. Pure.

| figure | meaning | asked for by |
|---|---|---|
| smart-community coverage | communities in which all four senses are present and work | city report; domain notes §1.1: 80 -> 90 % |
| online rate | devices heard of now, of those deployed | 山东省智慧社区建设指标 (row 43) |
| intact rate 完好率 | devices without a fault, of those deployed; ≥ 90 % | row 43 |
| frames-delivered rate 出图率 | cameras that give pictures, of those deployed; ≥ 80 % | row 43 |
| camera up-time | share of the month's samples in which the cameras were online | row 42, 民法典 1254: proof of measures taken |
| alarms handled | alarms of the month that were closed with a finding | row 42 |

Figures are counts; rates are made at the end, so a district is never an average of averages. A rate of nothing is None, never 100 %.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from gatehouse_events.states import Label

INTACT_TARGET: Final = 0.90
FRAMES_TARGET: Final = 0.80
SMART_TARGET: Final = 0.90


class Sense(StrEnum):
    """The four senses of a smart community: 高空抛物监测、电梯智能识别、燃气报警、一键求助."""

    GAS = "gas"
    LIFT = "lift"
    SOS = "sos"
    THROW = "throw"


SENSE_LABELS: Final[dict[Sense, Label]] = {
    Sense.GAS: Label("燃气报警", "gas alarm"),
    Sense.LIFT: Label("电梯智能识别", "lift monitoring"),
    Sense.SOS: Label("一键求助", "help button"),
    Sense.THROW: Label("高空抛物监测", "thrown objects"),
}
SENSE_OF: Final[dict[str, Sense]] = {
    "household_gas_detector": Sense.GAS,
    "lift": Sense.LIFT,
    "ble_button": Sense.SOS,
    "camera": Sense.THROW,
}
"""Asset kinds as gateways tell them; any other kind counts as a device of no sense."""
CAMERA: Final = "camera"


class DeviceFact(Struct, frozen=True, kw_only=True):
    """One deployed device at this instant."""

    kind: str
    is_online: bool
    """Heard of, and its gateway too: a device behind a silent gateway is not online, whatever was said last."""
    has_fault: bool
    """A fault or tamper alarm of it is open."""


class CommunityFacts(Struct, frozen=True, kw_only=True):
    """What is known of one community, or of nothing yet."""

    devices: tuple[DeviceFact, ...] = ()
    camera_points: int | None = None
    """Places that should have a camera, as the register says."""
    camera_samples: int = 0
    """Cameras times samples in the period."""
    camera_online_samples: int = 0
    alarms_raised: int = 0
    alarms_handled: int = 0


class Figures(Struct, frozen=True, kw_only=True):
    """Counts of one community or of many."""

    communities: int = 0
    smart_communities: int = 0
    gas: int = 0
    """Communities in which this sense is present and works; so the next three."""
    lift: int = 0
    sos: int = 0
    throw: int = 0
    devices: int = 0
    devices_online: int = 0
    devices_intact: int = 0
    cameras: int = 0
    cameras_delivering: int = 0
    camera_points: int = 0
    cameras_at_points: int = 0
    camera_samples: int = 0
    camera_online_samples: int = 0
    alarms_raised: int = 0
    alarms_handled: int = 0

    @property
    def smart_coverage(self) -> float | None:
        """Smart-community coverage, 0 to 1."""
        return rate(self.smart_communities, self.communities)

    @property
    def online_rate(self) -> float | None:
        """在线率."""
        return rate(self.devices_online, self.devices)

    @property
    def intact_rate(self) -> float | None:
        """完好率."""
        return rate(self.devices_intact, self.devices)

    @property
    def frames_rate(self) -> float | None:
        """出图率."""
        return rate(self.cameras_delivering, self.cameras)

    @property
    def camera_coverage(self) -> float | None:
        """Registered points that have a camera; None where no points are registered."""
        return rate(self.cameras_at_points, self.camera_points)

    @property
    def camera_uptime(self) -> float | None:
        """Share of the samples in which cameras were online."""
        return rate(self.camera_online_samples, self.camera_samples)

    @property
    def handled_rate(self) -> float | None:
        """Alarms that were closed with a finding."""
        return rate(self.alarms_handled, self.alarms_raised)


def rate(part: int, whole: int) -> float | None:
    """Return part of whole, 0 to 1; None of nothing."""
    return None if whole == 0 else part / whole


def works(devices: Iterable[DeviceFact]) -> bool:
    """Return whether a sense works: it is present, and nine of ten of its devices are online and intact [O: the intact target]."""
    found = list(devices)
    good = sum(one.is_online and not one.has_fault for one in found)
    return bool(found) and good >= INTACT_TARGET * len(found)


def figures_of(facts: CommunityFacts) -> Figures:
    """Return the counts of one community."""
    working = {
        sense: works(one for one in facts.devices if SENSE_OF.get(one.kind) is sense) for sense in Sense
    }
    cameras = [one for one in facts.devices if one.kind == CAMERA]
    points = facts.camera_points or 0
    return Figures(
        communities=1,
        smart_communities=int(all(working.values())),
        gas=int(working[Sense.GAS]),
        lift=int(working[Sense.LIFT]),
        sos=int(working[Sense.SOS]),
        throw=int(working[Sense.THROW]),
        devices=len(facts.devices),
        devices_online=sum(one.is_online for one in facts.devices),
        devices_intact=sum(not one.has_fault for one in facts.devices),
        cameras=len(cameras),
        cameras_delivering=sum(one.is_online and not one.has_fault for one in cameras),
        camera_points=points,
        cameras_at_points=min(points, len(cameras)),
        camera_samples=facts.camera_samples,
        camera_online_samples=facts.camera_online_samples,
        alarms_raised=facts.alarms_raised,
        alarms_handled=facts.alarms_handled,
    )


def total(figures: Iterable[Figures]) -> Figures:
    """Return the counts of many communities together."""
    sums = dict.fromkeys(Figures.__struct_fields__, 0)
    for one in figures:
        for name in sums:
            sums[name] += getattr(one, name)
    return Figures(**sums)


class Indicator(Struct, frozen=True, kw_only=True):
    """One figure against what is asked for."""

    name: str
    label: Label
    value: float | None
    target: float | None
    is_met: bool | None
    """None: nothing to measure, or no target."""


def indicators(figures: Figures) -> tuple[Indicator, ...]:
    """Return the figures in the order in which they are reported."""
    rows = (
        (
            "smart_coverage",
            Label("智慧小区覆盖率", "smart-community coverage"),
            figures.smart_coverage,
            SMART_TARGET,
        ),
        ("online_rate", Label("在线率", "online rate"), figures.online_rate, None),
        ("intact_rate", Label("完好率", "intact rate"), figures.intact_rate, INTACT_TARGET),
        ("frames_rate", Label("出图率", "frames-delivered rate"), figures.frames_rate, FRAMES_TARGET),
        (
            "camera_coverage",
            Label("点位覆盖率", "camera points covered"),
            figures.camera_coverage,
            INTACT_TARGET,
        ),
        ("camera_uptime", Label("摄像机在线时长率", "camera up-time"), figures.camera_uptime, None),
        ("handled_rate", Label("报警处置率", "alarms handled"), figures.handled_rate, None),
    )
    return tuple(
        Indicator(
            name=name,
            label=label,
            value=value,
            target=target,
            is_met=None if value is None or target is None else value >= target,
        )
        for name, label, value, target in rows
    )
