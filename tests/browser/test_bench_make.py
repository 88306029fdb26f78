"""From a bare board to its label in a real browser, on real simulated boards; with gloves, in the sun, and by the keyboard alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "bench_page"))
from bench_site import BenchSite
from guard import violations

from gatehouse_hil.simnode import VmError, vm

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = pytest.mark.timeout(400)

RIG = """
name: browser
backend: simulated
asks: true
printer: nowhere
boards:
  - {name: gas-1, kind: gas, mac: 02a0b1000041, baud: 921600}
  - {name: gas-2, kind: gas, mac: 02a0b1000042, practice: cut_while_flashing, baud: 921600}
  - {name: other, kind: gas, mac: 02a0b1000043, practice: wrong_chip, baud: 921600}
  - {name: button-1, kind: button, mac: 02a0b1000044, baud: 921600}
"""
WORK_S = 60_000
THEMES = ("light", "dark", "outdoor")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    try:
        vm.prepare()
    except VmError as error:
        pytest.skip(str(error))
    found = BenchSite(tmp_path_factory.mktemp("bench"), RIG)
    found.make_ready("gas-1", "02a0b1000041")
    found.start()
    yield found
    found.close()


@pytest.fixture
def bench(open_page, site):
    """Return a function that opens a part of the page in a browser that has a session."""

    def open_one(path="/", **options):
        page = open_page(site.base, None, person=None, **options)
        name, value = site.cookie
        page.context.add_cookies([{"name": name, "value": value, "url": site.base}])
        page.goto(site.base + path)
        return page

    return open_one


def slot(page, name):
    return page.locator(f"#slot-{name}")


def test_a_technician_makes_boards_by_the_keyboard_alone_and_each_trouble_says_what_to_do(bench, site):
    page = bench()
    expect(page.locator(".slot")).to_have_count(4)
    # A scanner types the room and presses Enter: that begins.
    page.locator("#room-button-1").focus()
    page.keyboard.type("1-1-602")
    page.keyboard.press("Enter")
    expect(slot(page, "button-1").locator(".steps .is-running")).to_contain_text("烧录", timeout=WORK_S)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(slot(page, "gas-2")).to_have_class("slot is-running is-chosen")
    expect(slot(page, "gas-2").locator(".command code")).to_contain_text(
        "gatehouse-bench make --board=gas-2 --json --progress"
    )
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    # A single step of a finished board, with hands.
    slot(page, "gas-1").locator("summary").click()
    slot(page, "gas-1").get_by_role("button", name="只标定").click()
    for task in ("洁净空气", "50.0 %LEL", "洁净空气"):
        expect(slot(page, "gas-1").locator(".hands h3")).to_contain_text(task, timeout=WORK_S)
        page.keyboard.press("1")
        page.keyboard.press("Enter")
    expect(slot(page, "gas-1").locator(".result")).to_contain_text("合格", timeout=WORK_S)
    expect(slot(page, "gas-2").locator(".failed")).to_contain_text(
        "板子现在不能用；请检查电缆，再烧录一次", timeout=WORK_S
    )
    expect(slot(page, "other").locator(".failed")).to_contain_text(
        "没有写入任何内容；请换板子", timeout=WORK_S
    )
    done = slot(page, "button-1")
    expect(done.locator(".result")).to_contain_text("GHB-02A0B1000044", timeout=WORK_S)
    assert done.locator(".sticker").evaluate("image => image.complete && image.naturalWidth > 0")
    assert site.run("button-1")["room"] == "1-1-602"
    # A printer that is not there is said, and where the label lies.
    done.get_by_role("button", name="打印标签").click()
    expect(page.locator(".toast.bad")).to_contain_text("标签打印机 nowhere 不可用", timeout=WORK_S)
    # A single question to a board, and its answer.
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    slot(page, "gas-1").locator("summary").click()
    slot(page, "gas-1").get_by_role("button", name="核对身份").click()
    expect(page.locator("dialog")).to_contain_text("02a0b1000041", timeout=WORK_S)
    assert violations(page, "outdoor") == []
    page.keyboard.press("Escape")
    # The next board: the slot is empty again, also after the page was loaded anew.
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    expect(done.locator("input")).to_have_value("")
    page.reload()
    expect(slot(page, "button-1")).to_have_class("slot is-ready is-chosen")
    expect(slot(page, "gas-2")).to_have_class("slot is-failed ")


@pytest.mark.parametrize("path", ["/", "/#/matrix", "/#/commands"])
def test_nobody_is_kept_out_and_no_target_is_small(bench, path):
    page = bench(path)
    expect(page.locator("main > *")).to_be_visible()
    for theme in THEMES:
        assert violations(page, theme) == []
    small = page.evaluate(
        """() => [...document.querySelectorAll("main button, main .button, main input, main summary")].filter((one) => one.offsetParent)
        .map((one) => [one.textContent, one.getBoundingClientRect().height]).filter(([, high]) => high < 43.5)"""
    )
    assert small == []
    if path == "/":
        large = page.locator(".do > *, .ready input, .ready .big, .more summary")
        assert min(large.evaluate_all("all => all.map((one) => one.getBoundingClientRect().height)")) >= 56


def test_the_page_fits_from_a_telephone_to_a_wall(bench):
    page = bench()
    expect(page.locator(".slot")).to_have_count(4)
    for path in ("#/", "#/matrix", "#/commands", "#/console"):
        page.goto(f"{page.url.partition('#')[0]}{path}")
        expect(page.locator("main > *").first).to_be_visible()
        for width in (390, 768, 1440, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width)


def test_a_failed_run_is_played_again(bench, site):
    page = bench("/#/matrix/GHG-02A0B1000042")
    page.get_by_role("button", name="不合格 #1").click()
    dialog = page.locator("dialog")
    expect(dialog.locator(".sentence")).to_contain_text("再烧录一次")
    dialog.get_by_role("button", name="回放").click()
    dialog.get_by_role("button", name="16×").click()
    expect(dialog.locator(".log")).to_contain_text("Writing at", timeout=10_000)
    for theme in THEMES:
        assert violations(page, theme) == []
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_english_is_whole(bench):
    page = bench("/?lang=en")
    expect(slot(page, "gas-2").locator(".failed")).to_contain_text("check the cable and flash it again")
    left = page.evaluate("() => document.querySelector('#app').innerText.match(/[\\u4e00-\\u9fff]+/g) ?? []")
    assert set(left) <= {"示例王工", "中文"}


def test_a_page_whose_bench_is_gone_says_so_and_does_nothing_until_it_is_back(bench, site):
    page = bench()
    page.guard.allow("Failed to load resource")
    expect(slot(page, "gas-2")).to_be_visible()
    site.stop()
    expect(page.locator(".banner.stale")).to_contain_text("下面不是实时画面", timeout=12_000)
    expect(slot(page, "gas-2").get_by_role("button", name="再试一次")).to_be_disabled()
    site.start()
    expect(page.locator(".banner.stale")).to_have_count(0, timeout=12_000)
    expect(slot(page, "gas-2").get_by_role("button", name="再试一次")).to_be_enabled()
