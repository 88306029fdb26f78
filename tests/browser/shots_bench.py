"""Pictures of the technicians' page, on real simulated boards."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect

sys.path.insert(0, str(Path(__file__).parents[1] / "bench_page"))
from bench_site import BenchSite

THEMES = ("light", "dark", "outdoor")
WORK_MS = 180_000
RIG = """
name: practice
backend: simulated
asks: true
boards:
  - {name: gas-1, kind: gas, mac: 02a0b1000061, baud: 921600}
  - {name: gas-2, kind: gas, mac: 02a0b1000062, practice: cut_while_flashing, baud: 921600}
  - {name: lift-1, kind: lift, mac: 02a0b1000063, baud: 115200}
  - {name: button-1, kind: button, mac: 02a0b1000064, baud: 921600}
"""


def shoot(camera):
    with tempfile.TemporaryDirectory() as folder:
        site = BenchSite(Path(folder), RIG)
        site.make_ready("gas-1", "02a0b1000061")
        site.start()
        try:
            _shoot(camera, site)
        finally:
            site.close()


def _shoot(camera, site):
    def come_in(context, _base, _person):
        name, value = site.cookie
        context.add_cookies([{"name": name, "value": value, "url": site.base}])

    def opened(path="/", **options):
        return camera.page(site.base, path, log_in=come_in, **options)

    page = opened()
    expect(page.locator(".slot")).to_have_count(4)
    page.fill("#room-gas-1", "1-1-602")
    camera.keep(page, "bench-begin", themes=THEMES)
    for board, room in (
        ("gas-2", "1-1-603"),
        ("button-1", "1-2-301"),
        ("lift-1", "1-2"),
        ("gas-1", "1-1-602"),
    ):
        page.fill(f"#room-{board}", room)
    site.order(verb="calibrate", board="gas-1", room="1-1-602")
    for board, room in (("gas-2", "1-1-603"), ("button-1", "1-2-301")):
        site.order(verb="make", board=board, room=room)
    expect(page.locator("#slot-gas-2.is-failed")).to_be_visible(timeout=WORK_MS)
    expect(page.locator("#slot-button-1.is-passed")).to_be_visible(timeout=WORK_MS)
    expect(page.locator("#slot-gas-1.is-hands")).to_be_visible(timeout=WORK_MS)
    site.order(verb="make", board="lift-1", room="1-2")
    expect(page.locator("#slot-lift-1 .bar > i")).to_be_visible(timeout=WORK_MS)
    page.wait_for_timeout(12_000)
    page.keyboard.press("1")
    camera.keep(page, "bench-make", themes=THEMES)
    phone = opened(width=390, height=844)
    expect(phone.locator("#slot-gas-2.is-failed")).to_be_visible()
    camera.keep(phone, "bench-phone", themes=("light",), whole=True)
    while not (run := site.run("gas-1"))["ended"]:
        if run["asked"]:
            site.post(f"/api/runs/{run['id']}/hands", {"number": run["asked"]["number"]})
        page.wait_for_timeout(300)
    page.goto(f"{site.base}/#/registers/gas-1")
    page.get_by_role("button", name="开始读").click()
    expect(page.locator(".cell").first).to_be_visible(timeout=WORK_MS)
    page.wait_for_timeout(4000)
    camera.keep(page, "bench-registers")
    site.post(f"/api/runs/{site.state()['watches'][-1]['id']}/cancel")
    page.goto(f"{site.base}/#/air")
    page.get_by_role("button", name="开始听").click()
    expect(page.locator(".air tbody tr")).to_have_count(3, timeout=WORK_MS)
    page.wait_for_timeout(15_000)
    camera.keep(page, "bench-air")
    site.post(f"/api/runs/{site.state()['watches'][-1]['id']}/cancel")
    page.goto(f"{site.base}/#/camera")
    page.get_by_role("button", name="打开画面").click()
    expect(page.locator(".aim img")).to_be_visible(timeout=WORK_MS)
    page.wait_for_timeout(11_000)
    camera.keep(page, "bench-camera")
    site.post(f"/api/runs/{site.state()['watches'][-1]['id']}/cancel")
    site.ended("lift-1", timeout_s=180)
    page.goto(f"{site.base}/#/console/lift-1")
    page.get_by_role("button", name="开始听").click()
    expect(page.locator(".log")).to_contain_text("gatehouse", timeout=WORK_MS)
    camera.keep(page, "bench-console")
    site.post(f"/api/runs/{site.state()['watches'][-1]['id']}/cancel")
    page.goto(f"{site.base}/#/matrix")
    expect(page.locator(".matrix tbody tr")).to_have_count(4)
    camera.keep(page, "bench-matrix")
    page.get_by_role("button", name="不合格 #1").click()
    page.get_by_role("button", name="回放").click()
    page.get_by_role("button", name="16×").click()
    page.wait_for_timeout(2500)
    camera.keep(page, "bench-record", themes=("light",))
