"""The duty screen in a real browser, in front of a real gateway: what it shows, and what a guard can do."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import scenes
from estate_site import MARKUP, EstateSite
from guard import PASSWORD

from gatehouse_edge.reading import ButtonEvent

expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture
def estate(tmp_path):
    found = EstateSite(tmp_path).start()
    yield found
    found.stop()


def card(page, alarm):
    return page.locator(f'[data-id="{alarm.alarm_id}"]')


def choose(page, alarm):
    card(page, alarm).locator(".what").click()


def state_of(estate, alarm):
    return next((one.state for one in estate.alarms() if one.alarm_id == alarm.alarm_id), "closed")


# --- what it shows


def test_an_alarm_appears_in_list_facade_title_and_to_a_screen_reader(open_page, estate):
    page = open_page(estate.base)
    points = len(estate.sections["devices"])
    expect(page.locator(".none")).to_contain_text(f"探测点 {points} 个，在线 {points} 个")
    assert page.locator("#said").text_content() == ""
    alarm = scenes.press(estate)
    expect(card(page, alarm)).to_have_attribute("data-state", "unack")
    expect(card(page, alarm)).to_contain_text("1号楼1单元6层602室 · 张示例（独居）")
    expect(page.locator(".at.p1.unack .tag-text")).to_have_text("602 一键求助")
    expect(page.locator("#said")).to_have_text("紧急 一键求助 1号楼1单元6层602室")
    expect(page).to_have_title("(1) 望海花园 · 守望 值守台")
    expect(page.locator(".chip.p1 b")).to_have_text("1")


def test_an_empty_screen_says_what_was_checked_and_what_could_not_be(open_page, estate):
    scenes.mute_detector(estate)
    page = open_page(estate.base)
    expect(page.locator(".none")).to_contain_text("没有数据：2号楼1单元9层901室厨房")
    expect(page.locator(".health")).to_contain_text("离线 1")
    broken = scenes.fail_detector(estate, "gas-1-1-902")
    expect(card(page, broken)).to_contain_text("传感器故障")
    page.locator(".chip.p1").click()
    expect(page.locator(".list .empty")).to_contain_text("另有 1 条报警未在此列出")


def test_the_list_is_ordered_by_priority_then_the_newest(open_page, estate):
    scenes.fail_detector(estate)
    scenes.throw(estate)
    estate.put(estate.gas("gas-1-1-902", 12.0))
    estate.alarm("gas.low_alarm")
    scenes.press(estate)
    page = open_page(estate.base)
    expect(page.locator(".alarm")).to_have_count(4)
    names = page.locator(".cards .line > b").all_text_contents()
    assert names == ["一键求助", "燃气低报", "高空抛物", "传感器故障"]
    page.keyboard.press("2")
    expect(page.locator(".alarm")).to_have_count(2)
    page.keyboard.press("0")
    page.keyboard.press("/")
    page.keyboard.type("902")
    expect(page.locator(".alarm")).to_have_count(1)


def test_times_are_the_gateways_whatever_zone_and_clock_the_browser_has(open_page, estate):
    estate.clock.shift_s = 90.0
    alarm = scenes.press(estate)
    page = open_page(estate.base)
    here = alarm.raised_at.astimezone()  # the gateway of this test runs in this process's zone
    expect(card(page, alarm).locator(".at")).to_have_text(f"{here:%H:%M:%S}")
    expect(page.locator(".banner")).to_contain_text("本机时钟与网关相差 1 分")
    assert page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone") == "America/New_York"


def test_what_a_device_or_a_person_is_called_is_never_markup(open_page, tmp_path):
    estate = EstateSite(tmp_path)
    for row in estate.sections["devices"]:
        if row["kind"] == "button":
            row["resident"] = {"name": MARKUP, "phone": "13900000001", "note": "<img src=x onerror=alert(1)>"}
    estate.start()
    try:
        page = open_page(estate.base)
        alarm = scenes.press(estate)
        expect(card(page, alarm)).to_contain_text(MARKUP)
        expect(page.locator(".evidence")).to_contain_text("<img src=x onerror=alert(1)>")
        assert page.locator(".evidence img").count() == 0
    finally:
        estate.stop()


def test_two_hundred_alarms_stand_in_the_list_and_fourteen_on_the_facade(open_page, tmp_path):
    estate = EstateSite(tmp_path, gas_rooms=200).start()
    try:
        page = open_page(estate.base)
        names = [row["id"] for row in estate.sections["devices"] if row["kind"] == "gas"]
        estate.put_at_once([estate.gas(name, 12.0) for name in names])
        expect(page.locator(".alarm.unack")).to_have_count(len(names) + 1)  # and the flood itself
        assert page.locator(".facade .at").count() == 14
        rest = page.locator(".facade .more").all_text_contents()
        assert sum(int(text[1:]) for text in rest) == len(names) + 1 - 14
    finally:
        estate.stop()


# --- evidence


def test_gas_shows_its_trend_with_both_set_points_and_the_unit(open_page, estate):
    page = open_page(estate.base)
    scenes.leak(estate)
    chart = page.locator(".trend")
    expect(chart).to_contain_text("低报 10")
    expect(chart).to_contain_text("高报 20 %LEL")
    estate.put(estate.gas(scenes.GAS, 25.1))
    expect(page.locator(".evidence .big")).to_have_text("25.1 %LEL")
    expect(page.locator(".trend .line")).to_have_count(1)


def test_a_lift_shows_its_car_its_doors_and_who_is_inside(open_page, estate):
    page = open_page(estate.base)
    alarm = scenes.trap(estate)
    expect(page.locator(".evidence")).to_contain_text("6 不在门区")
    expect(page.locator(".evidence")).to_contain_text("门关")
    expect(page.locator(".shaft-view .person").first).to_be_visible()
    estate.put(estate.lift("lift-1-2", floor="7", passenger=True, alarm=True, door_closed=False))
    expect(page.locator(".evidence")).to_contain_text("门开")
    expect(card(page, alarm).locator(".elapsed")).to_have_text(re.compile(r"^00:\d\d$"))


def test_a_resident_can_be_called_back_and_the_answer_is_noted_in_one_touch(open_page, estate):
    page = open_page(estate.base)
    alarm = scenes.press(estate)
    expect(page.locator("a.phone")).to_have_attribute("href", "tel:13900000602")
    expect(page.locator(".evidence")).to_contain_text("82 岁，高血压；女儿同城（示例）")
    page.get_by_role("button", name="无人应答").click()
    expect(page.locator(".log")).to_contain_text("示例operator · 已回拨，无人应答")
    assert (
        next(one for one in estate.alarms() if one.alarm_id == alarm.alarm_id).notes[0].author
        == "示例operator"
    )


def test_a_throw_shows_floors_as_an_interval_and_its_film_with_the_path_in_step(open_page, estate):
    page = open_page(estate.base, person="supervisor")
    alarm = scenes.throw(estate, has_film=True)
    expect(card(page, alarm)).to_contain_text("约 17 至 20 层")
    expect(page.locator(".facade .falling")).to_have_count(1)
    page.locator(".watch").click()
    page.wait_for_function("() => Number(document.querySelector('.over')?.dataset.at) > 11.0", timeout=20_000)
    drawn = page.evaluate(
        """() => {
          const over = document.querySelector(".over");
          return [Number(over.dataset.at), over.querySelector(".path").points.numberOfItems];
        }"""
    )
    # Ten pictures a second from 10.5 s on: as many points as pictures shown, give or take the one being drawn.
    expected = min(17, int((drawn[0] - 10.5) * 10 + 1.01))
    assert abs(drawn[1] - expected) <= 1
    kinds = [entry.kind for entry in estate.entries()]
    assert kinds.count("evidence") == 2  # kept, and this look


# --- what a guard does


def test_taking_resetting_and_the_log_by_keys(open_page, estate):
    page = open_page(estate.base)
    alarm = scenes.press(estate)
    expect(card(page, alarm)).to_be_visible()
    page.keyboard.press("a")
    expect(card(page, alarm)).to_have_attribute("data-state", "acked")
    estate.clock.shift_s += 31  # a press stands for half a minute
    expect(card(page, alarm)).to_have_attribute("data-state", "latched")
    expect(page.locator(".log")).to_contain_text("示例operator")
    page.keyboard.press("r")
    expect(page.locator(".none")).to_be_visible()
    assert state_of(estate, alarm) == "closed"


def test_one_key_takes_one_alarm(open_page, estate):
    page = open_page(estate.base)
    scenes.press(estate)
    scenes.throw(estate)
    expect(page.locator(".alarm.unack")).to_have_count(2)
    page.keyboard.press("a")
    expect(page.locator(".alarm.unack")).to_have_count(1)
    assert page.get_by_role("button", name=re.compile("全部|all", re.IGNORECASE)).count() == 0


def test_what_went_away_before_anybody_took_it_stays(open_page, estate):
    page = open_page(estate.base)
    estate.put(estate.button("btn-2-1-901", ButtonEvent.ALIVE, counter=2, battery_pct=4))
    alarm = estate.alarm("sos.low_battery")
    expect(card(page, alarm)).to_have_attribute("data-state", "unack")
    estate.put(estate.button("btn-2-1-901", ButtonEvent.ALIVE, counter=3))
    expect(card(page, alarm)).to_have_attribute("data-state", "rtn")
    expect(card(page, alarm)).to_contain_text("已恢复·待确认")
    card(page, alarm).locator(".act").click()
    expect(page.locator(".none")).to_be_visible()


def test_p1_is_never_shelved_and_p2_a_quarter_of_an_hour_with_a_reason(open_page, estate):
    page = open_page(estate.base)
    urgent = scenes.press(estate)
    expect(card(page, urgent)).to_be_visible()
    page.keyboard.press("s")
    expect(page.locator(".toast.bad")).to_have_text("此报警不可搁置")
    answer = page.context.request.post(
        f"{estate.base}/api/v1/alarms/{urgent.alarm_id}/shelve",
        data={"duration_s": 60, "reason": "示例"},
        headers={"X-Gatehouse": "1"},
    )
    assert (answer.status, answer.json()["reason"]) == (409, "never_shelved")
    alarm = scenes.throw(estate)
    choose(page, alarm)
    page.keyboard.press("s")
    assert page.locator("dialog input[name=minutes]").get_attribute("max") == "15"
    page.locator("dialog input[name=reason]").fill("已核实，树枝（示例）")
    page.locator("dialog button.strong").click()
    group = page.locator(".group")
    expect(group.locator("summary")).to_contain_text("已搁置 1")
    group.locator("summary").click()
    expect(group).to_contain_text("搁置剩余")
    expect(page.locator(".facade .at")).to_have_count(1)


def test_a_viewer_sees_masked_names_and_can_do_nothing(open_page, estate):
    page = open_page(estate.base, person="viewer")
    alarm = scenes.press(estate)
    expect(card(page, alarm)).to_contain_text("张**")
    assert page.locator(".alarm .act, .work header button, a.phone").count() == 0
    assert "13900000602" not in page.content()


def test_a_new_p1_takes_the_screen_only_while_nobody_is_at_work_there(open_page, estate):
    page = open_page(estate.base)
    first = scenes.throw(estate)
    expect(card(page, first)).to_have_attribute("aria-current", "true")
    choose(page, first)
    page.locator("[data-act=note]").click()
    page.locator("dialog textarea").fill("正在核实")
    urgent = scenes.press(estate)
    expect(card(page, urgent)).to_be_visible()
    expect(card(page, first)).to_have_attribute("aria-current", "true")
    assert page.evaluate("document.activeElement.name") == "text"
    assert page.locator("dialog textarea").input_value() == "正在核实"


def test_a_new_p1_is_looked_at_by_itself_on_an_untouched_screen(open_page, estate):
    page = open_page(estate.base)
    first = scenes.trap(estate)
    expect(card(page, first)).to_have_attribute("aria-current", "true")
    second = scenes.press(estate)
    expect(card(page, second)).to_have_attribute("aria-current", "true")


# --- logging in


def test_logging_in_and_out_and_the_other_language(open_page, estate):
    page = open_page(estate.base, person=None)
    page.guard.allow("401")
    expect(page.locator("form")).to_contain_text("望海花园")
    page.locator("input[name=name]").fill("示例operator")
    page.locator("input[name=password]").fill("wrong-password")
    page.keyboard.press("Enter")
    expect(page.locator(".problem")).to_have_text("姓名或密码不正确")
    page.locator("input[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(".none")).to_be_visible()
    page.locator(".menu summary").click()
    page.get_by_role("button", name="English").click()
    expect(page.locator(".none")).to_contain_text("No alarms now")
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("form")).to_be_visible()


def test_the_page_is_refused_what_its_policy_forbids(open_page, estate):
    page = open_page(estate.base)
    page.guard.allow("Content Security Policy")
    page.guard.allow("Trusted")
    refused = page.evaluate(
        """() => {
          const found = [];
          try { document.body.innerHTML = "<p>x</p>"; } catch (error) { found.push(error.name); }
          try { trustedTypes.createPolicy("other", {}); } catch (error) { found.push(error.name); }
          return found;
        }"""
    )
    assert refused == ["TypeError", "TypeError"]
    policy = httpx.get(estate.base).headers["content-security-policy"]
    assert "unsafe" not in policy


def test_who_is_shut_out_sees_the_login_and_is_not_disturbed_there(open_page, estate):
    page = open_page(estate.base)
    page.guard.allow("401")
    expect(page.locator(".none")).to_be_visible()
    page.context.request.post(f"{estate.base}/api/v1/logout", headers={"X-Gatehouse": "1"})
    expect(page.locator("form")).to_be_visible(timeout=20_000)
    held = page.evaluate("() => navigator.locks.query().then(({ held }) => held.map(({ name }) => name))")
    assert [name for name in held if name.startswith("gatehouse-page")] == []
