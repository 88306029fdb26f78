"""Boards that exist in this computer only: the same commands, the same tools, the same files; no hardware."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, assert_never

from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.kind import Kind
from gatehouse_hil.bench.power import SUPPLY_METER
from gatehouse_hil.bench.rig import Practice, Reset, SimulatedBoard, SimulatedRig
from gatehouse_hil.bench.station import Hands, HandTask, Quantity, Station
from gatehouse_hil.fake_rom import ESP32_C3, ESP32_S3
from gatehouse_hil.sim_board import SimBoard
from gatehouse_hil.simnode import VmError

_CUT_AFTER_BLOCKS: Final = 6
_VANISH_AFTER_BYTES: Final = 9_000
_ADC_FULL_UV: Final = 2_500_000
"""Full scale of the chip's ADC at 11 dB (ESP32-C3 datasheet)."""
CLEAN_AIR_UV: Final = 400_000
"""Sensor amplifier in clean air: 0.4 V, as common catalytic modules give."""
UV_PER_PCT_LEL: Final = 16_000
"""Rise of the amplifier; 100 %LEL is 2.0 V, inside the ADC's range."""


@contextlib.asynccontextmanager
async def stations(
    rig: SimulatedRig, directory: Path, hands: Hands | None = None
) -> AsyncIterator[tuple[Station, ...]]:
    """Run the simulated boards for the block; their flash lives under `directory`.

    `hands` are asked first where the rig is for training.
    """
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for board in rig.boards:
            simulated = await stack.enter_async_context(_board(board, directory))
            station = _station(board, simulated, hands if rig.asks else None)
            made.append(station)
            if station.power is not None:
                await station.power.on()
        yield tuple(made)


def _board(board: SimulatedBoard, directory: Path) -> SimBoard:
    simulated = SimBoard(
        directory / board.name,
        directory / "dev" / f"usb-{board.name}-if00",
        mac=bytes.fromhex(board.mac),
        chip=ESP32_S3 if board.practice is Practice.WRONG_CHIP else ESP32_C3,
        baud=board.baud,
        is_deaf=board.practice is Practice.DEAF,
        is_stuck_on=board.practice is Practice.POWER_STAYS_ON,
    )
    if board.practice is Practice.CUT_WHILE_FLASHING:
        simulated.rom.cut_after_blocks = _CUT_AFTER_BLOCKS
    if board.practice is Practice.VANISHES:
        simulated.unplug_after_bytes = _VANISH_AFTER_BYTES
    _surround(simulated, board)
    return simulated


def _surround(simulated: SimBoard, board: SimulatedBoard) -> None:
    """What the sensors of a healthy board of this kind see on a table."""
    node = simulated.node
    match board.kind:
        case Kind.GAS:
            node.sense("adc2", 0 if board.practice is Practice.SENSOR_DEAD else _counts(CLEAN_AIR_UV))
        case Kind.LIFT:
            node.sense("pressure_pa", 101_325.0)
        case Kind.BUTTON:
            node.sense("adc2", _counts(1_500_000))  # half of a fresh CR2477's 3.0 V
            node.sense("pin3", 1)
        case Kind.BEACON:
            pass
        case never:
            assert_never(never)


def _station(board: SimulatedBoard, simulated: SimBoard, asked: Hands | None) -> Station:
    return Station(
        name=board.name,
        kind=board.kind,
        port=str(simulated.cable.path),
        expects=board.expects,
        reset=Reset.STRAP,
        hands=_Surroundings(simulated, asked),
        power=_Power(simulated, f"power-{board.name}"),
        strap=_Strap(simulated, f"strap-{board.name}"),
        uart=str(simulated.node.uart),
        meters={SUPPLY_METER: _Supply(simulated, f"meter-{board.name}")},
        is_loader_real=False,
        is_simulated=True,
    )


class _Power:
    def __init__(self, board: SimBoard, resource: str) -> None:
        self._board = board
        self.resource = resource

    async def on(self) -> None:
        try:
            await self._board.on()
        except VmError as error:
            raise BenchError(Fault.TOOL_FAILED, tool="MicroPython VM", said=error) from error

    async def off(self) -> None:
        await self._board.off()


class _Strap:
    def __init__(self, board: SimBoard, resource: str) -> None:
        self._board = board
        self.resource = resource

    async def set(self, *, is_closed: bool) -> None:
        self._board.is_strapped = is_closed


class _Supply:
    def __init__(self, board: SimBoard, resource: str) -> None:
        self._board = board
        self.resource = resource

    async def read(self) -> Quantity:
        return Quantity(value=self._board.supply_v, unit="V")


class _Surroundings:
    """Gas and floors come by themselves, in training once the technician has said so."""

    def __init__(self, board: SimBoard, asked: Hands | None) -> None:
        self._board = board
        self._asked = asked

    async def do(self, task: HandTask, **facts: str | float) -> None:
        if self._asked is not None:
            await self._asked.do(task, **facts)
        match task:
            case HandTask.ZERO_GAS:
                self._board.node.sense("adc2", _counts(CLEAN_AIR_UV))
            case HandTask.SPAN_GAS:
                rise_uv = float(facts["percent_lel"]) * UV_PER_PCT_LEL
                self._board.node.sense("adc2", _counts(CLEAN_AIR_UV + rise_uv))
            case HandTask.GO_TO_FLOOR:
                # 12 Pa for each metre, as near sea level (ISO 2533).
                self._board.node.sense("pressure_pa", 101_325.0 - 0.012 * float(facts["height_mm"]))
            case HandTask.HOLD_BOOT:
                self._board.is_strapped = True
            case never:
                assert_never(never)


def _counts(microvolts: float) -> int:
    return min(65_535, round(microvolts / _ADC_FULL_UV * 65_535))
