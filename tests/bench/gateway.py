# a benchmark prints and waits
"""The whole gateway as a process: how fast an alarm reaches a console, and what a quiet and a busy one cost.

Wire to screen: a register of a real TCP slave changes -> polled -> judged -> on disk -> pushed over TLS as a server-sent
event to a logged-in client. Peer: thingsboard-gateway 3.8.5 at 100 ms poll needs p99 254 ms (10 slaves) to 361 ms (1 slave)
to its own publish, measured on a like machine (field notes §4); it has no alarm, no commit and no screen in that path.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import signal
import ssl
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from gatehouse_hil.gas_controller import GasController
from gatehouse_hil.gas_detector import Cn6in1Detector

POLL_MS = 100
PASSWORD = "a measurement, no secret"  # of an account that lives as long as this run
DAY_S = 86_400


def config(ports: list[int], console_port: int, *, poll_ms: int) -> dict[str, Any]:
    """Return a gateway with one detector on each port."""
    return {
        "gateway": {"id": "bench-gw"},
        "site": {
            "division_code": "371002002",
            "division_standard": "stats_gov",
            "community_id": "bench",
            "estate": "测量",
            "position": {"lon": 122.1, "lat": 37.5, "crs": "CGCS2000"},
        },
        "storage": {"directory": "gateway"},
        "console": {"host": "127.0.0.1", "port": console_port},
        "buses": [
            {"id": f"tcp-{port}", "kind": "modbus_tcp", "host": "127.0.0.1", "port": port} for port in ports
        ],
        "devices": [
            {
                "id": f"gas-{port}",
                "kind": "gas",
                "bus": f"tcp-{port}",
                "unit_id": 1,
                "profile": "bench_quick",
                "poll_ms": poll_ms,
                "location": {"building": "1"},
                "installed_on": "2025-05-01",
            }
            for port in ports
        ],
        "profiles_directory": "profiles",
        "rules": {"gas": {"normal_s": 0, "normal_count": 1}},
    }


class Gateway:
    """One gateway process in a directory of its own."""

    def __init__(self, directory: Path, ports: list[int], *, poll_ms: int, console_port: int) -> None:
        self.directory = directory
        self.console_port = console_port
        self.code = ""
        self.process: Process
        source = Path(__file__).parents[2] / "edge/gatehouse_config/profiles/cn6in1_unitreg.json"
        profile = json.loads(source.read_text(encoding="utf-8"))
        # The same map without the vendor's 500 ms gap: a TCP controller answers at once.
        profile |= {"id": "bench_quick", "min_gap_ms": 0, "min_poll_ms": 20}
        (directory / "profiles").mkdir(parents=True)
        (directory / "profiles/bench_quick.json").write_text(json.dumps(profile), encoding="utf-8")
        self.config_path = directory / "gateway.yaml"
        self.config_path.write_text(
            yaml.safe_dump(config(ports, console_port, poll_ms=poll_ms)), encoding="utf-8"
        )

    async def __aenter__(self) -> Gateway:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gatehouse_edge", "run", str(self.config_path), stderr=PIPE
        )
        assert self.process.stderr is not None  # stderr=PIPE above
        seen = ""
        while "Uvicorn running" not in seen or not self.code:
            line = (await self.process.stderr.readline()).decode()
            if not line:
                raise SystemExit(f"the gateway ended:\n{seen}")
            seen += line
            if found := re.search(r"口令: (\S+)", line):
                self.code = found[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        await self.process.communicate()

    async def client(self) -> httpx.AsyncClient:
        """Return a logged-in client."""
        trust = ssl.create_default_context(cafile=str(self.directory / "gateway/console/ca.pem"))
        client = httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{self.console_port}", verify=trust, timeout=30
        )
        headers = {"X-Gatehouse": "1", "Origin": str(client.base_url).rstrip("/")}
        answer = await client.post(
            "/api/v1/setup", json={"code": self.code, "name": "bench", "password": PASSWORD}, headers=headers
        )
        if answer.is_error:
            raise SystemExit(answer.text)
        answer = await client.post(
            "/api/v1/login", json={"name": "bench", "password": PASSWORD}, headers=headers
        )
        answer.raise_for_status()
        return client


STATUSES = {4: "gas.pre_warning", 3: "gas.sensor_fault", 2: "gas.data_fault", 9: "gas.calibration_due",
            12: "gas.twa_alarm", 11: "gas.stel_alarm", 15: "gas.comm_fault"}  # fmt: skip
"""Status byte of the detector -> the alarm it raises. Each pair of detector and status is used once: a status that comes
and goes is folded as chatter, as it should be."""


async def latency(slaves: int) -> None:
    """Print the time from register to pushed event."""
    controllers = [GasController([Cn6in1Detector(unit_id=1)]) for _ in range(slaves)]
    for controller in controllers:
        await controller.start()
    with tempfile.TemporaryDirectory() as directory:
        ports = [controller.port for controller in controllers]
        async with Gateway(Path(directory), ports, poll_ms=POLL_MS, console_port=18_451) as gateway:
            taken_ms = await _changes(await gateway.client(), controllers)
    for controller in controllers:
        await controller.stop()
    taken_ms.sort()
    p50, p99 = statistics.median(taken_ms), taken_ms[int(len(taken_ms) * 0.99) - 1]
    print(
        f"\nRegister change -> alarm on disk -> pushed to the console over TLS: {len(taken_ms)} changes, {slaves} slaves"
    )
    print(
        f"  gatehouse, {POLL_MS} ms poll            p50 {p50:5.0f} ms  p99 {p99:5.0f} ms  (target p99 <= {POLL_MS + 50} ms)"
    )
    print(
        f"  thingsboard-gateway, 10 x 100 ms  p50   168 ms  p99   254 ms  to its publish; p99 ratio {254 / p99:.1f}x"
    )


def alarms_in(message: Any) -> Iterator[tuple[str, str]]:  # any JSON
    """Yield device and code of every alarm in a pushed message, wherever it stands."""
    if isinstance(message, dict):
        if "alarm_id" in message and "code" in message:
            yield message["device_id"], message["code"]
        for inner in message.values():
            yield from alarms_in(inner)
    elif isinstance(message, list):
        for inner in message:
            yield from alarms_in(inner)


async def _changes(client: httpx.AsyncClient, controllers: list[GasController]) -> list[float]:
    pairs = [(controller, status) for status in STATUSES for controller in controllers]
    seen: dict[tuple[str, str], float] = {}
    news = asyncio.Event()

    async def listen() -> None:
        async with client.stream("GET", "/api/v1/events", timeout=None) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    at_s = time.perf_counter()
                    for pair in alarms_in(json.loads(line[5:])):
                        seen.setdefault(pair, at_s)
                    news.set()

    taken_ms = []
    async with contextlib.aclosing(client), asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listen())
        await asyncio.sleep(3)
        for controller, status in pairs:
            detector, key = controller.units[1], (f"gas-{controller.port}", STATUSES[status])
            await asyncio.sleep(random.uniform(0.0, 2 * POLL_MS / 1000))
            began_s = time.perf_counter()
            detector.show(status)
            async with asyncio.timeout(20):
                while key not in seen:
                    news.clear()
                    await news.wait()
            taken_ms.append((seen[key] - began_s) * 1000)
            detector.show(1)
        listening.cancel()
    return taken_ms


async def costs(seconds: float) -> None:
    """Print CPU, memory and disk of an idle gateway, a quiet estate and a busy one."""
    print(f"\nThe whole gateway with console, without vision, {seconds:.0f} s each after 30 s")
    for name, slaves, is_busy in (
        ("idle: no device", 0, False),
        ("quiet: 50 TCP slaves x 10 registers, 1 Hz", 50, False),
        ("busy: the same, values moving, 6 alarms/min", 50, True),
    ):
        controllers = [GasController([Cn6in1Detector(unit_id=1)]) for _ in range(slaves)]
        for controller in controllers:
            await controller.start()
        with tempfile.TemporaryDirectory() as directory:
            ports = [controller.port for controller in controllers]
            async with (
                Gateway(Path(directory), ports, poll_ms=1000, console_port=18_452) as gateway,
                asyncio.TaskGroup() as tasks,
            ):
                life = tasks.create_task(_live(controllers if is_busy else []))
                await asyncio.sleep(30)
                process = psutil.Process(gateway.process.pid)
                cpu_s, disk = sum(process.cpu_times()[:2]), process.io_counters().write_bytes
                await asyncio.sleep(seconds)
                cpu = 100 * (sum(process.cpu_times()[:2]) - cpu_s) / seconds
                day_mib = (process.io_counters().write_bytes - disk) * DAY_S / seconds / 2**20
                rss_mib = process.memory_info().rss / 2**20
                life.cancel()
        for controller in controllers:
            await controller.stop()
        print(f"  {name:<44} CPU {cpu:4.1f} %  RSS {rss_mib:4.0f} MiB  disk {day_mib:5.0f} MiB a day")
    print(
        "  thingsboard-gateway, 50 slaves, 498 requests/s  CPU 14.0 %  RSS   66 MiB  (no console, no journal)"
    )


async def _live(controllers: list[GasController]) -> None:
    """Let each second a tenth of the concentrations move, and every ten seconds one of them beyond its low set point."""
    second = 0
    while controllers:
        for controller in random.sample(controllers, len(controllers) // 10):
            controller.units[1].gas(round(random.uniform(0.0, 5.0), 1))
        if second % 10 == 0:
            random.choice(controllers).units[1].gas(12.0)
        second += 1
        await asyncio.sleep(1)


async def main() -> None:
    """Run both; the first argument is the number of slaves, the second the seconds of each cost run."""
    slaves = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    await latency(slaves)
    await costs(seconds)


if __name__ == "__main__":
    asyncio.run(main())
