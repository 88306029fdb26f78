"""What can stand at an end of a simulated line: a PTY for a program, the UART of a simulated node, a real serial port.

A PTY stores the rate that its program asks for and drops parity and stop bits, so a PTY can be caught at a wrong rate only;
a simulated node says all of its settings, and any of them that is not the line's makes garbage of what it says and hears.
"""

from __future__ import annotations

import contextlib
import os
import pty
import socket
import termios
import tty
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import serial

_READ_BYTES: Final = 4096
_SPEEDS: Final = {
    getattr(termios, name): int(name[1:]) for name in dir(termios) if name[1:].isdigit() and name[0] == "B"
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UartSettings:
    """What one end of a serial line is set to. `parity`: None, 0 even, 1 odd (as `machine.UART` counts)."""

    baud: int
    bits: int = 8
    parity: int | None = None
    stop: int = 1

    @property
    def bits_per_char(self) -> int:
        """Bits on the wire for one character: start bit, data, parity, stop."""
        return 1 + self.bits + (self.parity is not None) + self.stop


def asked_baud(tty_fd: int) -> int:
    """Return the rate that a program has asked of this terminal, 0 when it is none we know."""
    return _SPEEDS.get(termios.tcgetattr(tty_fd)[5], 0)


class WireEnd(Protocol):
    """Somebody on the line who is not in this process, or not in this thread."""

    name: str
    """How a trace calls it."""
    is_host: bool

    def fileno(self) -> int:
        """What becomes readable when it speaks."""
        ...

    def read(self) -> bytes:
        """Return what it has said; nothing: it is gone for good."""
        ...

    def write(self, octets: bytes) -> None:
        """Let it hear; never waits, what finds no room is lost, as on a wire."""
        ...

    def agrees(self, line: UartSettings) -> bool:
        """Return whether it is set as the line is."""
        ...

    def close(self) -> None:
        """Take it off."""
        ...


class PtyEnd:
    """A program's end. We keep its slave side open so that the master never reads EIO."""

    def __init__(self, *, is_host: bool, name: str) -> None:
        self.is_host = is_host
        self.name = name
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)

    @property
    def path(self) -> str:
        """What the program opens."""
        return os.ttyname(self._slave)

    def fileno(self) -> int:
        """The master side."""
        return self._master

    def read(self) -> bytes:
        """Return what the program has written."""
        return os.read(self._master, _READ_BYTES)

    def write(self, octets: bytes) -> None:
        """Hand bytes to the program."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, octets)

    def agrees(self, line: UartSettings) -> bool:
        """Compare the rate; a PTY knows no parity."""
        return asked_baud(self._slave) == line.baud

    def close(self) -> None:
        """Hang up."""
        os.close(self._master)
        os.close(self._slave)


class NodePort(Protocol):
    """The UART of a simulated node (`gatehouse_hil.simnode.serial_port.SerialPort`)."""

    settings: UartSettings | None
    is_powered: bool

    @property
    def path(self) -> Path:
        """Name of its own PTY, ``NAME-uart``."""
        ...

    def lend(self) -> socket.socket:
        """Give the wire away."""
        ...

    def take_back(self) -> None:
        """Have it back."""
        ...


class NodeEnd:
    """A simulated node's end: bytes go straight into its process."""

    is_host = False

    def __init__(self, port: NodePort) -> None:
        self.port = port
        self.name = port.path.name.removesuffix("-uart")
        self._socket = port.lend().dup()  # of our own: the node may go before the line does

    def fileno(self) -> int:
        """The socket into the node."""
        return self._socket.fileno()

    def read(self) -> bytes:
        """Return what the node has sent."""
        return self._socket.recv(_READ_BYTES)

    def write(self, octets: bytes) -> None:
        """Let the node hear; without power it does not."""
        if self.port.is_powered:
            with contextlib.suppress(BlockingIOError):
                self._socket.send(octets)

    def agrees(self, line: UartSettings) -> bool:
        """Compare all settings; a node that has not opened its UART yet says and hears nothing anyway."""
        return self.port.settings is None or self.port.settings == line

    def close(self) -> None:
        """Give the wire back."""
        self._socket.close()
        self.port.take_back()


class DeviceEnd:
    """A real serial port with a real node behind it; what it cannot do (pace, faults of the other end) the line leaves alone."""

    is_host = False

    def __init__(self, path: Path, settings: UartSettings, *, name: str) -> None:
        parity = {None: serial.PARITY_NONE, 0: serial.PARITY_EVEN, 1: serial.PARITY_ODD}[settings.parity]
        self.name = name
        self._port = serial.Serial(
            str(path), settings.baud, bytesize=settings.bits, parity=parity, stopbits=settings.stop,
            timeout=0, write_timeout=0, exclusive=True,
        )  # fmt: skip

    def fileno(self) -> int:
        """The open port."""
        return int(self._port.fileno())

    def read(self) -> bytes:
        """Return what came in; a pulled adapter is gone."""
        try:
            return os.read(self._port.fileno(), _READ_BYTES)
        except OSError:
            return b""

    def write(self, octets: bytes) -> None:
        """Send."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._port.fileno(), octets)

    def agrees(self, line: UartSettings) -> bool:
        """We have set it ourselves."""
        return bool(self._port.baudrate == line.baud)

    def close(self) -> None:
        """Close the port."""
        self._port.close()
