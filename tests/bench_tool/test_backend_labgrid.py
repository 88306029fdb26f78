"""Boards of a labgrid laboratory, by what `labgrid-client` 26.0.1 prints (taken down from a real coordinator and exporter)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatehouse_hil.bench import rig
from gatehouse_hil.bench.backend_labgrid import LabgridClient, stations
from gatehouse_hil.bench.backend_local import Technician
from gatehouse_hil.bench.fault import BenchError, Fault
from gatehouse_hil.bench.words import Lang, Words


class Lab:
    """A coordinator made of one file, and the client that reads it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "lab.json"
        self.client = folder / "labgrid-client"
        script = Path(__file__).with_name("fake_labgrid_client.py")
        self.client.write_text(
            f'#!/bin/sh\ncd {folder}\nexec {sys.executable} {script} "$@"\n', encoding="utf-8"
        )
        self.client.chmod(0o755)
        self.put(gas={"owner": "", "power": "off"})

    def put(self, **places: dict[str, Any]) -> None:
        self._file.write_text(json.dumps(places), encoding="utf-8")

    def get(self, place: str = "gas") -> dict[str, Any]:
        return json.loads(self._file.read_text(encoding="utf-8"))[place]

    def rig(self) -> rig.LabgridRig:
        made = rig.parse(
            {
                "name": "lab", "backend": "labgrid", "coordinator": "lab:20408", "client": str(self.client),
                "boards": [{"name": "a", "place": "gas"}],
            }
        )  # fmt: skip
        assert isinstance(made, rig.LabgridRig)
        return made


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


async def test_a_place_is_leased_for_the_run_and_given_back(lab: Lab) -> None:
    async with stations(lab.rig(), Technician(Words(Lang.EN)), boards=frozenset({"a"})) as (station,):
        assert lab.get()["owner"] == "vm/tech"
        assert station.port == "rfc2217://localhost:19000"
        assert station.power is not None
        await station.power.on()
        assert lab.get()["power"] == "on"
        await station.power.off()
    assert (lab.get()["owner"], lab.get()["power"]) == ("", "off")
    assert lab.get()["orders"] == ["acquire", "show", "power on", "power off", "power get", "release"]


async def test_a_place_is_given_back_also_after_a_failure(lab: Lab) -> None:
    with pytest.raises(RuntimeError):
        async with stations(lab.rig(), Technician(Words(Lang.EN)), boards=frozenset({"a"})):
            raise RuntimeError("the run broke")
    assert lab.get()["owner"] == ""


async def test_a_place_that_somebody_holds_is_left_alone_and_the_holder_named(lab: Lab) -> None:
    lab.put(gas={"owner": "vm/other", "power": "on"})
    with pytest.raises(BenchError) as caught:
        async with stations(lab.rig(), Technician(Words(Lang.EN)), boards=frozenset({"a"})):
            pass
    assert caught.value.fault is Fault.PLACE_TAKEN
    assert caught.value.facts == {"place": "gas", "owner": "vm/other"}
    assert lab.get()["owner"] == "vm/other"


async def test_power_that_labgrid_itself_still_reads_as_on_is_not_off(lab: Lab) -> None:
    lab.put(gas={"owner": "", "power": "on", "stuck": True})
    async with stations(lab.rig(), Technician(Words(Lang.EN)), boards=frozenset({"a"})) as (station,):
        assert station.power is not None
        with pytest.raises(BenchError) as caught:
            await station.power.off()
    assert (caught.value.fault, caught.value.resource) == (Fault.POWER_STAYS_ON, "place-gas")


@pytest.mark.parametrize(
    ("place", "coordinator", "says"),
    [
        ("nope", "lab:20408", "place pattern nope matches nothing"),
        ("gas", "gone:20408", "Could not connect to coordinator"),
    ],
)
async def test_what_labgrid_refuses_is_passed_on(lab: Lab, place: str, coordinator: str, says: str) -> None:
    with pytest.raises(BenchError) as caught:
        await LabgridClient(str(lab.client), coordinator).acquire(place)
    assert caught.value.fault is Fault.LABGRID_SAID
    assert says in caught.value.facts["said"]


def test_the_command_names_a_client_that_is_not_installed(bench: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text(
        f"name: lab\nbackend: labgrid\ncoordinator: lab\nclient: {tmp_path}/labgrid-client\nboards: [{{name: a, place: gas}}]\n",
        encoding="ascii",
    )
    ran = bench("identify", "--lang", "en", "--rig", path, "--directory", tmp_path)
    assert ran.status == 1
    assert "is not on this computer" in ran.err


@pytest.mark.skipif(
    "GATEHOUSE_LABGRID_CLIENT" not in os.environ,
    reason="needs a real labgrid: set GATEHOUSE_LABGRID_CLIENT, _COORDINATOR and _PLACE (docs/bench.md)",
)
async def test_a_real_labgrid_leases_switches_and_gives_back() -> None:
    client = LabgridClient(
        os.environ["GATEHOUSE_LABGRID_CLIENT"], os.environ["GATEHOUSE_LABGRID_COORDINATOR"]
    )
    place = os.environ["GATEHOUSE_LABGRID_PLACE"]
    await client.acquire(place)
    try:
        with pytest.raises(BenchError) as caught:
            await client.acquire(place)
        assert caught.value.fault is Fault.PLACE_TAKEN
        await client.power(place, "on")
        assert await client.is_powered(place)
        await client.power(place, "off")
        assert not await client.is_powered(place)
        assert (await client.console(place)).startswith("rfc2217://")
    finally:
        await client.release(place)
