"""What FFmpeg says of a stream beside its results: packets missed on the way, pictures patched up without an error code.

A lost RTP packet raises nothing: the demuxer steps over it and the decoder conceals the hole, with a picture that looks whole. Only its log
tells. It is counted by the thread that reads the stream, and never shown: its lines hold addresses, hence perhaps a password.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

import av.logging

_DEMUXERS: Final = ("libav.rtsp", "libav.rtp", "libav.udp", "libav.mpegts")
_MISSED: Final = "missed"
_here: Final = threading.local()


class _Counter(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        is_demuxer = record.name.startswith(_DEMUXERS)
        if record.levelno >= logging.ERROR or (is_demuxer and _MISSED in record.getMessage()):
            _here.count = heard() + 1


def listen() -> None:
    """Count what FFmpeg complains of from now on, in whatever thread it does; once for a process, more often does no harm."""
    logger = logging.getLogger("libav")
    if not any(isinstance(handler, _Counter) for handler in logger.handlers):
        logger.addHandler(_Counter())
        logger.propagate = False
        av.logging.set_skip_repeated(False)
        av.logging.set_level(av.logging.WARNING)


def heard() -> int:
    """Return how many complaints this thread has heard so far."""
    count: int = getattr(_here, "count", 0)
    return count
