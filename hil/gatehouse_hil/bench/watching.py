"""Instruments that look on until Ctrl-C: what a console says, what stands in a node's registers, what is on the air, what a camera sees.

Each tells its findings as one line, for a program as one JSON object a line. None changes anything on a board.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

from gatehouse_hil.bench.clock import Clock

BEAT_S: Final = 2.0
"""An instrument that has found nothing says so at least so often; whoever reads it knows that it lives."""


class Tell(Protocol):
    """Takes one finding and how it reads for a person; an empty text is for programs only."""

    def __call__(self, finding: Mapping[str, Any], text: str) -> None:
        """Write it."""
        ...


class Teller:
    """Writes findings to standard output, each with the time."""

    def __init__(self, clock: Clock, *, as_json: bool) -> None:
        self._clock: Final = clock
        self._as_json: Final = as_json

    def __call__(self, finding: Mapping[str, Any], text: str) -> None:
        """Write one finding."""
        now: datetime = self._clock.now()
        if self._as_json:
            sys.stdout.write(msgspec.json.encode({"at": now, **finding}).decode() + "\n")
        elif text:
            sys.stdout.write(f"{now:%H:%M:%S} {text}\n")
        sys.stdout.flush()
