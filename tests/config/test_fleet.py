"""The section `fleet`: absent by default, https only, and a name a certificate can carry."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gatehouse_config import check, diff, load

BASE = {
    "gateway": {"id": "wh-371002-0007-gw1"},
    "site": {
        "division_code": "371002002",
        "division_standard": "stats_gov",
        "community_id": "wh-1",
        "estate": "示例小区",
        "position": {"lon": 122.1, "lat": 37.5, "crs": "CGCS2000"},
    },
}


def written(directory: Path, **changes: object) -> Path:
    path = directory / "gateway.yaml"
    path.write_text(yaml.safe_dump(BASE | changes, allow_unicode=True), encoding="utf-8")
    return path


def test_without_the_section_there_is_no_fleet(tmp_path: Path) -> None:
    config = load(written(tmp_path))
    assert config.fleet is None
    assert config.fleet_directory == tmp_path / "var" / "gateway" / "fleet"


@pytest.mark.parametrize(
    ("url", "is_good"),
    [
        ("https://fleet.example:8460", True),
        ("http://127.0.0.1:8460", True),
        ("http://[::1]:8460", True),
        ("http://localhost:8460", True),
        ("http://fleet.example:8460", False),
        ("https://fleet.example/path", False),
        ("https://user:word@fleet.example", False),
        ("ftp://fleet.example", False),
    ],
)
def test_only_https_leaves_this_machine(tmp_path: Path, url: str, is_good: bool) -> None:
    faults = check(written(tmp_path, fleet={"url": url}))
    assert (faults == []) is is_good
    assert all("fleet" in fault.path for fault in faults)


@pytest.mark.parametrize("name", ["GW_1", "gw.1", "g", "-gw-1", "x" * 64])
def test_a_name_no_certificate_can_carry_is_refused_only_with_a_fleet(tmp_path: Path, name: str) -> None:
    fleet = {"url": "https://fleet.example:8460"}
    assert any("gateway.id" in str(f) for f in check(written(tmp_path, gateway={"id": name}, fleet=fleet)))
    assert not any("a fleet knows" in str(f) for f in check(written(tmp_path, gateway={"id": name})))


def test_a_configuration_from_elsewhere_means_paths_beside_the_local_file(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    path = written(tmp_path / "far", fleet={"url": "https://fleet.example:8460", "directory": "id"})
    assert load(path, folder=tmp_path).fleet_directory == tmp_path / "id"


def test_another_server_is_a_change_of_the_fleet_alone(tmp_path: Path) -> None:
    old = load(written(tmp_path, fleet={"url": "https://a.example"}))
    new = load(written(tmp_path, fleet={"url": "https://b.example"}))
    assert diff(old, new).sections == {"fleet"}
