"""Refusals in both languages (RFC 9457); the page shows them as they are."""

from __future__ import annotations

from typing import Final

from starlette.responses import JSONResponse, Response

from gatehouse_hil.bench.words import Lang, Words

_WORDS: Final = {lang: Words(lang) for lang in Lang}


class RefusedError(Exception):
    """The page will not do that. `reason` is a key of the catalogue: `page.<reason>`."""

    def __init__(self, status: int, reason: str, **facts: object) -> None:
        super().__init__(reason)
        self.status: Final = status
        self.reason: Final = reason
        self.facts: Final = facts


def problem(status: int, reason: str, **facts: object) -> Response:
    """Return the refusal as an answer."""
    return JSONResponse(
        {
            "type": f"urn:gatehouse:bench:{reason}",
            "status": status,
            "reason": reason,
            "title": _WORDS[Lang.ZH](f"page.{reason}", **facts),
            "title_en": _WORDS[Lang.EN](f"page.{reason}", **facts),
        },
        status,
        media_type="application/problem+json",
    )
