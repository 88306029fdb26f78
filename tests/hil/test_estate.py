"""Who plays whom in the simulated estate: our firmware where the VM is, stand-ins in Python where it is not."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from gatehouse_hil.estate import Estate
from gatehouse_hil.lift_node import LiftNode
from gatehouse_hil.own_nodes import OwnBeacon, OwnButton, OwnLiftNode
from gatehouse_hil.radio.beacon import Beacon
from gatehouse_hil.radio.button import Button
from gatehouse_hil.simnode import is_available

pytestmark = pytest.mark.slow


def ids(estate: Estate) -> list[str]:
    devices: Any = estate.config()["devices"]
    return [device["id"] for device in devices]


@pytest.mark.skipif(not is_available(), reason="Node.js or npm is missing: no MicroPython VM")
async def test_our_own_devices_run_our_own_firmware(tmp_path: Path) -> None:
    async with Estate(tmp_path, with_camera=False, with_own_nodes=True) as estate:
        assert isinstance(estate.lift_node, OwnLiftNode)
        assert isinstance(estate.beacon, OwnBeacon)
        own = [name for name, button in estate.buttons.items() if isinstance(button, OwnButton)]
        assert own == ["btn-3-2-101", "btn-3-2-102"]
        assert "gas-3-2-801" in ids(estate)
        for node in (*estate.gas_nodes.values(), estate.lift_node):
            await node.node.until('"gatehouse": "start"', timeout_s=60)
        assert estate.lift_node.unacknowledged == []


async def test_without_the_vm_stand_ins_take_their_places_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "gatehouse_hil.estate"):
        async with Estate(tmp_path, with_camera=False, with_own_nodes=False) as estate:
            assert isinstance(estate.lift_node, LiftNode)
            assert isinstance(estate.beacon, Beacon)
            assert {type(button) for button in estate.buttons.values()} == {Button}
            assert "gas-3-2-801" not in ids(estate)
    assert "lift-3-1, btn-3-2-101, btn-3-2-102 and beacon-1 are stand-ins" in caplog.text
