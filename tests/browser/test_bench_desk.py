"""The bench's page on a rig of real ports: what is missing is asked for, a board that is plugged in is seen, trouble of the rig is said."""

from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "bench_page"))
from bench_site import BenchSite
from guard import saturated_share, violations

expect = pytest.importorskip("playwright.sync_api").expect

RIG = """
name: desk
backend: local
boards:
  - {{name: gas-1, kind: gas, port: {port}, reset: lines}}
"""
THEMES = ("light", "dark", "outdoor")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    found = BenchSite(folder, RIG.format(port=folder / "board")).start()
    yield found
    found.close()


@pytest.fixture
def page(open_page, site):
    found = open_page(site.base, None, person=None)
    name, value = site.cookie
    found.context.add_cookies([{"name": name, "value": value, "url": site.base}])
    found.goto(site.base)
    return found


def test_a_board_is_plugged_in_and_the_bottle_entered(page, site):
    slot = page.locator("#slot-gas-1")
    expect(slot).to_contain_text("插上板子")
    assert saturated_share(page.screenshot()) < 0.002  # nothing is wrong: no colour
    master, slave = pty.openpty()
    (site.folder / "board").symlink_to(os.ttyname(slave))
    try:
        expect(slot.get_by_role("button", name="开始制作")).to_be_visible(timeout=15_000)
    finally:
        (site.folder / "board").unlink()
        os.close(master)
        os.close(slave)
    page.locator(".materials").get_by_role("button", name="填写").click()
    for label, text in (("浓度", "50"), ("瓶号", "示例-7"), ("有效期至", "2001-01-01")):
        page.locator("dialog").get_by_label(label).fill(text)
    for theme in THEMES:
        assert violations(page, theme) == []
    page.guard.allow("409")
    page.locator("dialog").get_by_role("button", name="确定").click()
    expect(page.locator(".toast.bad")).to_contain_text("已于 2001-01-01 过期")
    page.locator(".materials").get_by_role("button", name="填写").click()
    for label, text in (("瓶号", "示例-7"), ("有效期至", "2099-12-31")):
        page.locator("dialog").get_by_label(label).fill(text)
    page.locator("dialog").get_by_role("button", name="确定").click()
    expect(page.locator(".materials")).to_contain_text("CH4 50 %LEL · 示例-7 · 有效期至 2099-12-31")


def test_a_rig_file_that_is_spoilt_is_said(page, site):
    whole = site.rig.read_text(encoding="utf-8")
    expect(page.locator("#slot-gas-1")).to_be_visible()
    site.rig.write_text(whole.replace("kind", "kimd"), encoding="utf-8")
    expect(page.locator(".banner.broken")).to_contain_text("治具文件有误，仍用原来的", timeout=15_000)
    expect(page.locator(".banner.broken")).to_contain_text("是不是想写“kind”")
    for theme in THEMES:
        assert violations(page, theme) == []
    site.rig.write_text(whole, encoding="utf-8")
    expect(page.locator(".banner.broken")).to_have_count(0, timeout=15_000)


def test_names_with_markup_are_shown_as_they_are(open_page, site):
    page = open_page(site.base, None, person=None)
    name, value = site.cookie
    page.context.add_cookies([{"name": name, "value": value, "url": site.base}])
    page.goto(site.base)
    page.get_by_role("button", name="操作员").click()
    page.locator("dialog input").fill('<img src=x onerror=alert(1)>\u202e"王"')
    page.locator("dialog").get_by_role("button", name="确定").click()
    expect(page.locator(".who b")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator(".who img").count() == 0


def test_the_printed_address_opens_the_page_once(open_page, site):
    site.stop()
    address = site.start(is_fresh=True)
    page = open_page(site.base, None, person=None)
    page.guard.allow("401")
    page.goto(address)
    expect(page.locator("#slot-gas-1")).to_be_visible()
    assert page.url == f"{site.base}/"
    assert "token" not in page.evaluate("document.cookie + JSON.stringify(localStorage)")
    other = open_page(site.base, None, person=None)
    other.guard.allow("401")
    other.goto(address)
    expect(other.locator("main")).to_contain_text("gatehouse-bench page")


def test_without_a_session_the_page_says_how_to_come_in(open_page, site):
    page = open_page(site.base, None, person=None)
    page.guard.allow("401")
    page.goto(site.base)
    expect(page.locator("main")).to_contain_text("gatehouse-bench page")
    assert violations(page, "light") == []
