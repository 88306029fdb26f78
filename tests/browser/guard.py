"""What every browser test needs: logging in, a guard against errors and foreign requests, axe, saturation, pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
AXE: Final = HERE / "node_modules" / "axe-core" / "axe.min.js"
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
EXPECTED: Final = (
    "ERR_CONNECTION_REFUSED",
    "ERR_INCOMPLETE_CHUNKED_ENCODING",
    "ERR_CONNECTION_RESET",
    "ERR_EMPTY_RESPONSE",
)
"""What a browser says when the server has gone, which some tests make it do."""
SATURATED: Final = 110
"""Of 255 in HSV: what the eye takes for a colour."""
CHANGED: Final = 24
PASSWORD: Final = "correct-horse-7"


class Guard:
    """Collects what a page must not do: errors, refused orders of the policy, requests that leave the origin."""

    def __init__(self, page, base):
        self.faults = []
        self.allows = set(EXPECTED)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._hear)
        page.on("request", lambda request: self._see(request.url, base))

    def _hear(self, message):
        if message.type == "error":
            self.faults.append(f"{message.text} {message.location.get('url', '')}")

    def _see(self, url, base):
        if not url.startswith((base, "data:", "blob:")):
            self.faults.append(f"left the origin: {url}")

    def allow(self, text):
        """From here on an error that contains this text is part of the test."""
        self.allows.add(text)

    def check(self):
        faults = [fault for fault in self.faults if not any(text in fault for text in self.allows)]
        assert not faults, faults


def log_in(context, base, person):
    answer = context.request.post(
        f"{base}/api/v1/login",
        data={"name": f"示例{person}", "password": PASSWORD},
        headers={"X-Gatehouse": "1"},
    )
    assert answer.ok, answer.text()


def violations(page, theme):
    """Return what axe finds, as (rule, where, why)."""
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    found = page.evaluate("rules => axe.run(document, { runOnly: rules })", RULES)
    return [
        (one["id"], node["target"], (node["any"] or node["all"] or node["none"])[0]["message"][:160])
        for one in found["violations"]
        for node in one["nodes"]
    ]


def saturated_share(picture):
    """Return which part of a PNG is coloured."""
    import cv2
    import numpy as np

    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    return float((cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)[:, :, 1] > SATURATED).mean())


def changed_share(picture, name, *, renews):
    """Return which part of a PNG differs from the kept one of that name; takes it anew when asked or when there is none."""
    import cv2
    import numpy as np

    path = HERE / "pictures" / f"{name}.png"
    if renews or not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture)
        return 0.0
    kept, now = (
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (path.read_bytes(), picture)
    )
    if kept.shape != now.shape:
        return 1.0
    return float((np.abs(kept.astype(int) - now.astype(int)).max(axis=2) > CHANGED).mean())
