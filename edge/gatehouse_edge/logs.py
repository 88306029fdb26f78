"""Structured logs: one JSON object a line on disk, a readable line on a terminal. Secrets never get this far.

Kept by day and by size: network logs must be kept six months (Cybersecurity Law Art. 21(3)); we keep 200 days.
What people did (the audit trail) stands in the journal's alarm lane, not here.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Final

import structlog
from typing_extensions import override

KEEP_DAYS: Final = 200
MAX_DAY_BYTES: Final = 4 * 1024 * 1024
"""A flood of lines must not take the disk from the alarms: 200 such days are 0.8 GiB. A usual day has some kB."""
_SECRET_WORDS: Final = ("key", "secret", "password", "token", "code", "cookie")
_SHARED: Final[list[structlog.typing.Processor]] = [
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _mask(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replace values whose name says they are secret, whoever logged them."""
    for name in event:
        if name not in {"event", "code"} and any(name.lower().endswith(word) for word in _SECRET_WORDS):
            event[name] = "***"
    return event


def _formatter(*rendering: structlog.typing.Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _mask, *rendering],
    )


class DayFile(logging.handlers.TimedRotatingFileHandler):
    """One file a day, each no longer than `MAX_DAY_BYTES`; the rest of such a day goes to standard error only."""

    _is_told = False

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Write the line if the day has room for it."""
        is_new_day = bool(self.shouldRollover(record))
        if is_new_day or not self._is_full():
            self._is_told = False
            super().emit(record)
        elif not self._is_told:
            self._is_told = True
            why = "log of this day is full; further lines go to standard error only"
            super().emit(logging.LogRecord(record.name, logging.WARNING, __file__, 0, why, None, None))

    def _is_full(self) -> bool:
        try:
            return (Path(self.baseFilename)).stat().st_size >= MAX_DAY_BYTES
        except OSError:
            return False


def set_up(directory: Path | None, *, level: str = "INFO") -> None:
    """Send everything the standard `logging` carries to `directory/gatehouse.log` and to standard error."""
    root = logging.getLogger()
    root.setLevel(level)
    for old in list(root.handlers):
        root.removeHandler(old)
    terminal = logging.StreamHandler(sys.stderr)
    is_tty = sys.stderr.isatty()
    # Plain: the default prints local variables, and those may be keys.
    plain = structlog.dev.ConsoleRenderer(colors=is_tty, exception_formatter=structlog.dev.plain_traceback)
    terminal.setFormatter(_formatter(plain))
    root.addHandler(terminal)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        file = DayFile(
            directory / "gatehouse.log", when="midnight", backupCount=KEEP_DAYS, encoding="utf-8", utc=True
        )
        file.setFormatter(
            _formatter(
                structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)
            )
        )
        root.addHandler(file)
    for chatty in ("pymodbus", "bleak", "httpx", "uvicorn.access", "libav", "asyncio"):
        logging.getLogger(chatty).setLevel("WARNING" if chatty != "pymodbus" else "CRITICAL")
