"""The pages beside the duty screen in a real browser: devices, drills, replay, cameras, people."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import scenes
from estate_site import MARKUP, EstateSite
from guard import violations

from gatehouse_edge.alarms.commands import Acknowledge, AddNote
from gatehouse_edge.reading import OutputReading
from gatehouse_events.alarm import Actor
from gatehouse_hil.facade import Facade

expect = pytest.importorskip("playwright.sync_api").expect
GUARD = Actor(name="示例甲", role="operator", station="local")
PAGES = ("/devices", "/drills", "/replay", "/cameras", "/people")
CAMERA = "cam-1-n"
SIREN = {"id": "siren-1", "kind": "siren", "io": "io-1", "point": 0, "serves": ["all"]}
BOARD = {
    "id": "io-1", "kind": "io", "bus": "line-0", "unit_id": 99, "profile": "relay_8ch", "location": {"name": "门岗"},
    "max_silence_s": 600,
}  # fmt: skip


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    found = EstateSite(tmp_path_factory.mktemp("estate"))
    found.sections["devices"].append(BOARD)
    found.sections["outputs"].append(SIREN)
    found.start()
    picture = cv2.imencode(".jpg", Facade(960, 540).picture(1))[1].tobytes()
    found.call(still(found, picture))
    yield found
    found.stop()


async def still(estate, picture):
    estate.site.stills[CAMERA] = picture


def command(estate, kind, **fields):
    estate.serial = getattr(estate, "serial", 0) + 1
    body = kind(actor=GUARD, command_id=f"t{estate.serial}", **fields)
    return estate.call(estate.site.ledger.submit(body))


def quiet(estate):
    """Nobody has to be called any more: what an earlier test raised is taken."""
    for alarm in estate.alarms():
        if alarm.state in {"unack", "rtn"}:
            command(estate, Acknowledge, alarm_id=alarm.alarm_id)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_readable_by_everybody_in_both_themes_and_languages_on_every_screen(
    estate, open_page, path
):
    page = open_page(estate.base, path, person="admin")
    expect(page.locator("main h1")).to_be_visible()
    if path == "/cameras":
        page.get_by_role("button", name="取图").click()
        expect(page.locator(".point")).to_have_count(4)
    if path == "/replay":
        expect(page.locator(".timeline")).to_be_visible()
    for theme in ("light", "dark"):
        assert violations(page, theme) == []
    for width in (390, 768, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(60)
        assert page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        ), width
    assert page.evaluate("document.getAnimations().length") == 0
    page.goto(f"{estate.base}{path}?lang=en")
    expect(page.locator("main h1")).to_be_visible()
    assert chinese_in(page.locator("main :is(h1, h2, th, label, button, .hint)").all_inner_texts()) == []


def chinese_in(texts):
    """Return the texts that hold Chinese though they name no place."""
    places = ("厨房", "客梯", "门岗", "北立面", "示例")
    return [
        text for text in texts if any("一" <= c <= "鿿" for c in text) and not any(p in text for p in places)
    ]


def test_who_may_not_is_told_so_and_sees_no_way_there(estate, open_page):
    page = open_page(estate.base, "/people", person="viewer")
    expect(page.locator("main")).to_contain_text("您的角色不能使用本页")
    assert page.locator("nav.pages a").all_inner_texts() == ["值守", "设备"]


def test_a_device_is_found_put_out_of_service_and_taken_back(estate, open_page):
    page = open_page(estate.base, "/devices", person="admin")
    expect(page.locator(".hint")).to_contain_text(f"探测点 {len(estate.site.ledger.devices())} 个")
    page.get_by_label("搜索房号、姓名、设备").fill("3号楼 901 厨房")
    rows = page.locator(".tr:not(.head)")
    expect(rows).to_have_count(
        sum(
            row["id"].startswith("gas-3-") and row["id"].endswith("-901")
            for row in estate.sections["devices"]
        )
    )
    rows.first.get_by_role("button", name="停用").click()
    page.get_by_label("分钟").fill("10")
    page.get_by_label("原因").fill(MARKUP)
    page.locator("dialog button.strong").click()
    expect(rows.first).to_contain_text("示例admin")
    expect(rows.first).to_contain_text("还有 9 分")
    page.get_by_role("button", name="停用 1").click()
    expect(rows).to_have_count(1)
    rows.first.locator(".what").click()
    expect(page.locator("dialog .facts")).to_contain_text("<b>甲</b>")
    page.keyboard.press("Escape")
    rows.first.get_by_role("button", name="恢复启用").click()
    expect(rows).to_have_count(0)


def test_ages_count_and_a_silent_device_comes_to_the_top(estate, open_page):
    page = open_page(estate.base, "/devices")
    scenes.mute_detector(estate, "gas-2-2-901")
    page.get_by_label("全部类型").select_option("gas")
    first = page.locator(".tr:not(.head)").first
    expect(first).to_contain_text("gas-2-2-901")
    expect(first).to_contain_text("离线")
    estate.put(estate.gas("gas-2-2-901", 0.4))
    expect(page.locator(".tr.is-silent")).to_have_count(0)


def test_a_drill_is_played_and_reported_from_the_page(estate, open_page):
    quiet(estate)
    page = open_page(estate.base, "/drills")
    page.get_by_role("button", name="开始演练").click()
    page.locator("dialog button.strong").click()
    box = page.locator(".running")
    expect(box).to_contain_text("演练进行中")
    alarm = estate.alarm("gas.high_alarm")
    assert alarm.kind == "test"
    # The page itself is a screen at the desk: it paints the drill and can be heard.
    expect(box.locator(".check.ok", has_text="值守屏已显示")).to_have_count(1)
    expect(box.locator(".check.ok", has_text="值守台可发声")).to_have_count(1)
    estate.put(OutputReading(device_id="siren-1", at=estate.now(), is_ok=True, wanted=True, is_on=True))
    expect(box.locator(".check.ok", has_text="输出已接通")).to_have_count(1)
    page.get_by_role("button", name="结束演练").click()
    expect(box).to_have_count(0)
    expect(page.locator(".past").first).to_contain_text("燃气高报")
    page.locator(".past").first.click()
    expect(page.locator("dialog")).to_contain_text("人工结束")


def test_a_real_alarm_stops_the_drill_and_forbids_the_next(estate, open_page):
    quiet(estate)
    page = open_page(estate.base, "/drills")
    page.get_by_role("button", name="开始演练").click()
    page.locator("dialog button.strong").click()
    expect(page.locator(".running")).to_have_count(1)
    scenes.press(estate, counter=50)
    expect(page.locator(".running")).to_have_count(0)
    expect(page.get_by_role("button", name="开始演练")).to_be_disabled()
    expect(page.locator("main")).to_contain_text("有真实报警未确认")
    expect(page.locator(".banner.alarm")).to_contain_text("一键求助")
    expect(page.locator(".past").first).to_contain_text("未做完")
    quiet(estate)


def test_screen_and_sound_are_judged_by_a_person(estate, open_page):
    page = open_page(estate.base, "/drills")
    page.get_by_role("button", name="屏幕自检").click()
    expect(page.locator(".swatches div")).to_have_count(4)
    page.get_by_role("button", name="清楚可辨").click()
    expect(page.locator(".past").first).to_contain_text("屏幕自检")
    page.get_by_role("button", name="声音自检").click()
    page.get_by_role("button", name="紧急 试听").click()
    assert page.evaluate(
        "import('/ui/sound.js').then(({ played }) => played.some(([, tune]) => tune === 'P1'))"
    )
    page.get_by_role("button", name="听不清").click()
    expect(page.locator(".past").first).to_contain_text("有缺项")


def test_a_day_is_looked_back_at_by_search_story_and_moment(estate, open_page):
    alarm = scenes.leak(estate, "gas-1-2-901")
    estate.site.clock.shift_s += 5
    command(estate, Acknowledge, alarm_id=alarm.alarm_id)
    command(estate, AddNote, alarm_id=alarm.alarm_id, text=f"{MARKUP} 已通风")
    page = open_page(estate.base, "/replay")
    expect(page.locator(".timeline .bar.p1").first).to_be_visible()
    page.get_by_label("搜索房号、姓名、设备、内容").fill("1号楼 2单元 901 高报")
    page.keyboard.press("Enter")
    rows = page.locator("button.row")
    expect(rows).to_have_count(1)
    rows.first.click()
    story = page.locator(".story")
    expect(story).to_contain_text("<b>甲</b>")
    expect(story).to_contain_text("示例甲")
    page.get_by_role("button", name="当时屏幕所知").click()
    expect(story.locator("li.row", has_text="燃气高报").filter(has_text="901")).to_contain_text("未确认")
    page.locator(".timeline").focus()
    page.keyboard.press("PageUp")
    page.keyboard.press("PageUp")
    expect(story).to_contain_text("记录没有这么早")


def test_the_replay_waits_for_the_gateways_clock_before_it_shows_a_day(estate, open_page):
    held = []
    page = open_page(estate.base, path=None)
    page.guard.allow("ERR_FAILED")
    page.route("**/ui/stream-worker.js", lambda route: route.abort())
    page.route("**/api/v1/events*", lambda route: held.append(route))  # noqa: PLW0108  # Playwright marks what it is given
    page.goto(f"{estate.base}/replay")
    expect(page.locator("main")).to_contain_text("正在查找")
    expect(page.locator(".timeline")).to_have_count(0)
    assert violations(page, "light") == []
    page.keyboard.press("ArrowLeft")
    for route in held:
        route.continue_()
    expect(page.locator(".timeline")).to_be_visible()
    assert page.locator(".timeline").get_attribute("aria-valuemin").isdigit()


def test_an_alarm_has_an_address_in_the_replay(estate, open_page):
    alarm = scenes.leak(estate, "gas-3-3-901", levels=(12,))
    page = open_page(estate.base, f"/replay?alarm={alarm.alarm_id}&q=901")
    expect(page.locator(".story h2")).to_contain_text("燃气低报")
    expect(page.get_by_label("搜索房号、姓名、设备、内容")).to_have_value("901")


def test_a_recording_is_seen_with_a_reason_that_stays_on_record(estate, open_page):
    alarm = scenes.throw(estate)
    estate.keep_film("cam-2-n", alarm)
    page = open_page(estate.base, f"/replay?alarm={alarm.alarm_id}", person="admin")
    page.get_by_role("button", name="查看 clip.mp4").click()
    page.get_by_label("查看原因（记入调阅登记）").fill(MARKUP)
    page.locator("dialog button.strong").click()
    film = page.locator("dialog video")
    expect(film).to_be_visible()
    expect(film).to_have_js_property("readyState", 4, timeout=10_000)
    page.keyboard.press("Escape")
    page.reload()
    expect(page.locator(".story")).to_contain_text("调阅录像")
    expect(page.locator(".story")).to_contain_text("<b>甲</b>")
    page.get_by_role("button", name="有证据").click()
    expect(page.locator("button.row")).to_have_count(1)
    guard = open_page(estate.base, f"/replay?alarm={alarm.alarm_id}")
    expect(guard.locator(".story")).to_contain_text("录像已保存")
    expect(guard.locator(".story")).not_to_contain_text("调阅录像")
    register = page.evaluate("fetch('/api/v1/evidence-register').then((answer) => answer.text())")
    assert "<b>甲</b>" in register


def test_the_day_before_is_one_key_away(estate, open_page):
    page = open_page(estate.base, "/replay")
    expect(page.locator(".timeline")).to_be_visible()
    today = page.get_by_label("日期").input_value()
    page.get_by_role("button", name="前一天").click()
    page.get_by_role("button", name="前一天").click()
    expect(page.get_by_label("日期")).not_to_have_value(today)
    expect(page.locator(".empty")).to_contain_text("没有符合的报警")
    page.get_by_role("button", name="最近 24 小时").click()
    expect(page.locator("button.row").first).to_be_visible()


def test_a_front_is_drawn_with_the_keyboard_alone_undone_and_stored(estate, open_page):
    page = open_page(estate.base, "/cameras", person="admin")
    take = page.get_by_role("button", name="取图")
    expect(take).to_be_enabled()
    take.focus()
    page.keyboard.press("Enter")
    corner = page.locator('[data-point="facade 0"]')
    expect(corner).to_be_visible()
    x, y = (int(corner.get_attribute(name)) for name in ("cx", "cy"))
    corner.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    expect(corner).to_have_attribute("cx", str(x + 1))
    expect(corner).to_have_attribute("cy", str(y + 10))
    page.keyboard.press("Control+z")
    expect(corner).to_have_attribute("cy", str(y))
    expect(page.locator(".still text", has_text="5F")).to_be_visible()
    page.keyboard.press("Control+Shift+z")
    expect(corner).to_have_attribute("cy", str(y + 10))
    page.get_by_role("button", name="楼层线").click()
    page.get_by_role("button", name="加一条楼层线").click()
    expect(page.locator(".lines li")).to_have_count(3)
    page.get_by_role("button", name="保存标定").click()
    page.locator("dialog button.strong").click()
    expect(page.locator(".tools .facts")).to_contain_text("示例admin")
    expect(page.locator(".pill", has_text="有未保存的修改")).to_have_count(0)
    page.reload()
    expect(page.get_by_label("摄像机", exact=True)).to_contain_text("第 1 版")
    page.get_by_role("button", name="楼层线").click()
    expect(page.locator(".lines li")).to_have_count(3)


def test_a_drawing_that_is_no_front_is_named_and_cannot_be_stored(estate, open_page):
    page = open_page(estate.base, "/cameras", person="admin")
    page.guard.allow("422")
    page.get_by_role("button", name="取图").click()
    page.get_by_role("button", name="楼层线").click()
    page.get_by_label("楼层", exact=True).first.fill("40")
    page.keyboard.press("Tab")
    expect(page.locator(".faults li").first).to_be_visible()
    expect(page.get_by_role("button", name="保存标定")).to_be_disabled()
    page.get_by_role("button", name="撤销").click()
    expect(page.locator(".faults")).to_have_count(0)


def at_the_floors(estate, open_page):
    """Return the drawing page with a still, floor lines to be changed, and leave to be refused."""
    page = open_page(estate.base, "/cameras", person="admin")
    page.guard.allow("422")
    with page.expect_response("**/still"):
        page.get_by_role("button", name="取图").click()
    page.get_by_role("button", name="楼层线").click()
    expect(page.locator(".still text", has_text="5F")).to_be_visible()
    return page


def test_a_picture_that_comes_after_a_stroke_is_no_step_to_take_back(estate, open_page):
    page = at_the_floors(estate, open_page)
    held = []
    page.route("**/still", lambda route: held.append(route))  # noqa: PLW0108  # Playwright marks what it is given, and a built-in method cannot be marked
    with page.expect_request("**/still"):
        page.get_by_role("button", name="重新取图").click()
    page.get_by_label("楼层", exact=True).first.fill("40")
    page.keyboard.press("Tab")
    expect(page.locator(".faults li").first).to_be_visible()
    with page.expect_response("**/still"):
        held[0].continue_()
    page.wait_for_timeout(300)
    page.get_by_role("button", name="撤销").click()
    expect(page.locator(".faults")).to_have_count(0)


def test_a_new_picture_under_an_old_drawing_can_be_stored(estate, open_page):
    page = open_page(estate.base, "/cameras", person="admin")
    with page.expect_response("**/still"):
        page.get_by_role("button", name="取图").click()
    save = page.get_by_role("button", name="保存标定")
    if save.is_enabled():
        save.click()
        page.locator("dialog button.strong").click()
    expect(page.get_by_label("摄像机", exact=True)).to_contain_text("版")
    expect(save).to_be_disabled()
    shown = page.locator(".still image").get_attribute("href")
    page.route("**/still", lambda route: route.fulfill(json={"sha256": "0" * 64, "url": shown}))
    page.get_by_role("button", name="重新取图").click()
    expect(page.locator(".pill", has_text="有未保存的修改")).to_be_visible()
    expect(save).to_be_enabled()


def test_an_answer_about_a_drawing_that_was_taken_back_is_not_looked_at(estate, open_page):
    page = at_the_floors(estate, open_page)
    late = []

    def hold_the_first(route):
        if late:
            route.continue_()
        else:
            late.append((route, route.fetch()))

    page.route("**/calibration/preview", hold_the_first)
    page.get_by_label("楼层", exact=True).first.fill("40")
    with page.expect_request("**/calibration/preview"):
        page.keyboard.press("Tab")
    page.wait_for_timeout(300)
    with page.expect_response("**/calibration/preview"):
        page.get_by_role("button", name="撤销").click()
    ((route, answer),) = late
    assert answer.status == 422
    route.fulfill(response=answer)
    page.wait_for_timeout(300)
    expect(page.locator(".faults")).to_have_count(0)


def test_zones_are_set_pulled_and_removed(estate, open_page):
    page = open_page(estate.base, "/cameras", person="admin")
    page.get_by_role("button", name="取图").click()
    page.get_by_role("button", name="遮蔽区").click()
    page.locator(".still svg").click(position={"x": 60, "y": 80})
    expect(page.locator(".zone.shield")).to_have_count(1)
    points = page.locator(".point")
    points.first.focus()
    page.keyboard.press("Insert")
    expect(points).to_have_count(5)
    page.locator('[data-point="shield 0 1"]').focus()
    page.keyboard.press("Delete")
    expect(points).to_have_count(4)
    page.get_by_role("button", name="删除最后一块").click()
    expect(page.locator(".zone")).to_have_count(0)


def test_people_are_made_changed_and_shut_out_under_any_name(estate, open_page):
    page = open_page(estate.base, "/people", person="admin")
    page.get_by_role("button", name="新增人员").click()
    page.get_by_label("姓名", exact=True).fill("<i>乙</i>示例")
    page.get_by_label("密码").fill("correct-horse-8")
    page.locator("dialog button.strong").click()
    row = page.locator("tr", has_text="<i>乙</i>示例")
    expect(row).to_contain_text("值班")
    row.get_by_role("button", name="角色").click()
    page.locator("dialog select").select_option("supervisor")
    page.locator("dialog button.strong").click()
    expect(row).to_contain_text("主管")
    row.get_by_role("button", name="停用").click()
    page.locator("dialog button.danger").click()
    expect(row).to_contain_text("已停用")
    mine = page.locator("tr", has_text="本人")
    expect(mine.get_by_role("button", name="停用")).to_be_disabled()
    page.guard.allow("422")
    page.get_by_role("button", name="新增人员").click()
    page.get_by_label("姓名", exact=True).fill("短")
    page.get_by_label("密码").fill("short")
    page.locator("dialog button.strong").click()
    expect(page.locator(".toast.bad")).to_contain_text("密码至少10个字符")


def test_a_page_that_loses_its_gateway_says_so_and_lets_nothing_be_done(estate, open_page):
    page = open_page(estate.base, "/devices", person="admin")
    expect(page.locator(".tr:not(.head)").first).to_be_visible()
    estate.stop()
    try:
        expect(page.locator(".banner.stale")).to_be_visible(timeout=10_000)
        expect(page.locator(".tr:not(.head)").first.get_by_role("button").first).to_be_disabled()
    finally:
        estate.start()
    expect(page.locator(".banner.stale")).to_have_count(0, timeout=15_000)
