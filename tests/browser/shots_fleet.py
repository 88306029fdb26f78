"""Pictures of the fleet console: an invented city with alarms, silence, cases at every step and a rollout."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import fleet_scene
from fleet_city import FleetCity, log_in
from playwright.sync_api import expect

COMMUNITIES = 24
PAGES = (
    ("cases", "cases"),
    ("gateways", "gateways"),
    ("releases", "releases"),
    ("statistics", "statistics"),
    ("people", "people"),
    ("audit", "audit"),
    ("city", "city"),
    ("handover", "handover"),
)


def shoot(camera):
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        city = stack.enter_context(FleetCity(Path(folder), communities=COMMUNITIES))

        def enter(context, _base, _person):
            log_in(context, city)

        def come(path, **options):
            page = camera.page(city.base, f"/#/{path}", log_in=enter, ignore_https_errors=True, **options)
            expect(page.locator(".live:not(.bad)")).to_be_visible(timeout=20_000)
            expect(page.get_by_text("正在读取…")).to_have_count(0, timeout=20_000)
            page.wait_for_timeout(600)
            return page

        camera.keep(come("overview"), "fleet-calm")
        rollout = fleet_scene.whole(city)
        stack.enter_context(city.alive(but=fleet_scene.SILENT))
        alarm = next(one for one in city.every("/alarms") if one["code"] == "gas.high_alarm")["alarm_id"]
        case = city.every("/cases?step=feedback")[0]["id"]
        camera.keep(come("overview"), "fleet-overview")
        camera.keep(come("overview", width=1920, height=1080), "fleet-overview-1080")
        camera.keep(come(f"alarms?one={alarm}"), "fleet-alarms")
        taken = next(one for one in city.every("/alarms") if one["state"] == "acked")["alarm_id"]
        camera.keep(come(f"trace/{taken}"), "fleet-trace")
        camera.keep(come(f"cases/{case}"), "fleet-case")
        camera.keep(come(f"releases/{rollout}"), "fleet-rollout")
        page = come(f"gateways/{city.gateway(1).gateway_id}?tab=configs")
        page.get_by_role("button", name="差异").first.click()
        expect(page.locator(".difference ins").first).to_be_visible()
        camera.keep(page, "fleet-difference")
        for name, path in PAGES:
            camera.keep(
                come(path, height=1500 if name in {"statistics", "handover"} else 900), f"fleet-{name}"
            )
        camera.keep(come("overview", width=390, height=844), "fleet-phone")
        page = come("overview")
        with city.frozen():
            page.locator(".banner.stale").wait_for(timeout=30_000)
            camera.keep(page, "fleet-stale")
