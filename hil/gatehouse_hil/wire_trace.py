"""What went over a line, as text that a reviewer reads and a test compares: golden traces.

    # gatehouse wire trace 1
    # line gas 9600 8N1
    0.000 host   01 03 00 00 00 0a c5 cd
    0.047 gas-1  01 03 14 00 00 ?? ?? ...

One line for each turn of a talker: seconds since the first byte, who, the bytes in hex. A comparison ignores the times and
how a turn was cut into pieces; `??` in a golden file stands for any byte (counters, uptimes, and the checksum over them).
The same file serves a simulated and a real run: both are recorded at the same line.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final

HEAD: Final = "# gatehouse wire trace 1"
TURNS_KEPT: Final = 100_000
"""A trace longer than this is a soak test's, and nobody compares it byte by byte."""


class TraceError(ValueError):
    """A trace file cannot be read; the message names the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Everything one talker said before another did. A byte that is None in a golden trace may be anything."""

    at_s: float
    talker: str
    octets: tuple[int | None, ...]

    def fits(self, other: Turn) -> bool:
        """Return whether both say the same, times aside."""
        if self.talker != other.talker or len(self.octets) != len(other.octets):
            return False  # an octet that may be anything must still be there
        return all(a == b or None in (a, b) for a, b in zip(self.octets, other.octets, strict=True))


class Recorder:
    """Listens at a line (`Line.record`) and keeps what passes; safe to read from another thread."""

    def __init__(self, *, note: str = "") -> None:
        self.note: Final = note
        self._pieces: list[tuple[float, str, bytearray]] = []
        self._lock = threading.Lock()

    def heard(self, at_s: float, talker: str, octets: bytes) -> None:
        """Take a piece of a turn, as it came out of the wire (with what the wire did to it)."""
        with self._lock:
            if self._pieces and self._pieces[-1][1] == talker:
                self._pieces[-1][2].extend(octets)
            elif len(self._pieces) < TURNS_KEPT:
                self._pieces.append((at_s, talker, bytearray(octets)))

    @property
    def turns(self) -> list[Turn]:
        """What has passed so far."""
        with self._lock:
            first_s = self._pieces[0][0] if self._pieces else 0.0
            return [
                Turn(at_s=at_s - first_s, talker=talker, octets=tuple(octets))
                for at_s, talker, octets in self._pieces
            ]

    def text(self) -> str:
        """Return the trace as a file's text."""
        return encode(self.turns, note=self.note)


def encode(turns: list[Turn], *, note: str = "") -> str:
    """Return the text of a trace."""
    width = max((len(turn.talker) for turn in turns), default=0)
    lines = [HEAD, *([f"# {note}"] if note else [])]
    for turn in turns:
        octets = " ".join("??" if octet is None else f"{octet:02x}" for octet in turn.octets)
        lines.append(f"{turn.at_s:.3f} {turn.talker:<{width}} {octets}")
    return "\n".join(lines) + "\n"


def decode(text: str) -> list[Turn]:
    """Return the turns of a trace's text.

    Raises:
        TraceError: not a trace, or a line that is none.
    """
    head, *lines = text.splitlines() or [""]
    if head != HEAD:
        raise TraceError(f"line 1: a wire trace begins with {HEAD!r}")
    turns = []
    for number, line in enumerate(lines, start=2):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            at_s, talker, *octets = line.split()
            turns.append(
                Turn(at_s=float(at_s), talker=talker, octets=tuple(_octet(octet) for octet in octets))
            )
        except ValueError as error:
            raise TraceError(f"line {number}: wanted `seconds talker hex hex ...`") from error
    return turns


def _octet(text: str) -> int | None:
    if text == "??":
        return None
    octet = int(text, 16)
    if not 0 <= octet <= 0xFF:
        raise ValueError(text)
    return octet


def differences(golden: list[Turn], seen: list[Turn]) -> list[str]:
    """Return one sentence for each turn that is not as in the golden trace, times aside; empty: all the same."""
    found = []
    for number, (wanted, got) in enumerate(zip_longest(golden, seen), start=1):
        if wanted is None or got is None or not wanted.fits(got):
            found.append(f"turn {number}: wanted {_shown(wanted)}, got {_shown(got)}")
    return found


def _shown(turn: Turn | None) -> str:
    if turn is None:
        return "nothing"
    return f"{turn.talker} {' '.join('??' if octet is None else f'{octet:02x}' for octet in turn.octets)}"


def check(golden: Path, recorder: Recorder, *, is_renewed: bool = False) -> list[str]:
    """Compare with the golden file; a file that is not there, or `is_renewed`, is written from what was recorded.

    A new file counts as a difference: somebody has to read it before it is the truth.
    """
    if is_renewed or not golden.exists():
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(recorder.text(), encoding="ascii")
        return [] if is_renewed else [f"{golden.name} was not there; it is now, read it before you commit it"]
    return differences(decode(golden.read_text(encoding="ascii")), recorder.turns)
