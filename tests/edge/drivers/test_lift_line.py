from __future__ import annotations

import secrets
from pathlib import Path

import pytest
import yaml

from gatehouse_config import load
from gatehouse_config.devices import LiftDevice
from gatehouse_config.fault import ConfigError
from gatehouse_edge.clock import SystemClock
from gatehouse_edge.drivers.lift_controller import LiftControllerDriver
from gatehouse_edge.drivers.lift_line import lift_line
from gatehouse_edge.drivers.lift_node import LiftNodeDriver


class Nothing:
    def get(self, key: str) -> int | None:
        return None

    async def put(self, observation: object) -> None:
        raise AssertionError


def line_of(directory: Path, **lift: object):
    (directory / "lift.key").write_text(secrets.token_hex(16), encoding="ascii")
    (directory / "lift.key").chmod(0o600)
    device = {"id": "lift-1", "kind": "lift", "bus": "line", "location": {"building": "3"}} | lift
    (directory / "gateway.yaml").write_text(
        yaml.safe_dump({
            "gateway": {"id": "gw-1", "language": "zh"},
            "site": {
                "division_code": "371002002", "division_standard": "stats_gov", "community_id": "wh-371002-0007",
                "estate": "示例小区", "position": {"lon": 122.1, "lat": 37.5, "crs": "CGCS2000"},
            },
            "storage": {"directory": "var"},
            "buses": [{"id": "line", "kind": "serial", "port": "adapter", "baud": 9600, "parity": "E"}],
            "devices": [device],
        }),
        encoding="utf-8",
    )  # fmt: skip
    config = load(directory / "gateway.yaml")
    lifts = [device for device in config.devices if isinstance(device, LiftDevice)]
    return lift_line(config, config.buses[0], lifts, inbox=Nothing(), clock=SystemClock(), counters=Nothing())


def test_our_node_gets_a_line_that_can_answer(tmp_path: Path) -> None:
    keys = [{"id": 1, "file": "lift.key"}]
    driver = line_of(tmp_path, profile="gatehouse_lift_node", node_id=7, keys=keys)
    assert isinstance(driver, LiftNodeDriver)
    port = driver.settings.port
    assert (port.path, port.baud, port.parity) == (str(tmp_path / "adapter"), 9600, "E")


def test_a_controller_gets_a_line_that_cannot(tmp_path: Path) -> None:
    assert isinstance(line_of(tmp_path, profile="elevatorcloud_ws"), LiftControllerDriver)


def test_a_code_table_without_a_wire_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        line_of(tmp_path, profile="houqi")
