"""Power, resets, sleep and flash of a simulated node."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatehouse_hil.simnode import Cut, ResetCause

Make = Callable[..., Any]
pytestmark = pytest.mark.slow

CAUSE = "import machine\nprint('cause', machine.reset_cause())\n"


async def test_a_node_starts_with_a_power_on_reset_and_runs_its_program(make_node: Make) -> None:
    node = await make_node(CAUSE)
    await node.until("cause 1", timeout_s=10)
    assert (node.boots, node.reset_cause, node.is_on) == (1, ResetCause.POWER_ON, True)


async def test_a_node_that_feeds_no_watchdog_is_reset(make_node: Make) -> None:
    node = await make_node(
        CAUSE + "if machine.reset_cause() == 1:\n w = machine.WDT(timeout=300)\n while True: pass\n"
    )
    await node.until("cause 3", timeout_s=20)
    assert node.reset_cause is ResetCause.WATCHDOG


async def test_a_node_that_feeds_its_watchdog_runs_on(make_node: Make) -> None:
    node = await make_node(
        CAUSE
        + "import time\nw = machine.WDT(timeout=1000)\nfor i in range(30):\n w.feed()\n time.sleep_ms(50)\nprint('fed')\n"
    )
    await node.until("fed", timeout_s=20)
    assert node.boots == 1


async def test_a_crash_of_the_vm_is_a_watchdog_reset(make_node: Make) -> None:
    node = await make_node(
        CAUSE
        + "import uctypes\nif machine.reset_cause() == 1:\n uctypes.bytearray_at(0xFFFFFFF0, 8)[0] = 1\n"
    )
    await node.until("cause 3", timeout_s=20)


async def test_a_hard_reset_is_told_apart(make_node: Make) -> None:
    node = await make_node(CAUSE + "if machine.reset_cause() == 1: machine.reset()\n")
    await node.until("cause 2", timeout_s=20)
    assert node.boots == 2


async def test_a_start_is_known_before_anything_it_says_is_read(make_node: Make) -> None:
    node = await make_node(CAUSE, is_on=False)
    node.give_power()
    await asyncio.sleep(0.05)  # its process is being made
    time.sleep(1.5)  # noqa: ASYNC251 - nobody hears of its start; it would be through its program long since
    assert not node.log
    await node.until("cause 1", timeout_s=10)
    assert node.boots == 1


async def test_a_sleeper_wakes_by_its_timer_and_knows_why(make_node: Make) -> None:
    node = await make_node(
        CAUSE
        + "print('woken by', machine.wake_reason())\nif machine.reset_cause() == 1: machine.deepsleep(200)\n"
    )
    await node.until("cause 4", timeout_s=20)
    await node.until("woken by 4", timeout_s=20)


async def test_a_sleeper_wakes_by_its_pin_and_keeps_its_rtc_memory(make_node: Make) -> None:
    node = await make_node(
        CAUSE
        + "import esp32\nrtc = machine.RTC()\nprint('rtc', rtc.memory())\nrtc.memory(b'kept')\n"
        + "esp32.wake_on_gpio((machine.Pin(9),), esp32.WAKEUP_ANY_HIGH)\n"
        + "if machine.reset_cause() == 1: machine.deepsleep()\n"
    )
    await node.until(lambda n: n.is_asleep, timeout_s=20)
    node.sense("pin9", 1)
    await node.until("rtc b'kept'", timeout_s=20)
    assert node.reset_cause is ResetCause.DEEP_SLEEP


async def test_power_lost_loses_the_rtc_memory_and_keeps_the_flash(make_node: Make) -> None:
    node = await make_node(
        "import machine\nrtc = machine.RTC()\n"
        "try: print('kept', open('kept').read(), rtc.memory())\n"
        "except OSError as e: print('nothing', e.errno)\n"
        "rtc.memory(b'x')\nwith open('kept', 'w') as f: f.write('here')\nprint('written')\n"
    )
    await node.until("nothing 2", timeout_s=10)
    await node.until("written", timeout_s=10)
    await node.power_cycle()
    await node.until("kept here b''", timeout_s=10)


async def test_nvs_survives_and_knows_its_types(make_node: Make) -> None:
    node = await make_node(
        "import esp32\nn = esp32.NVS('gh')\n"
        "try: print('counter', n.get_i32('counter'))\n"
        "except OSError as e: print('fresh', e.errno)\n"
        "n.set_i32('counter', 7)\nn.set_blob('key', b'\\x01\\x02')\nn.commit()\n"
        "b = bytearray(4)\nprint('blob', n.get_blob('key', b), b)\n"
    )
    await node.until("fresh -4354", timeout_s=10)
    await node.until("blob 2", timeout_s=10)
    await node.power_cycle()
    await node.until("counter 7", timeout_s=10)
    assert json.loads((node.directory / "nvs" / "gh.json").read_text())["key"] == "b0102"


COUNTER = (
    "import os\n"
    "def load():\n"
    "    for name in ('a', 'b'):\n"
    "        try:\n"
    "            text = open(name).read()\n"
    "            if text.endswith('.'): return int(text[:-1])\n"
    "        except OSError: pass\n"
    "    return 0\n"
    "n = load() + 1\n"
    "with open('b', 'w') as f: f.write('%d.' % n)\n"
    "os.rename('b', 'a')\n"
    "print('on air', n)\n"
)


@pytest.mark.parametrize("how", list(Cut))
async def test_power_cut_at_every_write_of_a_small_file(make_node: Make, how: Cut) -> None:
    node = await make_node(COUNTER, is_on=False)
    on_air: list[int] = []
    for at in (1, 2, 3, 1, 2, 9):  # create, write, rename; then over what the cuts have left; then in peace
        node.cut_power_at_write(at, how)
        await node.power_on()
        await node.until(lambda n: not n.is_on or any("Type" in line for line in n.log), timeout_s=20)
        await node.power_off()
        on_air += [int(line.split()[-1]) for line in node.log if line.startswith("on air")]
        node.log.clear()
    assert node.flash_writes_cut >= 4
    assert on_air
    assert on_air == sorted(set(on_air))


async def test_a_torn_write_leaves_half_of_it(make_node: Make) -> None:
    node = await make_node("with open('x', 'w') as f: f.write('0123456789')\nprint('done')\n", is_on=False)
    node.cut_power_at_write(2)
    await node.power_on()
    await node.until(lambda n: not n.is_on, timeout_s=20)
    assert (node.directory / "flash" / "x").read_text() == "01234"
    assert "done" not in node.log


async def test_what_a_program_does_with_files_is_what_lies_on_the_host(
    make_node: Make, tmp_path: Path
) -> None:
    node = await make_node(
        "import os\nos.mkdir('d')\nf = open('d/a', 'wb')\nf.write(bytes(9000))\nf.close()\n"
        "os.rename('d/a', 'd/b')\nf = open('d/b', 'ab')\nf.write(b'end')\nf.close()\n"
        "open('gone', 'w').close()\nos.remove('gone')\nf = open('d/b', 'r+b')\nf.seek(4)\nf.write(b'mid')\nf.close()\n"
        "print(os.listdir('/'), os.stat('d/b')[6], open('d/b', 'rb').read()[-5:])\n"
    )
    await node.until("['main.py', 'd'] 9003 b'\\x00\\x00end'", timeout_s=10)
    there = (node.directory / "flash" / "d" / "b").read_bytes()
    assert there == bytes(4) + b"mid" + bytes(8993) + b"end"
