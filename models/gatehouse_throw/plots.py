"""Two small pictures for the card, drawn by hand as SVG: recall against precision, and where falls are lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

_W: Final = 520
_H: Final = 320
_PAD: Final = 48
_INK: Final = "#24323d"
_LINES: Final = ("#c8452d", "#2d6fc8", "#7a8794")


def curve(series: Mapping[str, Sequence[tuple[float, float, float]]]) -> str:
    """Return an SVG of precision over recall; each series is rows of (threshold, recall, precision)."""
    parts = [_frame("recall", "precision")]
    for points, colour in zip(series.values(), _LINES, strict=False):
        at = [(_x(recall), _y(precision), p) for p, recall, precision in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in at)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{p:g}</title></circle>'
            for x, y, p in at
        ]
    parts += [
        f'<text x="{_PAD + 12}" y="{_H - _PAD - 12 - 16 * n}" fill="{colour}">{name}</text>'
        for n, (name, colour) in enumerate(zip(series, _LINES, strict=False))
    ]
    return _page(parts)


def bars(rows: Sequence[tuple[str, Sequence[float]]], names: Sequence[str]) -> str:
    """Return an SVG of shares (0 to 1): a group of bars for each row, a bar for each name."""
    group = (_W - 2 * _PAD) / max(1, len(rows))
    width = 0.8 * group / max(1, len(names))
    shades = [f"hsl(205 45% {35 + 14 * n}%)" for n in range(len(names))]
    parts = [_frame("", "share")]
    for n, (label, shares) in enumerate(rows):
        left = _PAD + n * group + 0.1 * group
        parts += [
            f'<rect x="{left + k * width:.1f}" y="{_y(share):.1f}" width="{width - 1:.1f}" height="{_y(0) - _y(share):.1f}" '
            f'fill="{shades[k]}"><title>{names[k]} {share:.2f}</title></rect>'
            for k, share in enumerate(shares)
        ]
        parts.append(
            f'<text x="{left + 0.4 * group:.1f}" y="{_H - _PAD + 16}" text-anchor="middle">{label}</text>'
        )
    parts += [
        f'<rect x="{_PAD + 110 * k}" y="12" width="10" height="10" fill="{shades[k]}"/><text x="{_PAD + 14 + 110 * k}" y="21">{name}</text>'
        for k, name in enumerate(names)
    ]
    return _page(parts)


def _x(share: float) -> float:
    return _PAD + share * (_W - 2 * _PAD)


def _y(share: float) -> float:
    return _H - _PAD - share * (_H - 2 * _PAD)


def _frame(across: str, up: str) -> str:
    ticks = "".join(
        f'<line x1="{_PAD}" x2="{_W - _PAD}" y1="{_y(s):.1f}" y2="{_y(s):.1f}" stroke="#dde3e8"/>'
        f'<text x="{_PAD - 6}" y="{_y(s) + 4:.1f}" text-anchor="end">{s:g}</text>'
        + (f'<text x="{_x(s):.1f}" y="{_H - _PAD + 16}" text-anchor="middle">{s:g}</text>' if across else "")
        for s in (0, 0.2, 0.4, 0.6, 0.8, 1)
    )
    return (
        f'{ticks}<text x="{_W / 2}" y="{_H - 8}" text-anchor="middle">{across}</text>'
        f'<text x="14" y="{_H / 2}" text-anchor="middle" transform="rotate(-90 14 {_H / 2})">{up}</text>'
    )


def _page(parts: Sequence[str]) -> str:
    style = f'font-family="sans-serif" font-size="12" fill="{_INK}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_W} {_H}" width="{_W}" height="{_H}" {style}>'
        f'<rect width="{_W}" height="{_H}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )
