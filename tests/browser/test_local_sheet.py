"""The hand-over sheet on paper: A4, no JavaScript, one alarm per block, every word there, every page numbered."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import scenes
from estate_site import MARKUP, EstateSite
from guard import violations

from gatehouse_edge.alarms.commands import Acknowledge, AddNote
from gatehouse_events.alarm import Actor

GUARD = Actor(name="示例甲", role="operator", station="local")
A4_POINTS = (595, 842)


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    found = EstateSite(tmp_path_factory.mktemp("estate")).start()
    alarm = scenes.press(found)
    for at, command in enumerate(
        (Acknowledge, lambda **head: AddNote(text=f"{MARKUP} 已回拨", **head)),
    ):
        found.call(
            found.site.ledger.submit(command(actor=GUARD, command_id=f"c{at}", alarm_id=alarm.alarm_id))
        )
    for building, unit in (("1", "1"), ("2", "1"), ("2", "2"), ("3", "3")):
        for floor in (3, 9, 15):
            scenes.leak(found, f"gas-{building}-{unit}-{floor}01", levels=(12.0,))
    scenes.mute_detector(found)
    found.alarm(
        "gateway.console_unheard"
    )  # no page is open: it comes by itself, and would come between a sheet and its count
    yield found
    found.stop()


@pytest.fixture
def sheet(estate, open_page):
    return open_page(estate.base, "/handover", java_script_enabled=False)


def printed(page, folder):
    path = folder / "sheet.pdf"
    page.pdf(path=str(path), prefer_css_page_size=True)
    text = subprocess.run(
        ["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True
    ).stdout
    info = subprocess.run(["pdfinfo", str(path)], capture_output=True, text=True, check=True).stdout
    return text.removesuffix("\f").split("\f"), info


def squeezed(text):
    return re.sub(r"\s+|\u202e", "", text)


def test_the_sheet_prints_on_a4_with_every_page_numbered(sheet, tmp_path):
    pages, info = printed(sheet, tmp_path)
    assert len(pages) > 2
    size = re.search(r"Page size:\s+([\d.]+) x ([\d.]+)", info)
    assert tuple(round(float(one)) for one in size.groups()) == A4_POINTS
    for number, text in enumerate(pages, 1):
        assert f"第{number}页/共{len(pages)}页" in squeezed(text)
        assert "望海花园交班单" in squeezed(text)


def test_nothing_that_stands_on_the_screen_is_lost_on_paper(sheet, tmp_path):
    pages, _ = printed(sheet, tmp_path)
    paper = squeezed("".join(pages))
    said = sheet.locator("main :is(h1, h2, h3, dd, td, th, p, li > *)").all_inner_texts()
    words = [word for text in said for word in text.split() if word]
    assert len(words) > 300
    assert {word for word in words if squeezed(word) not in paper} == set()


def test_no_page_cuts_an_alarm_in_two(sheet, tmp_path, estate):
    pages, _ = printed(sheet, tmp_path)
    blocks = [squeezed(text) for text in sheet.locator("article.alarm").all_inner_texts()]
    assert len(blocks) == len(estate.alarms())
    for place in sheet.locator("article.alarm .where").all_inner_texts():
        at = [number for number, text in enumerate(pages) if squeezed(place) in squeezed(text)]
        assert at, place
    for number, text in enumerate(pages[:-1]):
        # A block begins with its title and ends with its facts: no page may end on a title or begin with facts.
        lines = [line for line in text.splitlines() if line.strip()]
        assert not squeezed(lines[1]).startswith("发生于"), number


def test_the_sheet_is_readable_by_everybody_and_fits_every_screen(estate, open_page):
    page = open_page(estate.base, "/handover")
    assert violations(page, "light") == []
    for width in (390, 768, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        ), width
    assert page.get_by_role("button", name="打印").is_visible()
    assert page.locator("bdi", has_text="<b>甲</b>").count() > 0


def test_a_guard_without_javascript_logs_in_reads_and_leaves(estate, open_page):
    page = open_page(estate.base, "/handover", person=None, java_script_enabled=False)
    page.get_by_label("姓名").fill("示例operator")
    page.get_by_label("密码").fill("correct-horse-7")
    page.get_by_role("button", name="登录").click()
    page.get_by_role("heading", name="交班单", exact=True).wait_for()
    page.get_by_role("link", name="English").click()
    page.get_by_role("heading", name="Hand-over sheet", exact=True).wait_for()
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("姓名").wait_for()
