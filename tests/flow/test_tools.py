"""`gatehouse-edge check|doctor|bundle|version` on the estate's own configuration."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tarfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from gatehouse_edge.bundle import MASK, masked
from gatehouse_edge.cli import main
from gatehouse_edge.clock import SystemClock
from gatehouse_events.chain import Stamp
from gatehouse_hil.estate import Estate
from gatehouse_journal import Journal, Limits, Signer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def estate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Estate]:
    async with Estate(tmp_path_factory.mktemp("estate"), console_port=18999) as estate:
        yield estate


async def test_the_estates_configuration_has_no_fault(
    estate: Estate, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(estate.config_path)]) == 0
    assert "good" in capsys.readouterr().out


async def test_check_names_every_fault_and_the_nearest_known_key(
    estate: Estate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = estate.config()
    config["gatewy"] = config.pop("gateway")
    config["devices"][1]["unit_id"] = 1  # type: ignore[index]
    (tmp_path / "keys").symlink_to(estate.directory / "keys")
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    assert main(["check", "--json", str(path)]) == 1
    faults = json.loads(capsys.readouterr().out)
    text = json.dumps(faults)
    assert "gateway" in text
    assert len(faults) >= 2


async def test_doctor_finds_every_simulated_wire_in_order(
    estate: Estate, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", estate.bus.address)
    assert main(["doctor", "--json", str(estate.config_path)]) == 0
    found = {finding["about"]: finding["verdict"] for finding in json.loads(capsys.readouterr().out)}
    assert {found[f"bus {name}"] for name in ("rs485-1", "lift-1-line", "ble0")} == {"ok"}


async def test_doctor_says_what_to_do_about_a_pulled_adapter(
    estate: Estate, capsys: pytest.CaptureFixture[str]
) -> None:
    estate.line.unplug()
    try:
        assert main(["doctor", str(estate.config_path)]) == 1
    finally:
        estate.line.replug()
    assert "plug the adapter in" in capsys.readouterr().out


async def test_a_bundle_holds_no_key_no_name_and_no_number(estate: Estate, tmp_path: Path) -> None:
    target = tmp_path / "b.tar.gz"
    assert main(["bundle", str(estate.config_path), "--output", str(target)]) == 0
    with tarfile.open(target) as tar:
        text = "".join((tar.extractfile(m) or pytest.fail(m.name)).read().decode() for m in tar.getmembers())
    secrets = [path.read_text(encoding="ascii").strip() for path in (estate.directory / "keys").iterdir()]
    private = [*secrets, "住户101", "13900000101", "+8613900000002", "371205"]
    assert [word for word in private if word in text] == []


async def test_masking_reaches_every_depth() -> None:
    assert masked([{"a": {"resident": {"name": "x"}}, "password_file": "y"}]) == [
        {"a": {"resident": MASK}, "password_file": MASK}
    ]


async def test_version_and_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--json"]) == 0
    assert "gatehouse" in json.loads(capsys.readouterr().out)
    with pytest.raises(SystemExit) as misuse:
        main(["nonsense"])
    assert misuse.value.code == 2


async def test_a_second_gateway_on_one_journal_is_refused_with_the_first_ones_pid(estate: Estate) -> None:
    directory = estate.directory / "gateway"
    now = SystemClock().now()
    stamp = Stamp(at=now.wall, boot=now.boot, mono_ns=now.mono_ns)
    directory.mkdir(exist_ok=True)
    journal = Journal.open(
        directory, limits=Limits(ballast_bytes=4096), signer=Signer.load_or_create(directory), stamp=stamp
    )
    try:
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gatehouse_edge", "run", str(estate.config_path), stderr=PIPE
        )
        _, said = await second.communicate()
    finally:
        journal.close()
    assert second.returncode == 1
    assert str(os.getpid()) in said.decode()
    assert "Traceback" not in said.decode()
