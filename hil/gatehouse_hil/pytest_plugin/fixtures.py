"""The fixtures; their names and meanings are listed in the package."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from gatehouse_hil.bench.station import Station
from gatehouse_hil.line import Line
from gatehouse_hil.node_build import Build, NodeKind, build
from gatehouse_hil.pytest_plugin import rig_subject
from gatehouse_hil.pytest_plugin.gateway import GatewayProcess
from gatehouse_hil.pytest_plugin.power import Power
from gatehouse_hil.pytest_plugin.radio import Radio
from gatehouse_hil.pytest_plugin.subject import Identity, SimulatedSubject, Subject, skip_on_rig
from gatehouse_hil.radio.bluetoothd import Bluetoothd
from gatehouse_hil.radio.bus import PrivateBus
from gatehouse_hil.radio.medium import Medium
from gatehouse_hil.simnode import SimNode, is_available
from gatehouse_hil.simnode.commissioning import NvsValue, commission
from gatehouse_hil.wire_trace import Recorder, check

MakeProgram = Callable[..., Build]
MakeNode = Callable[..., Awaitable[Subject]]
MakeLine = Callable[..., AbstractContextManager[Line]]
MakeGateway = Callable[[Mapping[str, Any]], Awaitable[GatewayProcess]]
Golden = Callable[[Recorder, str], None]

TEST_KEY: Final = bytes(range(16))
"""Invented; every test may have its own."""
GAS_ENABLE_PIN: Final = 5
"""DE and /RE of the gas node's RS-485 driver (firmware/node/README.md)."""
_HEALTHY: Final[Mapping[NodeKind, Mapping[str, float]]] = {
    NodeKind.GAS: {"de_pin": GAS_ENABLE_PIN, "adc2_uv": 400_000},
    NodeKind.LIFT: {
        "pressure_pa": 101_325.0,
        "pin0": 0,
        "pin1": 1,
        "pin3": 0,
        "pin4": 0,
        "pin5": 1,
        "pin10": 0,
    },
    NodeKind.BUTTON: {"adc2_uv": 1_500_000, "pin3": 1, "pin4": 0},
    NodeKind.BEACON: {},
}
"""What the sensors of a healthy node on a table see."""


@pytest.fixture(name="medium")
def fixture_medium() -> Medium:
    """The simulated air."""
    return Medium(seed=5)


@pytest.fixture(name="program", scope="session")
def fixture_program() -> MakeProgram:
    """`program(kind, version)`: a node's program, built once a session."""
    built: dict[tuple[NodeKind, tuple[int, int, int]], Build] = {}

    def make(kind: NodeKind, version: tuple[int, int, int] = (1, 0, 0)) -> Build:
        if (kind, version) not in built:
            built[kind, version] = build(kind, version=version)
        return built[kind, version]

    return make


@pytest_asyncio.fixture(name="node")
async def fixture_node(
    request: pytest.FixtureRequest, tmp_path: Path, medium: Medium, program: MakeProgram
) -> AsyncIterator[MakeNode]:
    """`await node(NodeKind.GAS, number=17, key=..., calibration={...}, is_on=True)`: a commissioned node."""
    rig_file: Path | None = request.config.getoption("--rig")
    if rig_file is not None:
        async with rig_subject.opened(rig_file, tmp_path / "rig") as stations:
            yield _on_rig(stations)
        return
    if not is_available():
        pytest.skip("Node.js or npm is missing: no MicroPython VM for simulated nodes")
    async with AsyncExitStack() as stack:

        async def make(
            kind: NodeKind,
            *,
            number: int = 1,
            key: bytes = TEST_KEY,
            calibration: Mapping[str, NvsValue] | None = None,
            version: tuple[int, int, int] = (1, 0, 0),
            is_on: bool = True,
        ) -> Subject:
            identity = _identity(kind, number, key)
            directory = tmp_path / f"{kind.word}-{number}"
            commission(
                directory,
                program(kind, version),
                serial=identity.serial,
                node=number if kind in {NodeKind.GAS, NodeKind.LIFT} else 0,
                keys={identity.key_id: key},
                calibration=calibration,
            )
            node = SimNode(
                directory,
                mac=bytes((0x02, 0x00, 0x5E, int(kind), number >> 8 & 0xFF, number & 0xFF)),
                medium=medium,
                name=f"{kind.word}-{number}",
            )
            for name, value in _HEALTHY[kind].items():
                node.sense(name, value)
            await stack.enter_async_context(node)
            if is_on:
                await node.power_on()
            return SimulatedSubject(identity, node)

        yield make


