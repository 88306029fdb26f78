"""An application as one text file that a node unpacks: a third of the bytes on the line.

`mpremote fs cp` sends a file as Python string literals, so a compiled file grows almost fourfold on a console of 115200 bit/s.
The pack is base64 of deflated blocks, which passes unchanged; the node needs 4 KiB to unpack it. Lines:

    F NAME          a file begins
    D BASE64        a raw deflate block (window 2^12) of at most 4096 bytes of it

What was unpacked is then compared file by file with `fs sha256sum`, as if each had been copied.
"""

from __future__ import annotations

import base64
import zlib
from typing import Final

from gatehouse_hil.bench.application import Application

BLOCK_BYTES: Final = 4096
WINDOW_BITS: Final = 12
NAME: Final = "gh_pack.txt"
"""Where the pack lies on the node while it is unpacked."""

UNPACK: Final = f"""
import binascii, deflate, io, os
out = None
with open("{NAME}", "rb") as pack:
    for line in pack:
        if line[:1] == b"F":
            if out: out.close()
            out = open(line[2:].strip().decode(), "wb")
        else:
            block = deflate.DeflateIO(io.BytesIO(binascii.a2b_base64(line[2:])), deflate.RAW, {WINDOW_BITS})
            out.write(block.read())
if out: out.close()
os.remove("{NAME}")
"""


def pack(application: Application) -> bytes:
    """Return the pack of all files, in their order."""
    lines: list[bytes] = []
    for file in application.files:
        lines.append(b"F " + str(file.name).encode())
        content = file.source.read_bytes()
        for at in range(0, len(content), BLOCK_BYTES):
            squeeze = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS)
            block = squeeze.compress(content[at : at + BLOCK_BYTES]) + squeeze.flush()
            lines.append(b"D " + base64.b64encode(block))
    return b"\n".join(lines) + b"\n"
