"""Each way out against the real wire: HTTP(S), SMTP with TLS, a modem on a PTY."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gatehouse_edge.notifier.contact import Contact, Via
from gatehouse_edge.notifier.errors import RefusedError, TryAgainError
from gatehouse_edge.notifier.mail import MailChannel, Security, Server
from gatehouse_edge.notifier.message import Notification
from gatehouse_edge.notifier.sms import GsmChannel
from gatehouse_edge.notifier.webhook import WebhookChannel
from gatehouse_events.states import Priority
from gatehouse_hil.modem import Modem
from gatehouse_hil.pty_pair import PtyPair
from gatehouse_hil.webhook_server import WebhookServer

AT = dt.datetime(2026, 3, 1, 6, 32, tzinfo=dt.UTC)
TOKEN = "kx81-mQ0p-ZZ47"


def notification(
    via: Via, to: str, *, call: bool = False, text_zh: str = "【示例小区】紧急 一键求助"
) -> Notification:
    return Notification(
        key="01JNSAMPLE-2-manager",
        contact=Contact(id="manager", via=via, to=to, call=call),
        alarm_id="01JNSAMPLE",
        alarm_seq=2,
        device_id="btn-17",
        code="sos.pressed",
        priority=Priority.P1,
        step=1,
        is_test=False,
        at=AT,
        place="3栋2单元501室",
        text_zh=text_zh,
        text_en="[Sample estate] URGENT: help call",
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a PEM file with key and certificate of `localhost`, its own CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2090, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


# --- webhook


async def test_a_webhook_gets_the_whole_story_signed_with_the_token() -> None:
    async with WebhookServer() as server:
        channel = WebhookChannel(server.url, token=TOKEN)
        await channel.deliver(notification(Via.WEBHOOK, "duty"))
        await channel.close()
    (request,) = server.requests
    expected = hmac.new(TOKEN.encode(), b"1772346720." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-gatehouse-signature"] == f"sha256={expected}"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["idempotency-key"] == "01JNSAMPLE-2-manager"
    said = json.loads(request.body)
    assert (said["code"], said["to"], said["message"]["zh"]) == (
        "sos.pressed",
        "duty",
        "【示例小区】紧急 一键求助",
    )


@pytest.mark.parametrize("status", [500, 503, 429, 408, 401])
async def test_a_busy_webhook_is_tried_again(status: int) -> None:
    async with WebhookServer() as server:
        server.statuses = [status]
        channel = WebhookChannel(server.url)
        with pytest.raises(TryAgainError, match=str(status)):
            await channel.deliver(notification(Via.WEBHOOK, ""))
        await channel.deliver(notification(Via.WEBHOOK, ""))
        await channel.close()
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 404, 302])
async def test_a_webhook_that_refuses_or_sends_elsewhere_is_not_tried_again(status: int) -> None:
    async with WebhookServer() as server:
        server.statuses = [status]
        channel = WebhookChannel(server.url)
        with pytest.raises(RefusedError, match=str(status)):
            await channel.deliver(notification(Via.WEBHOOK, ""))
        await channel.close()
    assert [request.path for request in server.requests] == ["/alarm"]


async def test_a_silent_webhook_costs_its_timeout_and_no_more() -> None:
    async with WebhookServer() as server:
        server.is_silent = True
        channel = WebhookChannel(server.url, timeout_s=0.2)
        with pytest.raises(TryAgainError, match="did not answer"):
            await channel.deliver(notification(Via.WEBHOOK, ""))
        await channel.close()


async def test_a_webhook_behind_tls_is_believed_only_with_its_ca(
    server_tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    async with WebhookServer(server_tls) as server:
        believing = WebhookChannel(server.url, tls=trust)
        await believing.deliver(notification(Via.WEBHOOK, ""))
        await believing.close()
        doubting = WebhookChannel(server.url)
        with pytest.raises(TryAgainError, match="cannot be reached"):
            await doubting.deliver(notification(Via.WEBHOOK, ""))
        await doubting.close()
    assert len(server.requests) == 1


# --- mail


class Post:
    """What a mail server did with its mail."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.refuse_with = ""

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: object, envelope: object, address: str, options: list[str]
    ) -> str:  # aiosmtpd's name
        if self.refuse_with:
            return self.refuse_with
        envelope.rcpt_tos.append(address)  # type: ignore[attr-defined]  # aiosmtpd Envelope
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: object, envelope: object) -> str:  # noqa: N802  # aiosmtpd's name
        self.mails.append(envelope.content)  # type: ignore[attr-defined]  # aiosmtpd Envelope
        return "250 OK"


