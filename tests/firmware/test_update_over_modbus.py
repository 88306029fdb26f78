"""New firmware for a gas node over its own RS-485 bus, carried by the gateway's real driver while it polls."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path

import pytest
from modbus_gas_site import bus_on
from node_site import KEY, OTHER_KEY, Nvs, built, node_of, steps, until

from gatehouse_edge.drivers.node_update import Result, Transfer, UpdateOutcome, read_image
from gatehouse_edge.reading import GasReading, Silence
from gatehouse_hil.node_build import Build, NodeKind
from gatehouse_wire import node_update as wire

NEWER = (1, 1, 0)


def transfer_of(
    build: Build, *, key: bytes = KEY, node_id: int = 7, is_alarm=lambda: False, **traits
) -> Transfer:
    return Transfer(
        read_image(build.image),
        node_id=node_id,
        key_id=1,
        key=key,
        chunk_bytes=128,
        is_alarm=is_alarm,
        **traits,
    )


async def updated(inbox, transfer: Transfer) -> UpdateOutcome:
    async with asyncio.timeout(60):
        return await inbox.bus.update(transfer)


async def test_a_node_gets_new_firmware_while_it_is_polled(tmp_path: Path) -> None:
    async with node_of(tmp_path, NodeKind.GAS) as node:
        await node.power_on()
        async with bus_on(node.uart) as inbox:
            await until(lambda: inbox.of(GasReading))
            before = len(inbox.values)
            outcome = await updated(inbox, transfer_of(built(NodeKind.GAS, NEWER)))
            during = len(inbox.values) - before
            node.sense("adc2", steps(70))
            await until(lambda: inbox.values[-1] == 7.0)
    assert (outcome.result, outcome.from_version, outcome.to_version, outcome.slot) == (
        Result.CONFIRMED, "1.0.0", "1.1.0", "b",
    )  # fmt: skip
    assert Nvs(tmp_path).slot == ("b", True, 0)
    assert during > 10  # polled all along
    assert any('"version": "1.1.0", "slot": "b"' in line for line in node.log)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("key", "the node does not accept the key"),
        ("kind", "the image is for another kind"),
        ("older", "the node runs a newer version"),
        ("alarm at the gateway", "an alarm of this device is open"),
        ("alarm at the node", "the node sees an alarm"),
        ("unconfirmed", "the node has not confirmed"),
    ],
)
async def test_what_must_not_go_in_is_refused_and_nothing_changes(
    tmp_path: Path, wrong: str, why: str
) -> None:
    build = built(
        NodeKind.LIFT if wrong == "kind" else NodeKind.GAS, (0, 9, 0) if wrong == "older" else NEWER
    )
    transfer = transfer_of(
        build, key=OTHER_KEY if wrong == "key" else KEY, is_alarm=lambda: wrong == "alarm at the gateway"
    )
    async with node_of(tmp_path, NodeKind.GAS) as node:
        if wrong == "unconfirmed":
            # A changed byte: such a program never confirms itself.
            Nvs(tmp_path).put("gh_boot", state=0x4748 << 16)
            (app,) = (tmp_path / "flash" / "a").glob("app.*")
            app.write_bytes(app.read_bytes() + b"\n" * (app.suffix == ".py") + b"\0" * (app.suffix == ".mpy"))
        if wrong == "alarm at the node":
            node.sense("adc2", steps(250))
        await node.power_on()
        async with bus_on(node.uart) as inbox:
            await until(lambda: inbox.of(GasReading))
            outcome = await updated(inbox, transfer)
    assert (outcome.result, outcome.detail[: len(why)]) == (Result.REFUSED, why)
    assert Nvs(tmp_path).slot[0] == "a"
    assert not (tmp_path / "flash" / "b" / "MANIFEST").exists()


async def test_an_older_version_goes_in_with_a_permit(tmp_path: Path) -> None:
    transfer = transfer_of(built(NodeKind.GAS, (0, 9, 0)), is_older_permitted=True)
    async with node_of(tmp_path, NodeKind.GAS) as node:
        await node.power_on()
        async with bus_on(node.uart) as inbox, asyncio.TaskGroup() as tasks:
            tasks.create_task(inbox.bus.update(transfer))
            await until(lambda: transfer.sent_bytes > 300 or transfer.outcome)
            assert transfer.outcome is None
            transfer.stop("enough seen")


async def test_an_alarm_in_the_middle_calls_it_off(tmp_path: Path) -> None:
    alarms: list[str] = []
    transfer = transfer_of(built(NodeKind.GAS, NEWER), is_alarm=lambda: bool(alarms))
    async with node_of(tmp_path, NodeKind.GAS) as node:
        await node.power_on()
        async with bus_on(node.uart) as inbox, asyncio.TaskGroup() as tasks:
            await until(lambda: inbox.of(GasReading))
            task = tasks.create_task(updated(inbox, transfer))
            await until(lambda: transfer.sent_bytes > 2000)
            alarms.append("gas")
    outcome = task.result()
    assert (outcome.result, outcome.detail) == (Result.REFUSED, "called off: an alarm of this device is open")
    assert Nvs(tmp_path).slot == ("a", True, 0)


async def test_firmware_that_does_not_come_up_is_rolled_back(tmp_path: Path) -> None:
    files = [("app.py", b"def run():\n    raise ValueError('broken on purpose')\n")]
    image = wire.build_image(
        files, kind=wire.GAS, version=NEWER, abi=0, sha256=lambda body: sha256(body).digest()
    )
    transfer = Transfer(
        read_image(image), node_id=7, key_id=1, key=KEY, chunk_bytes=128, is_alarm=lambda: False
    )
    async with node_of(tmp_path, NodeKind.GAS) as node:
        await node.power_on()
        async with bus_on(node.uart) as inbox:
            await until(lambda: inbox.of(GasReading))
            outcome = await updated(inbox, transfer)
            await until(lambda: not isinstance(inbox.seen[-1], Silence))
    assert (outcome.result, outcome.detail) == (Result.ROLLED_BACK, "the node runs its former version again")
    assert Nvs(tmp_path).slot == ("a", True, 0)
    assert sum("broken on purpose" in line for line in node.log) == 3
