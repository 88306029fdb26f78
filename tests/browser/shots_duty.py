"""Pictures of the duty screen."""

from __future__ import annotations

import tempfile
from pathlib import Path

import scenes
from estate_site import EstateSite
from playwright.sync_api import expect


def shoot(camera):
    with tempfile.TemporaryDirectory() as folder:
        estate = EstateSite(Path(folder)).start()
        try:
            page = camera.page(estate.base)
            expect(page.locator(".none")).to_be_visible()
            page.wait_for_timeout(500)
            camera.keep(page, "duty-calm")
            alarms = [scenes.trap(estate), scenes.throw(estate), scenes.press(estate), scenes.leak(estate)]
            scenes.mute_detector(estate)
            expect(page.locator(".alarm")).to_have_count(5)
            for name, alarm in zip(("lift", "throw", "help", "gas"), alarms, strict=True):
                page.locator(f'[data-id="{alarm.alarm_id}"] .what').click()
                page.wait_for_timeout(1200)
                camera.keep(page, f"duty-{name}")
            wide = camera.page(estate.base, width=1920, height=1080)
            expect(wide.locator(".alarm")).to_have_count(5)
            camera.keep(wide, "duty-1080")
            phone = camera.page(estate.base, width=390, height=844)
            expect(phone.locator(".alarm")).to_have_count(5)
            camera.keep(phone, "duty-phone", whole=True)
        finally:
            estate.stop()
        page.locator(".banner.stale").wait_for(timeout=15_000)
        camera.keep(page, "duty-stale")