@dataclass
class Office:
    """A mail server on a free port of loopback, with STARTTLS."""

    handler: Post
    port: int


@pytest.fixture
async def office(server_tls: ssl.SSLContext) -> AsyncIterator[Office]:
    handler = Post()
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(handler, tls_context=server_tls, hostname="localhost", loop=loop)

    server = await loop.create_server(session, "127.0.0.1", 0)
    yield Office(handler, server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()


def mail_server(office: Office, **changes: object) -> Server:
    settings: dict[str, object] = {
        "host": "localhost",
        "port": office.port,
        "security": Security.STARTTLS,
        "sender": "gatehouse@estate.example",
        "timeout_s": 5.0,
    }
    return Server(**(settings | changes))


async def test_a_mail_goes_out_over_tls_in_both_languages(office: Office, trust: ssl.SSLContext) -> None:
    await MailChannel(mail_server(office, tls=trust)).deliver(
        notification(Via.SMTP, "manager@estate.example")
    )
    (raw,) = office.handler.mails
    mail = message_from_bytes(raw, policy=policy.default)
    assert (mail["To"], mail["Subject"], mail["Importance"]) == (
        "manager@estate.example",
        "【示例小区】紧急 一键求助",
        "high",
    )
    assert mail["Message-ID"] == "<01JNSAMPLE-2-manager@estate.example>"
    assert "URGENT: help call" in mail.get_content()


async def test_a_mail_server_with_a_foreign_certificate_gets_nothing(office: Office) -> None:
    with pytest.raises(TryAgainError):
        await MailChannel(mail_server(office)).deliver(notification(Via.SMTP, "manager@estate.example"))
    assert office.handler.mails == []


async def test_mail_without_tls_is_only_for_loopback(office: Office) -> None:
    await MailChannel(mail_server(office, security=Security.OFF)).deliver(
        notification(Via.SMTP, "a@estate.example")
    )
    assert len(office.handler.mails) == 1
    with pytest.raises(ValueError, match="needs TLS"):
        MailChannel(mail_server(office, security=Security.OFF, host="mail.estate.example"))


@pytest.mark.parametrize(
    ("answer", "error"),
    [("550 no such mailbox", RefusedError), ("451 try later", TryAgainError)],
    ids=["no such mailbox", "greylisted"],
)
async def test_a_refused_mail_address_is_told_from_a_busy_one(
    office: Office, trust: ssl.SSLContext, answer: str, error: type[Exception]
) -> None:
    office.handler.refuse_with = answer
    with pytest.raises(error):
        await MailChannel(mail_server(office, tls=trust)).deliver(notification(Via.SMTP, "a@estate.example"))


async def test_a_mail_server_that_is_down_is_tried_again(unused_tcp_port: int) -> None:
    server = Server(host="127.0.0.1", port=unused_tcp_port, security=Security.OFF, sender="g@estate.example")
    with pytest.raises(TryAgainError, match="cannot be reached"):
        await MailChannel(server).deliver(notification(Via.SMTP, "a@estate.example"))


# --- modem


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[PtyPair]:
    with PtyPair(tmp_path / "usb-modem") as wire:
        yield wire


@pytest.fixture
async def modem(cable: PtyPair) -> AsyncIterator[Modem]:
    async with Modem(cable) as modem:
        yield modem


@pytest.fixture
async def gsm(cable: PtyPair) -> AsyncIterator[GsmChannel]:
    channel = GsmChannel(str(cable.path), timeout_s=0.5, ring_s=0.5)
    yield channel
    await channel.close()


LONG = "【示例小区】" + "一二三四五六七八九十" * 9


async def test_a_text_message_arrives_in_chinese(modem: Modem, gsm: GsmChannel) -> None:
    await gsm.deliver(notification(Via.GSM, "+8613900000001"))
    assert [(text.number, text.text) for text in modem.texts] == [
        ("+8613900000001", "【示例小区】紧急 一键求助")
    ]


async def test_a_long_text_arrives_as_one_message_of_two_parts(modem: Modem, gsm: GsmChannel) -> None:
    await gsm.deliver(notification(Via.GSM, "13900000001", text_zh=LONG))
    await gsm.deliver(notification(Via.GSM, "13900000001", text_zh=LONG))
    assert [(text.text, text.parts) for text in modem.texts] == [(LONG, 2), (LONG, 2)]


async def test_foreign_lines_between_the_answers_disturb_nothing(modem: Modem, gsm: GsmChannel) -> None:
    modem.is_chatty = True
    await gsm.deliver(notification(Via.GSM, "13900000001"))
    assert len(modem.texts) == 1


async def test_a_contact_who_wants_a_call_is_rung_after_the_message(modem: Modem, gsm: GsmChannel) -> None:
    await gsm.deliver(notification(Via.GSM, "+8613900000001", call=True))
    assert (len(modem.texts), modem.calls, modem.commands[-1]) == (1, ["+8613900000001"], "ATH")


@pytest.mark.parametrize("error", [38, 21, 500], ids=["network out of order", "rejected", "unknown"])
async def test_a_message_the_network_will_not_take_now_is_tried_again(
    modem: Modem, gsm: GsmChannel, error: int
) -> None:
    modem.cms_error = error
    with pytest.raises(TryAgainError, match=str(error)):
        await gsm.deliver(notification(Via.GSM, "13900000001"))
    modem.cms_error = None
    await gsm.deliver(notification(Via.GSM, "13900000001"))
    assert len(modem.texts) == 1


async def test_a_number_nobody_has_is_not_tried_again(modem: Modem, gsm: GsmChannel) -> None:
    modem.unknown_numbers = {"13900000009"}
    with pytest.raises(RefusedError, match="no such number"):
        await gsm.deliver(notification(Via.GSM, "13900000009"))


async def test_a_modem_that_hangs_in_the_middle_of_a_message_is_met_with_a_fresh_start(
    modem: Modem, gsm: GsmChannel
) -> None:
    modem.hangs_in_prompt = True
    with pytest.raises(TryAgainError, match="does not answer"):
        await gsm.deliver(notification(Via.GSM, "13900000001"))
    modem.hangs_in_prompt = False
    await gsm.deliver(notification(Via.GSM, "13900000001"))
    assert len(modem.texts) == 1


async def test_a_prompt_left_open_by_an_earlier_owner_of_the_port_is_closed_first(
    modem: Modem, gsm: GsmChannel
) -> None:
    modem._is_pdu_mode = True
    modem._announced = 20
    await gsm.deliver(notification(Via.GSM, "13900000001"))
    assert len(modem.texts) == 1


async def test_a_modem_that_was_pulled_and_replugged_goes_on(
    cable: PtyPair, modem: Modem, gsm: GsmChannel
) -> None:
    await gsm.deliver(notification(Via.GSM, "13900000001"))
    cable.unplug()
    modem.power_cycle()
    with pytest.raises(TryAgainError, match="port"):
        await gsm.deliver(notification(Via.GSM, "13900000001"))
    with pytest.raises(TryAgainError, match="port"):
        await gsm.deliver(notification(Via.GSM, "13900000001"))
    cable.plug()
    await gsm.deliver(notification(Via.GSM, "13900000001"))
    assert len(modem.texts) == 2


async def test_a_dead_modem_is_named(modem: Modem, cable: PtyPair) -> None:
    modem.is_hung = True
    channel = GsmChannel(str(cable.path), timeout_s=0.2)
    channel_wait = channel.deliver(notification(Via.GSM, "13900000001"))
    with pytest.raises(TryAgainError, match="does not answer"):
        await channel_wait


async def test_a_cancelled_message_gives_the_port_back(modem: Modem, cable: PtyPair, gsm: GsmChannel) -> None:
    modem.hangs_in_prompt = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await GsmChannel(str(cable.path)).deliver(notification(Via.GSM, "13900000001"))
    modem.hangs_in_prompt = False
    await gsm.deliver(notification(Via.GSM, "13900000001"))
    assert len(modem.texts) == 1


async def test_a_locked_sim_is_unlocked_with_its_pin(cable: PtyPair) -> None:
    async with Modem(cable, pin="4711") as modem:
        channel = GsmChannel(str(cable.path), pin="4711", timeout_s=1.0)
        await channel.deliver(notification(Via.GSM, "13900000001"))
        await channel.close()
    assert (len(modem.texts), modem.pin_tries) == (1, 1)


@pytest.mark.parametrize("pin", [None, "0815"], ids=["no PIN", "wrong PIN"])
async def test_a_wrong_pin_is_tried_once_and_never_locks_the_sim(cable: PtyPair, pin: str | None) -> None:
    async with Modem(cable, pin="4711") as modem:
        channel = GsmChannel(str(cable.path), pin=pin, timeout_s=1.0)
        for _ in range(4):
            with pytest.raises(TryAgainError):
                await channel.deliver(notification(Via.GSM, "13900000001"))
    assert modem.pin_tries == (0 if pin is None else 1)
