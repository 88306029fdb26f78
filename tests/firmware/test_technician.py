"""What a technician does at the console, with real mpremote: provision, self-test, calibrate; and slots that do not come up."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from node_site import CLEAN_AIR, COVERAGE, KEY, Nvs, built, node_of, sim_node, until

from gatehouse_hil.node_build import NodeKind
from gatehouse_hil.simnode import ResetCause, SimNode


async def console(node: SimNode, code: str) -> dict:
    """Run code at the node's console as the bench does; return its line of JSON."""
    if COVERAGE:
        code = f"import simboot; simboot._cover(); {code}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mpremote", "connect", str(node.console), "exec", code,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(40):
        output, _ = await process.communicate()
    lines = [line for line in output.decode().splitlines() if line.startswith('{"gatehouse": ')]
    assert process.returncode == 0, output.decode()
    assert lines, output.decode()
    return json.loads(lines[-1])


async def test_a_bare_board_becomes_a_node_at_the_console(tmp_path: Path) -> None:
    built(NodeKind.GAS, is_compiled=not COVERAGE).write(tmp_path / "flash")
    async with sim_node(tmp_path) as node:
        node.sense("adc2", CLEAN_AIR)
        await node.power_on()
        await node.until('"problem": "not provisioned"', timeout_s=20)
        provision = f"import technician; technician.provision(kind=1, serial='GH-EXAMPLE-2', node=9, key_id=1, key={KEY!r})"
        made = await console(node, provision)
        version = await console(node, "import technician; technician.version()")
        untested = await console(node, "import technician; technician.self_test()")
        stored = await console(
            node, "import technician; technician.calibrate(zero_uv=400000, span_uv=1400000, span=500)"
        )
        tested = await console(node, "import technician; technician.self_test()")
        wrong = await console(
            node, "import technician; technician.provision(kind=1, serial='', node=9, key_id=1, key=b'')"
        )
        second = await console(node, f"import technician; technician.add_key(key_id=2, key={KEY[::-1]!r})")
        third = await console(node, f"import technician; technician.add_key(key_id=3, key={KEY!r})")
        dropped = await console(node, "import technician; technician.drop_key(key_id=1)")
        nobody = await console(node, "import technician; technician.drop_key(key_id=1)")
        floors = await console(node, "import technician; technician.floors([('1', 0), ('2', 2900)])")
        down = await console(node, "import technician; technician.floors([('1', 0), ('2', -1)])")
        log = "\n".join(node.log)
    assert made == {
        "gatehouse": "provision",
        "ok": True,
        "serial": "GH-EXAMPLE-2",
        "key_check": made["key_check"],
    }
    assert len(made["key_check"]) == 8
    assert KEY.hex() not in log
    assert (version["kind"], version["version"], version["slot"], version["serial"], version["node"]) == (
        "gas", "1.0.0", "a", "GH-EXAMPLE-2", 9,
    )  # fmt: skip
    assert (version["micropython"], version["uid"], version["mac"]) == (
        "1.29.0",
        "020000000001",
        "020000000003",
    )
    assert (untested["ok"], untested["checks"]["calibrated"], untested["checks"]["image"]) == (
        False,
        False,
        True,
    )
    assert stored["stored"] == {"zero_uv": 400000, "span_uv": 1400000, "span": 500}
    assert tested["ok"], tested
    assert (wrong["ok"], second["ok"], third["ok"], dropped["ok"], nobody["ok"]) == (
        False,
        True,
        False,
        True,
        False,
    )
    assert (floors["ok"], floors["floors"], down["ok"]) == (True, 2, False)


@pytest.mark.parametrize(
    ("kind", "checks"),
    [
        (NodeKind.LIFT, {"image", "identity", "key", "memory", "barometer"}),
        (NodeKind.BUTTON, {"image", "identity", "key", "memory", "battery"}),
        (NodeKind.BEACON, {"image", "identity", "key", "memory"}),
    ],
)
async def test_every_kind_tests_itself(tmp_path: Path, kind: NodeKind, checks: set[str]) -> None:
    async with node_of(tmp_path, kind) as node:
        node.sense("adc2", 39_000)
        node.sense("pressure_pa", 101_000)
        await node.power_on()
        # A button sleeps at once; like a technician, hold it awake by talking to it while it shouts.
        tested = await console(node, "import technician; technician.self_test()")
    assert tested["ok"], tested
    assert set(tested["checks"]) == checks


async def test_a_changed_byte_in_a_slot_fails_the_self_test(tmp_path: Path) -> None:
    async with node_of(tmp_path, NodeKind.GAS) as node:
        await node.power_on()
        (target,) = (tmp_path / "flash" / "a").glob("gas_meter.*")
        content = bytearray(target.read_bytes())
        content[-1] ^= 1
        await node.power_off()
        target.write_bytes(content)
        await node.power_on()
        tested = await console(node, "import technician; technician.self_test()")
    assert (tested["ok"], tested["checks"]["image"]) == (False, False)


async def test_a_forgotten_node_comes_back_by_itself(tmp_path: Path) -> None:
    """Ctrl-C ends in service mode, whose watchdog is long but not for ever."""
    async with node_of(tmp_path, NodeKind.GAS) as node:
        main = tmp_path / "flash" / "main.py"
        main.write_text(main.read_text().replace("SERVICE_MS = 600_000", "SERVICE_MS = 1500"))
        await node.power_on()
        await node.until('"start"', timeout_s=20)
        await console(node, 'print(\'{"gatehouse": "hand"}\')')
        boots = node.boots
        await node.until(lambda one: one.boots > boots, timeout_s=30)
        assert node.reset_cause in {ResetCause.WATCHDOG, ResetCause.SOFT}


async def test_a_confirmed_program_that_crashes_for_ever_gives_way_to_the_other_slot(tmp_path: Path) -> None:
    async with node_of(tmp_path, NodeKind.GAS) as node:
        built(NodeKind.GAS, (0, 9, 0)).write(tmp_path / "flash", slot="b")
        (app,) = (tmp_path / "flash" / "a").glob("app.*")
        app.unlink()
        app.with_suffix(".py").write_text("def run():\n    raise OSError(5)\n")
        Nvs(tmp_path).put("gh_boot", state=0x4748 << 16 | 2)
        await node.power_on()
        await until(lambda: any('"version": "0.9.0", "slot": "b"' in line for line in node.log), within_s=60)
    assert Nvs(tmp_path).slot[0] == "b"


async def test_a_board_without_a_program_says_so_and_waits_for_the_bench(tmp_path: Path) -> None:
    for name, content in built(NodeKind.GAS).boot.items():
        (tmp_path / "flash").mkdir(exist_ok=True)
        (tmp_path / "flash" / name).write_bytes(content)
    async with sim_node(tmp_path) as node:
        await node.power_on()
        await node.until("no slot holds a whole image", timeout_s=20)
