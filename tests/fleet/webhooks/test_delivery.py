"""Deliveries to a real receiver: in order, signed, again after failures, never elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from gatehouse_fleet.clock import SetClock
from gatehouse_fleet.projection.feed import FEED_TOPIC, FeedItem, FeedTopic, publish
from gatehouse_fleet.store import Store, Wake
from gatehouse_fleet.store.schema.webhooks import webhook
from gatehouse_fleet.webhooks.courier import Courier, Delivery, resume
from gatehouse_fleet.webhooks.hook import NamedHook, WebhookError, load_all
from gatehouse_fleet.webhooks.patience import LONGEST, pause
from gatehouse_fleet.webhooks.signing import is_genuine

SECRET = b"s" * 32
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass
class Receiver:
    """Takes deliveries as told by `answers`, then with 204."""

    answers: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((headers, body))
        self.arrived.set()
        status = self.answers.pop(0) if self.answers else 204
        extra = [(b"location", b"http://169.254.169.254/")] if status == 302 else []
        await send({"type": "http.response.start", "status": status, "headers": extra})
        await send({"type": "http.response.body", "body": b""})

    @property
    def subjects(self) -> list[list[str]]:
        return [
            [line.subject for line in msgspec.json.decode(body, type=Delivery).lines]
            for _, body in self.requests
        ]


@contextlib.asynccontextmanager
async def listening(receiver: Receiver, *, tls: tuple[Path, Path] | None = None) -> AsyncIterator[Receiver]:
    options = {} if tls is None else {"ssl_certfile": str(tls[0]), "ssl_keyfile": str(tls[1])}
    config = uvicorn.Config(
        receiver,
        host="127.0.0.1",
        port=0,
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=1,
        **options,
    )  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    receiver.url = f"http://127.0.0.1:{port}/hook" if tls is None else f"https://localhost:{port}/hook"
    try:
        async with asyncio.TaskGroup() as tasks:
            loop = tasks.create_task(server.main_loop(), name="server")
            yield receiver
            server.should_exit = True
            await loop
    finally:
        await server.shutdown()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with listening(Receiver()) as found:
        yield found


def hook_of(receiver: Receiver, **more: Any) -> NamedHook:
    return NamedHook.model_validate(
        {
            "name": "duty",
            "hook": {"url": receiver.url, "secret_file": "duty.key", "timeout_s": 30} | more,
            "secret": SECRET,
        }
    )


def courier_of(
    store: Store, clock: SetClock, hook: NamedHook, *, networks: Sequence[Any] = LOOPBACK, **more: Any
) -> Courier:
    return Courier(store, clock, Wake(), (hook,), networks, **more)


async def happen(
    store: Store, clock: SetClock, *subjects: str, topic: FeedTopic = FeedTopic.CASE, path: str = "/1/2/"
) -> None:
    async with store.begin() as db:
        items = [FeedItem(topic=topic, subject=one, node_path=path, body='{"n":1}') for one in subjects]
        await publish(db, items, at=clock.now())


async def state(store: Store) -> Any:
    async with store.read() as db:
        return (await db.execute(select(webhook))).one()


async def all_of(courier: Courier, hook: NamedHook) -> None:
    while await courier.deliver(hook):
        pass


async def test_what_happens_is_delivered_signed_and_in_order(
    store: Store, clock: SetClock, receiver: Receiver
) -> None:
    hook = hook_of(receiver)
    courier = courier_of(store, clock, hook)
    await happen(store, clock, "before the hook was known")
    await all_of(courier, hook)
    await happen(store, clock, "a", "b")
    await happen(store, clock, "c")
    await all_of(courier, hook)
    assert receiver.subjects == [["a", "b", "c"]]
    headers, body = receiver.requests[0]
    now_s = int(clock.now().timestamp())
    assert is_genuine(SECRET, body, headers["x-gatehouse-signature"], now_s)
    assert not is_genuine(b"x" * 32, body, headers["x-gatehouse-signature"], now_s)
    assert headers["x-gatehouse-delivery"] == "duty-2-4"
    assert (await state(store)).position == 4
    assert b"".join(body for _, body in receiver.requests).count(SECRET) == 0


async def test_a_receiver_that_fails_gets_the_same_again_after_a_pause(
    store: Store, clock: SetClock, receiver: Receiver
) -> None:
    hook = hook_of(receiver)
    courier = courier_of(store, clock, hook)
    await all_of(courier, hook)
    receiver.answers = [500, 503]
    await happen(store, clock, "a")
    await all_of(courier, hook)
    await all_of(courier, hook)  # too early: nothing is sent
    assert len(receiver.requests) == 1
    assert (await state(store)).last_error == "the receiver answered 500"
    for _ in range(2):
        clock.move_to(clock.now() + timedelta(seconds=10))
        await all_of(courier, hook)
    assert receiver.subjects == [["a"]] * 3
    assert len({headers["x-gatehouse-delivery"] for headers, _ in receiver.requests}) == 1
    after = await state(store)
    assert (after.failures, after.failing_since, after.last_error) == (0, None, None)


async def test_a_receiver_that_fails_for_a_day_is_parked_until_somebody_resumes_it(
    store: Store, clock: SetClock, receiver: Receiver
) -> None:
    hook = hook_of(receiver)
    courier = courier_of(store, clock, hook)
    await all_of(courier, hook)
    receiver.answers = [500] * 3
    await happen(store, clock, "a")
    for hours in (0, 1, 24):
        clock.move_to(clock.now() + timedelta(hours=hours))
        await all_of(courier, hook)
    assert (await state(store)).parked_at == clock.now()
    clock.move_to(clock.now() + timedelta(days=3))
    await all_of(courier, hook)
    assert len(receiver.requests) == 3
    assert await resume(store, "duty")
    await all_of(courier, hook)
    assert receiver.subjects[-1] == ["a"]
    assert not await resume(store, "nobody")


async def test_a_receiver_that_is_gone_is_parked_at_once(
    store: Store, clock: SetClock, receiver: Receiver
) -> None:
    hook = hook_of(receiver)
    courier = courier_of(store, clock, hook)
    await all_of(courier, hook)
    receiver.answers = [410]
    await happen(store, clock, "a")
    await all_of(courier, hook)
    assert (await state(store)).parked_at is not None


async def test_a_redirect_is_a_failure_not_a_way_elsewhere(
    store: Store, clock: SetClock, receiver: Receiver
) -> None:
    hook = hook_of(receiver)
    courier = courier_of(store, clock, hook)
    await all_of(courier, hook)
    receiver.answers = [302]
    await happen(store, clock, "a")
    await all_of(courier, hook)
    assert (await state(store)).last_error == "the receiver answered 302"


async def test_a_receiver_in_no_allowed_network_is_never_connected_to(
    store: Store, clock: SetClock, receiver: Receiver
) -> None:
    hook = hook_of(receiver)
    courier = courier_of(store, clock, hook, networks=())
    await all_of(courier, hook)
    await happen(store, clock, "a")
    await all_of(courier, hook)
    assert receiver.requests == []
    row = await state(store)
    assert row.parked_at is not None
    assert "in no network" in row.last_error


async def test_only_what_was_asked_for_is_told_and_the_rest_stepped_over(
    store: Store, clock: SetClock, receiver: Receiver
) -> None:
    hook = hook_of(receiver, topics=["case"], scope_path="/1/2/")
    courier = courier_of(store, clock, hook)
    await all_of(courier, hook)
    await happen(store, clock, "elsewhere", path="/1/3/")
    await happen(store, clock, "gateway", topic=FeedTopic.GATEWAY)
    await happen(store, clock, "wanted")
    await happen(store, clock, "elsewhere again", path="/9/")
    await all_of(courier, hook)
    assert receiver.subjects == [["wanted"]]
    assert (await state(store)).position == 4


async def test_a_long_feed_goes_in_pieces_without_gap(
    store: Store, clock: SetClock, receiver: Receiver
) -> None:
    hook = hook_of(receiver)
    courier = courier_of(store, clock, hook)
    await all_of(courier, hook)
    await happen(store, clock, *[str(n) for n in range(250)])
    await all_of(courier, hook)
    assert [len(part) for part in receiver.subjects] == [100, 100, 50]
    assert [one for part in receiver.subjects for one in part] == [str(n) for n in range(250)]


async def test_one_worker_delivers_and_another_takes_over_when_it_is_gone(
    store: Store, clock: SetClock, receiver: Receiver
) -> None:
    hook = hook_of(receiver)
    first, second = courier_of(store, clock, hook), courier_of(store, clock, hook)
    await all_of(first, hook)
    await happen(store, clock, "a")
    assert not await second.deliver(hook)
    await all_of(first, hook)
    await happen(store, clock, "b")
    clock.move_to(clock.now() + timedelta(seconds=61))
    await all_of(second, hook)
    assert receiver.subjects == [["a"], ["b"]]


async def test_a_hook_that_is_down_holds_no_other_up(
    store: Store, clock: SetClock, receiver: Receiver
) -> None:
    down = NamedHook.model_validate(
        {"name": "down", "hook": {"url": "http://127.0.0.1:9/", "secret_file": "k"}, "secret": SECRET}
    )
    up, wake = hook_of(receiver), Wake()
    courier = Courier(store, clock, wake, (down, up), LOOPBACK)
    for hook in (down, up):
        await courier.deliver(hook)
    await happen(store, clock, "a")
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        run = tasks.create_task(courier.run(), name="courier")
        wake.notify(FEED_TOPIC)
        await receiver.arrived.wait()
        run.cancel()
    assert receiver.subjects == [["a"]]


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=365 * 30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


@pytest.mark.parametrize(("name", "is_taken"), [("localhost", True), ("other.example", False)])
async def test_the_certificate_must_name_the_receiver(
    name: str, is_taken: bool, store: Store, clock: SetClock, tmp_path: Path
) -> None:
    tls = certificate(tmp_path, name)
    async with listening(Receiver(), tls=tls) as receiver:
        hook = hook_of(receiver)
        trust = ssl.create_default_context(cafile=str(tls[0]))
        courier = courier_of(store, clock, hook, trust=trust)
        await all_of(courier, hook)
        await happen(store, clock, "a")
        await all_of(courier, hook)
        assert bool(receiver.requests) is is_taken
    assert ((await state(store)).last_error is None) is is_taken


def test_pauses_double_up_to_five_minutes() -> None:
    assert [pause(n, 1.0).total_seconds() for n in (1, 2, 3, 8, 9, 10_000)] == [2, 4, 8, 256, 300, 300]
    assert pause(100, 0.0) == LONGEST / 2


def write(folder: Path, text: str, secret: bytes = SECRET) -> None:
    (folder / "duty.yaml").write_text(text, encoding="utf-8")
    (folder / "duty.key").write_bytes(secret)


def test_a_file_names_a_receiver_and_its_secret_is_not_shown(tmp_path: Path) -> None:
    write(tmp_path, "url: https://hooks.example/in\nsecret_file: duty.key\ntopics: [case]\n")
    (found,) = load_all(tmp_path)
    assert (found.name, found.secret, found.hook.topics) == ("duty", SECRET, (FeedTopic.CASE,))
    assert SECRET.decode() not in repr(found)
    assert load_all(tmp_path / "nothing here") == ()


@pytest.mark.parametrize(
    ("text", "secret", "says"),
    [
        ("url: ftp://x/\nsecret_file: duty.key", SECRET, "https://HOST"),
        ("url: https://u:p@x/\nsecret_file: duty.key", SECRET, "no user"),
        ("url: https://x:99999/\nsecret_file: duty.key", SECRET, "url"),
        ("url: https://x/\nsecret_file: missing.key", SECRET, "cannot be read"),
        ("url: https://x/\nsecret_file: duty.key", b"short", "32 at least"),
        ("url: https://x/\nsecret_file: duty.key\ntopic: case", SECRET, "topic"),
        ("url: https://x/\nsecret_file: duty.key\nscope_path: 1", SECRET, "scope_path"),
        ("[", SECRET, "cannot be read"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_place(
    text: str, secret: bytes, says: str, tmp_path: Path
) -> None:
    write(tmp_path, text, secret)
    with pytest.raises(WebhookError, match=says):
        load_all(tmp_path)
