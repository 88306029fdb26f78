"""Pictures of the duty screen."""

from __future__ import annotations

import tempfile
from pathlib import Path

import scenes
from estate_site import EstateSite
from playwright.sync_api import expect

from gatehouse_edge.uplink.link import LINK_LABELS, LinkState, LinkView

LEAK = (
    0.5,
    0.6,
    0.5,
    0.7,
    0.6,
    0.8,
    0.7,
    1.0,
    1.6,
    2.1,
    3.2,
    4.1,
    5.6,
    6.4,
    8.3,
    9.4,
    11.2,
    13.1,
    14.8,
    17.2,
    19.1,
    21.0,
    22.6,
    23.4,
)
"""A leak of ten minutes, in %LEL."""
STEP_S = 25.0


def shoot(camera):
    link = LinkView(
        state=LinkState.DOWN, label=LINK_LABELS[LinkState.DOWN], since_s=-757.0, why="", queued_alarm=37,
        queued_telemetry=0, contact_s=None,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        estate = EstateSite(Path(folder), fleet=link, shift_s=-len(LEAK) * STEP_S).start()
        try:
            scenes.leak(estate, levels=LEAK, step_s=STEP_S)
            page = _alarms(camera, estate)
        finally:
            estate.stop()
        page.locator(".banner.stale").wait_for(timeout=15_000)
        camera.keep(page, "duty-stale")
    with tempfile.TemporaryDirectory() as folder:
        estate = EstateSite(Path(folder)).start()
        try:
            page = camera.page(estate.base)
            expect(page.locator(".none")).to_be_visible()
            page.wait_for_timeout(600)
            camera.keep(page, "duty-calm")
            page = camera.page(estate.base, person=None)
            expect(page.locator("form")).to_be_visible()
            camera.keep(page, "login")
        finally:
            estate.stop()


def _alarms(camera, estate):
    gas = estate.alarm("gas.high_alarm")
    alarms = {
        "lift": scenes.trap(estate),
        "throw": scenes.throw(estate, has_film=True),
        "help": scenes.press(estate),
        "gas": gas,
    }
    scenes.fail_detector(estate)
    scenes.mute_detector(estate, "gas-3-1-901")
    estate.put(estate.gas("gas-1-1-902", 12.0))
    page = camera.page(estate.base, person="supervisor")
    for name, alarm in alarms.items():
        page.locator(f'[data-id="{alarm.alarm_id}"] .what').click()
        page.wait_for_timeout(700)
        if name == "throw":
            page.locator(".watch").click()
            page.wait_for_function(
                "() => Number(document.querySelector('.over')?.dataset.at) > 11.6", timeout=20_000
            )
        if name == "lift":
            page.locator("[data-act=ack]").click()
            expect(page.locator(".alarm.acked")).to_have_count(1)
        camera.keep(page, f"duty-{name}")
    for size, (width, height) in {"1080": (1920, 1080), "phone": (390, 844)}.items():
        other = camera.page(estate.base, width=width, height=height)
        expect(other.locator(".alarm").first).to_be_visible()
        other.wait_for_timeout(1000)
        camera.keep(other, f"duty-{size}", whole=width < 1000)
    english = camera.page(estate.base, "/?lang=en")
    expect(english.locator(".alarm").first).to_be_visible()
    camera.keep(english, "duty-english", themes=("light",))
    return page