def _identity(kind: NodeKind, number: int, key: bytes) -> Identity:
    return Identity(kind=kind, serial=f"GHT-{kind.word}-{number}", number=number, key=key)


def _on_rig(stations: tuple[Station, ...]) -> MakeNode:
    free = list(stations)

    async def make(
        kind: NodeKind,
        *,
        number: int = 1,
        key: bytes = TEST_KEY,
        calibration: Mapping[str, NvsValue] | None = None,
        version: tuple[int, int, int] = (1, 0, 0),
        is_on: bool = True,
    ) -> Subject:
        if version != (1, 0, 0) or not is_on:
            skip_on_rig("start from another version, or without power")
        station = next((one for one in free if one.kind.value == kind.word), None)
        if station is None:
            skip_on_rig(f"the rig has no (further) {kind.word} board")
        free.remove(station)
        return await rig_subject.commissioned(station, _identity(kind, number, key), calibration or {})

    return make


@pytest.fixture(name="line")
def fixture_line(tmp_path: Path) -> MakeLine:
    """`with line(gas, ...) as wire:` the serial line these nodes are on, at their rate."""

    @contextlib.contextmanager
    def on_line(*subjects: Subject) -> Iterator[Line]:
        rig_ports = {
            subject.station.uart for subject in subjects if isinstance(subject, rig_subject.RigSubject)
        }
        if None in rig_ports:
            skip_on_rig("a board has no uart in the rig file")
        is_lift = any(subject.identity.kind is NodeKind.LIFT for subject in subjects)
        wires = tmp_path / "wires"
        wires.mkdir(exist_ok=True)
        with Line(
            baud=115_200 if is_lift else 9600,
            is_duplex=is_lift,
            is_paced=not rig_ports,  # a real wire has its own pace
            directory=wires,
            name="test",
        ) as wire:
            for port in rig_ports:
                wire.join_device(Path(str(port)), name=subjects[0].name)
            for subject in subjects:
                if not isinstance(subject, rig_subject.RigSubject):
                    wire.join(subject.simulated.uart_port)
            yield wire

    return on_line


@pytest_asyncio.fixture(name="radio")
async def fixture_radio(
    request: pytest.FixtureRequest, medium: Medium, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Radio]:
    """The air, with a bluetoothd that stock bleak (ours, and that of a gateway process) finds by itself."""
    if request.config.getoption("--rig") is not None:
        yield Radio(None)  # the machine's own adapter
        return
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(PrivateBus())
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        await stack.enter_async_context(Bluetoothd(bus.address, medium))
        yield Radio(medium)


@pytest.fixture(name="power")
def fixture_power() -> Power:
    """Switches the nodes of this test."""
    return Power()


@pytest_asyncio.fixture(name="gateway")
async def fixture_gateway(tmp_path: Path) -> AsyncIterator[MakeGateway]:
    """`await gateway({"buses": [...], "devices": [...]})`: a running gateway; files it names lie under `tmp_path/gateway`."""
    async with AsyncExitStack() as stack:

        async def start(config: Mapping[str, Any]) -> GatewayProcess:
            return await stack.enter_async_context(GatewayProcess(tmp_path / "gateway", config))

        yield start


@pytest.fixture(name="golden")
def fixture_golden(request: pytest.FixtureRequest) -> Golden:
    """`golden(recorder, "gas-read")` fails unless what passed is as in `golden/gas-read.trace` beside the test."""

    def compare(recorder: Recorder, name: str) -> None:
        path = request.path.parent / "golden" / f"{name}.trace"
        different = check(path, recorder, is_renewed=bool(request.config.getoption("--renew-golden")))
        if different:
            pytest.fail("\n".join(different[:10]), pytrace=False)

    return compare
