"""Calibrate a node: zero and span of a gas detector, floors of a lift sensor.

A bottle past its date is refused before the valve is opened: its gas is not what its label says, and a detector adjusted
with it reads low for years. Zero and span are the sensor's voltage, read until it stands still.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Final, TypeVar

import yaml
from pydantic import Field, ValidationError

from gatehouse_hil.bench import bus, node
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.record import Calibration, CalibrationPoint, GasUsed
from gatehouse_hil.bench.rig import Part
from gatehouse_hil.bench.station import HandTask, Station
from gatehouse_wire import gas_registers

_READINGS: Final = 3
_STEADY_UV: Final = 5_000
"""Readings within this of each other stand still: 0.25 %LEL of a common sensor."""
_STEADY_WITHIN_S: Final = 120.0
_LEAST_RISE_UV: Final = 50_000
"""Less rise from zero to span gas is a dead sensor or an empty bottle."""
_AGREES_PCT_LEL: Final = 2.0
"""After calibration the node must read the bottle's value within this (EN 50194-1 allows 5 %LEL at the set point)."""
_BUS_WITHIN_S: Final = 60.0
_P = TypeVar("_P", bound=Part)


class Bottle(Part):
    """The bottle file: what its certificate says."""

    gas: Annotated[str, Field(min_length=1, max_length=40)]
    percent_lel: Annotated[float, Field(gt=0, le=100)]
    bottle: Annotated[str, Field(min_length=1, max_length=40)]
    """Number of the bottle."""
    expires: date


