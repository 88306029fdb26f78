"""The UART of a simulated node, seen from the other end of the wire, and the asyncio of the VM that serves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import serial

Make = Callable[..., Any]
pytestmark = pytest.mark.slow

ECHO = (
    "import asyncio, machine\n"
    "uart = machine.UART(1, 9600, tx=21, rx=20)\n"
    "async def main():\n"
    "    stream = asyncio.StreamReader(uart)\n"
    "    print('listening')\n"
    "    while True:\n"
    "        octets = await stream.read(64)\n"
    "        uart.write(b'<' + octets + b'>')\n"
    "asyncio.run(main())\n"
)


async def test_a_node_answers_on_its_uart(make_node: Make) -> None:
    node = await make_node(ECHO)
    await node.until("listening", timeout_s=10)
    await node.until(lambda n: n.uart_settings is not None, timeout_s=10)
    assert (node.uart_settings.baud, node.uart_settings.parity) == (9600, None)
    with serial.Serial(str(node.uart), 9600, timeout=5) as port:
        port.write(b"hello")
        assert port.read_until(b">") == b"<hello>"


async def test_two_ends_at_different_rates_hear_garbage(make_node: Make) -> None:
    node = await make_node(ECHO)
    await node.until("listening", timeout_s=10)
    with serial.Serial(str(node.uart), 19200, timeout=5) as port:
        port.write(b"hello")
        heard = port.read(7)  # at least: the node may take the garbage in two pieces and answer both
    assert len(heard) == 7
    assert not heard.startswith(b"<")


async def test_a_node_that_does_not_enable_its_driver_is_not_heard(make_node: Make) -> None:
    node = await make_node(
        "import machine, time\n"
        "uart = machine.UART(1, 9600)\nenable = machine.Pin(5, machine.Pin.OUT, value=0)\n"
        "time.sleep_ms(50)\n"
        "uart.write(b'unheard')\nenable(1)\nuart.write(b'heard')\nuart.flush()\nenable(0)\nprint('said', uart.txdone())\n",
        is_on=False,
    )
    node.sense("de_pin", 5)
    with serial.Serial(str(node.uart), 9600, timeout=5) as port:
        await node.power_on()
        await node.until("said True", timeout_s=10)
        assert port.read(5) == b"heard"
        assert port.in_waiting == 0
    await node.until(lambda one: one.pin(5) == 0, timeout_s=10)  # the pin's news may come behind the word


async def test_sending_takes_its_time_on_the_wire(make_node: Make) -> None:
    node = await make_node(
        "import machine, time\nuart = machine.UART(1, 1200)\nbegan = time.ticks_ms()\nuart.write(bytes(24))\n"
        "print('done at once', uart.txdone())\nuart.flush()\n"
        "print('flushed', time.ticks_diff(time.ticks_ms(), began) >= 195)\n"
    )
    await node.until("done at once False", timeout_s=10)
    await node.until("flushed True", timeout_s=10)  # 24 characters of 10 bits at 1200 baud: 200 ms


async def test_tasks_wait_and_time_out_and_are_cancelled_as_on_the_chip(make_node: Make) -> None:
    node = await make_node(
        "import asyncio, machine, time\n"
        "log = []\n"
        "async def tick():\n"
        "    try:\n"
        "        while True:\n"
        "            log.append('tick')\n"
        "            await asyncio.sleep_ms(10)\n"
        "    finally:\n"
        "        log.append('stopped')\n"
        "async def main():\n"
        "    task = asyncio.create_task(tick())\n"
        "    event = asyncio.Event()\n"
        "    try:\n"
        "        await asyncio.wait_for_ms(event.wait(), 60)\n"
        "    except asyncio.TimeoutError:\n"
        "        log.append('timeout')\n"
        "    try:\n"
        "        await asyncio.wait_for_ms(asyncio.StreamReader(machine.UART(1)).read(1), 30)\n"
        "    except asyncio.TimeoutError:\n"
        "        log.append('silence')\n"
        "    flag = asyncio.ThreadSafeFlag()\n"
        "    machine.Timer(0, mode=machine.Timer.ONE_SHOT, period=30, callback=lambda t: flag.set())\n"
        "    await flag.wait()\n"
        "    task.cancel()\n"
        "    await asyncio.sleep_ms(0)\n"
        "    print(log.count('tick') > 4, [e for e in log if e != 'tick'])\n"
        "    async with asyncio.Lock(): return await asyncio.gather(nap(), boom(), return_exceptions=True)\n"
        "async def nap(): await asyncio.sleep_ms(1)\n"
        "async def boom(): raise ValueError('boom')\n"
        "print(asyncio.run(main()))\n"
        "try: asyncio.run(boom())\n"
        "except ValueError as e: print('raised', e)\n"
    )
    await node.until("True ['timeout', 'silence', 'stopped']", timeout_s=10)
    await node.until("[None, ValueError('boom',)]", timeout_s=10)
    await node.until("raised boom", timeout_s=10)


async def test_pins_and_sensors_are_what_the_scenario_says(make_node: Make) -> None:
    node = await make_node(
        "import machine, time\n"
        "door = machine.Pin(3, machine.Pin.IN, machine.Pin.PULL_UP)\n"
        "door.irq(lambda p: print('edge', p.value()), machine.Pin.IRQ_FALLING)\n"
        "adc = machine.ADC(machine.Pin(2), atten=machine.ADC.ATTN_11DB)\n"
        "i2c = machine.I2C(0)\nprint('scan', i2c.scan(), i2c.readfrom_mem(0x76, 0xD0, 1))\n"
        "lamp = machine.Pin(10, machine.Pin.OUT)\nlamp.on()\n"
        "print('at rest', door(), adc.read_uv())\n"
        "while door(): time.sleep_ms(5)\n"
        "print('seen', door(), adc.read_uv(), adc.read_u16())\n",
        is_on=False,
    )
    node.sense("pressure_pa", 101_325)
    await node.power_on()
    await node.until("scan [118] b'X'", timeout_s=10)
    await node.until("at rest 1 0", timeout_s=10)
    await node.until(lambda n: n.pin(10) == 1, timeout_s=10)
    node.wiring["door"] = 3
    node.sense("adc2_uv", 1_250_000)
    node.sense("door", False)
    await node.until("edge 0", timeout_s=10)
    await node.until("seen 0 1250000 32767", timeout_s=10)
