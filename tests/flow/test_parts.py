"""A gateway whose console, notifier or new configuration is broken still watches for gas and says what is broken."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager

import msgspec
import pytest

from gatehouse_events.chain import Lane
from gatehouse_hil.gas_controller import GasController
from gatehouse_hil.gas_detector import Cn6in1Detector
from gatehouse_journal import JournalError, Reader

pytestmark = pytest.mark.timeout(90)


def config(gas_port, console_port, notifiers=None):
    place = {"building": "3"}
    site = {
        "division_code": "371002002",
        "division_standard": "stats_gov",
        "community_id": "wh-371002-0007",
        "estate": "示例小区",
        "position": {"lon": 122.1205, "lat": 37.5131, "crs": "CGCS2000"},
    }
    gas = {
        "kind": "gas", "id": "gas-1", "location": place, "bus": "boiler", "unit_id": 1,
        "profile": "cn6in1_unitreg", "installed_on": "2026-05-01", "max_silence_s": 5,
    }  # fmt: skip
    return {
        "gateway": {"id": "wh-371002-0007-gw1"},
        "site": site,
        "storage": {"directory": "gateway", "ballast_mib": 1},
        "console": {"host": "127.0.0.1", "port": console_port, "tls": "off"},
        "buses": [{"id": "boiler", "kind": "modbus_tcp", "host": "127.0.0.1", "port": gas_port}],
        "devices": [gas],
        **({} if notifiers is None else {"notifiers": notifiers}),
    }


class Running:
    """One gateway process and its journal."""

    def __init__(self, directory, detector, process):
        self.directory = directory
        self.detector = detector
        self.process = process

    def write(self, settings):
        (self.directory / "gateway.yaml").write_text(json.dumps(settings), encoding="utf-8")

    def entries(self, kind):
        if not (self.directory / "gateway" / "alarm.db").exists():
            return []
        try:
            with Reader.open(self.directory / "gateway") as reader:
                found = reader.read(Lane.ALARM, 0, 10_000)
        except JournalError:  # it is being made
            return []
        return [msgspec.json.decode(e.body) for e in found if e.kind == kind and e.body]

    def state(self, code):
        found = [e["alarm"] for e in self.entries("alarm") if e["alarm"]["code"] == code]
        return found[-1] if found else None

    async def until(self, is_so):
        async with asyncio.timeout(40):
            while not is_so():
                assert self.process.returncode is None, "the gateway has ended"
                await asyncio.sleep(0.1)

    async def smells_gas(self):
        self.detector.gas(60.0)
        await self.until(lambda: self.state("gas.high_alarm"))


@asynccontextmanager
async def gateway(directory, make):
    detector = Cn6in1Detector(unit_id=1)
    async with GasController([detector]) as controller:
        settings = make(controller.port)
        (directory / "gateway.yaml").write_text(json.dumps(settings), encoding="utf-8")
        with (directory / "stderr").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gatehouse_edge", "run", str(directory / "gateway.yaml"),
                env=os.environ, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            yield Running(directory, detector, process), settings
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_a_taken_console_port_is_a_loud_fault_and_the_console_comes_when_it_is_free(tmp_path):
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        async with gateway(tmp_path, lambda gas_port: config(gas_port, port)) as (running, _):
            await running.until(lambda: running.state("gateway.part_failed"))
            fault = running.state("gateway.part_failed")
            assert f"cannot listen on 127.0.0.1:{port}" in fault["text"]
            await running.smells_gas()
            squatter.close()
            async with asyncio.timeout(30):
                while True:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        break
                    except OSError:
                        await asyncio.sleep(0.1)
            writer.close()


async def test_a_notifier_that_cannot_be_made_is_a_loud_fault_and_gas_is_still_smelt(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    hook = {"webhook": {"url": "https://192.0.2.1/hook", "ca_file": "ca.pem"}}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with gateway(tmp_path, lambda gas_port: config(gas_port, port, hook)) as (running, _):
        await running.until(lambda: running.state("gateway.part_failed"))
        assert "notifier" in running.state("gateway.part_failed")["text"]
        await running.smells_gas()


async def test_a_new_configuration_that_cannot_be_built_is_refused_and_the_old_one_goes_on(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with gateway(tmp_path, lambda gas_port: config(gas_port, port)) as (running, settings):
        await running.until(lambda: running.entries("config"))
        hook = {"webhook": {"url": "https://192.0.2.1/hook", "ca_file": "ca.pem"}}
        running.write({**settings, "notifiers": hook})
        running.process.send_signal(signal.SIGHUP)
        await running.until(lambda: len(running.entries("config")) > 1)
        refused = running.entries("config")[-1]
        assert not refused["is_accepted"]
        assert refused["faults"]
        await running.smells_gas()
