"""Runtime file and gas bottle, entered at the page; a rig of real ports, where a board is plugged in."""

from __future__ import annotations

import os
import pty
from datetime import date

import pytest
import yaml
from bench_site import BenchSite

from gatehouse_hil import rom_image
from gatehouse_hil.bench import calibration

RIG = """
name: desk
backend: local
boards:
  - {{name: gas-1, kind: gas, port: {port}, reset: lines}}
"""
BOTTLE = {"gas": "CH4", "percent_lel": 50, "bottle": "示例-7", "expires": "2099-12-31"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    found = BenchSite(folder, RIG.format(port=folder / "board")).start()
    yield found
    found.close()


def test_a_board_that_is_plugged_in_is_seen(site):
    here = lambda state: state["places"][0]["place"]["is_present"]  # noqa: E731
    assert site.until(lambda state: here(state) is False)
    master, slave = pty.openpty()
    (site.folder / "board").symlink_to(os.ttyname(slave))
    try:
        site.until(here, timeout_s=10)
    finally:
        (site.folder / "board").unlink()
        os.close(master)
        os.close(slave)
    site.until(lambda state: here(state) is False, timeout_s=10)


def test_the_bottle_is_entered_kept_and_part_of_the_command(site):
    assert site.state()["materials"] == {"runtime": "", "gas": None, "has_floors": False}
    assert site.post("/api/materials", {"gas": BOTTLE}).status_code == 200
    site.stop()
    site.start()
    assert site.state()["materials"]["gas"] == BOTTLE
    site.order(verb="calibrate", board="gas-1")
    run = site.ended("gas-1")
    assert "--gas=var/bench/page/bottle.yaml" in run["command"]
    assert run["ended"]["fault"] == "port_gone"
    bottle = calibration.load_bottle(site.directory / "page" / "bottle.yaml")
    assert (bottle.bottle, bottle.expires) == ("示例-7", date(2099, 12, 31))


@pytest.mark.parametrize(
    ("wrong", "status", "reason"),
    [
        ({"expires": "2001-01-01"}, 409, "gas_expired"),
        ({"percent_lel": 0}, 422, "not_an_order"),
        ({"percent_lel": "x"}, 422, "not_an_order"),
        ({"expires": "tomorrow"}, 422, "not_an_order"),
        ({"bottle": ""}, 422, "not_an_order"),
        ({"bottle": "a: b\n- !!python/object:os.system x"}, 200, ""),
    ],
)
def test_a_wrong_bottle_is_refused_and_the_right_one_stays(site, wrong, status, reason):
    site.post("/api/materials", {"gas": BOTTLE})
    answer = site.post("/api/materials", {"gas": BOTTLE | wrong})
    assert (answer.status_code, answer.json().get("reason", "")) == (status, reason)
    kept = yaml.safe_load((site.directory / "page" / "bottle.yaml").read_text(encoding="utf-8"))
    expected = BOTTLE | (wrong if status == 200 else {})
    assert kept["bottle"] == expected["bottle"]
    site.post("/api/materials", {"gas": BOTTLE})


def test_a_runtime_file_is_looked_into_before_it_is_used(site):
    good, bad = site.folder / "good.bin", site.folder / "bad.bin"
    good.write_bytes(rom_image.stand_in(chip_id=5, version="v1.29.0"))
    bad.write_bytes(good.read_bytes()[:-2] + b"xx")
    assert (
        site.post("/api/materials", {"runtime": str(site.folder / "none.bin")}).json()["reason"]
        == "no_such_file"
    )
    assert site.post("/api/materials", {"runtime": str(bad)}).json()["reason"] == "image_damaged"
    assert site.post("/api/materials", {"runtime": "/dev/zero"}).status_code == 409
    assert site.state()["materials"]["runtime"] == ""
    assert site.post("/api/materials", {"runtime": str(good)}).status_code == 200
    assert site.state()["materials"]["runtime"] == "good.bin"
    assert str(good.name) in " ".join(site.get("/api/materials/near").json()["runtimes"])
