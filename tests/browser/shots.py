"""Pictures of every screen for the documents: `make shots [names]`. Each part has a module `shots_<part>.py` with `shoot(camera)`."""

from __future__ import annotations

import importlib
import struct
import sys
import zlib
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE))

import cv2
import numpy as np
from conftest import CHROMIUM, FLAGS, KIOSK
from guard import log_in
from playwright.sync_api import sync_playwright

FOLDER: Final = HERE.parents[1] / "docs" / "shots"
PARTS: Final = ("duty", "local", "fleet", "bench")
THEMES: Final = ("light", "dark")


class Camera:
    """Opens pages and keeps pictures of them."""

    def __init__(self, browser, folder):
        self._browser = browser
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def page(
        self,
        base,
        path="/",
        *,
        person="operator",
        width=1440,
        height=900,
        log_in=log_in,
        script=None,
        **options,
    ):
        """Return a page of that size, logged in (`person=None`: not)."""
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, locale="zh-CN", reduced_motion="reduce", **options
        )
        if person is not None:
            log_in(context, base, person)
        if script is not None:
            context.add_init_script(script)
        page = context.new_page()
        page.goto(base + path)
        return page

    def keep(self, page, name, *, themes=THEMES, whole=False):
        """Write `<name>-<theme>.png` for each theme."""
        for theme in themes:
            page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
            page.wait_for_timeout(120)
            picture = page.screenshot(full_page=whole)
            self.write(f"{name}-{theme}", picture)

    def write(self, name, picture):
        """Write a PNG made elsewhere as `<name>.png`."""
        (self._folder / f"{name}.png").write_bytes(packed(picture))


def packed(picture):
    """Return a PNG of 256 colours: the most frequent (those that are no grey first) as they are, others as the nearest. A third of the size."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    height, width = pixels.shape[:2]
    flat = pixels.reshape(-1, 3).astype(np.uint32)
    colours, index, counts = np.unique(
        flat[:, 0] << 16 | flat[:, 1] << 8 | flat[:, 2], return_inverse=True, return_counts=True
    )
    # A colour means something here: a small orange mark is kept before the hundredth shade of grey.
    levels = np.stack([colours >> 16, colours >> 8 & 255, colours & 255]).astype(int)
    kept = colours[np.argsort(-counts * (1 + np.ptp(levels, axis=0)))[:256]]
    wanted, have = (
        np.stack([some >> 16, some >> 8 & 255, some & 255], axis=1).astype(np.int16)
        for some in (colours, kept)
    )
    nearest = np.concatenate(
        [
            np.abs(part[:, None] - have[None]).sum(axis=2).argmin(axis=1)
            for part in np.array_split(wanted, len(wanted) // 1000 + 1)
        ]
    )
    rows = nearest[index].reshape(height, width).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    table = b"".join(int(colour).to_bytes(3, "big") for colour in kept)
    chunks = ((b"IHDR", head), (b"PLTE", table), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def main(wanted):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, KIOSK])
        camera = Camera(browser, FOLDER)
        for part in wanted or PARTS:
            if (HERE / f"shots_{part}.py").exists():
                importlib.import_module(f"shots_{part}").shoot(camera)
        browser.close()
    for path in sorted(FOLDER.glob("*.png")):
        print(f"{path.relative_to(FOLDER.parents[1])} {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main(sys.argv[1:])
