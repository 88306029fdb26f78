"""Hands out the console: `/` is its one page, `/static` its own files, `/ui` what the three consoles share.

The page asks the same API as everybody; nothing is written into it by the server, so it is the same for everyone and may be kept.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import Response

from gatehouse_ui import STATIC as UI
from gatehouse_ui import Assets

STATIC: Final = Path(str(files("gatehouse_fleet.console") / "static"))


def serve(app: FastAPI) -> None:
    """Add the console to an application; call it after the routers."""
    own = Assets(STATIC)

    async def page(request: Request) -> Response:
        return own.answer("index.html", request.scope)

    app.add_api_route("/", page, methods=["GET", "HEAD"], include_in_schema=False)
    app.mount("/static", own, name="static")
    app.mount("/ui", Assets(UI), name="ui")
