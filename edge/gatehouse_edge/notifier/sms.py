"""Notifications by text message, and a ring, through a modem with AT commands on a serial port.

The port is opened when there is something to send and stays open; whatever goes wrong closes it, so a pulled and
replugged modem, or one that hangs in the middle of a message, is met with a fresh start at the next try.
"""

from __future__ import annotations

import contextlib
import logging
import re
from typing import Final

from gatehouse_edge.notifier.contact import Via
from gatehouse_edge.notifier.errors import RefusedError, TryAgainError
from gatehouse_edge.notifier.gsm import AtPort, ModemError
from gatehouse_edge.notifier.message import Notification
from gatehouse_edge.notifier.pdu import submits

_NO_SUCH_NUMBER: Final = frozenset({1, 28})
"""+CMS ERROR: unassigned number, unidentified subscriber (3GPP TS 24.011 annex E-2)."""
_COMMAND_S: Final = 5.0
_log = logging.getLogger(__name__)


class GsmChannel:
    """One modem. A wrong PIN is tried once per start of the gateway: three wrong ones lock the SIM."""

    via: Final = Via.GSM

    def __init__(
        self,
        port: str,
        *,
        baud: int = 115200,
        pin: str | None = None,
        timeout_s: float = 30.0,
        ring_s: float = 25.0,
    ) -> None:
        self._port_name: Final = port
        self._baud: Final = baud
        self._pin: Final = pin
        self._timeout_s: Final = timeout_s
        self._command_s: Final = min(timeout_s, _COMMAND_S)
        self._ring_s: Final = ring_s
        self._port: AtPort | None = None
        self._reference = 0
        self._is_pin_refused = False

    async def deliver(self, notification: Notification) -> None:
        """See `Channel.deliver`."""
        contact = notification.contact
        try:
            port = await self._ready()
            await self._write(port, contact.to, notification.text_zh)
            if contact.call:
                await self._ring(port, contact.to)
        except ModemError as error:
            await self.close()
            number = error.cms_number
            if number in _NO_SUCH_NUMBER:
                raise RefusedError(f"modem: no such number (+CMS ERROR {number})") from error
            raise TryAgainError(f"modem: {error.line}") from error
        except TimeoutError:
            await self.close()
            raise TryAgainError("modem does not answer") from None
        except OSError as error:
            await self.close()
            raise TryAgainError(f"modem port: {error.strerror or type(error).__name__}") from error
        except BaseException:  # cancelled in the middle of a message: the modem must not wait for the rest
            await self.close()
            raise

    async def close(self) -> None:
        """See `Channel.close`."""
        port, self._port = self._port, None
        if port is not None:
            port.close()

    async def _ready(self) -> AtPort:
        if self._port is not None:
            return self._port
        port = await AtPort.open(self._port_name, self._baud)
        self._port = port
        await port.wake(timeout_s=self._command_s)
        await port.command("ATE0", timeout_s=self._command_s)
        await port.command("AT+CMEE=1", timeout_s=self._command_s)
        await self._unlock(port)
        await port.command("AT+CMGF=0", timeout_s=self._command_s)
        return port

    async def _unlock(self, port: AtPort) -> None:
        answer = " ".join(await port.command("AT+CPIN?", timeout_s=self._command_s))
        if "READY" in answer:
            return
        if "SIM PIN" not in answer or "SIM PIN2" in answer:
            raise TryAgainError(f"modem: SIM is {answer.removeprefix('+CPIN:').strip() or 'not ready'}")
        if self._pin is None or self._is_pin_refused:
            raise TryAgainError("modem: SIM wants another PIN")
        # Believed wrong until the modem says otherwise, also when it dies in between.
        self._is_pin_refused = True
        await port.command(f'AT+CPIN="{self._pin}"', timeout_s=self._timeout_s)
        self._is_pin_refused = False

    async def _write(self, port: AtPort, number: str, text: str) -> None:
        self._reference = (self._reference + 1) % 256
        for part in submits(number, text, reference=self._reference):
            await port.prompt(f"AT+CMGS={part.length}", timeout_s=self._command_s)
            answer = await port.command(part.hex + "\x1a", timeout_s=self._timeout_s, end="")
            if not any(re.match(r"\+CMGS: ?\d", line) for line in answer):
                raise TryAgainError("modem: took the message but named no reference")

    async def _ring(self, port: AtPort, number: str) -> None:
        """Ring for a while and hang up; the message is out already, so a busy line is no failure."""
        try:
            await port.command(f"ATD{number};", timeout_s=self._command_s)
            with contextlib.suppress(TimeoutError):
                await port.wait_for(("NO CARRIER", "BUSY", "NO ANSWER"), timeout_s=self._ring_s)
            await port.command("ATH", timeout_s=self._command_s)
        except ModemError as error:
            _log.warning("modem could not ring: %s", error.line)
