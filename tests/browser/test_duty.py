"""The duty screen in a real browser, in front of a real gateway."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import scenes
from estate_site import EstateSite

expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    found = EstateSite(tmp_path_factory.mktemp("estate")).start()
    yield found
    found.stop()


def card(page, alarm):
    return page.locator(f'[data-id="{alarm.alarm_id}"]')


def test_an_alarm_appears_everywhere_and_is_taken_by_key(open_page, estate):
    page = open_page(estate.base)
    expect(page.locator(".none")).to_contain_text("探测点 93 个，在线 93 个")
    alarm = scenes.leak(estate)
    expect(card(page, alarm)).to_have_attribute("data-state", "unack")
    expect(page.locator(".at.p1.unack")).to_have_count(1)
    expect(page.locator("#said")).to_contain_text("紧急 燃气高报")
    page.keyboard.press("a")
    expect(card(page, alarm)).to_have_attribute("data-state", "acked")
