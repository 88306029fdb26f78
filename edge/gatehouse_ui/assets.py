"""Hands out a folder of static files: read once at the start, so that a page never gets half of an older build.

Our own scripts go out without their comments, line for line: a fifth of what a first visit loads, and nothing of what it runs.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STATIC: Final = Path(str(files("gatehouse_ui") / "static"))
"""Served as `/ui/` by every console."""
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}
"""A file of another kind is not handed out."""


_COMMENT: Final = re.compile(r"/\*\*.*?\*/|^[ \t]*//[^\n]*$", re.MULTILINE | re.DOTALL)
"""Types and contracts, and remarks on lines of their own. (A text that looked like one would go too: a test compares.)"""


class _File(NamedTuple):
    body: bytes
    packed: bytes | None
    """Compressed; None where that saves nothing."""
    tag: str
    kind: str


class Assets:
    """An ASGI application for `app.mount("/ui", Assets(STATIC))`. GET and HEAD; anything unknown is 404."""

    def __init__(self, folder: Path) -> None:
        self._files: Final = {
            path.relative_to(folder).as_posix(): _read(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix in _TYPES
        }
        joined = "".join(f"{name}{file.tag}" for name, file in self._files.items())
        self.build: Final = hashlib.sha256(joined.encode()).hexdigest()[:12]
        """Names what is handed out: a page that learns another one may load itself anew."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        name = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/")
        await self.answer(name, scope)(scope, receive, send)

    def answer(self, name: str, scope: Scope) -> Response:
        """Return the file `name` as a response. Browsers ask each time and are mostly told that nothing changed."""
        file = self._files.get(name)
        if file is None or scope["method"] not in {"GET", "HEAD"}:
            return Response(status_code=404 if file is None else 405)
        asked = Headers(scope=scope)
        headers = {"ETag": file.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if asked.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        if file.packed is not None and "gzip" in asked.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(file.packed, headers=headers, media_type=file.kind)
        return Response(file.body, headers=headers, media_type=file.kind)


def without_comments(script: str) -> str:
    """Return a script without its JSDoc and the remarks that stand on lines of their own; line numbers stay."""
    return _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), script)


def _read(path: Path) -> _File:
    body = path.read_bytes()
    if path.suffix == ".js" and path.parent.name != "vendor":
        body = without_comments(body.decode("utf-8")).encode("utf-8")
    packed = gzip.compress(body, 9, mtime=0)
    return _File(
        body=body,
        packed=packed if len(packed) < len(body) else None,
        tag=f'"{hashlib.sha256(body).hexdigest()[:20]}"',
        kind=_TYPES[path.suffix],
    )
