"""Pictures of the pages beside the duty screen, after a day in which this and that has happened."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import cv2
import scenes
from estate_site import EstateSite
from playwright.sync_api import expect

from gatehouse_edge.alarms.commands import Acknowledge, AddNote, Inhibit, Reset, Shelve
from gatehouse_edge.reading import OutputReading
from gatehouse_events.alarm import Actor
from gatehouse_hil.facade import Facade

GUARD = Actor(name="王示例", role="operator", station="local")
LEAD = Actor(name="李示例", role="supervisor", station="local")
BOARD = {
    "id": "io-1", "kind": "io", "bus": "line-0", "unit_id": 99, "profile": "relay_8ch", "location": {"name": "门岗"},
    "max_silence_s": 90_000,
}  # fmt: skip
OUTPUTS = [
    {"id": "siren-1", "kind": "siren", "io": "io-1", "point": 0, "serves": ["all"]},
    {"id": "siren-2", "kind": "siren", "io": "io-1", "point": 1, "serves": ["all"], "is_quiet": True},
    {"id": "lamp-1", "kind": "lamp", "io": "io-1", "point": 2, "serves": ["all"]},
]
CAMERA = "cam-2-n"
PAPER_DPI = 60


class Day:
    """A day at the estate, told by moving the clock on."""

    def __init__(self, estate):
        self.estate = estate
        self._serial = 0

    def do(self, command, actor=GUARD, **fields):
        self._serial += 1
        body = command(actor=actor, command_id=f"s{self._serial}", **fields)
        return self.estate.call(self.estate.site.ledger.submit(body))

    def wait(self, minutes):
        self.estate.site.clock.shift_s += minutes * 60

    def settle(self, actor=GUARD, after_s=20, note=""):
        """Somebody takes what is open, then the cause goes and it is reset."""
        self.estate.site.clock.shift_s += after_s
        taken = [alarm for alarm in self.estate.alarms() if alarm.state == "unack"]
        for alarm in taken:
            self.do(Acknowledge, actor, alarm_id=alarm.alarm_id)
            if note:
                self.do(AddNote, actor, alarm_id=alarm.alarm_id, text=note)
        for row in self.estate.sections["devices"]:
            if row["kind"] in {"gas", "lift"}:
                self.estate.put(self.estate.normal(row))
        self.wait(1)
        for alarm in self.estate.alarms():
            if alarm.state == "latched":
                self.do(Reset, actor, alarm_id=alarm.alarm_id)

    def pass_by(self):
        estate = self.estate
        happens = [
            lambda: scenes.press(estate, counter=20),
            lambda: scenes.leak(estate, "gas-1-2-901", levels=(5, 12)),
            lambda: scenes.throw(estate),
            lambda: scenes.trap(estate, "lift-2-1"),
            lambda: scenes.leak(estate, "gas-3-1-302"),
            lambda: scenes.press(estate, "btn-2-1-901", counter=21),
        ]
        for at, one in enumerate(happens):
            self.wait(130 + 17 * at)
            one()
            self.settle((GUARD, LEAD)[at % 2], 8 + 13 * at, "已回拨，老人平安。" if at in {0, 5} else "")
        self.wait(55)


def obey(estate, name, *, is_on):
    estate.put(OutputReading(device_id=name, at=estate.now(), is_ok=True, wanted=is_on, is_on=is_on))


async def put_still(estate, picture):
    estate.site.stills[CAMERA] = picture


class Wound:
    """A camera before whose pages the computer's clock goes with the gateway's."""

    def __init__(self, camera, estate):
        self._camera, self._estate = camera, estate
        self.keep, self.write = camera.keep, camera.write

    def page(self, base, path, **options):
        ahead_ms = round(self._estate.site.clock.shift_s * 1000)
        return self._camera.page(
            base, path, script=f"{{ const now = Date.now; Date.now = () => now() + {ahead_ms}; }}", **options
        )


def shoot(camera):
    with tempfile.TemporaryDirectory() as folder:
        estate = EstateSite(Path(folder))
        for row in estate.sections["devices"]:
            row["max_silence_s"] = 90_000  # the day passes in a moment; nobody shall seem silent for that
        estate.sections["devices"].append(BOARD)
        estate.sections["outputs"] += OUTPUTS
        estate.start()
        try:
            day = Day(estate)
            camera = Wound(camera, estate)
            day.pass_by()
            estate.call(
                put_still(
                    estate,
                    cv2.imencode(".jpg", Facade(1280, 720, seed=4, noise_sigma=0.0).picture(1))[1].tobytes(),
                )
            )
            drills(camera, day)
            stand(day)
            replay(camera, estate)
            devices(camera, estate)
            cameras(camera, estate)
            people(camera, estate)
            sheet(camera, estate, Path(folder))
        finally:
            estate.stop()


def stand(day):
    """What stands at the end of the day: the hand-over sheet has something to say."""
    estate = day.estate
    help_ = scenes.press(estate, counter=60)
    day.do(Acknowledge, alarm_id=help_.alarm_id)
    day.do(AddNote, alarm_id=help_.alarm_id, text="已回拨，家属与 120 已在途中；钥匙在门岗。")
    scenes.leak(estate)
    low = scenes.leak(estate, "gas-1-1-301", levels=(11,))
    day.do(Acknowledge, alarm_id=low.alarm_id)
    day.do(Shelve, alarm_id=low.alarm_id, duration_s=600, reason="燃气公司现场检修")
    day.do(Inhibit, LEAD, device_id="gas-3-1-902", duration_s=600, reason="更换探测器")
    scenes.mute_detector(estate)


def drills(camera, day):
    estate = day.estate
    page = camera.page(estate.base, "/drills")
    for name in ("siren-1", "siren-2", "lamp-1"):
        obey(estate, name, is_on=False)
    page.get_by_role("button", name="屏幕自检").click()
    page.get_by_role("button", name="清楚可辨").click()
    expect(page.locator(".past")).to_have_count(1)
    page.get_by_role("button", name="开始演练").click()
    page.locator("dialog button.strong").click()
    expect(page.locator(".check.ok", has_text="值守屏已显示")).to_have_count(1)
    obey(estate, "siren-1", is_on=True)
    expect(page.locator(".check.ok", has_text="输出已接通")).to_have_count(1)
    camera.keep(page, "local-drill")
    obey(estate, "lamp-1", is_on=True)
    drill = next(alarm for alarm in estate.alarms() if alarm.kind == "test")
    day.do(Acknowledge, alarm_id=drill.alarm_id)
    expect(page.locator(".check.ok")).to_have_count(6)
    page.get_by_role("button", name="结束演练").click()
    expect(page.locator(".running")).to_have_count(0)
    obey(estate, "siren-1", is_on=False)
    camera.keep(page, "local-drills")
    page.context.close()


def replay(camera, estate):
    page = camera.page(estate.base, "/replay")
    page.locator("button.row", has_text="一键求助").last.click()
    expect(page.locator(".story h2")).to_contain_text("一键求助")
    camera.keep(page, "local-replay")
    page.get_by_role("button", name="当时屏幕所知").click()
    expect(page.locator(".timeline .grip")).to_be_visible()
    camera.keep(page, "local-replay-moment", themes=("dark",))
    phone = camera.page(estate.base, "/replay", width=390, height=844)
    expect(phone.locator("button.row").first).to_be_visible()
    camera.keep(phone, "local-replay-phone", themes=("light",))


def devices(camera, estate):
    page = camera.page(estate.base, "/devices", person="admin")
    expect(page.locator(".tr").nth(3)).to_be_visible()
    camera.keep(page, "local-devices")


def cameras(camera, estate):
    page = camera.page(estate.base, "/cameras", person="admin")
    page.get_by_label("摄像机", exact=True).select_option(CAMERA)
    page.get_by_role("button", name="取图").click()
    expect(page.locator(".point")).to_have_count(4)
    page.get_by_role("button", name="遮蔽区").click()
    page.locator(".still svg").click(position={"x": 70, "y": 150})
    page.get_by_role("button", name="落点区").click()
    page.locator(".still svg").click(position={"x": 520, "y": 560})
    page.get_by_role("button", name="楼层线").click()
    page.get_by_role("button", name="加一条楼层线").click()
    expect(page.locator(".still text", has_text="7F")).to_be_visible()
    page.wait_for_timeout(400)
    camera.keep(page, "local-cameras")


def people(camera, estate):
    page = camera.page(estate.base, "/people", person="admin")
    expect(page.locator(".rights tr").nth(5)).to_be_visible()
    camera.keep(page, "local-people")


def sheet(camera, estate, folder):
    """The paper itself, page by page."""
    page = camera.page(estate.base, "/handover", java_script_enabled=False)
    page.pdf(path=str(folder / "sheet.pdf"), prefer_css_page_size=True)
    subprocess.run(
        [
            "pdftoppm",
            "-r",
            str(PAPER_DPI),
            "-png",
            "-l",
            "2",
            str(folder / "sheet.pdf"),
            str(folder / "paper"),
        ],
        check=True,
    )
    pages = [cv2.imread(str(path)) for path in sorted(folder.glob("paper*.png"))]
    picture = cv2.imencode(".png", cv2.hconcat(pages))[1].tobytes()
    camera.write("local-handover", picture)
