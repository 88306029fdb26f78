"""Pictures of the fleet console: an invented city with alarms, silence, cases at every step and a rollout."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import fleet_scene
from fleet_city import FleetCity, log_in
from playwright.sync_api import expect

COMMUNITIES = 24
SLOW_MS = 60_000


def shoot(camera):
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        city = stack.enter_context(FleetCity(Path(folder), communities=COMMUNITIES))

        def enter(context, _base, _person):
            log_in(context, city)

        page = camera.page(city.base, "/", log_in=enter, ignore_https_errors=True)

        def see(name, path, *, width=1440, height=900):
            page.set_viewport_size({"width": width, "height": height})
            page.goto(f"{city.base}/#/{path}")
            expect(page.locator(".live:not(.bad)")).to_be_visible(timeout=SLOW_MS)
            expect(page.get_by_text("正在读取…")).to_have_count(0, timeout=SLOW_MS)
            page.wait_for_timeout(700)
            if name is not None:
                camera.keep(page, f"fleet-{name}")

        see("calm", "overview")
        rollout = fleet_scene.whole(city)
        stack.enter_context(city.alive(but=fleet_scene.SILENT))
        page.reload()
        alarm = next(one for one in city.every("/alarms") if one["code"] == "gas.high_alarm")["alarm_id"]
        taken = next(one for one in city.every("/alarms") if one["state"] == "acked")["alarm_id"]
        case = city.every("/cases?step=feedback")[0]["id"]
        expect(page.locator(".silentrow")).to_have_count(len(fleet_scene.SILENT), timeout=SLOW_MS)
        see("overview", "overview")
        see("alarms", f"alarms?one={alarm}")
        see("trace", f"trace/{taken}")
        see("case", f"cases/{case}")
        see("rollout", f"releases/{rollout}")
        see(None, f"gateways/{city.gateway(1).gateway_id}?tab=configs")
        page.get_by_role("button", name="差异").first.click()
        expect(page.locator(".difference ins").first).to_be_visible()
        camera.keep(page, "fleet-difference")
        for name in ("cases", "gateways", "releases", "people", "audit", "city"):
            see(name, name)
        see("statistics", "statistics", height=1500)
        see("handover", "handover", height=1500)
        see("overview-1080", "overview", width=1920, height=1080)
        see("phone", "overview", width=390, height=844)
        see(None, "overview")
        with city.frozen():
            page.locator(".banner.stale").wait_for(timeout=SLOW_MS)
            camera.keep(page, "fleet-stale")
