from __future__ import annotations

import copy
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatehouse_config import Fault, check

KEY_NAMES = ("lift-3-2.1", "btn-17.1", "beacon-1.1", "spare")

BASE: dict[str, Any] = {
    "gateway": {"id": "wh-371002-0007-gw1"},
    "site": {
        "division_code": "371002002",
        "division_standard": "stats_gov",
        "community_id": "wh-371002-0007",
        "estate": "示例小区",
        "position": {"lon": 122.1205, "lat": 37.5131, "crs": "CGCS2000"},
    },
    "buses": [
        {"id": "rs485-1", "kind": "modbus_rtu", "port": "/dev/ttyUSB0"},
        {"id": "cabinet", "kind": "modbus_tcp", "host": "127.0.0.1", "port": 1502},
        {"id": "lift-line", "kind": "serial", "port": "/dev/ttyUSB1"},
        {"id": "ble0", "kind": "ble"},
    ],
    "devices": [
        {
            "id": "gas-1", "kind": "gas", "bus": "rs485-1", "unit_id": 1, "profile": "cn6in1_unitreg",
            "location": {"building": "3"}, "installed_on": "2024-05-01",
        },
        {
            "id": "gas-2", "kind": "gas", "bus": "rs485-1", "unit_id": 2, "profile": "unnamed_0x6000",
            "unit": "%LEL", "decimals": 1, "location": {"building": "3"}, "installed_on": "2024-05-01",
        },
        {
            "id": "lift-3-2", "kind": "lift", "bus": "lift-line", "profile": "gatehouse_lift_node", "node_id": 7,
            "keys": [{"id": 1, "file": "keys/lift-3-2.1.key"}], "location": {"building": "3"},
        },
        {
            "id": "btn-17", "kind": "button", "address": "C3:28:40:FF:C1:94",
            "keys": [{"id": 1, "file": "keys/btn-17.1.key"}], "location": {"building": "3"},
        },
        {
            "id": "beacon-1", "kind": "beacon", "address": "C3:28:40:FF:C1:95",
            "keys": [{"id": 1, "file": "keys/beacon-1.1.key"}], "location": {"name": "gate"},
        },
        {
            "id": "io-1", "kind": "io", "bus": "cabinet", "unit_id": 30, "profile": "relay_8ch",
            "location": {"name": "gate"},
            "inputs": [
                {"point": 0, "role": "mains"},
                {"point": 2, "role": "ebike", "device": "lift-3-2"},
                {"point": 3, "role": "valve_closed", "device": "valve-3"},
            ],
        },
        {
            "id": "cam-1", "kind": "camera", "url": "rtsp://127.0.0.1/1", "sign_posted": True,
            "location": {"building": "3"},
        },
    ],
    "outputs": [
        {"id": "siren-1", "kind": "siren", "io": "io-1", "point": 0, "serves": ["all"]},
        {"id": "valve-3", "kind": "gas_valve", "io": "io-1", "point": 3, "serves": ["gas-1"]},
    ],
    "notifiers": {
        "contacts": [{"id": "second", "via": "gsm", "to": "+8613900000001"}],
        "gsm": {"port": "/dev/ttyUSB2"},
    },
    "escalation": {"sos": [{"after_s": 0, "notify": ["desk"]}, {"after_s": 30, "notify": ["second"]}]},
}  # fmt: skip


class Yard:
    """A folder with keys and a gateway.yaml that can be spoilt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "gateway.yaml"
        (folder / "keys").mkdir()
        for name in KEY_NAMES:
            (folder / "keys" / f"{name}.key").write_text(secrets.token_hex(16) + "\n", encoding="ascii")

    def write(self, data: object) -> Path:
        self.path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
        return self.path

    def data(self) -> dict[str, Any]:
        return copy.deepcopy(BASE)

    def faults(self, spoil: Callable[[dict[str, Any]], object]) -> list[Fault]:
        data = self.data()
        spoil(data)
        return check(self.write(data))

    def text_faults(self, text: str) -> list[Fault]:
        self.path.write_text(text, encoding="utf-8")
        return check(self.path)


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)
