"""A bound on what a peer may send, the same at all three servers."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive


def bounded(receive: Receive, limit_bytes: int) -> Receive:
    """Return `receive` with a limit over the whole body of one request.

    Raises:
        HTTPException: 413, at the first octet too many. Any other error of reading becomes a 400 in the framework.
    """
    taken = 0

    async def read() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > limit_bytes:
                raise HTTPException(413)
        return message

    return read
