"""The duty screen never lies: link cut, gateway restarted, sound blocked, clock wrong, many tabs; and nobody is shut out of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import scenes
from estate_site import EstateSite
from guard import changed_share, saturated_share, violations

expect = pytest.importorskip("playwright.sync_api").expect
WAIT_MS = 20_000


@pytest.fixture
def estate(tmp_path):
    found = EstateSite(tmp_path).start()
    yield found
    found.stop()


def card(page, alarm):
    return page.locator(f'[data-id="{alarm.alarm_id}"]')


def heard(estate, alarm):
    return next(one.heard_s for one in estate.alarms() if one.alarm_id == alarm.alarm_id)


# --- how old it is


def test_a_cut_line_is_said_blocks_taking_and_mends_by_itself(open_page, estate):
    page = open_page(estate.base)
    first = scenes.press(estate)
    expect(card(page, first)).to_be_visible()
    estate.stop()
    expect(page.locator(".banner.stale")).to_contain_text("下面不是实时画面", timeout=WAIT_MS)
    expect(card(page, first).locator(".state")).to_contain_text("截至")
    expect(card(page, first).locator(".act")).to_be_disabled()
    expect(page.locator(".veil")).to_have_count(1)
    page.keyboard.press("a")
    estate.start()
    second = scenes.trap(estate)
    expect(page.locator(".banner.stale")).to_have_count(0, timeout=WAIT_MS)
    expect(card(page, second)).to_be_visible()
    expect(card(page, first)).to_have_attribute("data-state", "unack")


def test_a_page_that_never_reached_the_gateway_says_so_and_nothing_else(open_page, estate):
    page = open_page(estate.base, path=None)
    page.guard.allow("ERR_FAILED")
    page.route("**/ui/stream-worker.js", lambda route: route.abort())
    page.route("**/api/v1/events*", lambda route: route.abort())
    page.goto(estate.base)
    expect(page.locator(".banner.stale")).to_contain_text("尚未连接网关")
    expect(page.locator(".wait")).to_contain_text("报警情况未知")
    assert page.locator(".none").count() == 0


def test_a_computer_that_slept_distrusts_its_screen_until_it_hears_the_gateway(open_page, estate):
    page = open_page(estate.base)
    expect(page.locator(".none")).to_be_visible()
    # The wall clock runs ahead of the monotonic one, as it does behind a lid that was shut; and no beat comes for a while.
    seen = page.evaluate("""() => new Promise((done) => {
      const root = document.documentElement;
      const seen = [];
      new MutationObserver(() => { seen.push(root.classList.contains("stale")); if (seen.length === 2) done(seen); }).observe(root, { attributeFilter: ["class"] });
      const now = Date.now;
      Date.now = () => now() + 3_600_000;
    })""")
    assert seen == [True, False]
    expect(page.locator(".none")).to_be_visible()


def test_without_a_shared_worker_the_page_listens_itself(open_page, estate):
    page = open_page(estate.base, path=None)
    page.add_init_script("delete window.SharedWorker")
    page.goto(estate.base)
    expect(page.locator(".none")).to_be_visible()
    expect(card(page, scenes.press(estate))).to_be_visible()


def test_nine_tabs_are_live_on_one_connection(open_page, estate):
    first = open_page(estate.base)
    pages = [first, *(first.context.new_page() for _ in range(8))]
    for page in pages[1:]:
        page.goto(estate.base)
    for page in pages:
        expect(page.locator(".none")).to_be_visible()
    assert estate.site.stream.clients == 1
    alarm = scenes.press(estate)
    for page in pages:
        expect(card(page, alarm)).to_be_visible()
    for page in pages[:8]:
        page.close()
    estate.put(estate.lift("lift-1-2", floor="6", passenger=True, alarm=True))
    expect(pages[8].locator(".alarm")).to_have_count(2)


def test_a_page_whose_line_broke_goes_on_where_it_stood(open_page, estate):
    page = open_page(estate.base)
    expect(page.locator(".none")).to_be_visible()
    page.evaluate("""async () => {
      const { effect } = await import("/ui/vendor/preact.js");
      const { snapshots } = await import("/static/desk.js");
      window.snapshots = [];
      effect(() => { window.snapshots.push(snapshots.value); });
    }""")
    estate.cut_streams()
    alarm = scenes.press(estate)
    expect(card(page, alarm)).to_be_visible(timeout=WAIT_MS)
    assert page.evaluate("() => window.snapshots.length") == 1  # what it missed was enough


# --- whether it was heard


def test_what_was_painted_and_could_be_heard_is_told_to_the_gateway(open_page, estate):
    page = open_page(estate.base)
    page.evaluate(
        "() => { window.told = []; addEventListener('painted', ({ detail }) => window.told.push(detail)); }"
    )
    alarm = scenes.press(estate)
    page.wait_for_function("() => window.told.length > 0")
    receipt = page.evaluate("() => window.told[0].receipts[0]")
    assert receipt == {"alarm_id": alarm.alarm_id, "seq": alarm.seq, "visible": True, "audible": True}
    expect(card(page, alarm)).to_be_visible()
    page.wait_for_timeout(200)
    assert heard(estate, alarm) is not None
    page.wait_for_function(
        "() => import('/ui/sound.js').then(({ played }) => played.some(([, tune]) => tune === 'P1'))"
    )


def test_blocked_sound_is_said_told_and_mended_by_a_touch(open_page, strict_browser, estate):
    page = open_page(estate.base, within=strict_browser)
    # Playwright's every look into a page counts as a touch for the browser: the page must have tried before the first.
    page.wait_for_timeout(2000)
    expect(page.locator(".blocked")).to_contain_text("浏览器禁止发声")
    alarm = scenes.press(estate)
    expect(card(page, alarm)).to_be_visible()
    page.wait_for_timeout(300)
    assert heard(estate, alarm) is None
    page.mouse.click(5, 400)
    expect(page.locator(".blocked")).to_have_count(0)
    page.wait_for_timeout(500)
    assert heard(estate, alarm) is not None


def test_silence_is_two_minutes_and_anything_new_ends_it(open_page, estate):
    page = open_page(estate.base)
    first = scenes.press(estate)
    expect(card(page, first)).to_be_visible()
    page.keyboard.press("m")
    expect(page.locator(".silence")).to_contain_text("已消音 1")
    expect(card(page, first)).to_have_attribute("data-state", "unack")
    scenes.trap(estate)
    expect(page.locator(".silence")).to_have_text("消音")


def test_a_kiosk_takes_a_new_build_while_nobody_needs_it_and_not_before(open_page, estate):
    page = open_page(estate.base, "/?kiosk")
    expect(page.locator(".none")).to_be_visible()
    assert page.locator(".menu").count() == 0
    assert page.evaluate("getComputedStyle(document.body).cursor") == "none"
    page.evaluate("() => { window.old = true; }")
    alarm = scenes.press(estate)
    expect(card(page, alarm)).to_be_visible()
    estate.site.stream.build = "another"
    page.wait_for_timeout(1500)
    assert page.evaluate("() => window.old") is True
    with page.expect_navigation(timeout=WAIT_MS):
        page.evaluate(
            "id => fetch(`/api/v1/alarms/${id}/ack`, { method: 'POST', headers: { 'X-Gatehouse': '1', 'Content-Type': 'application/json' }, body: '{}' })",
            alarm.alarm_id,
        )


# --- how it looks


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_screen_on_which_nothing_is_wrong_is_grey(open_page, estate, theme):
    page = open_page(estate.base, f"/?theme={theme}")
    expect(page.locator(".none")).to_be_visible()
    assert saturated_share(page.screenshot()) < 0.002


def test_axe_finds_nothing_in_both_themes_with_and_without_alarms(open_page, estate):
    page = open_page(estate.base)
    expect(page.locator(".none")).to_be_visible()
    for theme in ("light", "dark"):
        assert violations(page, theme) == []
    scenes.fail_detector(estate)
    scenes.throw(estate)
    scenes.leak(estate)
    scenes.press(estate)
    expect(page.locator(".alarm")).to_have_count(5)
    for theme in ("light", "dark"):
        assert violations(page, theme) == []
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_be_visible()
    assert violations(page, "light") == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_runs_out_of_the_page_and_targets_are_large(open_page, estate, language):
    scenes.press(estate)
    scenes.throw(estate)
    page = open_page(estate.base, f"/?lang={language}", has_touch=True)
    for width, height in ((1920, 1080), (1440, 900), (1280, 800), (768, 1024), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        expect(page.locator(".alarm").nth(1)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1"), width
        edges = page.evaluate(
            "[...document.querySelectorAll('.top > *, .chip, .act, .clock')].map((one) => one.getBoundingClientRect().right)"
        )
        assert max(edges) <= width + 1, (width, edges)
        sizes = page.evaluate(
            "[...document.querySelectorAll('button, a.button, summary, input')].map((one) => one.getBoundingClientRect()).filter((box) => box.width > 0).map((box) => box.height)"
        )
        assert min(sizes) >= 36, (width, sizes)
        for box in page.locator(".alarm .act").all():
            found = box.bounding_box()
            assert found["height"] >= 48
            assert found["width"] >= 44


def test_the_facade_looks_as_it_did(open_page, estate, renews_pictures):
    page = open_page(estate.base)
    alarm = scenes.press(estate)
    expect(card(page, alarm)).to_be_visible()
    page.wait_for_timeout(200)
    assert changed_share(page.locator(".facade").screenshot(), "facade", renews=renews_pictures) < 0.001


def test_who_asked_for_less_motion_gets_none_and_others_one_step_a_second(open_page, estate):
    still = open_page(estate.base)
    moving = open_page(estate.base, reduced_motion="no-preference")
    alarm = scenes.press(estate)
    for page in (still, moving):
        expect(card(page, alarm)).to_be_visible()
    assert still.evaluate("document.getAnimations().length") == 0
    timings = moving.evaluate(
        "document.getAnimations().map((one) => [one.effect.getTiming().duration, one.effect.target.tagName])"
    )
    assert timings
    assert all(duration == 1000 and tag in {"path", "text", "g"} for duration, tag in timings)