class Floor(Part):
    """One landing."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,4}$")]
    height_mm: Annotated[int, Field(ge=0, le=1_000_000)]
    """Above the lowest landing."""


class FloorTable(Part):
    """The floors file: landings from the bottom."""

    floors: Annotated[tuple[Floor, ...], Field(min_length=2, max_length=64)]


def load_bottle(path: Path) -> Bottle:
    """Return the bottle described in the file.

    Raises:
        BenchError: PLAN_UNREADABLE, PLAN_WRONG.
    """
    return _load(path, Bottle)


def load_floors(path: Path) -> FloorTable:
    """Return the floors described in the file.

    Raises:
        BenchError: PLAN_UNREADABLE, PLAN_WRONG; also when they are not in order.
    """
    table = _load(path, FloorTable)
    heights = [floor.height_mm for floor in table.floors]
    if heights[0] != 0 or heights != sorted(set(heights)):
        raise BenchError(
            Fault.PLAN_WRONG, where="floors", why="from the bottom, the lowest at 0 mm, each above the last"
        )
    return table


def check_bottle(bottle: Bottle, today: date) -> None:
    """Refuse a bottle that is past its date; on the day itself it is still good.

    Raises:
        BenchError: GAS_EXPIRED.
    """
    if today > bottle.expires:
        raise BenchError(Fault.GAS_EXPIRED, bottle=bottle.bottle, expires=bottle.expires)


async def calibrate_gas(
    station: Station, bottle: Bottle, *, unit_id: int, today: date, on_progress: Callable[[float], None]
) -> Calibration:
    """Adjust zero and span, then let the node read the span gas through its bus.

    Raises:
        BenchError: GAS_EXPIRED before anything is touched; CALIBRATION_REFUSED; SELF_TEST_FAILED; faults of board and rig.
    """
    check_bottle(bottle, today)
    await station.hands.do(HandTask.ZERO_GAS, board=station.name)
    zero_uv = await _steady_uv(station)
    on_progress(0.25)
    await station.hands.do(HandTask.SPAN_GAS, board=station.name, percent_lel=bottle.percent_lel)
    span_uv = await _steady_uv(station)
    on_progress(0.5)
    if span_uv - zero_uv < _LEAST_RISE_UV:
        raise BenchError(Fault.CALIBRATION_REFUSED, why=f"{zero_uv / 1000:.0f} mV -> {span_uv / 1000:.0f} mV")
    wanted = {"zero_uv": zero_uv, "span_uv": span_uv, "span": round(bottle.percent_lel * 10), "due": 0}
    said = await node.calibrate(station.port, wanted)
    if not said.ok or said.stored != wanted:
        raise BenchError(Fault.CALIBRATION_REFUSED, why=said.why)
    shown = await _shown_pct_lel(station, unit_id)
    on_progress(0.9)
    await station.hands.do(HandTask.ZERO_GAS, board=station.name)
    if abs(shown - bottle.percent_lel) > _AGREES_PCT_LEL:
        raise BenchError(Fault.CALIBRATION_REFUSED, why=f"{bottle.percent_lel:g} %LEL -> {shown:g} %LEL")
    on_progress(1.0)
    return Calibration(
        points=(
            CalibrationPoint(name="zero", applied=0.0, unit="%LEL", shown=zero_uv, shown_unit="µV"),
            CalibrationPoint(
                name="span", applied=bottle.percent_lel, unit="%LEL", shown=span_uv, shown_unit="µV"
            ),
            CalibrationPoint(
                name="check", applied=bottle.percent_lel, unit="%LEL", shown=shown, shown_unit="%LEL"
            ),
        ),
        gas=GasUsed(
            gas=bottle.gas, percent_lel=bottle.percent_lel, bottle=bottle.bottle, expires=bottle.expires
        ),
        stored=wanted,
    )


async def calibrate_floors(
    station: Station, table: FloorTable, *, on_progress: Callable[[float], None]
) -> Calibration:
    """Store the landings, after the barometer has shown at each that the heights are true.

    Raises:
        BenchError: CALIBRATION_REFUSED, the pressure does not fall from floor to floor; faults of board and rig.
    """
    points: list[CalibrationPoint] = []
    for done, floor in enumerate(table.floors):
        await station.hands.do(
            HandTask.GO_TO_FLOOR, board=station.name, floor=floor.name, height_mm=floor.height_mm
        )
        pressure_pa = await _value(station, "pressure_pa")
        if points and pressure_pa >= points[-1].shown:
            raise BenchError(Fault.CALIBRATION_REFUSED, why=f"{floor.name}: {pressure_pa:.0f} Pa")
        points.append(
            CalibrationPoint(
                name=floor.name,
                applied=floor.height_mm,
                unit="mm",
                shown=round(pressure_pa, 1),
                shown_unit="Pa",
            )
        )
        on_progress((done + 1) / (len(table.floors) + 1))
    wanted = tuple((floor.name, floor.height_mm) for floor in table.floors)
    said = await node.floors(station.port, wanted)
    if not said.ok or said.floors != len(wanted):
        raise BenchError(Fault.CALIBRATION_REFUSED, why=said.why)
    on_progress(1.0)
    return Calibration(points=tuple(points), stored={floor.name: floor.height_mm for floor in table.floors})


async def _steady_uv(station: Station) -> int:
    """The sensor's voltage once it stands still."""
    readings: list[float] = []
    try:
        async with asyncio.timeout(_STEADY_WITHIN_S):
            while True:
                readings.append(await _value(station, "sensor_uv"))
                last = readings[-_READINGS:]
                if len(last) == _READINGS and max(last) - min(last) <= _STEADY_UV:
                    return round(statistics.fmean(last))
    except TimeoutError as error:
        raise BenchError(Fault.CALIBRATION_REFUSED, why=f"{readings[-1:]} µV") from error


async def _value(station: Station, key: str) -> float:
    told = (await node.self_test(station.port)).values.get(key)
    if told is None:
        raise BenchError(Fault.SELF_TEST_FAILED, checks=key)
    return float(told)


async def _shown_pct_lel(station: Station, unit_id: int) -> float:
    """What the running node reports on its bus, once it measures again."""
    if station.uart is None:
        raise BenchError(Fault.NO_RESOURCE, part="uart", known="-")
    await node.restart(station.port)
    try:
        async with asyncio.timeout(_BUS_WITHIN_S):
            while True:
                block = (await bus.read(station.uart, unit=unit_id, reads=1, within_s=_BUS_WITHIN_S)).last
                if block.status & gas_registers.CALIBRATION_DUE:
                    raise BenchError(Fault.CALIBRATION_REFUSED, why="CALIBRATION_DUE")
                if block.status & gas_registers.MEASURING and block.value is not None:
                    return float(block.value)
                await asyncio.sleep(0.5)
    except TimeoutError as error:
        raise BenchError(Fault.CALIBRATION_REFUSED, why="warm-up") from error


def _load(path: Path, model: type[_P]) -> _P:
    try:
        data = yaml.safe_load(path.read_bytes()[:65_536])
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise BenchError(Fault.PLAN_UNREADABLE, path=path, why=str(error)) from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        item = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(step) for step in item["loc"])
        raise BenchError(Fault.PLAN_WRONG, where=where or str(path), why=item["msg"]) from error
