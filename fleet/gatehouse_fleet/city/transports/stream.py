"""One TCP connection that both dialects of frames share: opening, writing, a reader task that never swallows a fault."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from gatehouse_fleet.city.errors import LostError
from gatehouse_fleet.city.target import Tcp
from gatehouse_fleet.city.transports.tls import client_context

READ_BYTES: Final = 4096


@contextlib.asynccontextmanager
async def connected(
    settings: Tcp, *, beside: Path
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection for the time of a block.

    Raises:
        LostError: nobody answers there.
    """
    tls = client_context(settings.ca_file, None, beside=beside) if settings.tls else None
    try:
        async with asyncio.timeout(settings.timeout_s):
            reader, writer = await asyncio.open_connection(settings.host, settings.port, ssl=tls)
    except TimeoutError as error:
        raise LostError(f"no connection in {settings.timeout_s:g} s") from error
    except OSError as error:
        raise LostError(f"cannot be reached: {type(error).__name__}") from error
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()
