"""Notifications by mail: one short message each, both languages, over TLS except on loopback."""

from __future__ import annotations

import asyncio
import ssl
from email.message import EmailMessage
from enum import StrEnum
from ipaddress import ip_address
from typing import Final

import aiosmtplib
from msgspec import Struct

from gatehouse_edge.notifier.contact import Via
from gatehouse_edge.notifier.errors import RefusedError, TryAgainError
from gatehouse_edge.notifier.message import Notification
from gatehouse_events.states import Priority

_PERMANENT: Final = 500
_AUTHENTICATION_FAILED: Final = (530, 534, 535)
"""People put passwords right; the alarm must not be forgotten meanwhile."""


class Security(StrEnum):
    """How the way to the server is protected."""

    STARTTLS = "starttls"
    TLS = "tls"
    OFF = "off"


class Server(Struct, frozen=True, kw_only=True):
    """A mail server."""

    host: str
    port: int
    security: Security
    sender: str
    user: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    """None: the system's own certificates."""
    timeout_s: float = 10.0


class MailChannel:
    """Sends through one server, one connection per mail: alarms are rare and idle connections die unseen."""

    via: Final = Via.SMTP

    def __init__(self, server: Server) -> None:
        """Take the server.

        Raises:
            ValueError: security is off and the server is not this machine.
        """
        if server.security is Security.OFF and not _is_loopback(server.host):
            raise ValueError(f"mail to {server.host} needs TLS")
        self._server: Final = server

    async def deliver(self, notification: Notification) -> None:
        """See `Channel.deliver`."""
        server = self._server
        try:
            async with asyncio.timeout(server.timeout_s):
                await aiosmtplib.send(
                    _mail(notification, server.sender),
                    hostname=server.host,
                    port=server.port,
                    use_tls=server.security is Security.TLS,
                    start_tls=server.security is Security.STARTTLS,
                    username=server.user,
                    password=server.password,
                    tls_context=server.tls,
                    timeout=server.timeout_s,
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refusal.code for refusal in error.recipients]
            if codes and min(codes) >= _PERMANENT:
                raise RefusedError(f"mail address refused ({codes[0]})") from error
            raise TryAgainError("mail address refused for now") from error
        except aiosmtplib.SMTPResponseException as error:
            if error.code >= _PERMANENT and error.code not in _AUTHENTICATION_FAILED:
                raise RefusedError(f"mail server refused ({error.code})") from error
            raise TryAgainError(f"mail server answered {error.code}") from error
        except TimeoutError:
            raise TryAgainError(f"mail server did not answer in {server.timeout_s:g} s") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise TryAgainError(f"mail server cannot be reached: {type(error).__name__}") from error

    async def close(self) -> None:
        """See `Channel.close`."""


def _mail(notification: Notification, sender: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = notification.contact.to
    mail["Subject"] = notification.text_zh
    mail["Date"] = notification.at
    mail["Message-ID"] = f"<{notification.key}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    if notification.priority is Priority.P1:
        mail["Importance"] = "high"
    mail.set_content(
        f"{notification.text_zh}\n\n{notification.text_en}\n\n{notification.alarm_id} / {notification.device_id}\n"
    )
    return mail


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
