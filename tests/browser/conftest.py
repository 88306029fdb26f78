"""Playwright against the distribution's Chromium: one browser per module, and a page that fails on any error of its own.

`page` is logged in as operator at 1440 x 900, in the time zone of New York and with less motion; `open_page(...)` makes others.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from guard import Guard, log_in

CHROMIUM = shutil.which("chromium")
QUIET = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run"
FLAGS = [*QUIET.split(), "--font-render-hinting=none", "--hide-scrollbars"]
KIOSK = "--autoplay-policy=no-user-gesture-required"
STRICT = "--autoplay-policy=document-user-activation-required"


@pytest.fixture(scope="module")
def playwright():
    """Not for the whole session: while it runs no other event loop may, and other modules have theirs."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as found:
        yield found


def launch(playwright, *flags):
    # Debian's wrapper reads the memory of the machine with shell arithmetic and complains; the program behind it does not.
    return playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])


@pytest.fixture(scope="module")
def browser(playwright):
    """As a kiosk starts it: sound is allowed."""
    found = launch(playwright, KIOSK)
    yield found
    found.close()


@pytest.fixture(scope="module")
def strict_browser(playwright):
    """As an office starts it: no sound before somebody has touched the page."""
    found = launch(playwright, STRICT)
    yield found
    found.close()


@pytest.fixture
def open_page(browser):
    """Return a function that opens a page in a context of its own; each is checked for errors when the test ends."""
    with ExitStack() as stack:

        def open_one(base, path="/", *, person="operator", within=None, **options):
            settings = {
                "viewport": {"width": 1440, "height": 900},
                "locale": "zh-CN",
                "timezone_id": "America/New_York",
                "reduced_motion": "reduce",
            } | options
            context = (within or browser).new_context(**settings)
            stack.callback(context.close)
            page = context.new_page()
            guard = Guard(page, base)
            stack.callback(guard.check)
            page.guard = guard
            if person is not None:
                log_in(context, base, person)
            if path is not None:
                page.goto(base + path)
            return page

        yield open_one


@pytest.fixture
def renews_pictures():
    """True when pictures are to be taken anew: UPDATE_PICTURES=1."""
    return bool(os.environ.get("UPDATE_PICTURES"))
