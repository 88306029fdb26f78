"""An application as a few scripts that write it on the node: a third of the bytes on the line, a tenth of the turns.

`mpremote fs cp` sends a file as Python string literals of 256 bytes, one answer awaited for each, and a compiled file grows
almost fourfold in them. A script here calls `f(NAME)` and then `d(BASE64)` for each raw deflate block (window 2^12) of at most
4096 bytes of it; base64 passes unchanged. The node needs a few KiB to run one.

What was written is then compared file by file with `fs sha256sum`, as if each had been copied.
"""

from __future__ import annotations

import base64
import zlib
from typing import Final

from gatehouse_hil.bench.application import Application

BLOCK_BYTES: Final = 4096
WINDOW_BITS: Final = 12
SCRIPT_BYTES: Final = 8_000
"""A script is ended by the block that passes this; the node holds it as text while it compiles it."""

HEAD: Final = f"""
import binascii, deflate, io, os
o = None
def f(name):
    global o
    if o: o.close()
    at = name.find("/")
    while at > 0:
        try: os.mkdir(name[:at])
        except OSError: pass
        at = name.find("/", at + 1)
    o = open(name, "wb")
def d(text):
    o.write(deflate.DeflateIO(io.BytesIO(binascii.a2b_base64(text)), deflate.RAW, {WINDOW_BITS}).read())
"""
TAIL: Final = "o.close()\ndel o, f, d\n"


def scripts(application: Application) -> list[str]:
    """Return the scripts that write all files, in their order; to be run one after the other without a reset between."""
    made: list[str] = []
    lines = [HEAD]
    for file in application.files:
        lines.append(f"f({str(file.name)!r})")
        content = file.source.read_bytes()
        for at in range(0, len(content), BLOCK_BYTES):
            squeeze = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS)
            block = squeeze.compress(content[at : at + BLOCK_BYTES]) + squeeze.flush()
            lines.append(f"d({base64.b64encode(block)!r})")
            if sum(map(len, lines)) > SCRIPT_BYTES:
                made.append("\n".join(lines) + "\n")
                lines = []
    made.append("\n".join([*lines, TAIL]))
    return made
