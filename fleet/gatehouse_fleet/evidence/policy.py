"""Which clips come up by themselves, and until when each may be kept. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from gatehouse_events.event import Evidence
from gatehouse_fleet.settings import EvidenceSettings

_BEFORE: Final = timedelta(days=35)
_AFTER: Final = timedelta(days=1)


class Named(Struct, frozen=True, kw_only=True):
    """One piece of evidence as an alarm names it."""

    sha256: str
    kind: str
    is_masked: bool
    captured_at: datetime
    size_bytes: int | None


def named_in(items: tuple[dict[str, Any], ...]) -> list[Named]:
    """Return the evidence an alarm names; what is not readable is left out (the alarm itself is shown all the same)."""
    found = []
    for item in items:
        try:
            one = msgspec.convert(item, Evidence)
        except (msgspec.ValidationError, ValueError):
            continue
        if len(one.sha256) == 64 and set(one.sha256) <= set("0123456789abcdef"):  # noqa: PLR2004  # hex digits of SHA-256
            found.append(
                Named(
                    sha256=one.sha256,
                    kind=one.kind[:16],
                    is_masked=bool(one.privacy_masked),
                    captured_at=one.captured_at,
                    size_bytes=one.bytes,
                )
            )
    return found


def comes_up(settings: EvidenceSettings, *, category: str, is_test: bool) -> bool:
    """Return whether clips of such an alarm are fetched without being asked for."""
    return category in settings.fetch_categories and not is_test


def keep_until(captured_at: datetime, named_at: datetime, *, days: int) -> datetime:
    """Return when a clip must be gone: `days` after it was taken, floor and ceiling alike (domain notes 0.2).

    A gateway whose clock stood in 1970 would have its clip deleted before anybody saw it: a time that cannot be is
    replaced by when this server was told.
    """
    is_believable = named_at - _BEFORE <= captured_at <= named_at + _AFTER
    return (captured_at if is_believable else named_at) + timedelta(days=days)
