"""Run a plan on one board: each measurement to a value, each value against its limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, assert_never

from gatehouse_hil.bench import bus, node, power
from gatehouse_hil.bench.clock import Clock
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.plan import (
    Measure,
    OfBus,
    OfMeter,
    OfNode,
    OfPowerOff,
    OfRegister,
    OfSelfTestCheck,
    OfSelfTestValue,
    Plan,
)
from gatehouse_hil.bench.record import Measurement, Verdict
from gatehouse_hil.bench.station import Station

_START_S: Final = 40.0
"""A node that does not answer on its bus so long after its start does not work."""
_WHOLE_FROM: Final = 1e5
_FROM_NODE: Final = "node"


@dataclass(slots=True)
class Measuring:
    """One run of a plan; collects what was measured, also when it ends early."""

    station: Station
    clock: Clock
    unit_id: int
    measured: list[Measurement] = field(default_factory=list)
    _self_test: node.SelfTest | None = None
    _runs: bool = False
    """The node's program runs (a talk through its console stops it)."""

    async def run(self, plan: Plan, on_progress: Callable[[float], None]) -> None:
        """Measure everything; a value outside its limits ends nothing, so that the record shows all of them.

        Raises:
            BenchError: OUT_OF_LIMITS with the first of them, after the last; a fault of rig or board at once.
        """
        for done, wanted in enumerate(plan.measurements):
            on_progress(done / len(plan.measurements))
            value, instrument = await self._value(wanted)
            self.measured.append(
                Measurement(
                    name=wanted.name,
                    zh=wanted.zh,
                    en=wanted.en,
                    unit=wanted.unit,
                    value=round(value, 6),
                    low=wanted.low,
                    high=wanted.high,
                    equals=wanted.equals,
                    instrument=instrument,
                    verdict=Verdict.PASSED if wanted.admits(value) else Verdict.FAILED,
                    at=self.clock.now(),
                )
            )
        on_progress(1.0)
        if bad := [each for each in self.measured if each.verdict is Verdict.FAILED]:
            raise BenchError(
                Fault.OUT_OF_LIMITS, name=bad[0].name, zh=bad[0].zh, en=bad[0].en,
                value=f"{figure(bad[0].value)} {bad[0].unit}".strip(), limits=limits(bad[0]), count=len(bad),
            )  # fmt: skip

    async def _value(self, wanted: Measure) -> tuple[float, str]:
        match wanted:
            case OfMeter():
                meter = self.station.meters.get(wanted.meter)
                if meter is None:
                    known = ", ".join(sorted(self.station.meters)) or "-"
                    raise BenchError(Fault.NO_RESOURCE, part=wanted.meter, known=known)
                return (await meter.read()).value, meter.resource
            case OfSelfTestCheck():
                return float(self._found((await self._tested()).checks, wanted.check)), _FROM_NODE
            case OfSelfTestValue():
                return self._found((await self._tested()).values, wanted.key), _FROM_NODE
            case OfNode():
                self._runs = False
                return await node.number(self.station.port, wanted.expression), _FROM_NODE
            case OfRegister():
                value = getattr((await self._on_bus(1)).last, wanted.field)
                return float("nan") if value is None else float(value), _FROM_NODE
            case OfBus():
                run = await self._on_bus(wanted.reads)
                return (100 * run.good / run.asked if wanted.figure == "good_pct" else run.worst_ms), "bus"
            case OfPowerOff():
                await power.cycle(self.station)
                self._runs = True
                return 1.0, self.station.power.resource if self.station.power else ""
            case never:
                assert_never(never)

    async def _tested(self) -> node.SelfTest:
        if self._self_test is None:
            self._runs = False
            self._self_test = await node.self_test(self.station.port)
        return self._self_test

    async def _on_bus(self, reads: int) -> bus.BusRun:
        if self.station.uart is None:
            raise BenchError(
                Fault.NO_RESOURCE, part="uart", known=", ".join(sorted(self.station.meters)) or "-"
            )
        if not self._runs:
            await node.restart(self.station.port)
            self._runs = True
        return await bus.read(self.station.uart, unit=self.unit_id, reads=reads, within_s=_START_S)

    def _found(self, told: dict[str, bool] | dict[str, float | int | bool | None], key: str) -> float:
        value = told.get(key)
        return float("nan") if value is None else float(value)


def figure(value: float) -> str:
    """Return a number as people write it: six digits at most after rounding, never an exponent for large ones."""
    return f"{value:.0f}" if abs(value) >= _WHOLE_FROM else f"{value:g}"


def limits(measurement: Measurement) -> str:
    """Return the limits as people write them: `4.75 … 5.25 V`, `= 1`, `≤ 60000 B`."""
    unit = f" {measurement.unit}" if measurement.unit else ""
    if measurement.equals is not None:
        return f"= {figure(measurement.equals)}{unit}"
    if measurement.low is not None and measurement.high is not None:
        return f"{figure(measurement.low)} … {figure(measurement.high)}{unit}"
    if measurement.low is not None:
        return f"≥ {figure(measurement.low)}{unit}"
    return "" if measurement.high is None else f"≤ {figure(measurement.high)}{unit}"
