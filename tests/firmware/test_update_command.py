"""`gatehouse-edge node update`: from the command line through a running gateway to a node, and its outcome in the journal."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import msgspec
import pytest
import yaml
from node_site import Nvs, built, node_of, steps

from gatehouse_config import load
from gatehouse_edge.drivers.node_update import NodeUpdateError
from gatehouse_edge.node_updates import place_order
from gatehouse_hil.node_build import NodeKind
from gatehouse_hil.pytest_plugin.gateway import GatewayProcess

KEY = bytes.fromhex("91f3a27c5d08e4b6721c9f0e3ab85d46")
"""Invented for this test."""


def config_of(port: Path, *, keys: list | None = None) -> dict:
    return {
        "buses": [{"kind": "modbus_rtu", "id": "rs485-1", "port": str(port), "baud": 9600}],
        "devices": [
            {
                "kind": "gas", "id": "gas-3-201", "location": {"building": "3", "room": "201"}, "bus": "rs485-1",
                "unit_id": 7, "profile": "gatehouse_gas_node", "poll_ms": 200, "installed_on": "2026-01-01",
                "keys": [{"id": 1, "file": "gas.key"}] if keys is None else keys,
            }
        ],
    }  # fmt: skip


def site_of(directory: Path) -> Path:
    directory.mkdir()
    (directory / "gas.key").write_text(KEY.hex())
    (directory / "gas.key").chmod(0o600)
    return directory


async def command(directory: Path, image: Path, *more: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gatehouse_edge", "node", "update", str(directory / "gateway.yaml"), "gas-3-201", str(image),
        "--by", "示例技师", *more, env=dict(os.environ), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(90):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.timeout(180)
async def test_a_technician_updates_a_node_through_the_running_gateway(tmp_path: Path) -> None:
    image = tmp_path / "gas-1.1.0.image"
    image.write_bytes(built(NodeKind.GAS, (1, 1, 0)).image)
    noisy, calm = site_of(tmp_path / "noisy"), site_of(tmp_path / "calm")
    async with node_of(tmp_path / "node", NodeKind.GAS) as node:
        Nvs(tmp_path / "node").put("gh_key", id1=1, key1=KEY)
        node.sense("adc2", steps(250))
        await node.power_on()
        async with GatewayProcess(noisy, config_of(node.uart)) as gateway:
            await gateway.until(lambda one: one.alarms(), timeout_s=60)
            refused = await command(noisy, image)
        node.sense("adc2", steps(0))
        async with GatewayProcess(calm, config_of(node.uart)) as gateway:
            await gateway.until(lambda one: one.entries("config"), timeout_s=60)
            done = await command(calm, image, "--json")
            audits = [msgspec.json.decode(entry.body or b"{}") for entry in gateway.entries("audit")]
    assert refused[0] == 1
    assert "an alarm of gas-3-201 is open" in refused[1]
    assert done[0] == 0, done[1]
    assert json.loads(done[1])["result"] == "confirmed"
    (updated,) = [body for body in audits if body.get("what") == "node_update"]
    assert (updated["device_id"], updated["by"], updated["outcome"]["to_version"]) == (
        "gas-3-201",
        "示例技师",
        "1.1.0",
    )
    assert Nvs(tmp_path / "node").slot == ("b", True, 0)


def test_an_order_that_cannot_be_carried_out_is_refused_at_once(tmp_path: Path) -> None:
    site = site_of(tmp_path / "site")
    for name, keys in (("gateway.yaml", None), ("keyless.yaml", [])):
        whole = dict(GatewayProcess(site, config_of(tmp_path / "port", keys=keys)).config)
        (site / name).write_text(yaml.safe_dump(whole, allow_unicode=True), encoding="utf-8")
    config = load(site / "gateway.yaml")
    image = built(NodeKind.GAS, (1, 1, 0)).image
    for device, octets, why, where in (
        ("gas-3-201", image[:-1], "not a whole firmware image", config),
        ("gas-3-201", b"MZ" + image, "not a whole firmware image", config),
        ("gas-3-201", built(NodeKind.LIFT).image, "for a lift node", config),
        ("gas-3-999", image, "no device", config),
        ("gas-3-201", image, "no key", load(site / "keyless.yaml")),
    ):
        with pytest.raises(NodeUpdateError, match=why):
            place_order(where, device, octets, by="示例技师")
