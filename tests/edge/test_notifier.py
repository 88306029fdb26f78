"""From a committed step of the ladder to a telephone: nothing lost, nobody delayed by another's dead channel."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatehouse_edge.alarms.plan import Place
from gatehouse_edge.clock import Now
from gatehouse_edge.notifier import (
    Channel,
    Contact,
    Directory,
    Notification,
    Notifier,
    Patience,
    Via,
    compose,
    place_text,
)
from gatehouse_edge.notifier.channel import QUEUE_LIMIT
from gatehouse_edge.notifier.sms import GsmChannel
from gatehouse_edge.notifier.webhook import WebhookChannel
from gatehouse_events.clock import ClockQuality
from gatehouse_events.codes import CODES
from gatehouse_events.escalation import Escalation
from gatehouse_events.states import Priority
from gatehouse_hil.modem import Modem
from gatehouse_hil.pty_pair import PtyPair
from gatehouse_hil.webhook_server import WebhookServer
from gatehouse_journal import Batch, Journal, Lane, Limits, NewEntry, Reader, Signer, Stamp, canonical

BOOT = "b" * 32
WALL = datetime(2026, 3, 1, 6, 32, tzinfo=UTC)
QUICK = Patience(retry_s=0.05, give_up_after=3)
DIRECTORY = Directory(
    contacts={
        "duty": Contact(id="duty", via=Via.WEBHOOK, to="duty"),
        "manager": Contact(id="manager", via=Via.GSM, to="+8613900000002"),
        "daughter": Contact(id="daughter", via=Via.GSM, to="+8613900000003"),
        "unknown": Contact(id="unknown", via=Via.GSM, to="+8613900000009"),
        "board": Contact(id="board", via=Via.SMTP, to="board@estate.example"),
    },
    families={"btn-17": ("daughter",)},
    private_words=frozenset({"张示例", "13900000001"}),
)


class SetClock:
    """A clock that stands where the test puts it."""

    def __init__(self) -> None:
        self.wall = WALL
        self.boot = BOOT
        self.mono_s = 1000.0

    def now(self) -> Now:
        return Now(
            wall=self.wall,
            service_s=self.mono_s,
            boot=self.boot,
            mono_ns=int(self.mono_s * 1e9),
            clock=ClockQuality(synced=True, offset_ms=1.0),
        )


class Post:
    """One estate: a journal that is written, and a notifier that reads it."""

    def __init__(self, directory: Path, journal: Journal) -> None:
        self.directory = directory
        self.journal = journal
        self.clock = SetClock()
        self.reports: list[tuple[bool, str]] = []
        self.wanted = True
        self.notifier: Notifier
        self._count = 0

    async def report(self, is_failing: bool, text: str) -> None:
        self.reports.append((is_failing, text))

    @contextlib.asynccontextmanager
    async def running(self, *channels: Channel, patience: Patience = QUICK) -> AsyncIterator[Notifier]:
        self.notifier = Notifier(
            Reader.open(self.directory),
            clock=self.clock,
            directory=DIRECTORY,
            channels=channels,
            estate="示例小区",
            place=lambda _: "3栋2单元501室",
            report=self.report,
            patience=patience,
            is_wanted=lambda _: self.wanted,
        )
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.notifier.run())
            yield self.notifier
            task.cancel()

    def step(
        self, *notify: str, kind: str = "escalation", at: datetime | None = None, **changes: object
    ) -> str:
        """Commit a step of the ladder; return its alarm id."""
        self._count += 1
        alarm_id = f"01JNSAMPLE{self._count:04d}"
        fields: dict[str, object] = {
            "alarm_id": alarm_id,
            "alarm_seq": 2,
            "device_id": "btn-17",
            "code": "sos.pressed",
            "priority": Priority.P1,
            "label": CODES["sos.pressed"].label,
            "text": "",
            "step": 1,
            "after_s": 30.0,
            "notify": notify,
            "late_s": 0.0,
            "is_test": False,
        }
        escalation = Escalation(**(fields | changes))
        stamp = Stamp(at=at or self.clock.wall, boot=self.clock.boot, mono_ns=int(self.clock.mono_s * 1e9))
        self.journal.commit(Batch(entries=[NewEntry(kind=kind, body=canonical(escalation), stamp=stamp)]))
        if hasattr(self, "notifier"):
            self.notifier.wake()
        return alarm_id

    def cursor(self) -> int:
        return Reader.open(self.directory).cursor("notifier")

    def head(self) -> int:
        return Reader.open(self.directory).head(Lane.ALARM).seq


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # what is awaited is on a disk and in a list
            await asyncio.sleep(0.01)


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    directory = tmp_path / "journal"
    directory.mkdir()
    stamp = Stamp(at=WALL, boot=BOOT, mono_ns=0)
    limits = Limits(ballast_bytes=4096)
    journal = Journal.open(directory, limits=limits, signer=Signer.load_or_create(directory), stamp=stamp)
    yield Post(directory, journal)
    journal.close()


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[PtyPair]:
    with PtyPair(tmp_path / "usb-modem") as wire:
        yield wire


@pytest.fixture
async def modem(cable: PtyPair) -> AsyncIterator[Modem]:
    async with Modem(cable) as modem:
        yield modem


@pytest.fixture
async def server() -> AsyncIterator[WebhookServer]:
    async with WebhookServer() as server:
        yield server


def gsm(cable: PtyPair, timeout_s: float = 1.0) -> GsmChannel:
    return GsmChannel(str(cable.path), timeout_s=timeout_s)


async def test_a_due_step_reaches_everybody_it_names(
    post: Post, server: WebhookServer, modem: Modem, cable: PtyPair
) -> None:
    async with post.running(WebhookChannel(server.url), gsm(cable)):
        alarm_id = post.step("desk", "duty", "manager", "family", "prompt_120")
        await server.wait_for_requests(1)
        texts = await modem.wait_for_texts(2)
    assert sorted(text.number for text in texts) == ["+8613900000002", "+8613900000003"]
    assert json.loads(server.requests[0].body)["alarm_id"] == alarm_id


async def test_the_cursor_moves_behind_what_is_done(post: Post, server: WebhookServer) -> None:
    async with post.running(WebhookChannel(server.url)):
        post.step("duty")
        await until(lambda: post.cursor() == post.head())
    async with post.running(WebhookChannel(server.url)):
        post.step("duty")
        await server.wait_for_requests(2)
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(set(keys)) == len(keys) == 2


async def test_a_step_that_was_not_out_when_the_gateway_stopped_goes_out_after_the_start(
    post: Post, server: WebhookServer
) -> None:
    server.is_silent = True
    async with post.running(WebhookChannel(server.url)):
        post.step("duty")
        await server.wait_for_requests(1)
    assert post.cursor() < post.head()
    server.is_silent = False
    async with post.running(WebhookChannel(server.url)):
        await until(lambda: post.cursor() == post.head())
    assert server.requests[0].headers["idempotency-key"] == server.requests[1].headers["idempotency-key"]


async def test_a_dead_channel_delays_no_other(
    post: Post, server: WebhookServer, modem: Modem, cable: PtyPair
) -> None:
    modem.is_hung = True
    stubborn = Patience(retry_s=0.05, give_up_after=1000)
    async with post.running(WebhookChannel(server.url), gsm(cable, 5.0), patience=stubborn):
        for _ in range(20):
            post.step("manager", "duty")
        await server.wait_for_requests(20)
        assert post.cursor() <= post.head() - 20
    assert modem.texts == []


async def test_a_number_that_does_not_exist_delays_nobody_else_on_the_modem(
    post: Post, modem: Modem, cable: PtyPair
) -> None:
    modem.unknown_numbers = {"+8613900000009"}
    async with post.running(gsm(cable)):
        post.step("unknown", "manager")
        await modem.wait_for_texts(1)
        await until(lambda: post.cursor() == post.head())
    assert post.reports[0][0] is True
    assert "no such number" in post.reports[0][1]


async def test_a_failing_channel_is_reported_when_its_tries_are_used_up_and_again_when_it_works(
    post: Post, server: WebhookServer
) -> None:
    server.statuses = [503, 503, 503]
    async with post.running(WebhookChannel(server.url)):
        post.step("duty")
        await until(lambda: len(post.reports) == 1)
        post.step("duty")
        await until(lambda: len(post.reports) == 2)
    assert [is_failing for is_failing, _ in post.reports] == [True, False]
    assert post.reports[0][1] == "webhook duty: webhook answered 503"
    assert len(server.requests) == 4


async def test_a_contact_without_a_channel_is_a_failure_not_a_silence(
    post: Post, server: WebhookServer
) -> None:
    async with post.running(WebhookChannel(server.url)):
        post.step("board")
        await until(lambda: post.cursor() == post.head())
    assert post.reports == [(True, "smtp board: no smtp is configured")]


async def test_nobody_is_told_again_once_the_alarm_was_acknowledged(
    post: Post, server: WebhookServer
) -> None:
    server.statuses = [503]
    post.wanted = False
    async with post.running(WebhookChannel(server.url)):
        post.step("duty")
        await until(lambda: post.cursor() == post.head())
    assert len(server.requests) == 1
    assert post.reports == []
    assert post.notifier.recent[-1].is_withdrawn


async def test_the_urgent_goes_first(post: Post, modem: Modem, cable: PtyPair) -> None:
    post.step("manager", priority=Priority.P2, code="gas.low_alarm", label=CODES["gas.low_alarm"].label)
    post.step("daughter")
    async with post.running(gsm(cable)):
        texts = await modem.wait_for_texts(2)
    assert [text.number for text in texts] == ["+8613900000003", "+8613900000002"]


async def test_a_failed_message_waits_its_pause_and_lets_others_by(post: Post, server: WebhookServer) -> None:
    server.statuses = [503]
    async with post.running(WebhookChannel(server.url), patience=Patience(retry_s=3600.0)):
        first = post.step("duty")
        await server.wait_for_requests(1)
        others = [post.step("duty") for _ in range(3)]
        await server.wait_for_requests(4)
        assert post.cursor() <= post.head() - 4
    assert [json.loads(request.body)["alarm_id"] for request in server.requests] == [first, *others]


async def test_yesterdays_steps_wake_nobody_when_the_cursor_file_was_lost(
    post: Post, server: WebhookServer
) -> None:
    post.step("duty")
    post.clock.mono_s += 7 * 3600
    post.clock.wall += timedelta(hours=7)
    fresh = post.step("duty")
    async with post.running(WebhookChannel(server.url)):
        await until(lambda: post.cursor() == post.head())
    assert [json.loads(request.body)["alarm_id"] for request in server.requests] == [fresh]


async def test_a_step_written_under_a_wall_clock_of_1970_still_goes_out(
    post: Post, server: WebhookServer
) -> None:
    post.step("duty", at=datetime(1970, 1, 1, 0, 5, tzinfo=UTC))
    async with post.running(WebhookChannel(server.url)):
        await server.wait_for_requests(1)


async def test_entries_that_are_no_steps_are_passed_over(post: Post, server: WebhookServer) -> None:
    stamp = Stamp(at=WALL, boot=BOOT, mono_ns=0)
    strange = [NewEntry(kind="escalation", body=b'{"from":"tomorrow"}', stamp=stamp)]
    post.journal.commit(Batch(entries=strange + [NewEntry(kind="audit", body=b"{}", stamp=stamp)] * 700))
    post.step("duty")
    async with post.running(WebhookChannel(server.url)):
        await server.wait_for_requests(1)
        await until(lambda: post.cursor() == post.head())


async def test_a_flood_for_a_dead_channel_is_bounded_and_reported(
    post: Post, cable: PtyPair, modem: Modem
) -> None:
    modem.is_hung = True
    async with post.running(gsm(cable, 20.0)):
        for _ in range(QUEUE_LIMIT + 5):
            post.step("manager", priority=Priority.P2)
        await until(lambda: len(post.reports) >= 4)
        assert "too many" in post.reports[0][1]
        assert len(post.notifier._counters[Via.GSM]._jobs) <= QUEUE_LIMIT


def compose_one(
    text: str = "", place: str = "3栋2单元501室", *, is_test: bool = False, label: str = "sos.pressed"
) -> str:
    escalation = Escalation(
        alarm_id="01JNSAMPLE",
        alarm_seq=1,
        device_id="btn-17",
        code=label,
        priority=Priority.P1,
        label=CODES[label].label,
        text=text,
        step=0,
        after_s=0.0,
        notify=("manager",),
        late_s=0.0,
        is_test=is_test,
    )
    contact = DIRECTORY.contacts["manager"]
    made = compose(escalation, contact, at=WALL, estate="示例小区", place=place, directory=DIRECTORY)
    return made.text_zh


def test_a_message_names_estate_urgency_alarm_place_and_local_time() -> None:
    assert compose_one() == "【示例小区】紧急 一键求助 3栋2单元501室 14:32 请立即处理并在控制台确认"


def test_a_message_never_names_a_resident() -> None:
    said = compose_one("张示例 13900000001 跌倒", "张示例家")
    assert "张示例" not in said
    assert "13900000001" not in said


def test_a_message_of_a_drill_says_so_first() -> None:
    assert compose_one(is_test=True).startswith("【测试】")


def test_a_message_is_one_printable_line_whatever_a_device_said() -> None:
    said = compose_one("3\r\nAT+CMGD=1,4\x1b[2J", "3\x00栋")
    assert said.isprintable()


@pytest.mark.parametrize(
    "label", [name for name, code in CODES.items() if code.priority in {Priority.P1, Priority.P2}]
)
def test_every_urgent_alarm_fits_one_text_message(label: str) -> None:
    assert len(compose_one(label=label)) <= 70


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place(building="3", unit="2", floor="5", room="501"), "3栋2单元5层501室"),
        (Place(building="3号楼", unit="B", floor="-1"), "3号楼B单元-1层"),
        (Place(name="锅炉房"), "锅炉房"),
        (Place(), ""),
    ],
    ids=["numbers", "words of their own", "name only", "nowhere"],
)
def test_a_place_is_said_as_people_say_it(place: Place, words: str) -> None:
    assert place_text(place) == words


async def test_a_cursor_file_that_cannot_be_opened_is_waited_for(
    post: Post, server: WebhookServer, caplog: pytest.LogCaptureFixture
) -> None:
    cursors = post.directory / "cursors.db"
    cursors.unlink()
    cursors.mkdir()
    async with post.running(WebhookChannel(server.url)):
        post.step("duty")
        await until(lambda: "notifier and journal" in caplog.text)
        cursors.rmdir()
        post.notifier.wake()
        await server.wait_for_requests(1)
        await until(lambda: post.cursor() == post.head())


class BuggyMail:
    """A way out whose library has a fault nobody thought of, once."""

    via = Via.SMTP

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.is_broken = True

    async def deliver(self, notification: Notification) -> None:
        if self.is_broken:
            self.is_broken = False
            raise KeyError("password=hunter2")
        self.sent.append(notification.contact.id)

    async def close(self) -> None:
        return


async def test_a_bug_in_one_channel_is_a_failed_try_and_nothing_more(post: Post) -> None:
    mail = BuggyMail()
    async with post.running(mail):
        post.step("board")
        await until(lambda: mail.sent == ["board"])
        await until(lambda: [d.tries for d in post.notifier.recent] == [2])
