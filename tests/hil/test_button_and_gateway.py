"""Our button, our beacon, bad air, a recorder with bad intentions and a gateway: one call is one alarm, and the lamp lights."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from gatehouse_hil.node_build import NodeKind
from gatehouse_hil.radio.intruder import Intruder
from gatehouse_hil.radio.medium import BurstyLoss

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
KEY_PIN, LAMP_PIN = 3, 5
KEYS = {"btn-1": bytes(range(32, 48)), "beacon-1": bytes(range(48, 64))}


def config(button: str, beacon: str) -> dict[str, object]:
    def tag(name: str, kind: str, address: str, **more: object) -> dict[str, object]:
        keys = [{"id": 1, "file": f"keys/{name}.key"}]
        return {"id": name, "kind": kind, "address": address, "keys": keys, **more}

    flat = {"building": "3", "unit": "2", "floor": "1", "room": "101"}
    return {
        "buses": [{"id": "ble0", "kind": "ble", "adapter": "hci0", "max_silence_s": 8}],
        "devices": [
            tag(
                "btn-1",
                "button",
                button,
                location=flat,
                resident={"name": "住户101（示例）", "lives_alone": True},
            ),
            tag("beacon-1", "beacon", beacon, location={"name": "弱电间"}, max_silence_s=30),
        ],
    }


def write_keys(directory: Path) -> None:
    directory.mkdir(parents=True)
    for name, key in KEYS.items():
        path = directory / f"{name}.key"
        path.touch(mode=0o600)
        path.write_text(key.hex() + "\n", encoding="ascii")


async def test_a_call_through_bad_air_is_one_alarm_and_its_recording_is_none(
    node, radio, gateway, tmp_path: Path
) -> None:
    button = await node(NodeKind.BUTTON, key=KEYS["btn-1"])
    beacon = await node(NodeKind.BEACON, key=KEYS["beacon-1"])
    write_keys(tmp_path / "gateway" / "keys")
    air = radio.medium
    air.loss = BurstyLoss(loss=0.3, burst=6, rng=random.Random(4))
    air.duplicate = 0.5
    sleeper = button.simulated
    await sleeper.until(lambda n: n.is_asleep, timeout_s=60)
    site = await gateway(config(button.address, beacon.address))
    await site.until(lambda g: g.entries("start") != [], timeout_s=60)

    for _ in range(5):  # the resident presses again while the lamp stays dark
        sleeper.sense(f"pin{KEY_PIN}", 0)
        await sleeper.until(lambda n: n.is_advertising, timeout_s=60)
        sleeper.sense(f"pin{KEY_PIN}", 1)
        await sleeper.until(lambda n: n.pin(LAMP_PIN) == 1 or n.is_asleep, timeout_s=60)
        if sleeper.pin(LAMP_PIN) == 1:
            break
    assert sleeper.pin(LAMP_PIN) == 1
    await site.raises("btn-1", "sos.pressed", timeout_s=30)

    repeats = site.alarms()["btn-1", "sos.pressed"]["repeats"]
    intruder = Intruder(air)
    for heard in intruder.recorded(button.address):
        intruder.replay(heard)
        await asyncio.sleep(0)
    await sleeper.until(lambda n: n.is_asleep, timeout_s=60)
    calls = {alarm["alarm_id"] for key, alarm in site.alarms().items() if key[1] == "sos.pressed"}
    assert len(calls) == 1
    assert site.alarms()["btn-1", "sos.pressed"]["repeats"] == repeats
