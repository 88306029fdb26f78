"""The fleet console in a real browser, over a fleet server as it is shipped with light gateways: what it shows is true, and it says what it knows."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import fleet_scene
import pytest
from fleet_city import MARKUP, FleetCity, log_in
from guard import saturated_share, violations
from playwright.sync_api import expect

COMMUNITIES = 6
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    with FleetCity(tmp_path_factory.mktemp("city"), communities=COMMUNITIES) as found:
        whole = found.call("GET", "/me")["scope_id"]
        found.add_person("desk", "city_operator", whole, full_name="台示例")
        found.add_person("tech", "technician", whole)
        found.add_person("outside", "property_manager", whole, is_contractor=True)
        found.add_person("second", "city_operator", whole)
        yield found


@pytest.fixture
def desk(open_page, city):
    """Return a function that opens the console at a page of it."""

    def open_one(page="overview", *, person="desk", before=None, **options):
        one = open_page(city.base, None, person=None, ignore_https_errors=True, **options)
        log_in(one.context, city, person)
        if before is not None:
            before(one)
        one.goto(f"{city.base}/#/{page}")
        return one

    return open_one


def known(page):
    expect(page.locator(".live")).not_to_have_class(re.compile("bad"))
    return page


def test_one_logs_in_and_a_wrong_password_is_told(open_page, city):
    page = open_page(city.base, "/", person=None, ignore_https_errors=True)
    page.guard.allow("401")
    for password in ("wrong", city.people["desk"]):
        page.locator("input[name=name]").fill("desk")
        page.locator("input[name=password]").fill(password)
        page.get_by_role("button", name="登录").click()
        if password == "wrong":
            expect(page.locator(".problem")).to_have_text("登录名或密码不正确")
    known(page)
    expect(page.locator(".brand")).to_contain_text("台示例")


def test_a_page_that_has_not_heard_says_so_and_never_that_there_are_no_alarms(desk):
    page = desk(before=lambda page: page.route(re.compile("/api/v1/overview"), lambda route: None))
    expect(page.get_by_text("正在读取…").first).to_be_visible()
    expect(page.locator(".calm")).to_have_count(0)
    expect(page.locator(".chip b").first).to_have_text("–")


def test_a_calm_city_is_grey_and_says_of_whom_it_has_heard(desk, city):
    page = known(desk())
    expect(page.locator(".calm")).to_contain_text("当前没有报警")
    expect(page.locator(".calm")).to_contain_text(f"{COMMUNITIES} / {COMMUNITIES} 台网关有联系")
    expect(page.locator(".calm")).not_to_contain_text("情况不明")
    expect(page.locator(".mapnote")).to_contain_text("虚构轮廓")
    for theme in ("light", "dark"):
        assert violations(page, theme) == []
        assert saturated_share(page.screenshot()) < 0.002
    # Of a gateway that was never heard nobody knows whether it has alarms.
    node = city.call("GET", f"/gateways/{city.gateway(1).gateway_id}")["node_id"]
    city.call("POST", "/gateways", {"id": "in-store-gw1", "node_id": node})
    page.reload()
    expect(page.locator(".calm")).to_contain_text(f"{COMMUNITIES} / {COMMUNITIES + 1} 台网关有联系")
    expect(page.locator(".calm")).to_contain_text("1 台没有联系，情况不明")
    city.call("PATCH", "/gateways/in-store-gw1", {"state": "scrapped"})


def test_an_alarm_comes_by_itself_is_told_once_and_goes_when_it_is_closed(desk, city):
    page = known(desk())
    alarm = city.raise_alarm(1, "gas.high_alarm")
    card = page.locator(f'[data-id="{alarm.alarm_id}"]')
    expect(card).to_contain_text("燃气高报")
    expect(card).to_contain_text("2号楼 1单元 5层 503")
    expect(card).to_contain_text("限时确认")
    # The browser believes it is in New York; the page shows the server's zone.
    expect(card).to_contain_text(alarm.raised_at.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%H:%M:%S"))
    expect(page.locator("#said p")).to_have_text(re.compile("^紧急 燃气高报"))
    expect(page.locator(".tag")).to_have_count(1)
    expect(page.locator(".top .chip.p1 b")).to_have_text("1")
    played = "() => import('/ui/sound.js').then((all) => all.played.map(([, tune]) => tune))"
    assert "P1" in page.evaluate(played)
    city.move(1, "acknowledge", alarm.alarm_id)
    expect(card).to_have_attribute("data-state", "acked")
    expect(card.get_by_role("button", name="确认")).to_have_count(0)
    city.move(1, "close", alarm.alarm_id)
    expect(card).to_have_count(0)
    assert page.evaluate("document.getAnimations().length") == 0


def test_the_most_urgent_stand_first_and_a_drill_is_no_alarm(desk, city):
    ids = [city.raise_alarm(number, code).alarm_id for number, code in ((1, "gas.sensor_fault"), (2, "lift.repeated_door_cycle"), (3, "throw.object_falling"), (4, "sos.pressed"))]  # fmt: skip
    drill = city.drill(5)
    page = known(desk())
    cards = page.locator("li.alarm")
    expect(cards).to_have_count(4)
    assert [one.get_attribute("data-id") for one in cards.all()] == list(reversed(ids))
    expect(page.get_by_text("另有 1 条搁置、屏蔽或演练")).to_be_visible()
    for number, alarm in ((1, ids[0]), (2, ids[1]), (3, ids[2]), (4, ids[3]), (5, drill.alarm_id)):
        city.move(number, "close", alarm)
    expect(cards).to_have_count(0)


def test_taking_an_alarm_from_here_is_an_order_to_its_gateway(desk, city):
    alarm = city.raise_alarm(2, "sos.pressed")
    page = known(desk())
    button = page.locator(f'[data-id="{alarm.alarm_id}"]').get_by_role("button", name=re.compile("^确认"))
    assert button.bounding_box()["height"] >= 48
    button.click()
    expect(page.locator(".toast")).to_contain_text("已下达网关")
    expect(page.locator(f'[data-id="{alarm.alarm_id}"] .act')).to_be_disabled()
    order = city.call("GET", f"/gateways/{city.gateway(2).gateway_id}/order-history")["items"][0]
    assert (order["kind"], order["alarm_id"], order["issuer"]["name"]) == (
        "acknowledgement",
        alarm.alarm_id,
        "desk",
    )
    city.move(2, "acknowledge", alarm.alarm_id)
    city.move(2, "close", alarm.alarm_id)


def test_a_silent_gateway_rises_to_the_top_with_what_it_said_last(desk, city):
    alarm = city.raise_alarm(3, "throw.object_falling")
    page = known(desk())
    card = page.locator(f'[data-id="{alarm.alarm_id}"]')
    expect(card).to_be_visible()
    city.heard(3, 120)
    row = page.locator(".silentrow")
    expect(row).to_contain_text("望岛3号院", timeout=12_000)
    expect(row.locator(".count")).to_have_text(re.compile("1"))
    expect(card).to_have_class(re.compile("old"))
    expect(card).to_contain_text("失联前")
    expect(card.locator(".limit")).to_have_count(0)
    page.goto(f"{city.base}/#/gateways")
    expect(page.locator(".tr:not(.head)").first).to_contain_text(city.gateway(3).gateway_id)
    city.report(3)
    expect(page.locator(".tr.silent")).to_have_count(0, timeout=12_000)
    page.goto(f"{city.base}/#/overview")
    expect(card).not_to_have_class(re.compile("old"))
    city.move(3, "close", alarm.alarm_id)


def test_a_page_that_hears_nothing_says_since_when_and_takes_no_orders(desk, city):
    alarm = city.raise_alarm(4, "gas.low_alarm")
    page = known(desk())
    card = page.locator(f'[data-id="{alarm.alarm_id}"]')
    expect(card).to_be_visible()
    with city.frozen():
        banner = page.locator(".banner.stale")
        expect(banner).to_contain_text("最后更新", timeout=20_000)
        expect(card).to_contain_text("截至")
        expect(card.locator(".act")).to_be_disabled()
    expect(banner).to_have_count(0, timeout=15_000)
    city.move(4, "acknowledge", alarm.alarm_id)
    expect(card).to_have_attribute("data-state", "acked")
    city.close_all(4)


def test_names_with_markup_and_from_right_to_left_are_text(desk, city):
    node = city.place(city.gateway(5).community.name)
    alarm = city.raise_alarm(5, "sos.pressed")
    city.call("PATCH", f"/nodes/{node['id']}", {"name": MARKUP})
    page = known(desk())
    card = page.locator(f'[data-id="{alarm.alarm_id}"]')
    expect(card.locator("bdi").first).to_have_text(MARKUP)
    assert page.locator("img").count() == 0
    # The letters that run from the right do not turn the rest of the line round.
    assert card.locator("bdi").first.evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate"
    city.call("PATCH", f"/nodes/{node['id']}", {"name": node["name"]})
    city.move(5, "close", alarm.alarm_id)


def test_a_flood_is_counted_and_the_list_stays_short(desk, city):
    page = known(desk())
    city.raise_many(6, "gas.sensor_fault", 100)
    expect(page.locator(".listhead").last).to_contain_text("未确认 100 / 共 100", timeout=15_000)
    expect(page.locator("li.alarm")).to_have_count(40)
    expect(page.get_by_text("另有 60 条")).to_be_visible()
    page.goto(f"{city.base}/#/alarms")
    expect(page.locator(".table")).to_have_attribute("aria-rowcount", "101")
    assert page.locator(".tr:not(.head)").count() < 60
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".panel")).to_contain_text("传感器故障")
    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_have_count(0)
    city.close_all(6)
    expect(page.get_by_text("没有符合条件的记录")).to_be_visible()


def test_a_case_goes_through_its_steps_with_a_photo_and_who_handled_it_does_not_verify_it(
    desk, city, tmp_path
):
    alarm = city.raise_alarm(1, "throw.object_falling")
    page = known(desk("cases"))
    card = page.get_by_role("link", name=re.compile(f"高空抛物.*{city.gateway(1).community.name[:5]}"))
    expect(card).to_have_count(1, timeout=10_000)
    case = card.get_attribute("href").rsplit("/", 1)[1]
    card.click()
    expect(page.locator(".steps .here")).to_contain_text("任务派遣")
    page.get_by_role("button", name="开始处理").click()
    expect(page.locator(".steps .here")).to_contain_text("任务处理")
    photo = tmp_path / "photo.png"
    photo.write_bytes(PNG)
    page.locator("input[type=file]").set_input_files(photo)
    expect(page.locator(".clips li")).to_have_count(1)
    page.get_by_role("button", name="反馈处理结果").click()
    page.locator("dialog textarea").fill("已清理（示例）")
    page.locator("dialog button.strong").click()
    expect(page.locator(".steps .here")).to_contain_text("处理反馈")
    expect(page.locator(".lines")).to_contain_text("已清理（示例）")
    city.move(1, "close", alarm.alarm_id)
    expect(page.locator(".lines")).to_contain_text("报警关闭")
    page.get_by_role("button", name="核查结案").click()
    page.locator("dialog button.strong").click()
    page.guard.allow("409")
    expect(page.locator(".toast.bad")).to_contain_text("经办人不能核查")
    other = known(desk(f"cases/{case}", person="second"))
    other.get_by_role("button", name="核查结案").click()
    other.locator("dialog button.strong").click()
    expect(other.locator(".steps .here")).to_contain_text("核查结案")


def test_the_trace_shows_each_station_with_its_proof(desk, city):
    alarm = city.raise_alarm(2, "gas.high_alarm")
    city.move(2, "acknowledge", alarm.alarm_id)
    page = known(desk(f"trace/{alarm.alarm_id}"))
    expect(page.locator(".hoprow")).to_have_count(2)
    expect(page.locator(".hoprow").first).to_contain_text("链与签名相符")
    expect(page.locator(".hoprow").first).to_contain_text("已签收", timeout=10_000)
    assert re.search(r"回执 [0-9a-f]{12}", page.locator(".hoprow").first.inner_text())
    city.move(2, "close", alarm.alarm_id)


def test_evidence_is_looked_at_with_a_reason_that_is_registered(desk, city):
    one = city.gateway(5)
    alarm = city.raise_alarm(5, "throw.object_falling")
    node = city.call("GET", f"/gateways/{one.gateway_id}")["node_id"]
    soon = city.now_us() + 86_400_000_000
    number = "(SELECT no FROM gateway WHERE id = ?)"
    city.write_database(
        f"INSERT INTO evidence (gateway_no, sha256, node_id, alarm_id, kind, is_masked, captured_at, keep_until, named_at, state) VALUES ({number}, ?, ?, ?, 'log', 0, ?, ?, ?, ?)",  # noqa: S608
        [
            (one.gateway_id, f"{n:064x}", node, alarm.alarm_id, soon, soon, soon, state)
            for n, state in enumerate(("here", "named"))
        ],
    )
    page = known(desk(f"gateways/{one.gateway_id}?tab=evidence"))
    rows = page.locator(".clips li")
    expect(rows).to_have_count(2)
    rows.filter(has_text="在网关").get_by_role("button", name="调取").click()
    expect(page.locator(".clips")).to_contain_text("调取中")
    rows.filter(has_text="已上传").get_by_role("button", name="调阅").click()
    page.locator("dialog input").fill("核对落点（示例）")
    page.locator("dialog button.strong").click()
    expect(page.locator("dialog")).to_contain_text("链接有效至")
    entry = city.call("GET", "/audit?action=clip.view")["items"][0]
    assert "核对落点（示例）" in entry["detail"]
    assert entry["actor"] == "desk"
    city.close_all(5)


def test_many_gateways_are_changed_only_with_their_number_typed(desk, city):
    page = known(desk("gateways"))
    for number in (1, 2, 3):
        page.get_by_label(f"选择 {city.gateway(number).gateway_id}").check()
    for typed, is_done in (("2", False), ("3", True)):
        page.get_by_role("button", name="加标签").click()
        page.locator("dialog input[name=tag]").fill("pilot")
        page.locator("dialog input[name=count]").fill(typed)
        page.locator("dialog button.danger").click()
        expect(page.locator(".toast").last).to_contain_text("完成 3 / 3" if is_done else "数量不符")
        tagged = [row["id"] for row in city.every("/gateways") if "pilot" in row["tags"]]
        assert len(tagged) == (3 if is_done else 0)


def test_a_rollout_is_halted_with_one_click_and_with_one_key_from_each_of_its_screens(desk, city):
    one = city.gateway(4)
    for language in ("zh", "en"):
        text = fleet_scene.config_of(one.gateway_id, one.community.community_id, gateway={"id": one.gateway_id, "language": language})  # fmt: skip
        city.call("POST", f"/gateways/{one.gateway_id}/config-versions", {"text": text, "reason": "示例变更"})
    made = city.call(
        "POST", "/config-rollouts", {"reason": "示例发布", "gateways": [{"gateway_id": one.gateway_id}]}
    )
    page = known(desk("releases"))
    for path in ("releases", f"releases/{made['id']}"):
        page.goto(f"{city.base}/#/{path}")
        for halt in (
            lambda: page.get_by_role("button", name=re.compile("暂停发布")).click(),
            lambda: page.keyboard.press("h"),
        ):
            expect(page.locator(".phase")).to_have_text("进行中")
            expect(page.get_by_role("button", name=re.compile("暂停发布"))).to_be_enabled()
            halt()
            expect(page.locator(".phase")).to_have_text("已暂停")
            city.call("POST", f"/config-rollouts/{made['id']}/resume", {})
    page.goto(f"{city.base}/#/gateways/{one.gateway_id}?tab=configs")
    page.get_by_role("button", name="差异").click()
    expect(page.locator(".difference ins").first).to_have_text('"en"')
    city.call("POST", f"/config-rollouts/{made['id']}/pause", {})


def test_a_role_sees_what_the_server_gives_it_and_asks_for_nothing_else(desk, city):
    asked = []
    page = known(
        desk(
            "alarms", person="tech", before=lambda page: page.on("request", lambda one: asked.append(one.url))
        )
    )
    expect(page.get_by_text("您的角色没有此页权限")).to_be_visible()
    assert [one.get_attribute("href") for one in page.locator(".rail a").all()] == [
        "#/overview",
        "#/gateways",
        "#/releases",
    ]
    assert not [url for url in asked if re.search(r"/api/v1/(alarms|cases)", url)]
    alarm = city.raise_alarm(3, "sos.pressed")
    outside = known(desk(f"alarms?one={alarm.alarm_id}", person="outside"))
    expect(outside.locator(".panel")).to_contain_text("一键求助")
    expect(outside.locator(".panel header p")).to_have_text(re.compile("1号楼 1单元 3层$"))
    expect(outside.locator(".panel")).not_to_contain_text("证据")
    outside.goto(f"{city.base}/#/gateways/{city.gateway(3).gateway_id}")
    expect(outside.locator(".gateway .tabs")).not_to_contain_text("证据")
    city.move(3, "close", alarm.alarm_id)


def test_every_page_is_accessible_fits_and_reads_in_both_languages(desk, city):
    alarms = [city.raise_alarm(number, code) for number, code in ((1, "sos.pressed"), (2, "throw.object_falling"), (3, "lift.repeated_door_cycle"))]  # fmt: skip
    case = city.every("/cases")[0]["id"]
    page = known(desk())
    paths = ["overview", f"alarms?one={alarms[0].alarm_id}", "cases", f"cases/{case}", f"trace/{alarms[0].alarm_id}", "gateways", f"gateways/{city.gateway(1).gateway_id}", "releases", "statistics", "city", "people", "audit", "handover"]  # fmt: skip
    faults = []
    for at, path in enumerate(paths):
        page.goto(f"{city.base}/#/{path}")
        expect(page.locator("main h1, main h2").first).to_be_attached()
        expect(page.get_by_text("正在读取…")).to_have_count(0)
        faults += [(path, one) for one in violations(page, ("light", "dark")[at % 2])]
        for width in (390, 768, 1440, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 1, (path, width)
        page.set_viewport_size({"width": 1440, "height": 900})
        small = page.locator("main button:visible, .top button:visible").evaluate_all(
            "all => all.filter(one => one.getBoundingClientRect().height < 43.5).map(one => one.textContent)"
        )
        faults += [(path, one) for one in small]
    assert faults == []
    page.goto(f"{city.base}/?lang=en#/overview")
    known(page)
    assert not re.search(
        r"[\u4e00-\u9fff]", page.locator(".rail").inner_text() + page.locator(".figures").inner_text()
    )
    city.close_all(1, 2, 3)


def test_figures_and_the_chain_are_those_of_the_server(desk, city):
    page = known(desk("statistics"))
    day = city.call("GET", "/console")["at"][:10]
    today = city.call("GET", f"/alarm-statistics?start={day}T00:00:00Z&days=1")
    expect(page.locator(".measures > div")).to_have_count(6)
    expect(page.locator("main")).to_contain_text(f"报警 {today['alarms']} 条")
    expect(page.locator("svg.chart")).to_be_visible()
    page.goto(f"{city.base}/#/audit")
    expect(page.locator(".chain")).to_contain_text("哈希链完整")
    city.write_database("UPDATE audit SET actor = ? WHERE seq = 2", [("somebody else",)])
    page.get_by_role("button", name="重新核对").click()
    expect(page.locator(".chain")).to_contain_text("哈希链在第 2 条断裂")
