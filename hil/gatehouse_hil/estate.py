"""The simulated estate: every wire of one community, each with a device that speaks the real protocol on it.

RS-485 line with six gas detectors of two makes (one of them dead), a TCP gas controller, a relay board, two lifts
on serial lines (the second a push-only controller), five help buttons and a beacon over simulated Bluetooth, a
camera behind RTSP, a GSM modem. All names and numbers in it are invented.

What is ours in it runs our firmware: a gas node on the RS-485 line, the first lift's node, two buttons and the beacon are
simulated nodes where Node.js is installed. Without it stand-ins in Python take their places and the gas node is missing.
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import yaml

from gatehouse_hil.camera_player import CameraPlayer
from gatehouse_hil.facade import Facade
from gatehouse_hil.gas_controller import GasController
from gatehouse_hil.gas_detector import Cn6in1Detector, Detector0x6000
from gatehouse_hil.lift_controller import LiftController
from gatehouse_hil.lift_node import LiftNode
from gatehouse_hil.line import Line
from gatehouse_hil.modem import Modem
from gatehouse_hil.own_nodes import OwnBeacon, OwnButton, OwnGasDetector, OwnLiftNode
from gatehouse_hil.pty_pair import PtyPair
from gatehouse_hil.radio.beacon import Beacon
from gatehouse_hil.radio.bluetoothd import Bluetoothd
from gatehouse_hil.radio.bus import PrivateBus
from gatehouse_hil.radio.button import Button, Timing
from gatehouse_hil.radio.medium import Medium
from gatehouse_hil.relay_board import RelayBoard
from gatehouse_hil.simnode import VmError, vm

_log = logging.getLogger(__name__)

KEY_BYTES: Final = 16
VENDOR_GAP_S: Final = 0.5
DEAD_UNIT: Final = 6
MAINS, UPS_LOW, EBIKE, VALVE, LID = range(5)
"""Inputs of the relay board."""
SIREN, LAMP, VOICE, VALVE_CLOSE, VALVE_OPEN = range(5)
"""Coils of the relay board."""
ROOMS: Final = ("501", "502", "601", "602", "701", "702")
OWN_GAS_ROOM, OWN_GAS_UNIT = "801", 7
BUTTON_ROOMS: Final = ("101", "102", "201", "301", "602")
OWN_BUTTON_ROOMS: Final = ("101", "102")
CAMERA_FPS, CAMERA_FLOORS = 20, 15
"""What the camera sends, and what it looks at."""
LIFT_BAUD: Final = 115_200


class Estate:
    """All simulated devices, running. An async context manager; `directory` gets the wires, keys and gateway.yaml."""

    def __init__(
        self,
        directory: Path,
        *,
        console_port: int = 8443,
        with_camera: bool = True,
        with_own_nodes: bool | None = None,
        fleet_url: str | None = None,
    ) -> None:
        """Prepare.

        Args:
            directory: where wires, keys and gateway.yaml go.
            console_port: of the gateway's console.
            with_camera: with the camera.
            with_own_nodes: our firmware on simulated nodes; None: where Node.js is installed.
            fleet_url: the fleet server; None: the community stands alone.
        """
        self.fleet_url: Final = fleet_url
        self.directory: Final = directory.absolute()
        self.console_port: Final = console_port
        self.with_camera: Final = with_camera
        self.with_own_nodes: Final = _has_vm() if with_own_nodes is None else with_own_nodes
        wires = self.directory / "wires"
        self._stack = AsyncExitStack()
        self.line: Final = Line(baud=9600, directory=wires, name="gas")
        self.detectors: Final = {
            f"gas-3-2-{room}": (Cn6in1Detector if unit <= 3 else Detector0x6000)(
                unit_id=unit, min_gap_s=VENDOR_GAP_S
            )
            for unit, room in enumerate(ROOMS, start=1)
        }
        self.boiler_detectors: Final = {
            f"gas-boiler-{unit - 10}": Cn6in1Detector(unit_id=unit) for unit in (11, 12)
        }
        self.controller: Final = GasController(self.boiler_detectors.values())
        self.board: Final = RelayBoard(unit_id=30, closes={VALVE_CLOSE: VALVE}, opens={VALVE_OPEN: VALVE})
        self.cabinet: Final = GasController([self.board])
        self.lift_wire: Final[PtyPair | Line] = (
            Line(baud=LIFT_BAUD, is_duplex=True, directory=wires, name="lift-1")
            if self.with_own_nodes
            else PtyPair(wires / "usb-lift-1-if00")
        )
        self.push_wire: Final = PtyPair(wires / "usb-lift-2-if00")
        self.modem_wire: Final = PtyPair(wires / "usb-modem-if02")
        self.medium: Final = Medium()
        self.bus: Final = PrivateBus()
        facade = Facade(960, 540, floors=CAMERA_FLOORS, columns=10, fps=CAMERA_FPS)
        self.camera: Final = CameraPlayer(fps=CAMERA_FPS, facade=facade)
        self._keys: dict[str, bytes] = {}
        self.gas_nodes: dict[str, OwnGasDetector] = {}
        """Gas nodes of our own make."""
        self.lift_node: LiftNode | OwnLiftNode
        self.lift_controller: LiftController
        self.modem: Modem
        self.beacon: Beacon | OwnBeacon
        self.bluetoothd: Bluetoothd
        self.buttons: dict[str, Button | OwnButton] = {}

    @property
    def config_path(self) -> Path:
        """Where gateway.yaml is."""
        return self.directory / "gateway.yaml"

    @property
    def environment(self) -> dict[str, str]:
        """What the gateway's process needs to find the simulated Bluetooth: nothing else is special about it."""
        return {"DBUS_SYSTEM_BUS_ADDRESS": self.bus.address}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            (self.directory / "wires").mkdir(parents=True, exist_ok=True)
            for stale in (self.directory / "wires").iterdir():
                stale.unlink()
            self._keys = self._make_keys()
            if not self.with_own_nodes:
                _log.warning(
                    "without the MicroPython VM lift-3-1, %s and beacon-1 are stand-ins in Python; there is no gas node of our own",
                    ", ".join(f"btn-3-2-{room}" for room in OWN_BUTTON_ROOMS),
                )
            await self._start_modbus(stack)
            await stack.enter_async_context(self.controller)
            await stack.enter_async_context(self.cabinet)
            await self._start_lifts(stack)
            await self._start_radio(stack)
            if self.with_camera:
                await stack.enter_async_context(self.camera)
                (self.directory / "cam-3-n.calibration.json").write_text(
                    json.dumps(self.camera.facade.calibration()), encoding="utf-8"
                )
            self.board.set_input(MAINS, is_on=True)
            self.config_path.write_text(
                yaml.safe_dump(self.config(), allow_unicode=True, sort_keys=False), encoding="utf-8"
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def is_valve_closed(self) -> bool:
        """Position of the gas valve of building 3."""
        return bool(self.board.inputs[VALVE])

    @property
    def gateway_id(self) -> str:
        """Name of its gateway."""
        return "wh-371002-0007-gw1"

    @property
    def is_enrolled(self) -> bool:
        """Its gateway has a certificate of a fleet server."""
        return (self.directory / "gateway" / "fleet" / "identity.pem").exists()

    def forget_gateway(self) -> None:
        """Remove what the gateway has stored: the next start is its first."""
        shutil.rmtree(self.directory / "gateway", ignore_errors=True)

    async def _start_modbus(self, stack: AsyncExitStack) -> None:
        for detector in self.detectors.values():
            self.line.attach(detector)
            if detector.unit_id == DEAD_UNIT:
                detector.kill()
        stack.enter_context(self.line)
        if self.with_own_nodes:
            name = f"gas-3-2-{OWN_GAS_ROOM}"
            node = OwnGasDetector(
                self._node_directory(name), mac=_mac(OWN_GAS_UNIT), key=self._keys[name], unit_id=OWN_GAS_UNIT
            )
            self.gas_nodes[name] = await stack.enter_async_context(node)
            self.line.join(node.node.uart_port)

    async def _start_lifts(self, stack: AsyncExitStack) -> None:
        for wire in (self.lift_wire, self.push_wire, self.modem_wire):
            stack.enter_context(wire)
        self.lift_node = await self._start_lift_node(stack)
        self.lift_controller = await stack.enter_async_context(LiftController(self.push_wire))
        self.modem = await stack.enter_async_context(Modem(self.modem_wire))

    async def _start_radio(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(self.bus)
        self.bluetoothd = await stack.enter_async_context(Bluetoothd(self.bus.address, self.medium))
        for at, room in enumerate(BUTTON_ROOMS, start=1):
            name = f"btn-3-2-{room}"
            is_own = self.with_own_nodes and room in OWN_BUTTON_ROOMS
            made = self._own_button(name, at) if is_own else self._button(name, at)
            self.buttons[name] = await stack.enter_async_context(made)
        self.beacon = await stack.enter_async_context(
            self._own_beacon() if self.with_own_nodes else self._beacon()
        )

    async def _start_lift_node(self, stack: AsyncExitStack) -> LiftNode | OwnLiftNode:
        key = self._keys["lift-3-1"]
        if isinstance(self.lift_wire, PtyPair):
            ring = self.directory / "lift-3-1.ring"
            return await stack.enter_async_context(
                LiftNode(self.lift_wire, node_id=7, key=key, ring_file=ring)
            )
        node = OwnLiftNode(self._node_directory("lift-3-1"), mac=_mac(0x31), key=key, node_id=7)
        await stack.enter_async_context(node)
        self.lift_wire.join(node.node.uart_port)
        return node

    def _own_button(self, name: str, at: int) -> OwnButton:
        return OwnButton(
            self._node_directory(name), address=_button_address(at), key=self._keys[name], medium=self.medium
        )

    def _button(self, name: str, at: int) -> Button:
        return Button(
            self.medium,
            address=_button_address(at),
            secret=self._keys[name],
            counter_file=self.directory / f"{name}.counter",
            timing=Timing(repeats=12),
        )

    def _own_beacon(self) -> OwnBeacon:
        return OwnBeacon(
            self._node_directory("beacon-1"),
            address=_button_address(0),
            key=self._keys["beacon-1"],
            medium=self.medium,
        )

    def _beacon(self) -> Beacon:
        return Beacon(
            self.medium,
            address=_button_address(0),
            secret=self._keys["beacon-1"],
            first_counter=self._beacon_counter(),
        )

    def _node_directory(self, name: str) -> Path:
        return self.directory / "nodes" / name

    def _beacon_counter(self) -> int:
        """A real beacon keeps its counter in flash, ahead by a stride; so does this one."""
        path = self.directory / "beacon-1.counter"
        first = int(path.read_text(encoding="ascii")) if path.exists() else 1
        path.write_text(str(first + 100_000), encoding="ascii")
        return first

    def _make_keys(self) -> dict[str, bytes]:
        """Return every node's key, made at random on first use and kept beside the configuration."""
        folder = self.directory / "keys"
        folder.mkdir(mode=0o700, exist_ok=True)
        keys = {}
        names = ("lift-3-1", "beacon-1", f"gas-3-2-{OWN_GAS_ROOM}")
        for name in (*names, *(f"btn-3-2-{room}" for room in BUTTON_ROOMS)):
            path = folder / f"{name}.1.key"
            if not path.exists():
                path.touch(mode=0o600)
                path.write_text(secrets.token_hex(KEY_BYTES) + "\n", encoding="ascii")
            keys[name] = bytes.fromhex(path.read_text(encoding="ascii"))
        return keys

    def config(self) -> dict[str, object]:
        """Return gateway.yaml of this estate as plain data."""
        return {
            "gateway": {"id": self.gateway_id, "language": "zh"},
            "site": {
                "division_code": "371002002",
                "division_standard": "stats_gov",
                "community_id": "wh-371002-0007",
                "estate": "示例小区",
                "position": {"lon": 122.1205, "lat": 37.5131, "crs": "CGCS2000", "accuracy_m": 10},
            },
            "storage": {"directory": "gateway"},
            "console": {"host": "127.0.0.1", "port": self.console_port},
            **({} if self.fleet_url is None else {"fleet": {"url": self.fleet_url}}),
            "buses": self._buses(),
            "devices": [*self._gas(), *self._lifts(), *self._buttons(), *self._others()],
            "outputs": self._outputs(),
            "escalation": {
                "sos": [
                    {"after_s": 0, "notify": ["desk"]},
                    {"after_s": 30, "notify": ["second"]},
                    {"after_s": 90, "notify": ["manager", "family"]},
                    {"after_s": 180, "notify": ["prompt_120"]},
                ],
                "gas": [{"after_s": 0, "notify": ["desk"]}, {"after_s": 60, "notify": ["manager"]}],
            },
            "notifiers": {
                "contacts": [
                    {"via": "gsm", "id": "second", "name": "值班二（示例）", "to": "+8613900000001"},
                    {"via": "gsm", "id": "manager", "name": "项目经理（示例）", "to": "+8613900000002"},
                    {"via": "gsm", "id": "daughter", "name": "家属（示例）", "to": "+8613900000003"},
                ],
                "gsm": {"port": "wires/usb-modem-if02", "baud": 115200},
            },
        }

    def _buses(self) -> list[dict[str, object]]:
        return [
            {"id": "rs485-1", "kind": "modbus_rtu", "port": f"wires/{self.line.port.name}", "baud": 9600},
            {"id": "boiler", "kind": "modbus_tcp", "host": "127.0.0.1", "port": self.controller.port},
            {"id": "cabinet", "kind": "modbus_tcp", "host": "127.0.0.1", "port": self.cabinet.port},
            {"id": "lift-1-line", "kind": "serial", "port": "wires/usb-lift-1-if00", "baud": 115200},
            {"id": "lift-2-line", "kind": "serial", "port": "wires/usb-lift-2-if00", "baud": 115200},
            {"id": "ble0", "kind": "ble", "adapter": "hci0", "max_silence_s": 8},
        ]

    def _gas(self) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        for (name, detector), room in zip(self.detectors.items(), ROOMS, strict=True):
            is_first_make = isinstance(detector, Cn6in1Detector)
            rows.append(
                {
                    "id": name,
                    "kind": "gas",
                    "bus": "rs485-1",
                    "unit_id": detector.unit_id,
                    "profile": "cn6in1_unitreg" if is_first_make else "unnamed_0x6000",
                    **({} if is_first_make else {"unit": "%LEL", "decimals": 1}),
                    "location": _flat(room),
                    "poll_ms": 1000,
                    "installed_on": "2025-05-01",
                }
            )
        rows += [
            {
                "id": name,
                "kind": "gas",
                "bus": "rs485-1",
                "unit_id": OWN_GAS_UNIT,
                "profile": "gatehouse_gas_node",
                "location": _flat(OWN_GAS_ROOM),
                "poll_ms": 1000,
                "installed_on": "2025-05-01",
            }
            for name in self.gas_nodes
        ]
        rows += [
            {
                "id": name,
                "kind": "gas",
                "bus": "boiler",
                "unit_id": detector.unit_id,
                "profile": "cn6in1_unitreg",
                "location": {"building": "锅炉房", "name": f"{number}号探头"},
                "installed_on": "2025-05-01",
                "life_years": 3,
            }
            for number, (name, detector) in enumerate(self.boiler_detectors.items(), start=1)
        ]
        return rows

    def _lifts(self) -> list[dict[str, object]]:
        return [
            {
                "id": "lift-3-1",
                "kind": "lift",
                "bus": "lift-1-line",
                "profile": "gatehouse_lift_node",
                "node_id": 7,
                "keys": [{"id": 1, "file": "keys/lift-3-1.1.key"}],
                "location": {"building": "3", "unit": "1", "name": "客梯"},
                "rescue_code": "371205",
                "registration_code": "31103710022016010001",
            },
            {
                "id": "lift-3-2",
                "kind": "lift",
                "bus": "lift-2-line",
                "profile": "elevatorcloud_ws",
                "location": {"building": "3", "unit": "2", "name": "客梯"},
                "rescue_code": "371206",
                "registration_code": "31103710022016010002",
            },
        ]

    def _buttons(self) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = [
            {
                "id": f"btn-3-2-{room}",
                "kind": "button",
                "address": _button_address(at),
                "keys": [{"id": 1, "file": f"keys/btn-3-2-{room}.1.key"}],
                "location": _flat(room),
                "resident": {
                    "name": f"住户{room}（示例）",
                    "phone": f"139000001{at:02d}",
                    "lives_alone": at == 1,
                    "family_contacts": ["daughter"],
                },
            }
            for at, room in enumerate(BUTTON_ROOMS, start=1)
        ]
        rows.append(
            {
                "id": "beacon-1",
                "kind": "beacon",
                "address": _button_address(0),
                "keys": [{"id": 1, "file": "keys/beacon-1.1.key"}],
                "location": {"name": "弱电间"},
                "max_silence_s": 8,
            }
        )
        return rows

    def _others(self) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = [
            {
                "id": "io-1",
                "kind": "io",
                "bus": "cabinet",
                "unit_id": self.board.unit_id,
                "profile": "relay_8ch",
                "location": {"name": "弱电间"},
                "inputs": [
                    {"point": MAINS, "role": "mains"},
                    {"point": UPS_LOW, "role": "ups_low"},
                    {"point": EBIKE, "role": "ebike", "device": "lift-3-1"},
                    {"point": VALVE, "role": "valve_closed", "device": "valve-3"},
                    {"point": LID, "role": "lid"},
                ],
            }
        ]
        if self.with_camera:
            rows.append(
                {
                    "id": "cam-3-n",
                    "kind": "camera",
                    "url": self.camera.url,
                    "sign_posted": True,
                    "location": {"building": "3", "name": "北立面"},
                    "frozen_after_s": 5,
                    # Drawn falls are what this camera is for: the estate wants them as alarms whatever the models' release says.
                    "detect": "alarm",
                    "calibration_file": "cam-3-n.calibration.json",
                    "max_silence_s": 5,
                }
            )
        return rows

    def _outputs(self) -> list[dict[str, object]]:
        return [
            {"id": "siren-gate", "kind": "siren", "io": "io-1", "point": SIREN, "serves": ["all"]},
            {"id": "lamp-gate", "kind": "lamp", "io": "io-1", "point": LAMP, "serves": ["all"]},
            {"id": "voice-lift-1", "kind": "voice", "io": "io-1", "point": VOICE, "serves": ["lift-3-1"]},
            {
                "id": "valve-3",
                "kind": "gas_valve",
                "io": "io-1",
                "point": VALVE_CLOSE,
                "open_point": VALVE_OPEN,
                # Not the dead one: while a served detector is blind nobody may open the valve.
                "serves": [
                    *(name for name, unit in self.detectors.items() if unit.unit_id != DEAD_UNIT),
                    *self.gas_nodes,
                ],
            },
        ]


def _has_vm() -> bool:
    """Whether nodes of our own can run here; fetches the VM when it is not there yet."""
    try:
        vm.prepare()
    except VmError as error:
        _log.warning("%s", error)
        return False
    return True


def _flat(room: str) -> dict[str, str]:
    return {"building": "3", "unit": "2", "floor": room[0], "room": room}


def _button_address(at: int) -> str:
    return f"C3:28:40:FF:C1:{0x90 + at:02X}"


def _mac(at: int) -> bytes:
    """A locally administered address: nobody's."""
    return bytes((0x02, 0x00, 0x5E, 0x10, 0x00, at))
