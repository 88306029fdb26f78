"""What the supervision of a help button costs in battery, as the firmware's README states it."""

from __future__ import annotations

import re

import pytest

from gatehouse_hil.battery_model import ButtonBattery, lost_after_h
from gatehouse_hil.node_build import FIRMWARE

README = (FIRMWARE / "node" / "README.md").read_text(encoding="utf-8")


def test_the_table_of_the_readme_is_what_the_model_computes() -> None:
    rows = re.findall(
        r"^\| (\d+(?:\.\d+)?) h \| ([\d.]+) years \| (\d+(?:\.\d+)?) h \|$", README, flags=re.MULTILINE
    )
    assert len(rows) >= 4
    for interval, years, lost in rows:
        assert float(years) == round(ButtonBattery().life_years(alive_every_h=float(interval)), 1)
        assert float(lost) == lost_after_h(alive_every_h=float(interval))
    assert ("6", "4.4", "18") in rows


def test_a_shorter_interval_costs_life() -> None:
    battery = ButtonBattery()
    lives = [battery.life_years(alive_every_h=hours) for hours in (0.25, 1, 6, 24)]
    assert lives == sorted(lives)
    assert lives[0] < 1
    with pytest.raises(ValueError, match="above 0"):
        battery.life_years(alive_every_h=0)


def test_the_interval_of_the_firmware_is_the_one_of_the_table() -> None:
    program = (FIRMWARE / "node" / "button_app.py").read_text(encoding="utf-8")
    assert f"ALIVE_EVERY_MS = const({6 * 3600 * 1000:_})" in program
