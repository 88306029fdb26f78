"""The instruments of the bench's page, on a real node, a real bus, a simulated air and a real camera stream."""

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
name: instruments
backend: simulated
boards:
  - {name: gas-1, kind: gas, mac: 02a0b1000071}
  - {name: gas-2, kind: gas, mac: 02a0b1000072}
  - {name: beacon-1, kind: beacon, mac: 02a0b1000073}
"""
START_MS = 60_000
THEMES = ("light", "dark", "outdoor")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    try:
        vm.prepare()
    except VmError as error:
        pytest.skip(str(error))
    found = BenchSite(tmp_path_factory.mktemp("bench"), RIG)
    found.make_ready("gas-1", "02a0b1000071")
    found.make_ready("gas-2", "02a0b1000072")
    found.start()
    # All at once: each takes some seconds to start.
    found.order(verb="console", board="gas-1")
    found.order(verb="registers", board="gas-2")
    found.order(verb="scan")
    found.order(verb="aim", camera="facade")
    yield found
    found.close()


@pytest.fixture
def bench(open_page, site):
    def open_one(path="/", **options):
        page = open_page(site.base, None, person=None, **options)
        name, value = site.cookie
        page.context.add_cookies([{"name": name, "value": value, "url": site.base}])
        page.goto(site.base + path)
        return page

    return open_one


def is_fit(page):
    for theme in THEMES:
        assert violations(page, theme) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 1440, "height": 900})


def test_a_console_is_held_searched_and_saved(bench, site):
    page = bench("/#/console/gas-1")
    log = page.locator(".log")
    expect(log).to_contain_text('"kind": "gas"', timeout=START_MS)
    page.get_by_label("查找").fill("SLOT")
    expect(log.locator("mark").first).to_have_text("slot")
    expect(page.locator(".tools.second p")).to_contain_text("1 / 2 行符合")
    page.get_by_label("查找").fill("")
    page.get_by_role("button", name="暂停").click()
    expect(page.get_by_role("button", name="继续")).to_have_attribute("aria-pressed", "true")
    with page.expect_download() as download:
        page.get_by_role("link", name="存成文件").click()
    assert '"gatehouse": "start"' in Path(download.value.path()).read_text(encoding="utf-8")
    expect(page.locator(".command code")).to_contain_text("gatehouse-bench console --board=gas-1 --json")
    is_fit(page)


def test_registers_are_shown_raw_and_decoded_and_old_ones_are_marked(bench, site):
    page = bench("/#/registers/gas-2")
    cell = page.locator(".cell").nth(0)
    expect(cell).to_contain_text("4731", timeout=START_MS)
    expect(cell).to_contain_text("标识")
    expect(page.locator(".cell")).to_have_count(16)
    expect(page.locator(".cell").nth(4)).to_contain_text("10 %LEL")
    expect(page.locator(".reading")).to_contain_text("预热中")
    is_fit(page)
    # The node falls silent: what stands there is old, and says so.
    watch = next(one for one in site.state()["watches"] if one["verb"] == "registers")
    site.post(f"/api/runs/{watch['id']}/cancel")
    expect(page.locator(".banner.stale")).to_contain_text("下面是旧值", timeout=20_000)
    expect(page.locator(".grid.is-old")).to_be_visible()


def test_senders_are_sorted_by_strength_and_say_what_they_can(bench, site):
    page = bench("/#/air")
    rows = page.locator(".air tbody tr")
    expect(rows).to_have_count(3, timeout=START_MS)
    expect(page.locator(".air")).to_contain_text("温度 21.5")
    expect(page.locator(".air")).to_contain_text("本机没有它的密钥，内容看不到")
    strengths = [int(text) for text in page.locator(".rssi b").all_text_contents()]
    assert strengths[0] > strengths[-1]
    page.get_by_label("查找").fill("0F:01")
    expect(rows).to_have_count(1)
    is_fit(page)


def test_a_camera_is_aimed_with_sharpness_and_a_grid(bench, site):
    page = bench("/#/camera")
    picture = page.locator(".aim img")
    expect(picture).to_be_visible(timeout=START_MS)
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 960
    expect(page.locator(".meter b")).to_contain_text("%")
    expect(page.locator(".overlay .over line")).to_have_count(7 + 5)
    page.get_by_label("层数").fill("18")
    expect(page.locator(".overlay .over line")).to_have_count(19 + 5)
    corner = page.get_by_role("button", name="左上角")
    before = corner.bounding_box()["x"]
    corner.press("ArrowLeft")
    assert corner.bounding_box()["x"] < before
    first = page.locator(".overlay .over line").first
    assert float(first.get_attribute("x1")) == pytest.approx(115, abs=1)
    is_fit(page)
