"""One of our nodes and a gateway process, nothing else: the smallest whole system, from a sensor's voltage to the journal."""

from __future__ import annotations

import pytest

from gatehouse_hil.node_build import NodeKind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
CALIBRATION = {"zero_uv": 400_000, "span_uv": 1_400_000, "span": 500, "warm_ms": 0}


def config(port: object) -> dict[str, object]:
    return {
        "buses": [{"id": "rs485-1", "kind": "modbus_rtu", "port": str(port), "baud": 9600}],
        "devices": [
            {
                "id": "gas-1",
                "kind": "gas",
                "bus": "rs485-1",
                "unit_id": 17,
                "profile": "gatehouse_gas_node",
                "location": {"building": "3", "unit": "2", "floor": "8", "room": "801"},
                "poll_ms": 1000,
                "installed_on": "2025-05-01",
            }
        ],
    }


async def test_gas_at_the_sensor_is_an_alarm_and_a_dead_node_is_another(node, line, power, gateway) -> None:
    gas = await node(NodeKind.GAS, number=17, calibration=CALIBRATION)
    with line(gas) as wire:
        site = await gateway(config(wire.port))
        await site.until(lambda g: g.entries("start") != [], timeout_s=60)
        gas.sense("adc2_uv", 900_000)  # 25 %LEL
        await site.raises("gas-1", "gas.low_alarm", timeout_s=60)
        await site.raises("gas-1", "gas.high_alarm", timeout_s=60)
        await power.off(gas)
        await site.raises("gas-1", "gas.offline", timeout_s=60)
        assert site.alarms()["gas-1", "gas.high_alarm"]["state"] == "unack", "silence is no all-clear"
