"""The one owner of one serial port: opens it exclusively, notices when it is pulled, opens it again by itself.

Two kinds of owner share the receiving half: `SerialPort` may write (our own lift node, which wants
acknowledgements), `ListeningPort` cannot: it has no write method and its descriptor is opened O_RDONLY
(domain row 29: the link of a lift controller is never written to).

Facts this rests on: pyserial #331 and #506 (an unplugged adapter comes back under another kernel name, so the
path must be a by-id one), bench measurements on PTYs (a stuck peer blocks a write after 16 KiB; RTS/DTR answer
ENOTTY; a pulled adapter reads EIO or nothing at all).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import termios
from collections import deque
from typing import Final, Literal, Self

import serial
from msgspec import Struct
from typing_extensions import override

from gatehouse_edge.clock import Clock, Now
from gatehouse_edge.ports import Inbox
from gatehouse_edge.reading import BusReading, Silence, SilenceReason

_log = logging.getLogger(__name__)

READ_BYTES: Final = 4096
"""The kernel's tty input buffer; more never arrives at once."""
BUFFER_BYTES: Final = 16384
"""Received and not yet taken. 1.4 s at 115200 baud: older octets are stale, so the oldest go first."""
REOPEN_S: Final = 0.5
"""Between two attempts to open a lost port; a re-plug is seen well within the promised 3 s."""
PULLED: Final = "the adapter was pulled"
_PULLED_ERRORS: Final = frozenset({errno.EIO, errno.ENXIO, errno.ENODEV})
WRITE_TIMEOUT_S: Final = 1.0
"""A peer that takes nothing for this long is stuck."""


