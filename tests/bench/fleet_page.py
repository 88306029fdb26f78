"""The fleet console: first load, an alarm from its gateway to paint, a table of 5 000 gateways scrolled, 500 gateways that come and go.

Figures are of this machine in this run, with server, gateways and browser on it: read them beside each other.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))
from conftest import CHROMIUM, FLAGS, KIOSK
from fleet_city import FleetCity, log_in
from playwright.sync_api import sync_playwright

COMMUNITIES = 4
ALARMS = 20
ROWS = 5000
FLAPPING = 500
SCROLL_S = 4

WATCH = """() => {
  window.painted = {};
  new MutationObserver(() => {
    for (const card of document.querySelectorAll("[data-id]")) {
      if (!(card.dataset.id in window.painted)) {
        window.painted[card.dataset.id] = 0;
        requestAnimationFrame(() => requestAnimationFrame(() => { window.painted[card.dataset.id] = performance.timeOrigin + performance.now(); }));
      }
    }
  }).observe(document.body, { childList: true, subtree: true });
}"""
SCROLL = """seconds => new Promise((done) => {
  const table = document.querySelector(".table");
  const began = performance.now();
  const frames = [];
  const step = (now) => {
    frames.push(now);
    table.scrollTop += 240;
    if (table.scrollTop + table.clientHeight >= table.scrollHeight - 5) table.scrollTop = 0;
    if (now - began < seconds * 1000) requestAnimationFrame(step);
    else done({ frames: frames.length, fps: (frames.length - 1) / ((frames.at(-1) - frames[0]) / 1000), worst: Math.max(...frames.slice(1).map((at, n) => at - frames[n])), rows: document.querySelectorAll(".tr").length });
  };
  requestAnimationFrame(step);
})"""
SIZES = """() => performance.getEntriesByType("resource").filter((one) => !one.name.includes("/api/")).reduce((sum, one) => sum + one.encodedBodySize, 0)"""


def add_gateways(city, count):
    """Enter gateways as rows: they never speak, and a table does not ask why."""
    node = city.call("GET", f"/gateways/{city.gateway(1).gateway_id}")["node_id"]
    now_us = int(time.time() * 1_000_000)  # noqa: TID251  # what the database keeps
    city.write_database(
        "INSERT INTO gateway (id, node_id, state, created_at, last_contact_at, version, clock_offset_ms) VALUES (?, ?, 'deployed', ?, ?, ?, ?)",
        [(f"row-{n:05}-gw1", node, now_us, now_us, f"0.{n % 4}.0", float(n % 50)) for n in range(count)],
    )


def flap(city, is_silent):
    at_us = int((time.time() - (200 if is_silent else 0)) * 1_000_000)  # noqa: TID251
    rows = [(at_us, f"row-{n:05}-gw1") for n in range(FLAPPING)]
    city.write_database("UPDATE gateway SET last_contact_at = ? WHERE id = ?", rows)


def spent(cdp):
    """CPU seconds of the page's main thread, which other programs on the machine do not change."""
    found = cdp.send("Performance.getMetrics")["metrics"]
    return next(one["value"] for one in found if one["name"] == "TaskDuration")


def measure(page, city):
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(f"{city.base}/")
    page.wait_for_selector(".live:not(.bad)", timeout=60_000)
    first_ms = page.evaluate("performance.now()")
    print(
        f"first load: live after {first_ms:.0f} ms, {page.evaluate(SIZES) / 1000:.0f} kB of scripts, styles and words"
    )
    page.evaluate(WATCH)
    took = []
    for n in range(ALARMS):
        before = time.time()  # noqa: TID251  # the browser's clock is this machine's
        alarm = city.raise_alarm(n % COMMUNITIES + 1, "throw.object_falling")
        sent = time.time()  # noqa: TID251
        page.wait_for_function("id => window.painted[id] > 0", arg=alarm.alarm_id, timeout=20_000)
        painted = page.evaluate("id => window.painted[id]", alarm.alarm_id) / 1000
        took.append((1000 * (painted - before), 1000 * (painted - sent)))
    whole, after = ([pair[at] for pair in took] for at in (0, 1))
    print(
        f"gateway writes -> painted: median {statistics.median(whole):.0f} ms, worst {max(whole):.0f} ms of {ALARMS}; "
        f"behind the fleet's answer: median {statistics.median(after):.0f} ms"
    )
    add_gateways(city, ROWS)
    page.goto(f"{city.base}/#/gateways")
    page.reload()
    page.wait_for_function(
        f"() => document.querySelector('.table')?.getAttribute('aria-rowcount') > {ROWS}", timeout=60_000
    )
    before = spent(cdp)
    found = page.evaluate(SCROLL, SCROLL_S)
    cost_ms = 1000 * (spent(cdp) - before) / found["frames"]
    print(
        f"{ROWS + COMMUNITIES} gateways scrolled: {found['fps']:.0f} frames a second, longest {found['worst']:.0f} ms, {found['rows']} rows in the page; "
        f"{cost_ms:.1f} ms of the main thread's CPU a frame: room for {1000 / cost_ms:.0f} frames a second"
    )
    page.goto(f"{city.base}/#/overview")
    for is_silent in (True, False, True, False):
        flap(city, is_silent)
        page.wait_for_function(
            f"() => Number(document.querySelectorAll('.states b')[0].textContent) {'>=' if is_silent else '<'} {FLAPPING}",
            timeout=30_000,
        )
    print(
        f"{FLAPPING} gateways fell silent and came back twice: the page followed; heap {page.evaluate('performance.memory.usedJSHeapSize') / 1e6:.0f} MB"
    )


def main():
    with (
        tempfile.TemporaryDirectory() as folder,
        FleetCity(Path(folder), communities=COMMUNITIES) as city,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, KIOSK])
        context = browser.new_context(viewport={"width": 1440, "height": 900}, ignore_https_errors=True)
        log_in(context, city)
        measure(context.new_page(), city)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
