"""A simulated GSM modem: AT commands in, text messages and calls out, with the faults real ones have.

Speaks what 3GPP TS 27.005 and 27.007 ask of a modem in PDU mode. It reads the messages with its own decoder
(`sms_pdu`), so it is a second opinion on what the gateway writes.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from gatehouse_hil.pty_pair import PtyPair
from gatehouse_hil.sms_pdu import Part, PduError, read_submit

_MAX_LINE: Final = 1024
_INVALID_PDU: Final = 304
_SIM_PIN_WANTED: Final = 311
_ESCAPE: Final = "\x1b"
_CTRL_Z: Final = "\x1a"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMessage:
    """A message as it reaches a telephone: parts joined."""

    number: str
    text: str
    parts: int


class Modem:
    """One modem on a cable. `async with Modem(wire) as modem:`; then read `texts` and `calls`, set the faults."""

    def __init__(self, wire: PtyPair, *, pin: str | None = None) -> None:
        self.wire: Final = wire
        self.pin: Final = pin
        self.texts: list[TextMessage] = []
        """Complete messages that the network took."""
        self.calls: list[str] = []
        """Numbers that were rung."""
        self.cms_error: int | None = None
        """Every message is refused with this number (38 network out of order, 21 rejected, ...)."""
        self.unknown_numbers: set[str] = set()
        """Messages to these are refused with 1, unassigned number."""
        self.is_hung = False
        """Says nothing any more, not even to AT."""
        self.hangs_in_prompt = False
        """Takes a message and never says what became of it."""
        self.is_chatty = False
        """Sends foreign lines between its answers, as modems with a network display do."""
        self.pin_tries = 0
        self.commands: list[str] = []
        """Every command line heard, newest last."""
        self._news = asyncio.Condition()
        self._parts: dict[tuple[str, int], dict[int, Part]] = {}
        self._reset()

    async def __aenter__(self) -> Self:
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._task = self._tasks.create_task(self.run(), name="modem")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await self._tasks.__aexit__(None, None, None)

    def power_cycle(self) -> None:
        """Forget settings, as a modem does that was pulled and put back: echo on, SIM locked, no prompt open."""
        self._reset()

    async def wait_for_texts(self, count: int, *, within_s: float = 10.0) -> list[TextMessage]:
        """Return the messages once there are at least `count`.

        Raises:
            TimeoutError: they did not come.
        """
        async with asyncio.timeout(within_s), self._news:
            await self._news.wait_for(lambda: len(self.texts) >= count)
        return self.texts

    async def run(self) -> None:
        """Answer until cancelled."""
        held = ""
        while True:
            octets = (await self.wire.receive()).decode("latin-1")
            if self._is_echoing and not self.is_hung:
                self.wire.send(octets.encode("latin-1"))
            for char in octets:
                held = (held + char)[-_MAX_LINE:]
                if self._announced is not None and char in {_CTRL_Z, _ESCAPE}:
                    await self._message(held[:-1] if char == _CTRL_Z else None)
                    held = ""
                elif self._announced is None and char == "\r":
                    self._command(held.strip().replace(_ESCAPE, ""))
                    held = ""

    def _reset(self) -> None:
        self._is_echoing = True
        self._is_pdu_mode = False
        self._is_unlocked = self.pin is None
        self._announced: int | None = None
        self._reference = 0

    def _command(self, line: str) -> None:  # noqa: C901  # a table of commands
        self.commands.append(line)
        if self.is_hung or not line:
            return
        if self.is_chatty:
            self._say("^RSSI: 17", "+CREG: 1")
        upper = line.upper()
        if upper == "ATE0":
            self._is_echoing = False
            self._say("OK")
        elif upper in {"AT", "AT+CMEE=1", "ATH"}:
            self._say("OK")
        elif upper == "AT+CPIN?":
            self._say("+CPIN: READY" if self._is_unlocked else "+CPIN: SIM PIN", "OK")
        elif found := re.fullmatch(r'AT\+CPIN="(\d{4,8})"', upper):
            self._unlock(found[1])
        elif not self._is_unlocked:
            self._say(f"+CMS ERROR: {_SIM_PIN_WANTED}")
        elif upper in {"AT+CMGF=0", "AT+CMGF=1"}:
            self._is_pdu_mode = upper.endswith("0")
            self._say("OK")
        elif (found := re.fullmatch(r"AT\+CMGS=(\d{1,3})", upper)) and self._is_pdu_mode:
            self._announced = int(found[1])
            self.wire.send(b"\r\n> ")
        elif found := re.fullmatch(r"ATD(\+?\d+);", upper):
            self.calls.append(found[1])
            self._say("OK", "BUSY")
        else:
            self._say("ERROR")

    def _unlock(self, pin: str) -> None:
        self.pin_tries += 1
        self._is_unlocked = pin == self.pin
        self._say("OK" if self._is_unlocked else "+CME ERROR: 16")

    async def _message(self, hexed: str | None) -> None:
        announced, self._announced = self._announced or 0, None
        if self.is_hung or self.hangs_in_prompt:
            return
        if hexed is None:
            self._say("OK")
            return
        if self.cms_error is not None:
            self._say(f"+CMS ERROR: {self.cms_error}")
            return
        try:
            part = read_submit(bytes.fromhex(hexed), length=announced)
        except (PduError, ValueError):
            self._say(f"+CMS ERROR: {_INVALID_PDU}")
            return
        if part.number in self.unknown_numbers:
            self._say("+CMS ERROR: 1")
            return
        self._reference = (self._reference + 1) % 256
        await self._deliver(part)
        self._say(f"+CMGS: {self._reference}", "OK")

    async def _deliver(self, part: Part) -> None:
        parts = self._parts.setdefault((part.number, part.reference), {})
        parts[part.index] = part
        if len(parts) == part.parts:
            del self._parts[part.number, part.reference]
            text = "".join(parts[index].text for index in sorted(parts))
            async with self._news:
                self.texts.append(TextMessage(number=part.number, text=text, parts=part.parts))
                self._news.notify_all()

    def _say(self, *lines: str) -> None:
        for line in lines:
            self.wire.send(b"\r\n" + line.encode("ascii") + b"\r\n")