class PortError(Exception):
    """A serial port cannot be used; the base of this module's errors."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class PortLostError(PortError):
    """The port is not open: pulled, missing or held by somebody else."""


class WriteStuckError(PortError):
    """The peer took nothing for `WRITE_TIMEOUT_S`; what was unsent is discarded."""


class SerialSettings(Struct, frozen=True, kw_only=True):
    """How a port is opened. The path should be one of /dev/serial/by-id, which survives re-plugging."""

    path: str
    baud: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


class Chunk(Struct, frozen=True, kw_only=True):
    """Octets as they arrived, with the time of arrival (not of being looked at)."""

    at: Now
    octets: bytes
    is_fresh: bool = False
    """True on the first chunk (empty) after an opening: whatever frame was half received is void."""


class _PortOwner:
    """The receiving half. Use as a context manager; one task calls `read` for ever."""

    def __init__(
        self,
        bus_id: str,
        settings: SerialSettings,
        *,
        device_ids: tuple[str, ...],
        inbox: Inbox,
        clock: Clock,
    ) -> None:
        self.bus_id: Final = bus_id
        self.settings: Final = settings
        self.dropped_bytes = 0
        """Received octets given up because nobody took them in time."""
        self._device_ids: Final = device_ids
        self._inbox: Final = inbox
        self._clock: Final = clock
        self._fd: int | None = None
        self._chunks: deque[Chunk] = deque()
        self._held_bytes = 0
        self._arrived: Final = asyncio.Event()
        self._fault: str | None = None
        self._told: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    @property
    def is_open(self) -> bool:
        """Whether the port is open right now."""
        return self._fd is not None

    async def read(self) -> Chunk:
        """Return the next octets. While the port is away this waits, opening it again twice a second.

        Losing the port puts `BusReading(is_up=False)` and one `Silence(PORT_LOST)` per device into the inbox, its
        return a `BusReading(is_up=True)`.
        """
        while True:
            if self._chunks:
                chunk = self._chunks.popleft()
                self._held_bytes -= len(chunk.octets)
                return chunk
            if self._fault is not None:
                await self._lose(self._fault)
            if self._fd is None:
                await self._acquire()
                return Chunk(at=self._clock.now(), octets=b"", is_fresh=True)
            self._arrived.clear()
            await self._arrived.wait()

    async def _acquire(self) -> None:
        while True:
            try:
                self._fd = self._open()
            except (OSError, termios.error) as error:
                await self._lose(_reason(error))
                await asyncio.sleep(REOPEN_S)
            else:
                break
        asyncio.get_running_loop().add_reader(self._fd, self._on_readable, self._fd)
        if self._told is not None:
            _log.info("serial port %s is back", self.settings.path, extra={"bus_id": self.bus_id})
        self._told = None
        await self._inbox.put(BusReading(device_id=self.bus_id, at=self._clock.now(), is_up=True))

    async def _lose(self, reason: str) -> None:
        """Close, and say so once for each new reason."""
        self._release()
        if reason == self._told or (self._told == PULLED and reason == os.strerror(errno.ENOENT)):
            return
        is_news = self._told is None
        self._told = reason
        _log.warning("serial port %s lost: %s", self.settings.path, reason, extra={"bus_id": self.bus_id})
        await self._inbox.put(
            BusReading(device_id=self.bus_id, at=self._clock.now(), is_up=False, detail=reason)
        )
        for device_id in self._device_ids if is_news else ():
            await self._inbox.put(
                Silence(
                    device_id=device_id, at=self._clock.now(), reason=SilenceReason.PORT_LOST, detail=reason
                )
            )

    def _on_readable(self, fd: int) -> None:
        try:
            octets = os.read(fd, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(_reason(error))
            return
        if not octets:  # VMIN is 1, so nothing to read means hung up, never "nothing yet"
            self._fail(PULLED)
            return
        self._chunks.append(Chunk(at=self._clock.now(), octets=octets))
        self._held_bytes += len(octets)
        while self._held_bytes > BUFFER_BYTES:
            lost = len(self._chunks.popleft().octets)
            self._held_bytes -= lost
            self.dropped_bytes += lost
        self._arrived.set()

    def _fail(self, reason: str) -> None:
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
        self._fault = reason
        self._arrived.set()

    def _release(self) -> None:
        self._fault = None
        if self._fd is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        self._close(self._fd)
        self._fd = None

    def _open(self) -> int:
        raise NotImplementedError

    def _close(self, fd: int) -> None:
        os.close(fd)


class ListeningPort(_PortOwner):
    """A port that can only be listened to: no write method, and the kernel would refuse one (O_RDONLY).

    Echo and software flow control are switched off, because with either the kernel itself would transmit. Between
    opening and that switch the tty still has its old modes (microseconds); a site that must exclude even this leaves
    the transmit wire unconnected, as the wiring list says.
    """

    @override
    def _open(self) -> int:
        fd = os.open(self.settings.path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _own(fd)
            _set_raw(fd, self.settings)
            termios.tcflush(fd, termios.TCIFLUSH)
        except BaseException:
            os.close(fd)
            raise
        return fd


class SerialPort(_PortOwner):
    """A port that may be written to; for devices of our own."""

    _serial: serial.Serial | None = None

    async def write(self, octets: bytes) -> None:
        """Send all of `octets`; only the task that reads may call this.

        Raises:
            PortLostError: the port is not open or was pulled.
            WriteStuckError: the peer took nothing for `WRITE_TIMEOUT_S`; the rest was discarded.
        """
        fd = self._fd
        if fd is None or self._fault is not None:
            raise PortLostError(self.settings.path, "not open")
        rest = memoryview(octets)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                while rest:
                    try:
                        rest = rest[os.write(fd, rest) :]
                    except BlockingIOError:
                        await _writable(fd)
        except TimeoutError:
            with contextlib.suppress(termios.error):
                termios.tcflush(fd, termios.TCOFLUSH)
            raise WriteStuckError(
                self.settings.path, f"peer took nothing for {WRITE_TIMEOUT_S:g} s"
            ) from None
        except OSError as error:
            self._fail(_reason(error))
            raise PortLostError(self.settings.path, _reason(error)) from error

    @override
    def _open(self) -> int:
        # pyserial ignores the ENOTTY that a PTY or a poor adapter gives for RTS and DTR, and flocks the port.
        port = serial.Serial(
            self.settings.path,
            self.settings.baud,
            parity=self.settings.parity,
            stopbits=self.settings.stop_bits,
            timeout=0,
            exclusive=True,
        )
        try:
            fd = int(port.fileno())
            _own(fd)
            _set_raw(fd, self.settings)
        except BaseException:
            port.close()
            raise
        self._serial = port
        return fd

    @override
    def _close(self, fd: int) -> None:
        del fd
        if self._serial is not None:
            with contextlib.suppress(OSError, termios.error):
                self._serial.close()
        self._serial = None


def _own(fd: int) -> None:
    """Take the port for ourselves: advisory lock against our like, TIOCEXCL against everybody but root."""
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.ioctl(fd, termios.TIOCEXCL)


def _set_raw(fd: int, settings: SerialSettings) -> None:
    """Set 8 data bits raw: no echo, no flow control, reads that wait for one octet (VMIN 1)."""
    iflag, oflag, cflag, lflag, _, _, cc = termios.tcgetattr(fd)
    iflag &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
        | termios.IXOFF
        | termios.IXANY
    )
    oflag &= ~termios.OPOST
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    cflag &= ~(termios.CSIZE | termios.PARENB | termios.PARODD | termios.CSTOPB | termios.CRTSCTS)
    cflag |= termios.CS8 | termios.CREAD | termios.CLOCAL
    if settings.parity != "N":
        cflag |= termios.PARENB
    if settings.parity == "O":
        cflag |= termios.PARODD
    if settings.stop_bits == 2:  # noqa: PLR2004  # the number of stop bits itself
        cflag |= termios.CSTOPB
    speed = getattr(termios, f"B{settings.baud}", None)
    if speed is None:
        raise OSError(f"no such line rate: {settings.baud} baud")
    cc[termios.VMIN], cc[termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, [iflag, oflag, cflag, lflag, speed, speed, cc])


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)


def _reason(error: BaseException) -> str:
    """Say in a few words why a port is away; kernel texts are plain ASCII."""
    number = getattr(error, "errno", None)
    if isinstance(error, termios.error):
        number = error.args[0]
    if isinstance(error, BlockingIOError) or "exclusively lock" in str(error):
        return "held by another process"
    if number in _PULLED_ERRORS:
        return PULLED
    return os.strerror(number) if isinstance(number, int) else str(error)[:120]
