"""From the configuration to the ways out. Reads secret files; call before anything else is started."""

from __future__ import annotations

import ssl

from gatehouse_config.model import GatewayConfig
from gatehouse_config.secret_files import read_pin, read_secret
from gatehouse_edge.notifier.channel import Channel
from gatehouse_edge.notifier.mail import MailChannel, Security, Server
from gatehouse_edge.notifier.sms import GsmChannel
from gatehouse_edge.notifier.webhook import WebhookChannel


def channels(config: GatewayConfig) -> tuple[Channel, ...]:
    """Return the channels that the configuration names.

    Raises:
        SecretError: a token, password or PIN file cannot be used.
        OSError: a CA file cannot be read.
    """
    notifiers = config.notifiers
    made: list[Channel] = []
    if notifiers.webhook is not None:
        hook = notifiers.webhook
        token = None if hook.token_file is None else read_secret(config.resolve(hook.token_file))
        made.append(
            WebhookChannel(hook.url, token=token, tls=_trust(config, hook.ca_file), timeout_s=hook.timeout_s)
        )
    if notifiers.smtp is not None:
        smtp = notifiers.smtp
        password = None if smtp.password_file is None else read_secret(config.resolve(smtp.password_file))
        made.append(
            MailChannel(
                Server(
                    host=smtp.host,
                    port=smtp.port,
                    security=Security(smtp.security),
                    sender=smtp.sender,
                    user=smtp.user,
                    password=password,
                    tls=_trust(config, smtp.ca_file),
                    timeout_s=smtp.timeout_s,
                )
            )
        )
    if notifiers.gsm is not None:
        gsm = notifiers.gsm
        pin = None if gsm.pin_file is None else read_pin(config.resolve(gsm.pin_file))
        made.append(
            GsmChannel(str(config.resolve(gsm.port)), baud=gsm.baud, pin=pin, timeout_s=gsm.timeout_s)
        )
    return tuple(made)


def _trust(config: GatewayConfig, ca_file: str | None) -> ssl.SSLContext | None:
    """Return a context that believes this CA alone, None for the system's own."""
    if ca_file is None:
        return None
    return ssl.create_default_context(cafile=str(config.resolve(ca_file)))
